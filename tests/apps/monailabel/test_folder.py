"""The folder of a MONAI Label app; the servers: tests/acceptance/monailabel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from lazylabels_monai.apps.monailabel.folder import make_app
from lazylabels_monai.apps.monailabel.store import of_last_training
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.predicting.model import Model
from tests.helpers import ROOT

OVERLAY = ROOT / "lazylabels_monai" / "apps" / "monailabel" / "train.yaml"


@pytest.fixture(scope="module")
def trained(trained) -> Path:
    """``model.pt`` of a tiny training."""
    return trained / "models" / "model.pt"


@pytest.fixture(scope="module")
def app(bundle, trained, tmp_path_factory) -> Path:
    """An app's folder."""
    out = tmp_path_factory.mktemp("apps") / "app"
    own = out.parent / "own.yaml"
    own.write_text("crops_per_epoch: 8\nbatch_size: 4\noutput_dir: elsewhere\nckpt_dir: \"$@output_dir + '/models'\"\n")
    made = make_app(out, trained, bundle.configs.parent, [own])
    assert made == out / "model" / "lazylabels"
    return out


def test_the_bundle_of_an_app_predicts_as_the_training_does(app, bundle, trained, tiny_data):
    image = tiny_data / "images" / "microstructure_test_000.png"
    made = app / "model" / "lazylabels"
    # without overlays and without the file of settings: the values stand in the config
    parser = ConfigParser()
    parser.read_config(str(made / "configs" / "inference.yaml"))
    parser["bundle_root"] = str(made)
    assert parser.get_parsed_content("channels") == [4, 8, 8]
    assert parser.get_parsed_content("weights") == str(made / "models" / "model.pt")
    kinds = [type(step).__name__ for step in parser.get_parsed_content("postprocessing").transforms]
    assert kinds == ["SplitTasksd", "SeparateObjectsd", "JudgeObjectsd", "SaveImaged", "SqueezeDimd"]
    here, there = Model(made / "models" / "model.pt", made), Model(trained, bundle.configs.parent)
    for task, map_ in here.probabilities(image).items():
        torch.testing.assert_close(torch.as_tensor(map_), torch.as_tensor(there.probabilities(image)[task]))


def test_metadata_of_an_app_names_the_trained_classes(app, bundle, trained, tmp_path):
    other = tmp_path / "other.pt"
    other.write_bytes(trained.read_bytes())
    (tmp_path / "classes.json").write_text('["pore", "grain"]')
    (tmp_path / "network.json").write_text(trained.with_name("network.json").read_text())
    made = make_app(tmp_path / "app", other, bundle.configs.parent)
    output = json.loads((made / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    assert list(output["channel_def"].values())[:5] == ["background", "pore", "grain", "detection background", "detection pore"]
    assert len(output["channel_def"]) == output["num_channels"] == 8
    assert yaml.safe_load((made / "configs" / "train.yaml").read_text())["classes"] == ["pore", "grain"]
    assert (made / "models" / "model.pt").read_bytes() == trained.read_bytes()


def test_the_apps_training_starts_as_the_bundles_does(bundle):
    ours = yaml.safe_load(OVERLAY.read_text())["initialize"]
    theirs = yaml.safe_load((bundle.configs / "train.yaml").read_text())["initialize"]
    changed = [step for step in theirs if step not in ours]
    # one process, the built-in data is not made, the datalist may be missing, a training begins from the weights that are
    # served, and none goes on where one stopped
    assert [step.split("(")[0].rpartition(".")[2] for step in changed] == [
        "@process_group",
        "set_determinism",
        "ensure_dataset",
        "require_valid",
        "require_same_training",
        "begin_from",
        "begin",  # as begin_from: of weights between, and of what the weights know
        "begin",
    ]


def mistakes(tmp_path: Path, bundle_folder: Path, trained: Path) -> dict[str, tuple]:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    torch.save({"weight": torch.zeros(1)}, foreign / "model.pt")
    return {
        "full is there already": (full, trained, bundle_folder),
        "nothing.pt: there are no trained weights": (tmp_path / "new", tmp_path / "nothing.pt", bundle_folder),
        "name the bundle's folder by --bundle": (tmp_path / "new", trained, tmp_path),
        "foreign/model.pt: these weights belong to another network": (tmp_path / "new", foreign / "model.pt", bundle_folder),
    }


def test_mistakes_leave_no_folder(bundle, trained, tmp_path):
    for said, arguments in mistakes(tmp_path, bundle.configs.parent, trained).items():
        with pytest.raises(LazyLabelsError, match=said):
            make_app(*arguments)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["foreign", "full"]


def test_a_network_for_volumes_is_refused(bundle, trained, tmp_path):
    settings = json.loads(trained.with_name("network.json").read_text())
    (tmp_path / "model.pt").write_bytes(trained.read_bytes())
    (tmp_path / "network.json").write_text(json.dumps({**settings, "spatial_dims": 3, "crop_size": [16, 16, 16]}))
    with pytest.raises(LazyLabelsError, match=r"model\.pt: the network is one for volumes"):
        make_app(tmp_path / "app", tmp_path / "model.pt", bundle.configs.parent)


def test_images_that_the_training_of_the_weights_saw_are_known_by_their_pixels(bundle, trained, tmp_path):
    """Whatever they are called in the folder that is served: they would validate as if they were new."""
    images = []
    for number in range(3):
        images.append(str(tmp_path / f"served {number}.png"))
        Image.fromarray(np.full((8, 12), number, np.uint8)).save(images[-1])
    digests = [pixel_digest(read_image(image)) for image in images]
    training = tmp_path / "training"
    shutil.copytree(trained.parent, training)
    facts = {"images": {"training": {"a.png": digests[0], "b.png": None}, "validation": {"c.png": digests[1]}}}
    (training / "training.json").write_text(json.dumps(facts))
    models = make_app(tmp_path / "app", training / "model.pt", bundle.configs.parent) / "models"
    assert of_last_training(models, images) == ([], images[:1])
    (training / "training.json").unlink()  # of an earlier version, or of other programs
    models = make_app(tmp_path / "other", training / "model.pt", bundle.configs.parent) / "models"
    assert of_last_training(models, images) == ([], [])
