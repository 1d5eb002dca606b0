"""A trained model: its windows, its normalization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from lazylabels_monai.errors import explain
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import write_network


def test_windows_are_those_of_the_training_unless_a_config_file_says_otherwise(bundle, trained, tmp_path):
    overlay = tmp_path / "windows.yaml"
    overlay.write_text("window_size: [48, 40]\n")
    assert list(Model(trained, bundle.configs.parent).inferer.roi_size) == [64, 64]
    model = Model(trained, bundle.configs.parent, [str(overlay)])
    assert list(model.inferer.roi_size) == [48, 40]
    assert list(Model(trained, bundle.configs.parent, [str(overlay)], {"window_size": [32, 32]}).inferer.roi_size) == [32, 32]


@pytest.mark.parametrize("norm", ["BATCH", ["INSTANCE", {"affine": True}], ["GROUP", {"num_groups": 2}]])
def test_the_normalization_of_the_training_is_found(norm, bundle, tmp_path):
    """Any that MONAI's factories know, not only the default's."""
    parser = ConfigParser(ConfigParser.load_config_file(bundle.configs / "train.yaml"))
    parser.update({"norm": norm, "num_classes": 3, "channels": [4, 8], "num_multitask_blocks": 1})
    network = parser.get_parsed_content("network_def")
    write_network(tmp_path, network, **parser.get_parsed_content("trained_with"))
    torch.save(network.state_dict(), tmp_path / "model.pt")
    loaded = Model(tmp_path / "model.pt", bundle.configs.parent, overrides={"device": "cpu"}).network
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), network.eval()(image))


@pytest.mark.parametrize("route", ["three maps", "components"])
def test_what_no_result_is_made_of_is_not_computed(route, bundle, trained, tmp_path):
    """And the results are those of a model that computes all; a model for other purposes answers for all tasks."""
    overlay = tmp_path / "route.yaml"
    overlay.write_text(f"instance_settings: '$lazylabels_monai.instances.InstanceSettings(route=\"{route}\")'\n")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70), np.uint8)).save(tmp_path / "a.png")
    made = {}
    for name, needed_only in (("all", False), ("needed", True)):
        given = {"device": "cpu", "output_dir": str(tmp_path / name)}
        model = Model(trained, bundle.configs.parent, [str(overlay)], given, needed_only=needed_only)
        batch = model.load(tmp_path / "a.png")
        model.write(batch, model.answer(batch))
        made[name] = model
    assert made["all"].answered == TASKS == made["needed"].tasks
    assert made["needed"].answered == (TASKS if route == "three maps" else TASKS[:1])
    assert made["all"].stamp.id == made["needed"].stamp.id, "results of the two may lie in one folder"
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "needed").iterdir())
    for name in names:
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "needed" / name).read_bytes()
    some = made["all"].answering(["segmentation"]).probabilities(tmp_path / "a.png")
    assert list(some) == ["segmentation"]
    whole = made["all"].probabilities(tmp_path / "a.png")
    np.testing.assert_allclose(some["segmentation"], whole["segmentation"], atol=1e-5)
    assert list(whole) == list(TASKS)


def test_a_task_that_objects_are_made_of_cannot_be_left_out(bundle, trained):
    with pytest.raises(RuntimeError) as caught:
        Model(trained, bundle.configs.parent, overrides={"answered_tasks": ["segmentation"]})
    said = "answered_tasks leaves out detection, which the route 'three maps' makes objects of"
    assert explain(caught.value).startswith(said)


def test_no_memory_for_one_picture(trained, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    for name, shape in (("large", (400, 500)), ("small", (40, 50))):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    monkeypatch.setattr("lazylabels_monai.predicting.room.memory_at_hand", lambda: 10_000_000)
    monkeypatch.setattr("lazylabels_monai.predicting.folder.missing_packages", lambda: ["zarr"])  # or it is done in tiles
    weights = trained
    report = predict(tmp_path / "images", tmp_path / "out", weights=weights, overrides={"device": "cpu"})
    assert [Path(path).name for path in report.done] == ["small.png"]
    (path, reason), *others = report.failed.items()
    assert others == []
    assert reason.startswith(f"'{path}' has 400 x 500 pixels, whose prediction takes about 18 MiB, and 10 MiB are free: cut it")
