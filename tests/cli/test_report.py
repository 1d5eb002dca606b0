"""``report``: its page and its message."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tifffile
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import ReportError
from tests.measure.drawn import ONE, stamped
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


def test_what_does_not_fit_the_prediction_is_told_in_the_terminal(tmp_path):
    out, runner = stamped(tmp_path / "out", a=ONE, b=ONE), CliRunner()
    measure_folder(out, out / "m", resamples=100)
    for name, sign in (("same", 1), ("other", -1)):
        (tmp_path / name).mkdir()
        for file in sorted(out.glob("*.tif")):
            pixels = tifffile.imread(file)
            tifffile.imwrite(tmp_path / name / file.name, pixels if sign == 1 else 255 - pixels)
        result = runner.invoke(app, ["report", str(out), "--images", str(tmp_path / name), "--overwrite"])
        assert result.exit_code == 0, result.output
        assert ("warning: 2 of 2 images are not those that were predicted" in result.output) == (sign == -1)
        assert ("warning:" in result.output) == (sign == -1)
