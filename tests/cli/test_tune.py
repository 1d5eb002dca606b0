"""``tune``: settings that predictions read."""

from __future__ import annotations

import json
import shutil

from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.trained import trained_settings


def test_command_writes_settings_that_predictions_read(trained, tiny_data, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained.parent, models)
    arguments = ["tune", str(tiny_data), "--weights", str(models / "model.pt"), "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    written = json.loads((models / "instances.json").read_text())
    assert written["section"] == "validation"
    assert written["images"] == 2
    scores = written["f1@0.5"]
    assert set(scores) == set(written["routes"]) == {"three maps", "components", "distance"}
    assert scores[written["best"]] == max(scores.values())
    assert trained_settings(models / "model.pt").route == written["best"]
    assert trained_settings(models / "model.pt", "distance").route == "distance"
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "pass --overwrite" in str(again.exception)
