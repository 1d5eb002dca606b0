"""Config files that say otherwise than the training are refused by name."""

from __future__ import annotations

import json

import pytest
import yaml

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.predicting.agreeing import require_agreement
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import NETWORK_IDS, trained_network
from tests.helpers import ROOT

CONFIG = ROOT / "bundle" / "configs" / "inference.yaml"
#: For each id another value than that of the tiny training, and the same one.
OTHER = {
    "network_def": {"_target_": "lazylabels_monai.networks.SingleTaskUNet"},
    "spatial_dims": 3,
    "in_channels": 3,
    "channels": [16, 32, 64],
    "num_multitask_blocks": 1,
    "detection_stride": 2,
    "finest_width": 0.5,
    "separation_conv": "depthwise",
    "norm": "BATCH",
    "dropout": 0.5,
    "normalization": "mean_std",
    "tasks": ["segmentation"],
    "crop_size": [64, 64],
}


@pytest.fixture
def weights(trained):
    return trained


@pytest.fixture
def check(weights, tmp_path):
    def check(*contents: dict) -> None:
        files = [tmp_path / f"own{number}.yaml" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_text(yaml.safe_dump(content))
        require_agreement(weights, trained_network(weights), CONFIG, files)

    return check


def test_every_id_is_tried():
    assert set(OTHER) == set(NETWORK_IDS) - {"window_size"}


@pytest.mark.parametrize("name", OTHER)
def test_another_value_is_refused_by_its_name(check, weights, name):
    with pytest.raises(LazyLabelsError, match=r"own0.yaml' gives .*leave that out") as caught:
        check({name: OTHER[name]})
    assert ("the network SingleTaskUNet" if name == "network_def" else name) in str(caught.value)
    assert str(weights.with_name("network.json")) in str(caught.value)
    if name != "network_def":
        assert json.dumps(OTHER[name]) in str(caught.value)
        check({name: trained_network(weights)[name]})


@pytest.mark.parametrize(
    "content",
    [
        {"channels": "$[16, 32, 64]"},
        {"channels": "@own", "own": [16, 32, 64]},
        {"network_def#channels": [16, 32, 64]},
        {"network_def::dropout": 0.5},
        {"network_def#_target_": "lazylabels_monai.networks.DMUNet"},
        {"network_def": {"_target_": "lazylabels_monai.networks.MultiTaskUNet", "channels": [1, 2]}},
    ],
)
def test_whatever_way_it_is_written(check, content):
    with pytest.raises(LazyLabelsError, match="leave that out"):
        check(content)


def test_what_agrees_and_what_is_no_property_of_the_weights_passes(check, weights):
    there = trained_network(weights)
    check({"channels": f"${there['channels']}"}, {"network_def#channels": "@channels"})
    check({"window_size": [48, 48], "overlap": 0.1, "max_epochs": 3, "mirroring": True})
    check({"network_def": {"_target_": "lazylabels_monai.networks.MultiTaskUNet", "channels": "@channels"}})


def test_a_model_is_not_made_of_two_minds(weights, tmp_path):
    (tmp_path / "own.yaml").write_text("normalization: mean_std\n")
    with pytest.raises(LazyLabelsError, match='normalization "mean_std", the training "percentiles"'):
        Model(weights, overlays=[str(tmp_path / "own.yaml")], overrides={"device": "cpu"})
