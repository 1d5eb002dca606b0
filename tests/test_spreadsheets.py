"""Names that a spreadsheet would run, and tables that one saved."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lazylabels_monai import spreadsheets
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.folder import export_objects
from lazylabels_monai.exporting.measured import read_table
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
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


def as_saved(path, separator, decimal, encoding, end="\n"):
    """The table as a spreadsheet saves it, with rows that somebody emptied."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[:] = [value.replace(".", decimal) if key not in TEXTS else value for key, value in zip(rows[0], row, strict=True)]
    lines = [separator.join(row) for row in rows]
    lines[2:2] = [separator * (len(rows[0]) - 1)] * 2
    path.write_bytes((end.join(lines) + end).encode(encoding))


TEXTS = ("image", "class_name", "scope")
SAVED = [
    pytest.param(",", ".", "utf-8-sig", id="Excel, a decimal point"),
    pytest.param(";", ",", "utf-8-sig", id="Excel, a decimal comma"),
    pytest.param(";", ".", "utf-8", id="semicolons alone"),
    pytest.param("\t", ",", "utf-16", id="Unicode text, a decimal comma"),
    pytest.param("\t", ".", "utf-16", id="Unicode text"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    ids = np.zeros((40, 50), np.uint16)
    for k, (row, column, side) in enumerate([(3, 3, 4), (12, 9, 7), (20, 30, 5), (30, 4, 6)], 1):
        ids[row : row + side, column : column + side + k % 2] = k
    for name in ("001", "1,5", "NA"):
        tifffile.imwrite(folder / f"{name}_instances.tif", ids)
    measure_folder(folder, folder / "m", pixel_size=0.037, classes=["K\u00e4se"], resamples=100)
    return folder


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("separator", "decimal", "encoding"), SAVED)
@pytest.mark.parametrize("name", ["objects.csv", "summary.csv"])
def test_what_a_spreadsheet_saved_is_what_was_written(measured, tmp_path, name, separator, decimal, encoding, end):
    if separator == ",":
        for file in measured.glob("*_instances.tif"):
            if "," not in file.name:  # as_saved quotes nothing
                shutil.copy(file, tmp_path)
        measure_folder(tmp_path, tmp_path / "m", pixel_size=0.037, classes=["K\u00e4se"], resamples=100)
    else:
        shutil.copytree(measured / "m", tmp_path / "m")
    path = tmp_path / "m" / name
    written = spreadsheets.read_table(path, ["class"], again="again")
    as_saved(path, separator, decimal, encoding, end)
    pd.testing.assert_frame_equal(spreadsheets.read_table(path, ["class"], again="again"), written)


@pytest.mark.parametrize(("separator", "decimal", "encoding"), SAVED[1:])
def test_report_and_export_take_what_a_spreadsheet_saved(measured, tmp_path, separator, decimal, encoding):
    out = tmp_path / "out"
    shutil.copytree(measured, out)
    for name in ("objects.csv", "summary.csv"):
        as_saved(out / "m" / name, separator, decimal, encoding)
    text = make_report(out, classes=["K\u00e4se"]).read_text()
    assert "m/summary.json" in text
    warned = []
    export_objects(out, "geojson", warn=warned.append)
    assert not warned
    found = json.loads((out / "geojson" / "001.geojson").read_text())["features"][1]["properties"]["measurements"]
    assert found["area_um2"] == pytest.approx(7 * 7 * 0.037**2, rel=1e-5)


@pytest.mark.parametrize(("separator", "decimal", "encoding"), SAVED)
def test_tables_of_no_object_are_no_fault(tmp_path, separator, decimal, encoding):
    tifffile.imwrite(tmp_path / "a_instances.tif", np.zeros((30, 40), np.uint16))
    measure_folder(tmp_path, tmp_path / "m", classes=["cell"], resamples=100)
    for name in ("objects.csv", "summary.csv"):
        as_saved(tmp_path / "m" / name, separator, decimal, encoding)
    assert read_table(tmp_path / "m").empty
    text = html.unescape(make_report(tmp_path, classes=["cell"]).read_text())
    assert "m/summary.json" in text
    assert "objects.csv" not in text  # no row is missing
    warned = []
    export_objects(tmp_path, "geojson", classes=["cell"], warn=warned.append)
    assert not warned


def test_a_table_of_many_objects_takes_little_more_memory_than_its_file(tmp_path):
    values = np.random.default_rng(0).random((20_000, 8))
    pd.DataFrame(values).rename(columns=str).to_csv(tmp_path / "objects.csv", index=False)
    spreadsheets.read_table(tmp_path / "objects.csv", ["0"], again="again")  # what is imported is none of it
    tracemalloc.start()
    spreadsheets.read_table(tmp_path / "objects.csv", ["0"], again="again")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (tmp_path / "objects.csv").stat().st_size


BROKEN = [
    (lambda text: text.replace("equivalent_diameter_um", "size").replace("centroid_row_px", "row"), r"no column '\w+'"),
    (lambda text: text.replace("\n001,1,", "\n001,,"), "no id in row 1 below its head: complete the row, or delete it"),
    (lambda text: text.replace("\n001,1,", "\n001,one,"), "'one' in the column 'id', which is no number: correct it, or"),
    (lambda text: text + "," * 50 + "x\n", "cannot be read as a table"),
    (lambda text: text.encode("utf-8").decode("latin-1").replace("\u00c3\u00a4", "\u00e4"), "save it as 'CSV UTF-8'"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_what_is_no_table_is_said_in_a_sentence(measured, tmp_path, change, said):
    out = tmp_path / "out"
    shutil.copytree(measured, out)
    table = out / "m" / "objects.csv"
    table.write_bytes(change(table.read_text(encoding="utf-8")).encode("latin-1" if "UTF-8" in said else "utf-8"))
    text = html.unescape(make_report(out, classes=["K\u00e4se"]).read_text())
    assert re.search(said, text)
    assert '<section id="summary">' not in text
    with pytest.raises(LazyLabelsError, match=said):
        export_objects(out, "geojson", measurements=table)
    warned = []
    export_objects(out, "geojson", warn=warned.append)
    assert re.search(rf"{said}.*measured anew \(pass --pixel-size 0.037um", warned[0])
