"""Methods of configs/experiments/methods.yaml: each trains on what it says, and is evaluated, used and tuned like the rest."""

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

import lazylabels_monai.images.readers as readers
from lazylabels_monai.data.proposals import propose_dataset
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.evaluation.tune import tune
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.transforms import MatchChannelsd

# method: (whether it is a U-Net, network, labels that training reads, config ids that differ from the default)
METHODS = {
    "multitask": (False, "MultiTaskUNet", set(TASKS), set()),
    "multitask_no_separation": (False, "MultiTaskUNet", {"segmentation", "detection"}, {"tasks"}),
    "multitask_no_detection": (False, "MultiTaskUNet", {"segmentation", "separation"}, {"tasks"}),
    "multitask_no_residual": (False, "MultiTaskUNet", set(TASKS), {"network_def", "trained_with"}),
    "multitask_separate_decoders": (False, "SeparateDecodersUNet", set(TASKS), {"network_def"}),
    "multitask_no_implied": (False, "MultiTaskUNet", set(TASKS), {"implied_segmentation", "implied_background"}),
    "unet_weak": (True, "SingleTaskUNet", {"detection"}, {"train"}),
    "unet_strong": (True, "SingleTaskUNet", {"segmentation"}, set()),
    "pseudo_labels": (True, "SingleTaskUNet", {"segmentation", "proposals"}, set()),
    "unet_full": (True, "SingleTaskUNet", {"segmentation"}, set()),
    "dmunet": (True, "DMUNet", {"segmentation"}, set()),
}
OF_THE_UNET = {"tasks", "implied_segmentation", "sampling_shares", "network_def"}
every_method = pytest.mark.parametrize("method", METHODS)


