"""napari's shapes and points against napari's own picture of them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import (
    read_annotations,
)
from tests.labels.formats.drawing import DATA, SHAPE, SHAPES, canvas, masks_of, only, write_csv


def test_shapes_of_napari_are_naparis():
    with open(DATA / "napari.csv", newline="") as f:
        kinds = [row["shape-type"] for row in csv.DictReader(f) if row["vertex-index"] == "0"]
    marks, expected = only(DATA / "napari.csv").marks, masks_of("napari.png")
    assert len(marks) == len(kinds) == len(expected) == 20
    for mark, kind, mask in zip(marks, kinds, expected, strict=True):
        if kind in ("polygon", "rectangle"):
            np.testing.assert_array_equal(canvas(mark), mask)
        elif kind == "ellipse":  # napari's is a polygon of fewer sides
            assert (canvas(mark) != mask).sum() <= 2
        else:
            assert mark.kind == "line"


def test_the_origin_of_napari_is_a_pixels_centre(tmp_path):
    rows = [["0.0", "path", n, y, x, "interface"] for n, (y, x) in enumerate([(10, 5), (10, 70)])]
    (mark,) = only(write_csv(tmp_path / "a.csv", [*SHAPES, "class"], rows)).marks
    assert (mark.kind, mark.name, mark.is_class) == ("line", "interface", True)
    expected = np.zeros(SHAPE, bool)
    expected[10, 5:71] = True
    np.testing.assert_array_equal(canvas(mark, width=0.9), expected)


def test_points_of_napari(tmp_path):
    marks = only(write_csv(tmp_path / "a.csv", ["index", "axis-0", "axis-1"], [["0.0", 10, 5], ["1.0", 40, 70]])).marks
    assert [mark.kind for mark in marks] == ["point", "point"]
    assert np.argwhere(canvas(marks[1], radius=0)).tolist() == [[40, 70]]


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["a", "b"], [[1, 2]], "lacks the columns"),
        ([*SHAPES, "axis-2"], [[0, "path", 0, 1, 2, 3]], "3 axes"),
        (SHAPES, [[0, "blob", 0, 1, 2]], "blob"),
        (SHAPES, [[0, "path", 0, "one", 2], [0, "path", 1, 1, 2]], "one"),
        (SHAPES, [[0, "path", 0, "inf", 2], [0, "path", 1, 1, 2]], "finite"),
        (SHAPES, [[0, "path", 0, 1, 2]], "too few"),
        (SHAPES, [[0, "polygon", 0, 1, 2], [0, "polygon", 1, 4, 5]], "too few"),
        (SHAPES, [[0, "ellipse", 0, 1, 2], [0, "ellipse", 1, 4, 5], [0, "ellipse", 2, 9, 5]], "3 corners"),
        (SHAPES, [[0, "path", 0, 1]], "cannot be used"),
    ],
)
def test_unusable_csv_is_named(tmp_path, columns, rows, words):
    with pytest.raises(AnnotationError, match=rf"a\.csv'.*{words}"):
        read_annotations(write_csv(tmp_path / "a.csv", columns, rows))
