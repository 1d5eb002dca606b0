"""``report``: its page and its message."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.report import ReportError
from tests.report.predicted import make_prediction


@pytest.fixture(scope="module")
def made(made_once) -> Path:
    """Images, a prediction of them with everything, the folder of its training; not to be written to."""
    return made_once("report", make_prediction)


def test_command(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    runner = CliRunner()
    arguments = ["report", str(tmp_path / "pred"), "--images", str(made / "images"), "--max-images", "1"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "pred" / "report.html").is_file()
    again = runner.invoke(app, arguments)
    assert again.exit_code == 1
    assert isinstance(again.exception, ReportError)
