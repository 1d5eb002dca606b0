"""What was replaced below the surface of the config is known, wherever it was given."""

from __future__ import annotations

import yaml
from monai.bundle import ConfigParser

from lazylabels_monai.parts import replaced_parts, running_config


def config(bundle, *overlays):
    return ConfigParser.load_config_files(bundle.files("train.yaml", *overlays))


def test_only_what_differs_from_the_bundle_is_named(bundle, tmp_path):
    assert replaced_parts(["optimizer", "loss", "train"], config(bundle)) == {}
    own = tmp_path / "own.yaml"
    own.write_text(
        yaml.safe_dump(
            {
                "optimizer": {"_target_": "torch.optim.AdamW", "params": "$@network.parameters()", "weight_decay": 0.1},
                "loss#pixel_mean": "labelled",
                "train#preprocessing#transforms#18#prob": 1,
                "train#handlers": [],
                "max_epochs": 3,
            }
        )
    )
    assert replaced_parts(["optimizer", "loss", "train"], config(bundle, own)) == {
        "optimizer#_target_": "torch.optim.AdamW",
        "optimizer#weight_decay": 0.1,
        "optimizer#lr": None,
        "loss#pixel_mean": "labelled",
        "train#preprocessing#transforms#18#prob": 1,
        "train#handlers": [],
    }


def test_an_expression_finds_the_config_that_it_stands_in():
    assert running_config() is None
    assert replaced_parts(["optimizer"]) is None
    content = {
        "imports": ["$import lazylabels_monai", "$import lazylabels_monai.parts"],
        "a": {"b": 1},
        "found": "$lazylabels_monai.parts.running_config()",
    }
    parser = ConfigParser(content)
    parser["a#b"] = 2
    assert parser.get_parsed_content("found")["a"] == {"b": 2}
