"""The command ``crop``."""

from __future__ import annotations

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.data.test_cropping import HEIGHT, OFF, WIDTH, picture


def run(*arguments):
    return CliRunner().invoke(app, ["crop", *map(str, arguments)])


def test_bars_are_cut_off_and_told(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    dry = run(tmp_path / "a.png", tmp_path / "out", "--dry-run")
    assert dry.output.splitlines()[-1] == "nothing was written (1 of 1 picture cut)"
    assert not (tmp_path / "out").exists()
    result = run(tmp_path / "a.png", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert f"a.png: {OFF} rows along its lower edge cut off" in result.output
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).shape == (HEIGHT - OFF, WIDTH)
    by_hand = run(tmp_path / "a.png", tmp_path / "by_hand", "--upper", "1", "--lower", "40")
    assert "a.png: 1 rows along its upper edge and 40 rows along its lower edge cut off" in by_hand.output
    assert np.asarray(Image.open(tmp_path / "by_hand" / "a.png")).shape == (HEIGHT - 41, WIDTH)
