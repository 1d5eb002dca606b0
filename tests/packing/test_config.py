"""Values and metadata of the packed configs."""

from __future__ import annotations

import json

import yaml

from lazylabels_monai.packing import trained_metadata
from lazylabels_monai.packing.archive import set_values
from lazylabels_monai.trained import NETWORK_IDS
from tests.helpers import ROOT


def test_values_are_set_and_the_rest_of_the_file_stays():
    text = "# head\na: 1 # one\nnested:\n  x: 2 # two\n  y: [3]\n\n# middle\nb: [1, 2]\nc: text\n"
    changed = set_values(text, {"a": [4, 5], "nested": {"x": 6}, "unknown": 1, "c": "text"})
    assert changed == "# head\na: [4, 5] # one\nnested: {x: 6}\n\n# middle\nb: [1, 2]\nc: text\n"
    assert set_values(text, {}) == text


def test_metadata_of_the_built_in_classes_is_the_files(bundle):
    metadata = json.loads((bundle.configs / "metadata.json").read_text())
    made = trained_metadata(ROOT / "bundle", ["air bubble", "ice crystal"])
    assert made["network_data_format"] == metadata["network_data_format"]
    assert made["label_classes"] == metadata["label_classes"]


def test_metadata_names_the_channels_of_fewer_tasks():
    made = trained_metadata(ROOT / "bundle", ["pore"], ["segmentation", "separation"], in_channels=3)
    output, image = made["network_data_format"]["outputs"]["pred"], made["network_data_format"]["inputs"]["image"]
    assert list(output["channel_def"].values()) == ["background", "pore", "separation other", "separation interface"]
    assert (output["num_channels"], image["num_channels"], len(image["channel_def"])) == (4, 3, 3)
    assert made["pred_classes"] == "channels 0-1 segmentation (background, pore), 2-3 separation (other, interface)"


def test_metadata_of_a_network_for_volumes_has_three_axes():
    made = trained_metadata(ROOT / "bundle", ["pore"], spatial_dims=3)["network_data_format"]
    assert made["inputs"]["image"]["spatial_shape"] == made["outputs"]["pred"]["spatial_shape"] == ["*", "*", "*"]


def test_the_ids_of_the_network_are_those_that_training_keeps(bundle):
    config = yaml.safe_load((bundle.configs / "train.yaml").read_text())
    assert sorted(NETWORK_IDS) == sorted([*config["trained_with"], "network_def"])
