"""CSV of napari's Shapes and Points layers: (axis-0, axis-1) is (y, x) with the origin in the centre of the first pixel."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO
from itertools import groupby
from pathlib import Path

import numpy as np

from lazylabels_monai.labels.annotations import AnnotationError, Mark, NoMarksError, reachable
from lazylabels_monai.labels.rasterize import ellipse

__all__ = ["marks"]

#: Columns beyond napari's own that name the class, the first that is there.
_CLASS_COLUMNS = ("class", "label", "name")

_KINDS = {"polygon": "area", "rectangle": "area", "ellipse": "area", "path": "line", "line": "line"}


def marks(text: str, path: Path) -> tuple[list[Mark], list[str]]:
    """Marks of a layer saved by napari (File > Save Selected Layers): a shape each, or each row of a Points layer.

    napari's file has no class; a column ``class`` (``label``, ``name``) that was added to it is used. A layer without a shape
    has no marks.

    Returns:
        the marks; and a phrase for each shape that is left out: of an unknown type, with too few vertices, or a coordinate
        that is no number.

    Raises:
        AnnotationError: when the CSV is damaged or the layer has more than two axes.
        NoMarksError: when the columns are others.
    """
    try:
        rows = list(csv.DictReader(StringIO(text), strict=True))
    except csv.Error as e:
        raise AnnotationError(f"annotation file '{path}' is no valid CSV ({e}): save the layer again.") from e
    columns = list(rows[0]) if rows else [column.strip() for column in text.strip().split(",")]
    axes = [c for c in columns if c is not None and c.startswith("axis-")]
    if not {"index", "axis-0", "axis-1"} <= set(columns):
        raise NoMarksError(
            f"annotation file '{path}' lacks the columns index, axis-0 and axis-1 of a napari layer: save it from napari, or "
            "take it away if it is no layer."
        )
    if len(axes) > 2:
        raise AnnotationError(
            f"annotation file '{path}' has the {len(axes)} axes of a stack: save the shapes of one plane without the others."
        )
    shapes = "shape-type" in columns
    groups = [(f"shape {index}", list(rows)) for index, rows in groupby(rows, key=lambda row: row["index"])]
    if not shapes:
        groups = [(f"point {row['index']}", [row]) for row in rows]
    found, left_out = [], []
    for id, group in groups:
        try:
            mark = _shape(id, group) if shapes else Mark("point", _class_name(group[0]), points=_points(group), id=id)
            found.append(replace(mark, is_class=bool(group[0].get(_CLASS_COLUMNS[0]))))
        except (KeyError, TypeError, ValueError) as e:
            left_out.append(f"{id} cannot be used ({e})")
    return found, left_out


def _class_name(row: dict) -> str:
    return next((row[column].strip() for column in _CLASS_COLUMNS if row.get(column)), "")


def _points(rows: list[dict]) -> np.ndarray:
    points = np.array([[float(row["axis-0"]), float(row["axis-1"])] for row in rows])
    if not reachable(points):
        raise ValueError("a coordinate is not finite, or 1e12 and more")
    return points + 0.5


def _shape(id: str, rows: list[dict]) -> Mark:
    kind, points = rows[0]["shape-type"], _points(rows)
    if kind not in _KINDS:
        raise ValueError(f"it is of the unknown type '{kind}'")
    if kind in ("rectangle", "ellipse") and len(points) != 4:
        raise ValueError(f"it has {len(points)} corners where a {kind} has 4")
    if len(points) < (3 if _KINDS[kind] == "area" else 2):
        raise ValueError(f"it has {len(points)} vertices, too few for a {kind}")
    if _KINDS[kind] == "line":
        return Mark("line", _class_name(rows[0]), points=points, id=id)
    if kind == "ellipse":
        points = ellipse(points.mean(axis=0), (points[1] - points[0]) / 2, (points[2] - points[1]) / 2)
    return Mark("area", _class_name(rows[0]), polygons=[[points]], id=id)
