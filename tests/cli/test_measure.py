"""``measure``: its files, its dry run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import tifffile
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.measure import (
    measure_objects,
)
from tests.measure.drawn import predictions


def run(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["measure", *map(str, arguments)])
    return result.exit_code, f"{result.output}{'' if result.exception is None else result.exception}"


def test_command_writes_three_files(tmp_path):
    code, text = run(predictions(tmp_path / "p"), tmp_path / "o", "--pixel-size", "120nm", "--classes", "bubble,crystal")
    assert code == 0, text
    objects, summary = (pd.read_csv(tmp_path / "o" / f"{name}.csv") for name in ("objects", "summary"))
    content = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["objects.csv", "summary.csv", "summary.json"]
    assert list(objects.columns[:4]) == ["image", "id", "class", "class_name"]
    assert objects.notna().all().all()
    assert len(summary) == 3 * 2 + 2
    first = tifffile.imread(tmp_path / "p" / "s0_instances.tif")
    expected = measure_objects(first, pixel_size=0.12)["area_um2"]
    np.testing.assert_allclose(objects.query("image == 's0'")["area_um2"], expected, rtol=1e-6)
    assert list(content["classes"]) == ["bubble", "crystal"]
    assert content["classes"]["bubble"]["objects"] == (objects["class_name"] == "bubble").sum()
    assert content["pixel_size_um"] == 0.12
    assert "mean_diameter_um" in text

    assert "pass --overwrite" in run(tmp_path / "p", tmp_path / "o")[1]
    (tmp_path / "o" / "mine.txt").write_text("kept")
    assert run(tmp_path / "p", tmp_path / "o", "--overwrite", "--min-size", 60)[0] == 0
    fewer = pd.read_csv(tmp_path / "o" / "objects.csv")
    assert fewer["area_px2"].min() >= 60
    assert len(fewer) == (objects["area_um2"] > 59.5 * 0.0144).sum()
    assert (tmp_path / "o" / "mine.txt").exists()


def test_dry_run_writes_nothing(tmp_path):
    code, text = run(predictions(tmp_path / "p"), tmp_path / "o", "--dry-run")
    assert code == 0
    assert "s0_instances.tif" in text
    assert "in pixels" in text
    assert not (tmp_path / "o").exists()
