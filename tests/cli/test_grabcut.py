"""``grabcut``: what it reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.labels.scenes import marked_set


@pytest.fixture
def data(tmp_path) -> Path:
    """Four training images: easy, flat (GrabCut fails), with an exact mask, without marks."""
    return marked_set(tmp_path / "data")


def test_the_command_reports_and_exits_well(data, tmp_path):
    result = CliRunner().invoke(app, ["grabcut", str(data), str(tmp_path / "out"), "--truth", str(data / "truth")])
    assert result.exit_code == 0, result.output
    assert "1 ok, 1 failed, 1 kept, 1 unmarked" in result.output
    assert "'images/flat.png' got no proposal, since" in result.output
    assert "proposals +- spread" in result.output
    assert (tmp_path / "out/datalist.json").is_file()
