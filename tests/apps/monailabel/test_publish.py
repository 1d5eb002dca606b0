"""What a training of the app publishes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lazylabels_monai.apps.monailabel.publish import publish
from lazylabels_monai.apps.monailabel.store import of_last_training, write_datalist
from lazylabels_monai.errors import LazyLabelsError


def folders(tmp_path: Path) -> tuple[Path, Path]:
    training, models = tmp_path / "training", tmp_path / "models"
    for folder, text in ((training, "new"), (models, "old")):
        folder.mkdir()
        for name in ("classes.json", "network.json"):
            (folder / name).write_text(f"{text} {name}")
    torch.save({"w": torch.zeros(1)}, models / "model.pt")
    (models / "instances.json").write_text("tuned")
    torch.save({"model": {"w": torch.full((1,), 3.0)}}, training / "checkpoint_epoch=3.pt")
    torch.save({"model": {"w": torch.full((1,), 2.0)}}, training / "checkpoint_epoch=2.pt")
    return training, models


def test_with_the_weights_it_is_kept_what_they_have_learnt_from(tmp_path):
    training, models = folders(tmp_path)
    write_datalist(training / "datalist.json", ["object"], [{"image": "/pool/a.png"}], [{"image": "/pool/b.png"}])
    publish(training, models)
    write_datalist(training / "datalist.json", ["object"], [{"image": "/pool/c.png"}])
    with pytest.raises(LazyLabelsError, match="left no weights"):
        publish(training, models)
    assert of_last_training(models) == (["/pool/b.png"], ["/pool/a.png"])


@pytest.mark.parametrize(("validated", "keep_last", "served"), [(True, False, 7.0), (True, True, 3.0), (False, False, 3.0)])
def test_published_are_the_best_or_the_last_weights(tmp_path, validated, keep_last, served):
    training, models = folders(tmp_path)
    if validated:
        torch.save({"w": torch.full((1,), 7.0)}, training / "model.pt")
    previous = publish(training, models, keep_last)
    assert torch.load(models / "model.pt")["w"].item() == served
    assert (models / "classes.json").read_text() == "new classes.json"
    assert (models / "instances.json").read_text() == "tuned"
    assert torch.load(previous / "model.pt")["w"].item() == 0
    assert (previous / "network.json").read_text() == "old network.json"
    assert list(training.iterdir()) == []
    assert previous.parent == models


def test_without_weights_nothing_is_published(tmp_path):
    training, models = folders(tmp_path)
    for file in training.glob("*.pt"):
        file.unlink()
    before = (models / "model.pt").read_bytes()
    with pytest.raises(LazyLabelsError, match="left no weights"):
        publish(training, models)
    assert (models / "model.pt").read_bytes() == before
    assert list(models.glob("previous_*")) == []


def test_the_mean_of_the_weights_is_published_where_one_was_kept(tmp_path):
    training, models = folders(tmp_path)
    torch.save({"model": {"w": torch.zeros(1)}, "ema": {"w": torch.ones(1)}}, training / "checkpoint_epoch=4.pt")
    publish(training, models)
    assert torch.load(models / "model.pt")["w"].item() == 1
