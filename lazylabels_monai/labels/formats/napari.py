"""CSV of napari's Shapes and Points layers: (axis-0, axis-1) is (y, x) with the origin in the centre of the first pixel."""

from __future__ import annotations

import csv
from io import StringIO
from itertools import groupby
from pathlib import Path

import numpy as np

from lazylabels_monai.labels.annotations import AnnotationError, Mark
from lazylabels_monai.labels.rasterize import ellipse

__all__ = ["marks"]

#: Columns beyond napari's own that name the class, the first that is there.
_CLASS_COLUMNS = ("class", "label", "name")

_KINDS = {"polygon": "area", "rectangle": "area", "ellipse": "area", "path": "line", "line": "line"}


def marks(text: str, path: Path) -> list[Mark]:
    """Marks of a layer saved by napari (File > Save Selected Layers): a shape each, or each row of a Points layer.

    napari's file has no class; a column ``class`` (``label``, ``name``) that was added to it is used.

    Raises:
        AnnotationError: when the columns are others, the layer has more than two axes or a shape is unknown.
    """
    try:
        rows = list(csv.DictReader(StringIO(text), strict=True))
    except csv.Error as e:
        raise AnnotationError(f"annotation file '{path}' is no valid CSV ({e}): export it again.") from e
    columns = list(rows[0]) if rows else text.strip().split(",")
    axes = [c for c in columns if c is not None and c.startswith("axis-")]
    if not {"index", "axis-0", "axis-1"} <= set(columns):
        raise AnnotationError(
            f"annotation file '{path}' lacks the columns index, axis-0 and axis-1 of a napari layer: save it from napari."
        )
    if len(axes) > 2:
        raise AnnotationError(
            f"annotation file '{path}' has the {len(axes)} axes of a stack: save the shapes of one plane without the others."
        )
    try:
        if "shape-type" not in columns:
            return [Mark("point", _class_name(row), points=_points([row]), id=f"point {row['index']}") for row in rows]
        return [_shape(index, list(group)) for index, group in groupby(rows, key=lambda row: row["index"])]
    except (KeyError, TypeError, ValueError) as e:
        raise AnnotationError(f"annotation file '{path}' has a shape that cannot be used ({e}): save it again.") from e


def _class_name(row: dict) -> str:
    return next((row[column].strip() for column in _CLASS_COLUMNS if row.get(column)), "")


def _points(rows: list[dict]) -> np.ndarray:
    points = np.array([[float(row["axis-0"]), float(row["axis-1"])] for row in rows])
    if not np.isfinite(points).all():
        raise ValueError(f"shape {rows[0]['index']} has a coordinate that is not finite")
    return points + 0.5


def _shape(index: str, rows: list[dict]) -> Mark:
    id, kind, points = f"shape {index}", rows[0]["shape-type"], _points(rows)
    if kind not in _KINDS:
        raise ValueError(f"{id} is of the unknown type '{kind}'")
    if kind in ("rectangle", "ellipse") and len(points) != 4:
        raise ValueError(f"{id} has {len(points)} corners where a {kind} has 4")
    if len(points) < (3 if _KINDS[kind] == "area" else 2):
        raise ValueError(f"{id} has {len(points)} vertices, too few for a {kind}")
    if _KINDS[kind] == "line":
        return Mark("line", _class_name(rows[0]), points=points, id=id)
    if kind == "ellipse":
        points = ellipse(points.mean(axis=0), (points[1] - points[0]) / 2, (points[2] - points[1]) / 2)
    return Mark("area", _class_name(rows[0]), polygons=[[points]], id=id)
