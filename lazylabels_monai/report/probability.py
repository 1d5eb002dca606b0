"""The probability of each object, from the maps of one prediction; uncertainty is another quantity and takes several."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage

from lazylabels_monai.tasks import INTERFACE

__all__ = ["highest_probability", "object_probability"]

#: Pixels that the margin leaves out along an object's edge, where interfaces belong.
_RIM = 2


def highest_probability(segmentation: np.ndarray) -> np.ndarray:
    """That of the likeliest class at each pixel: (classes, H, W) -> (H, W), 1 where sure, 1 / classes where undecided."""
    return segmentation.max(axis=0)


def object_probability(instances: np.ndarray, segmentation: np.ndarray, separation: np.ndarray | None = None) -> pd.DataFrame:
    """How probable each object of a label map is.

    Args:
        instances: (H, W) ids, 0 = no object.
        segmentation: (classes, H, W) probabilities.
        separation: (2, H, W) probabilities.

    Returns:
        a row per object in the order of the ids: ``id``; ``mean_probability``, the mean of :func:`highest_probability` over its
        pixels, as ``measure`` gives it; ``margin``, 0.5 less the highest probability of an interface more than two pixels
        inside it: near 0 the object was nearly cut in two, below 0 a line was seen that did not cut it. NaN without
        ``separation`` and for objects that have no such pixel; ``row_min``, ``row_max``, ``col_min``, ``col_max``, its
        bounding box, the maxima excluded.

    Example:
        >>> halves = np.stack([np.full((4, 4), 0.25), np.full((4, 4), 0.75)])
        >>> object_probability(np.ones((4, 4), int), halves)["mean_probability"].tolist()
        [0.75]
    """
    ids = np.unique(instances)
    ids = ids[ids != 0]
    compact = np.where(instances == 0, 0, np.searchsorted(ids, instances) + 1).astype(np.int32)
    numbers = np.arange(1, ids.size + 1)
    margin = np.full(ids.size, np.nan)
    if separation is not None and ids.size:
        side = 2 * _RIM + 1
        inside = ndimage.minimum_filter(compact, side) == ndimage.maximum_filter(compact, side)
        interior = np.where(inside, compact, 0)
        deep = np.isin(numbers, interior)
        margin[deep] = 0.5 - ndimage.maximum(separation[INTERFACE], interior, numbers[deep])
    boxes = ndimage.find_objects(compact)
    columns = {
        "id": ids.astype(np.int64),
        "mean_probability": np.asarray(ndimage.mean(highest_probability(segmentation), compact, numbers), float).reshape(-1),
        "margin": margin,
    }
    for axis, name in enumerate(("row", "col")):
        columns[f"{name}_min"] = np.array([box[axis].start for box in boxes], int)
        columns[f"{name}_max"] = np.array([box[axis].stop for box in boxes], int)
    return pd.DataFrame(columns)
