"""Measurements from the table of ``measure``, as long as it is of the same objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lazylabels_monai.exporting.measured import find_tables, pixel_side, read_table, rows_of, stated_sides, values_by_id
from lazylabels_monai.exporting.objects import ExportError
from lazylabels_monai.measure.folder import measure_folder
from tests.exporting.maps import objects, predictions, scene


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    measure_folder(
        predictions(folder / "p", {"a": scene(), "b": scene((20, 33), 2)}), folder / "p" / "m", pixel_size=0.5, ids="values"
    )
    return folder / "p"


def test_the_table_in_the_folder(measured):
    (path,) = find_tables(measured)
    assert path == measured / "m" / "objects.csv"
    table = read_table(path)
    pd.testing.assert_frame_equal(table, read_table(path.parent))
    made = objects(scene())
    rows = rows_of(table, made)
    assert rows["id"].tolist() == list(made.classes)
    values = values_by_id(rows)
    assert set(values) == set(made.classes)
    for id, row in values.items():
        assert row["area_um2"] == pytest.approx(0.25 * (scene() == id).sum())
        assert row["touches_border"] in (0, 1)
        assert {"id", "equivalent_diameter_um", "centroid_row_px", "neighbours"} <= set(row)
        assert not {"image", "class", "class_name"} & set(row)
        assert all(type(value) in (int, float) for value in row.values())


def test_objects_that_changed_have_no_rows(measured):
    table = read_table(measured / "m")
    grown = scene()
    grown[1, 0] = 77
    fewer = np.where(scene() == 77, 0, scene())
    made = objects(scene())
    assert rows_of(table, objects(grown)) is None
    assert rows_of(table, objects(fewer)) is None
    assert rows_of(table, objects(np.roll(scene(), 1))) is None
    assert rows_of(table, replace(made, name="c")) is None
    assert rows_of(table, replace(made, classes={id: 4 - value for id, value in made.classes.items()})) is None


@pytest.mark.parametrize("size", [None, 0.5])
def test_an_object_with_a_hole_of_later_has_no_row(tmp_path, size):
    """Whose box and centroid are those of before."""
    whole = np.zeros((60, 60), np.int32)
    whole[20:41, 20:41] = 1
    source = predictions(tmp_path / "p", {"a": whole})
    measure_folder(source, source / "m", pixel_size=size, ids="values")
    table, sides = read_table(source / "m"), stated_sides(source / "m" / "objects.csv")
    assert sides == ([] if size is None else [size])
    assert pixel_side(rows_of(table, objects(whole), sides), objects(whole)) == (None if size is None else pytest.approx(size))
    whole[24:37, 24:37] = 0
    assert rows_of(table, objects(whole), sides) is None


def test_small_objects_may_be_left_out(measured):
    """As ``measure --min-size`` does."""
    table = read_table(measured / "m")
    made = objects(scene())
    rows = rows_of(table[table["id"] != 77], made)
    assert set(rows["id"]) == set(made.classes) - {77}


def test_what_is_not_finite_is_left_out(measured):
    table = read_table(measured / "m")
    table["solidity"] = np.nan
    assert all("solidity" not in row for row in values_by_id(rows_of(table, objects(scene()))).values())


def test_what_is_no_table(tmp_path):
    with pytest.raises(ExportError, match=r"objects.csv' cannot be read as a table"):
        read_table(tmp_path)
    (tmp_path / "objects.csv").write_text("image,id\na,1\n")
    with pytest.raises(ExportError, match="has no column 'class'"):
        read_table(tmp_path)
