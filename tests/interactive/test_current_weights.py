"""The weights of a training beside a window, and what lies beside them."""

from __future__ import annotations

import os
import time

import pytest
import torch

from lazylabels_monai.errors import user_error
from lazylabels_monai.interactive import current_weights
from lazylabels_monai.interactive.current_weights import KEPT
from lazylabels_monai.trained import BEGUN_FILE, learnt_images, trained_classes
from tests.helpers import load
from tests.interactive.live_training import OVERLAY, TINY, events_of


def test_weights_that_were_there_are_kept_unless_the_training_goes_on_from_them(bundle, marked, tmp_path):
    model = tmp_path / "out" / "models" / "model.pt"

    def train(**more):
        given = {**bundle.overrides(marked.folder, tmp_path / "out"), **TINY, "max_epochs": 1, **more}
        bundle.run(bundle.files("train.yaml", OVERLAY), "train", **given)
        return model.read_bytes()

    first = train()
    second = train(init_weights=str(model))
    assert second != first
    assert not list(model.parent.glob("before_*"))
    train()
    (kept,) = model.parent.glob("before_*")
    assert (kept / "model.pt").read_bytes() == second
    assert trained_classes(kept / "model.pt") == marked.classes
    for number in range(KEPT + 2):
        earlier = model.parent / f"before_2020010{number}_000000"
        earlier.mkdir()
        os.utime(earlier, (number, number))
    train()
    assert len(list(model.parent.glob("before_*"))) == KEPT
    assert kept.is_dir()


def test_weights_are_kept_whatever_the_clock_says(tmp_path):
    """It was ahead for a while, was set back, and stood still."""
    (tmp_path / "classes.json").write_text("[]")

    def keep(content: str, when: float) -> None:
        (tmp_path / "model.pt").write_text(content)
        os.utime(tmp_path / "model.pt", (when, when))
        current_weights._keep_weights(tmp_path)

    def kept() -> set[str]:
        return {file.read_text() for file in tmp_path.glob("before_*/model.pt")}

    now, day = time.time(), 86400.0
    for number in range(KEPT):
        keep(f"ahead {number}", now + (400 + number) * day)
        (folder,) = tmp_path.glob(time.strftime("before_%Y%m%d*", time.localtime(now + (400 + number) * day)))
        os.utime(folder, (now + (400 + number) * day,) * 2)
    assert kept() == {f"ahead {number}" for number in range(KEPT)}
    for number in range(KEPT):  # of one second
        keep(f"now {number}", now)
        later = {f"now {later}" for later in range(number + 1)}
        assert kept() == later | {f"ahead {number}" for number in range(number + 1, KEPT)}
    keep("set back", now - day)
    assert kept() == {"set back", *(f"now {number}" for number in range(1, KEPT))}
    assert all(file.with_name("classes.json").is_file() for file in tmp_path.glob("before_*/model.pt"))


def test_a_training_that_goes_wrong_leaves_the_weights(parts, marked, tmp_path):
    model = tmp_path / "out" / "models" / "model.pt"
    workflow = parts(max_epochs=20, learning_rate=1e3, ema_decay=0.0)
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert "learning_rate" in str(user_error(error.value))
    assert not model.exists() or all(torch.isfinite(value).all() for value in load(model).values())


def test_what_weights_of_earlier_versions_have_learnt_from_stays_unknown(parts, tmp_path):
    """Some of their images would read as all of them."""
    model = tmp_path / "out" / "models" / "model.pt"
    events_of(parts(max_epochs=1), tmp_path)
    assert learnt_images(model)
    (model.parent / BEGUN_FILE).write_text('{"anew": false}\n')
    events_of(parts(max_epochs=1, init_weights=str(model)), tmp_path)
    assert learnt_images(model) is None
    events_of(parts(max_epochs=1), tmp_path)
    assert learnt_images(model)
