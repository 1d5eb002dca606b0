"""Data sets without exact masks, without validation, and trainings shorter than what lies between two validations."""

from __future__ import annotations

import logging

import pytest
import torch
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.labels.inner import inner_regions
from tests.data.building.drawing import _ids, _image, _save
from tests.helpers import ROOT, events, load


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """``datalist`` of six images with inner regions alone; arguments follow."""
    src = tmp_path_factory.mktemp("rough")
    inner = (inner_regions(_ids().astype("int32"), rng=0) > 0).astype("uint8")
    for number in range(6):
        _save(src / "images" / f"{number}.png", _image(number))
        _save(src / "detection" / f"{number}.png", inner)

    def make(out, *arguments):
        result = CliRunner().invoke(app, ["datalist", str(src), str(out), *arguments])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return make


def test_rough_marks_alone_train_and_the_lowest_loss_on_them_chooses(bundle, rough, tmp_path, caplog):
    printed = rough(tmp_path / "data")
    assert "no validation image has an exact mask" in printed
    with caplog.at_level(logging.INFO):
        bundle.train(tmp_path / "data", tmp_path, max_epochs=3, learning_rate=0.02)
    assert "lowest loss on the marks there (val_loss)" in caplog.text
    losses = {value.step: value.value for value in events(tmp_path).Scalars("val_loss")}
    assert sorted(losses) == [1, 2, 3]
    assert all(value > 0 for value in losses.values())
    best = min(losses, key=losses.get)
    newest = load(tmp_path / "models" / "checkpoint_epoch=3.pt")
    ((score, _),) = newest["best"]["_saved"]
    assert -score == pytest.approx(losses[best], rel=1e-5)
    bundle.infer(tmp_path / "data" / "images", tmp_path)


def test_without_validation_the_last_weights_are_kept(bundle, rough, tmp_path, caplog):
    printed = rough(tmp_path / "data", "--validation", "0")
    assert "no image validates" in printed
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "data")])
    assert checked.exit_code == 0, checked.output
    assert "weights of the last epoch" in checked.output
    with caplog.at_level(logging.WARNING):
        bundle.train(tmp_path / "data", tmp_path)
    assert "model.pt will hold the weights of the last epoch" in caplog.text
    model, newest = (load(tmp_path / "models" / name) for name in ("model.pt", "checkpoint_epoch=2.pt"))
    assert all(torch.equal(value, newest["model"][key]) for key, value in model.items())
    bundle.train(tmp_path / "data", tmp_path, max_epochs=3, resume=True, early_stop_patience=1)
    model, newest = (load(tmp_path / "models" / name) for name in ("model.pt", "checkpoint_epoch=3.pt"))
    assert all(torch.equal(value, newest["model"][key]) for key, value in model.items())


@pytest.mark.parametrize(("epochs", "validated"), [(1, [1]), (3, [2, 3])])
def test_the_last_epoch_is_validated(bundle, tiny_data, tmp_path, epochs, validated):
    bundle.train(tiny_data, tmp_path, max_epochs=epochs, val_interval=2)
    assert [value.step for value in events(tmp_path).Scalars("val_mean_dice")] == validated
    assert (tmp_path / "models" / "model.pt").is_file()


def test_a_network_without_segmentation_is_judged_by_its_marks(bundle, tiny_data, tmp_path):
    unet = ROOT / "configs" / "unet.yaml"
    bundle.train(tiny_data, tmp_path, unet, max_epochs=1, tasks=["detection"], sampling_shares={"detection": 0.5})
    assert [value.step for value in events(tmp_path).Scalars("val_loss")] == [1]
    assert (tmp_path / "models" / "model.pt").is_file()
