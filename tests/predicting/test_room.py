"""An image for which there is no memory is refused before it is read, whatever program predicts it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.predicting import room
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.room import Room

TASKS = ("segmentation", "detection", "separation")


@pytest.fixture
def images(tiny_data, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    source = sorted((tiny_data / "images").iterdir())[0]
    (folder / "a.png").write_bytes(source.read_bytes())
    Image.fromarray(np.zeros((1000, 1000), np.uint8)).save(folder / "large.png")
    return folder


@pytest.fixture
def scarce(monkeypatch):
    """Memory for a plain prediction of the small picture, not of the large one, and no packages to do it in tiles."""
    monkeypatch.setattr(room, "memory_at_hand", lambda: 2**24)
    monkeypatch.setattr("lazylabels_monai.predicting.folder.missing_packages", lambda: ["zarr"])


def test_predict_and_inferring_refuse_by_the_same_sentence(bundle, trained, images, tmp_path, scarce):
    weights = trained
    report = predict(images, tmp_path / "one", weights=weights, overrides={"device": "cpu"})
    ((path, sentence),) = report.failed.items()
    assert path == str(images / "large.png")
    assert sentence.startswith(f"'{path}' has 1000 x 1000 pixels, whose prediction takes about ")
    sentence, _, remedy = sentence.partition("; or predict it in tiles: ")
    assert remedy == 'pip install "lazylabels-monai[large]".'
    assert sentence.endswith("cut it into smaller images, close other programs, or take a machine with more memory")
    with pytest.raises((RuntimeError, LazyLabelsError)) as raised:
        bundle.infer(images, tmp_path / "two", weights=str(weights))
    assert str(user_error(raised.value)) == f"{sentence}."
    for out in ("one", "two"):
        assert sorted(file.name for file in (tmp_path / out).glob("*_pred.png")) == ["a_pred.png"]


def test_the_uncertainty_counts(trained, images, tmp_path, monkeypatch):
    found = Room(1, 3, TASKS)
    monkeypatch.setattr(room, "memory_at_hand", lambda: (found.plain + found.unsure) // 2 * 64 * 80)
    weights = trained
    given = {"weights": weights, "overrides": {"device": "cpu"}}
    assert not predict(images / "a.png", tmp_path / "plain", **given).failed
    (sentence,) = predict(images / "a.png", tmp_path / "unsure", uncertainty=True, **given).failed.values()
    assert "are free: leave out --uncertainty, cut it into smaller images" in sentence


def test_what_tells_no_size_is_not_refused(tmp_path, scarce):
    (tmp_path / "a.png").write_bytes(b"nothing")
    Room(1, 3, TASKS)(tmp_path / "a.png")
    Room(1, 3, TASKS)(tmp_path / "missing.png")
