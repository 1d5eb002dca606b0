"""``budget``: the table of a data set."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.data.priced import priced_set


@pytest.fixture
def data(tmp_path):
    """Two training images (one with an exact mask) and one for validation with ids: 4, 2 and 3 objects."""
    return priced_set(tmp_path)


def test_command(data, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["budget", str(data), "--hours", "2", "--cost", "strong=60", "--json", "-"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["costs"]["strong"] == 60
    assert content["spent"]["training"]["segmentation"] == {"images": 1, "objects": 4, "seconds": 240}
    assert "what 2 h more would buy" in result.stderr
    out = tmp_path / "new" / "budget.json"
    assert run(app, ["budget", str(data), "--json", str(out)]).exit_code == 0
    assert json.loads(out.read_text())["costs"]["strong"] == 79
    assert isinstance(run(app, ["budget", str(data), "--json", str(out)]).exception, FileExistsError)
