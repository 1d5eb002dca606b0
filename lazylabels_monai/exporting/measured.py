"""The measurements that go with exported objects: those that ``measure`` wrote, where they are of these very objects."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lazylabels_monai import spreadsheets
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.objects import ExportError, ImageObjects
from lazylabels_monai.measure.telling import told_rows

__all__ = ["find_tables", "pixel_side", "read_table", "rows_of", "stated_sides", "told_missing", "values_by_id"]

#: The table that ``measure`` writes.
TABLE = "objects.csv"

#: Columns that are no measurements.
_NAMES = ("image", "class", "class_name")

#: Columns by which a row is known to be of an object, and how far they may be off, in pixels.
_BOX = ("bbox_row_min_px", "bbox_col_min_px", "bbox_row_max_px", "bbox_col_max_px")
_CENTROID, _TOLERANCE = ("centroid_row_px", "centroid_col_px"), 0.01

#: Columns of the area, one of which a table has, and how far it may be off, as a part of it.
_AREA, _AREA_TOLERANCE = ("area_px2", "area_um2"), 1e-5

#: Columns that a table must have.
_NEEDED = ("image", "id", "class", *_BOX, *_CENTROID)


def find_tables(folder: Path) -> list[Path]:
    """Tables that ``measure`` wrote into a folder of predictions or into a folder in it."""
    return sorted(path for path in (*folder.glob(TABLE), *folder.glob(f"*/{TABLE}")) if path.is_file())


def read_table(path: Path) -> pd.DataFrame:
    """Read ``objects.csv``, given itself or by its folder.

    Raises:
        ExportError: when it is not there or is no such table.
    """
    file = path / TABLE if path.is_dir() else path
    try:
        return spreadsheets.read_table(file, _NEEDED, _AREA, again=f"name the {TABLE} that measure wrote")
    except OSError as error:
        raise ExportError(f"'{file}' cannot be read as a table of objects ({error}): name the {TABLE} of measure.") from error
    except LazyLabelsError as error:
        raise ExportError(str(error)) from error


def told_missing(file: Path, names: Collection[str]) -> str | None:
    """The sentence about rows that somebody took out of a table, whose objects are exported; None where nobody did.

    Args:
        file: ``objects.csv``, or its folder; where no ``summary.csv`` lies beside it, nothing is known.
        names: of the images that are exported.
    """
    file = file / TABLE if file.is_dir() else file
    try:
        objects, counted = (
            table[table["image"].isin(names)]
            for table in (
                read_table(file),
                spreadsheets.read_table(file.parent / "summary.csv", ("scope", "class", "objects"), again="measure again"),
            )
        )
    except (LazyLabelsError, OSError, KeyError):  # told where it is used
        return None
    sentence = told_rows(file, objects, counted[counted["scope"] == "image"])
    return sentence and (
        f"{sentence}, but all objects of the label maps are exported: to leave some out, erase them there, then measure again."
    )


def stated_sides(path: Path) -> list[float]:
    """Micrometres of the pixels of a table, as ``summary.json`` beside it states them; empty where it does not."""
    try:
        found = json.loads(((path if path.is_dir() else path.parent) / "summary.json").read_text(encoding="utf-8"))
        sizes = found["pixel_size_um"]
        return [float(size) for size in (sizes if isinstance(sizes, list) else [sizes])]
    except (OSError, ValueError, KeyError, TypeError):  # of another program, or in pixels
        return []


def pixel_side(rows: pd.DataFrame, objects: ImageObjects) -> float | None:
    """Micrometres of the pixels by which rows were measured; None where that was in pixels, or nothing tells."""
    if _AREA[1] not in rows or not len(rows):
        return None
    counts = np.bincount(objects.ids.ravel())[rows["id"]]
    return float(np.sqrt(np.median(rows[_AREA[1]] / counts)))


def _same_areas(rows: pd.DataFrame, counts: np.ndarray, sides: Collection[float]) -> bool:
    """Whether areas are those of so many pixels, whatever a pixel's is where it is not among ``sides``."""
    column = next((name for name in _AREA if name in rows), None)
    if column is None or not len(rows):
        return True
    pixel = rows[column].to_numpy() / counts
    possible = [1.0] if column == _AREA[0] else [side**2 for side in sides] or [float(np.median(pixel))]
    return any(np.allclose(pixel, area, rtol=_AREA_TOLERANCE, atol=0) for area in possible)


def rows_of(table: pd.DataFrame, objects: ImageObjects, sides: Collection[float] = ()) -> pd.DataFrame | None:
    """The rows of an image; None where a row is of another object than the label map holds, so that the table is outdated.

    Objects without a row were too small for ``measure --min-size``.

    Args:
        table: see :func:`read_table`.
        objects: of the image.
        sides: see :func:`stated_sides`.
    """
    rows = table[table["image"] == objects.name].set_index("id", drop=False)
    if not len(rows) and objects.classes:
        return None
    if not rows.index.is_unique or not set(rows.index) <= set(objects.classes):
        return None
    if [objects.classes[id] for id in rows.index] != rows["class"].tolist():
        return None
    where = np.nonzero(objects.ids)
    owner = objects.ids[where]
    counts = np.maximum(np.bincount(owner), 1)
    for column, pixels in zip(_CENTROID, where, strict=True):
        mean = np.bincount(owner, weights=pixels, minlength=len(counts)) / counts
        if len(rows) and np.abs(mean[rows.index] - rows[column]).max() > _TOLERANCE:
            return None
    if not _same_areas(rows, counts[rows.index], sides):
        return None
    boxes = rows[list(_BOX)].to_numpy()
    for id, box in zip(rows.index, boxes, strict=True):
        corners = np.concatenate([polygon[0] for polygon in objects.outlines[id]])
        if [*corners.min(axis=0), *corners.max(axis=0)] != box.tolist():
            return None
    return rows


def values_by_id(rows: pd.DataFrame) -> Mapping[int, Mapping[str, float]]:
    """Name and value of each measurement of each object; what is not finite is left out, as JSON has no word for it."""
    columns = {}
    for name in rows.columns:
        if name not in _NAMES and rows[name].dtype.kind in "iufb":
            values = rows[name].to_numpy()
            columns[name] = values.astype(np.int64) if values.dtype.kind == "b" else values
    found: dict[int, dict[str, float]] = {}
    for row, id in enumerate(rows["id"].tolist()):
        found[id] = {name: values[row].item() for name, values in columns.items() if np.isfinite(values[row])}
    return found
