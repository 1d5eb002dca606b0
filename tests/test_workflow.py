"""What the configs call before the first epoch."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch

from lazylabels_monai import workflow
from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.trained import trained_classes, trained_network
from lazylabels_monai.workflow import (
    Beginning,
    begin_training,
    dataset_classes,
    images_to_predict,
    require_steps,
    require_valid,
)

SETTINGS = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8], "num_multitask_blocks": 1}


def network() -> MultiTaskUNet:
    return MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1)


def test_classes_are_those_of_the_data_set_or_of_the_built_in_data(tmp_path):
    assert dataset_classes(tmp_path / "datalist.json") == list(CLASS_NAMES)
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["pore"], "training": []}))
    assert dataset_classes(tmp_path / "datalist.json") == ["pore"]
    (tmp_path / "datalist.json").write_text("{")
    with pytest.raises(DatalistError, match=r"datalist\.json"):
        dataset_classes(tmp_path / "datalist.json")


def test_a_data_set_is_shown_and_its_errors_stop(tiny_data, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        require_valid(tiny_data / "datalist.json", ["training", "validation"])
    assert "training" in caplog.text
    with pytest.raises(DatalistError, match=r"\['pore'\]"):
        require_valid(tiny_data / "datalist.json", ["training"], classes=["pore"])
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    items = json.loads((data / "datalist.json").read_text())["training"]
    drawn = next(item["separation"] for item in items if "separation" in item)
    (data / drawn).unlink()
    with pytest.raises(DatalistError, match=Path(drawn).name):
        require_valid(data / "datalist.json", ["training"])


def test_a_training_begins_with_room_for_its_weights_and_what_belongs_to_them(tmp_path):
    models = tmp_path / "out" / "models"
    begin_training(models, network(), ["pore"], SETTINGS)
    assert sorted(file.name for file in models.iterdir()) == ["classes.json", "network.json"]
    assert trained_classes(models / "model.pt") == ["pore"]
    assert trained_network(models / "model.pt")["channels"] == [4, 8]
    torch.save({"model": {"w": torch.zeros(1)}}, models / "checkpoint_epoch=1.pt")
    begin_training(models, network(), ["crack"], SETTINGS, resume=True)
    assert not list(models.glob("previous_*"))
    begin_training(models, network(), ["grain"], SETTINGS)
    (previous,) = models.glob("previous_*")
    assert sorted(file.name for file in previous.iterdir()) == ["checkpoint_epoch=1.pt", "classes.json", "network.json"]
    assert trained_classes(previous / "model.pt") == ["crack"]
    assert trained_classes(models / "model.pt") == ["grain"]


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_writes(tmp_path, monkeypatch, rank):
    for name, answer in (("is_available", True), ("is_initialized", True), ("get_rank", rank)):
        monkeypatch.setattr(workflow.dist, name, lambda answer=answer: answer)
    begin_training(tmp_path, network(), ["pore"], SETTINGS)
    assert sorted(file.name for file in tmp_path.iterdir()) == (["classes.json", "network.json"] if rank == 0 else [])


def test_a_training_begins_once(tmp_path):
    begin = Beginning(ckpt_dir=tmp_path, network=network(), classes=["pore"], trained_with=SETTINGS)
    assert list(tmp_path.iterdir()) == []
    begin()
    (tmp_path / "model.pt").write_bytes(b"saved by one saver")
    begin()  # by the other
    assert sorted(file.name for file in tmp_path.iterdir()) == ["classes.json", "model.pt", "network.json"]


def test_images_are_those_of_the_test_or_all_of_a_folder_a_pattern_or_one_file(tiny_data, tmp_path):
    testing = [item["image"] for item in json.loads((tiny_data / "datalist.json").read_text())["testing"]]
    assert [Path(item["image"]) for item in images_to_predict(tiny_data)] == [tiny_data / name for name in testing]
    assert all(set(item) == {"image"} for item in images_to_predict(tiny_data))
    folder = tiny_data / "images"
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(Path(item["image"]).name for item in images_to_predict(folder)) == names
    pattern = images_to_predict(folder / "*train*.png")
    assert sorted(Path(item["image"]).name for item in pattern) == [name for name in names if "train" in name]
    assert images_to_predict(folder / names[0]) == [{"image": str(folder / names[0])}]
    with pytest.raises(DatalistError, match="no image"):
        images_to_predict(tmp_path)


def test_an_epoch_has_a_step():
    require_steps(16, 16)
    with pytest.raises(LazyLabelsError, match=r"batch_size 16 is more than the 8 crops .* --crops_per_epoch 16"):
        require_steps(8, 16)
