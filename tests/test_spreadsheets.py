"""Names that a spreadsheet would run."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lazylabels_monai.exporting.measured import read_table
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.spreadsheets import cell, cells, from_cell, from_cells

#: What Excel and LibreOffice take for the beginning of a formula (OWASP, "CSV injection").
STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")', "=cmd|' /C calc'!A0"])
def test_no_formula_is_left(name):
    assert not cell(name).startswith(STARTS)
    assert from_cell(cell(name)) == name


@given(st.text(alphabet="'=+-@\t\ra1", max_size=6))
def test_every_name_comes_back(name):
    assert not cell(name).startswith(STARTS)
    assert from_cell(cell(name)) == name


def test_numbers_stay_numbers():
    table = pd.DataFrame({"name": ["-a", "b"], "value": [-1.5, 2.0], "count": [-1, 3]})
    assert cells(table)["value"].tolist() == [-1.5, 2.0]
    assert cells(table)["count"].tolist() == [-1, 3]
    pd.testing.assert_frame_equal(from_cells(cells(table)), table)


def test_measured_tables_hold_no_formula_and_are_read_back(tmp_path):
    ids = np.zeros((8, 8), np.uint16)
    ids[2:5, 2:6] = 1
    tifffile.imwrite(tmp_path / "=1+1_instances.tif", ids)
    tifffile.imwrite(tmp_path / "@b_instances.tif", ids)
    measure_folder(tmp_path, tmp_path / "m", pixel_size="1um", classes=["-ve cell"], resamples=100)
    for name in ("objects.csv", "summary.csv"):
        with open(tmp_path / "m" / name, newline="") as file:
            texts = [
                value for row in csv.DictReader(file) for key, value in row.items() if key in ("image", "class_name", "scope")
            ]
        assert texts
        assert not [text for text in texts if text.startswith(STARTS)]
    table = read_table(tmp_path / "m")
    assert sorted(table["image"]) == ["=1+1", "@b"]
    assert set(table["class_name"]) == {"-ve cell"}
