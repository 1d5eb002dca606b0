"""What lies beside the weights: names, writing, reading, and what does not fit."""

from __future__ import annotations

import json

import pytest

from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import (
    InstanceSettings,
)
from lazylabels_monai.trained import trained_classes, trained_settings, write_classes, write_settings


def test_settings_lie_beside_the_weights(tmp_path):
    weights = tmp_path / "model.pt"
    assert trained_settings(weights) == InstanceSettings()
    assert trained_settings(weights, "distance") == InstanceSettings(route="distance")
    chosen, second = InstanceSettings(route="components", min_size=40, cut=True), InstanceSettings(min_marker=3)
    path = write_settings(weights, [chosen, second], f1=0.5)
    assert trained_settings(weights) == trained_settings(weights, "components") == chosen
    assert trained_settings(weights, "three maps") == second
    assert trained_settings(weights, "distance") == InstanceSettings(route="distance")
    assert json.loads(path.read_text())["f1"] == 0.5
    assert trained_settings(weights, "three maps", cut=True) == InstanceSettings(min_marker=3, cut=True)
    with pytest.raises(LazyLabelsError, match="instance_settings: 'min_sise' does not exist; there are cut, "):
        trained_settings(weights, min_sise=4)
    path.write_text('{"best": "components", "methods": {"components": {"min_sise": 4}}}')
    with pytest.raises(LazyLabelsError, match=r"instances\.json names the setting 'min_sise'"):
        trained_settings(weights)
    path.write_text("no json")
    with pytest.raises(LazyLabelsError, match=r"instances\.json cannot be read"):
        trained_settings(weights)


def test_prediction_knows_the_classes_of_its_training(tmp_path):
    (tmp_path / "data").mkdir()
    write_classes(tmp_path, ["pore", "grain", "crack"])
    assert trained_classes(tmp_path / "model.pt") == ["pore", "grain", "crack"]
    assert trained_classes(tmp_path / "data" / "model.pt") == list(CLASS_NAMES)
    (tmp_path / "classes.json").write_text("[")
    with pytest.raises(LazyLabelsError, match=r"classes\.json: .*--classes"):
        trained_classes(tmp_path / "model.pt")
