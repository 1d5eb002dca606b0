"""``datalist``: the table, and what to do next."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.checking import check_datalist
from tests.data.building.drawing import _image, _masks, _save


@pytest.fixture
def folder(tmp_path):
    """``images/`` with a.png to e.png."""
    for number, name in enumerate("abcde"):
        _save(tmp_path / "src" / "images" / f"{name}.png", _image(number))
    return tmp_path / "src"


def test_the_command_prints_the_table_and_what_to_do_next(folder, tmp_path):
    _masks(folder)
    out = tmp_path / "out"
    arguments = ["datalist", str(folder), str(out), "--classes", "particle", "--unlabelled", "masks=ignore", "--halo", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "masks of 5 images: unmarked pixels are ignored" in result.output
    assert [line.split()[:3] for line in result.output.splitlines() if line.startswith("training")] == [["training", "4", "4"]]
    assert f"lazylabels train {out}" in result.output
    assert check_datalist(out).errors == []
    refused = CliRunner().invoke(app, [*arguments, "--labels", "masks"])
    assert isinstance(refused.exception, BuildError)
    assert "KIND=PATH" in str(refused.exception)
