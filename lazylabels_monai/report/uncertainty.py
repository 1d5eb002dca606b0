"""How sure a prediction is of each object, from its probability maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage

from lazylabels_monai.tasks import INTERFACE

__all__ = ["object_doubt", "pixel_doubt"]

#: Pixels that the margin leaves out along an object's edge, where interfaces belong.
_RIM = 2


def pixel_doubt(segmentation: np.ndarray) -> np.ndarray:
    """1 - the highest probability at each pixel: (classes, H, W) -> (H, W), 0 where sure, 1 - 1 / classes where undecided."""
    return 1 - segmentation.max(axis=0)


def object_doubt(instances: np.ndarray, segmentation: np.ndarray, separation: np.ndarray | None = None) -> pd.DataFrame:
    """Doubt about each object of a label map.

    Args:
        instances: (H, W) ids, 0 = no object.
        segmentation: (classes, H, W) probabilities.
        separation: (2, H, W) probabilities.

    Returns:
        a row per object in the order of the ids: ``id``; ``doubt``, the mean of :func:`pixel_doubt` over its pixels;
        ``margin``, 0.5 less the highest probability of an interface more than two pixels inside it: near 0 the object was
        nearly cut in two, below 0 a line was seen that did not cut it. NaN without ``separation`` and for objects that have
        no such pixel; ``row_min``, ``row_max``, ``col_min``, ``col_max``, its bounding box, the maxima excluded.

    Example:
        >>> halves = np.stack([np.full((4, 4), 0.25), np.full((4, 4), 0.75)])
        >>> object_doubt(np.ones((4, 4), int), halves)["doubt"].tolist()
        [0.25]
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
        "doubt": np.asarray(ndimage.mean(pixel_doubt(segmentation), compact, numbers), float).reshape(-1),
        "margin": margin,
    }
    for axis, name in enumerate(("row", "col")):
        columns[f"{name}_min"] = np.array([box[axis].start for box in boxes], int)
        columns[f"{name}_max"] = np.array([box[axis].stop for box in boxes], int)
    return pd.DataFrame(columns)
