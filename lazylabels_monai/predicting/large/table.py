"""A row per object of a large picture, from sums over its tiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from lazylabels_monai.predicting.large.tiling import Place
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = ["object_table", "tile_sums"]


def tile_sums(ids: np.ndarray, classes: np.ndarray, place: Place, num_classes: int) -> dict[str, np.ndarray]:
    """Sums over a tile, for each object in it.

    Args:
        ids: (h, w) of the objects, 0 = none.
        classes: (h, w) class map.
        place: of the tile in the picture.
        num_classes: with background.

    Returns:
        ``ids`` (n,); ``votes`` (n, num_classes) pixels of each class; ``sums`` (n, 2) of rows and columns; ``boxes`` (n, 4)
        first row, first column, last row, last column, the last ones excluded.
    """
    rows, columns = np.nonzero(ids)
    found, index = np.unique(ids[rows, columns], return_inverse=True)
    values = classes[rows, columns]
    values = np.where(values == IGNORE, BACKGROUND, values).astype(np.int64)
    votes = np.bincount(index * num_classes + values, minlength=len(found) * num_classes).reshape(len(found), num_classes)
    sums, boxes = np.zeros((len(found), 2), np.int64), np.zeros((len(found), 4), np.int64)
    for axis, values in enumerate((rows + place[0].start, columns + place[1].start)):
        sums[:, axis] = np.bincount(index, values, minlength=len(found)).astype(np.int64)
        low, high = np.full(len(found), np.iinfo(np.int64).max), np.zeros(len(found), np.int64)
        np.minimum.at(low, index, values)
        np.maximum.at(high, index, values)
        boxes[:, axis], boxes[:, axis + 2] = low, high + 1
    return {"ids": found.astype(np.int64), "votes": votes, "sums": sums, "boxes": boxes}


def object_table(
    tiles: Iterable[Mapping[str, np.ndarray]],
    count: int,
    shape: tuple[int, int],
    class_names: Sequence[str],
    name: str,
    pixel_size: float | None,
) -> pd.DataFrame:
    """The columns of ``measure`` that sums can give.

    Args:
        tiles: from :func:`tile_sums`.
        count: of the objects, numbered 1..count.
        shape: (H, W) of the picture.
        class_names: of the classes 1, 2, ...
        name: of the picture.
        pixel_size: micrometres, or None.

    Returns:
        a row per object with ``image``, ``id``, ``class``, ``class_name``, ``area_um2``, ``equivalent_diameter_um`` (``px``
        without a pixel size), ``centroid_row_px``, ``centroid_col_px``, ``bbox_row_min_px`` ... ``bbox_col_max_px``,
        ``touches_border``.
    """
    votes, sums = np.zeros((count + 1, len(class_names) + 1), np.int64), np.zeros((count + 1, 2), np.int64)
    boxes = np.tile(np.array([np.iinfo(np.int64).max] * 2 + [0, 0]), (count + 1, 1))
    for tile in tiles:
        ids = tile["ids"]
        votes[ids] += tile["votes"]
        sums[ids] += tile["sums"]
        boxes[ids, :2] = np.minimum(boxes[ids, :2], tile["boxes"][:, :2])
        boxes[ids, 2:] = np.maximum(boxes[ids, 2:], tile["boxes"][:, 2:])
    votes, sums, boxes = votes[1:], sums[1:], boxes[1:]
    pixels = votes.sum(1)
    classes = votes[:, 1:].argmax(1) + 1
    unit, scale = ("px", 1.0) if pixel_size is None else ("um", pixel_size)
    edges = (boxes[:, :2] == 0).any(1) | (boxes[:, 2:] == np.array(shape)).any(1)
    return pd.DataFrame(
        {
            "image": name,
            "id": np.arange(1, count + 1),
            "class": classes,
            "class_name": np.asarray(class_names, object)[classes - 1] if count else np.zeros(0, object),
            f"area_{unit}2": pixels * scale**2,
            f"equivalent_diameter_{unit}": np.sqrt(4 * pixels / np.pi) * scale,
            "centroid_row_px": sums[:, 0] / np.maximum(pixels, 1),
            "centroid_col_px": sums[:, 1] / np.maximum(pixels, 1),
            "bbox_row_min_px": boxes[:, 0],
            "bbox_col_min_px": boxes[:, 1],
            "bbox_row_max_px": boxes[:, 2],
            "bbox_col_max_px": boxes[:, 3],
            "touches_border": edges,
        }
    )
