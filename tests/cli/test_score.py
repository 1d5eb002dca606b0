"""``score``: earlier scores are replaced only when told."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.evaluation.maps import same, worse, write_maps


def test_command_replaces_earlier_scores_only_when_told(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", worse)
    validation = write_maps(tmp_path / "validation", tiny_data, "validation", worse)
    out = tmp_path / "out"
    command = ["score", str(tiny_data), str(maps), "--out", str(out), "--tune", str(validation)]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "metrics.json" in first.output
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"metrics.json", "metrics.csv", "instances.json"}

    write_maps(tmp_path / "maps", tiny_data, "testing", same)
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, FileExistsError)
    assert "--overwrite" in str(refused.exception)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    wrong = (["score", str(tiny_data), str(maps) + "x"], ["score", str(tmp_path / "none"), str(maps)])
    wrong += (["score", str(tiny_data), str(maps), "--tune", str(tmp_path / "none")],)
    for mistyped in wrong:
        failed = CliRunner().invoke(app, [*mistyped, "--out", str(out), "--overwrite"])
        assert failed.exit_code != 0
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before, (
            "earlier scores stay until there are new ones"
        )

    again = CliRunner().invoke(app, [*command, "--overwrite"])
    assert again.exit_code == 0, again.output
    assert json.loads((out / "metrics.json").read_text())["segmentation"]["dice"]["mean"] == 1.0
