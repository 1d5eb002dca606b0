"""A trained model: its windows, its normalization."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import write_network


def test_windows_are_those_of_the_training_unless_a_config_file_says_otherwise(bundle, trained, tmp_path):
    overlay = tmp_path / "windows.yaml"
    overlay.write_text("window_size: [48, 40]\nchannels: [4, 8]\n")
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