def files_of(bundle, method: str) -> list[Path]:
    """The overlays that a run of the method lists, in their order."""
    root = bundle.overlays.parent
    listed = yaml.safe_load((bundle.overlays / "experiments" / "methods.yaml").read_text())
    return [root / overlay for overlay in listed[method].get("overlays", [])]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data sets by name: 4 training images of which 3 have inner regions and 2 masks, so that one has both; all masks; and the
    first one with masks that GrabCut made."""
    root = tmp_path_factory.mktemp("data")
    sizes = {"num_train": 4, "num_validation": 1, "num_test": 2, "size": (48, 56), "separation": 4, "seed": 0}
    make_dataset(root / "lazy", strong=2, detection=3, **sizes)
    make_dataset(root / "full", strong=4, detection=0, **sizes)
    propose_dataset(root / "lazy", root / "pseudo")
    return {path.name: path for path in root.iterdir()}


def data_of(method: str, data: dict[str, Path]) -> Path:
    return data[{"pseudo_labels": "pseudo", "unet_full": "full"}.get(method, "lazy")]


def training_items(folder: Path) -> list[dict]:
    return json.loads((folder / "datalist.json").read_text())["training"]


@pytest.fixture(scope="module")
def trained(bundle, data, tmp_path_factory):
    """``trained(method)``: the folder of a tiny training of two steps, its parser, and the training files that it read."""
    done = {}

    def train(method: str):
        if method not in done:
            out, read, decode = tmp_path_factory.mktemp(method), set(), readers.decode_picture
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(readers, "decode_picture", lambda path, *more: read.add(Path(path)) or decode(path, *more))
                workflow = bundle.train(data_of(method, data), out, *files_of(bundle, method), max_epochs=1)
            done[method] = out, workflow.parser, {path for path in read if "_train_" in path.name}
        return done[method]

    return train


def as_loaded(parser: ConfigParser, item: dict) -> dict:
    """A training sample before anything is done to its pixels: labels are loaded, and implied."""
    for transform in parser.get_parsed_content("train#preprocessing").transforms:
        if isinstance(transform, MatchChannelsd):
            return item
        item = transform(item)
    raise AssertionError("the steps of the training have other names now")


def test_every_file_is_a_method_here(bundle):
    assert {path.stem for path in (bundle.overlays / "experiments" / "methods").iterdir()} <= set(METHODS)


@every_method
def test_methods_differ_in_nothing_but_what_they_are_about(bundle, method):
    default = ConfigParser.load_config_files(bundle.files("train.yaml", "evaluate.yaml"))
    changed = ConfigParser.load_config_files(bundle.files("train.yaml", "evaluate.yaml", *files_of(bundle, method)))
    is_unet, _, _, expected = METHODS[method]
    differ = {key for key in default.keys() | changed.keys() if default.get(key) != changed.get(key)}
    assert differ == expected | (OF_THE_UNET if is_unet else set())
    if "train" in differ:
        assert {key for key, value in changed["train"].items() if value != default["train"].get(key)} == {"items"}
    assert set(changed["network_def"]) - {"_target_", "residual"} <= set(default["network_def"])


@every_method
def test_method_reads_the_labels_it_claims(trained, data, method):
    _, parser, read = trained(method)
    network = parser.get_parsed_content("network_def")
    assert type(network).__name__ == METHODS[method][1]
    folders = {path.parent.name for path in read}
    assert folders == {"images", *METHODS[method][2]}

    keys = METHODS[method][2] & set(TASKS)
    expected = [Path(i["image"]).name for i in training_items(data_of(method, data)) if any(i.get(key) for key in keys)]
    assert [Path(item["image"]).name for item in parser.get_parsed_content("train#items")] == expected
    assert len(expected) == {"unet_weak": 3, "unet_strong": 2, "dmunet": 2}.get(method, 4)


def test_the_u_net_of_weak_labels_trains_on_inner_regions_and_is_judged_by_masks(trained, data):
    _, parser, _ = trained("unet_weak")
    items = {Path(item["image"]).name: item for item in training_items(data["lazy"])}
    both = [item for item in items.values() if "segmentation" in item and "detection" in item]
    assert both  # a mask that could have been taken
    for item in parser.get_parsed_content("train#items"):
        assert item["segmentation"].endswith(items[Path(item["image"]).name]["detection"])
        label = np.asarray(Image.open(item["segmentation"]))
        np.testing.assert_array_equal(as_loaded(parser, item)["segmentation"][0].T, label)
    for item in parser.get_parsed_content("validate#items"):
        assert "/segmentation/" in item["segmentation"]


@pytest.mark.parametrize(("method", "supervised"), [("multitask", True), ("multitask_no_implied", False)])
def test_whether_inner_regions_teach_segmentation(trained, method, supervised):
    _, parser, _ = trained(method)
    (weak, *_) = [item for item in parser.get_parsed_content("train#items") if "segmentation" not in item]
    sample = as_loaded(parser, weak)
    assert bool(sample["segmentation_present"]) == supervised
    assert bool((sample["segmentation"] != 255).any()) == supervised


@every_method
def test_method_is_evaluated_predicts_and_is_tuned(bundle, trained, data, tmp_path, method):
    out, parser, _ = trained(method)
    tasks = parser.get_parsed_content("tasks")
    folder = data_of(method, data)
    models = tmp_path / "models"
    shutil.copytree(out / "models", models)

    bundle.evaluate(folder, tmp_path, *files_of(bundle, method))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["images"] == 2
    assert metrics["segmentation"]["dice"]["mean"] is not None
    assert metrics["objects"]["f1@0.5"] is not None
    if "separation" not in tasks:
        assert metrics["separation"] == {"precision": None, "recall": None}

    # without any overlay: what the training wrote beside the weights is enough, and gives the same network
    report = predict(
        data["lazy"] / "images",
        tmp_path / "predicted",
        weights=models / "model.pt",
        overrides={"device": "cpu", "cpu_bfloat16": False},
    )
    assert not report.failed
    assert len(report.done) == 7
    names = {path.name for path in (tmp_path / "predicted").iterdir()}
    assert {f"microstructure_test_000_{what}" for what in ("pred.png", "instances.tif", "overlay.png")} <= names
    found = tune(folder, models / "model.pt", overrides={"device": "cpu"})
    assert ("three maps" in found) == ({"detection", "separation"} <= set(tasks))

    # the same label map as by the bundle's own run with the method's files
    bundle.infer(folder, tmp_path / "own", *files_of(bundle, method), ckpt_dir=str(out / "models"))
    one, other = (np.asarray(Image.open(tmp_path / d / "microstructure_test_000_pred.png")) for d in ("predicted", "own"))
    np.testing.assert_array_equal(one, other)


def test_residual_of_the_trained_network_is_that_of_its_method(trained):
    for method, there in (("multitask", True), ("multitask_no_residual", False)):
        weights = torch.load(trained(method)[0] / "models" / "model.pt", weights_only=True)
        assert any(".residual." in key for key in weights) == there
