"""Precision and recall of the interfaces between touching objects."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from lazylabels_monai.labels.interfaces import DEFAULT_GAP, DEFAULT_THICKNESS, interface_labels
from lazylabels_monai.tasks import IGNORE, INTERFACE

__all__ = ["interface_scores"]


def interface_scores(
    predicted: np.ndarray,
    separation: np.ndarray,
    instances: np.ndarray | None = None,
    tolerance: float = 3.0,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
) -> tuple[float, float, float, float]:
    """Counts behind precision and recall of interfaces between touching objects.

    Precision looks at length: of the predicted interfaces' centre lines, the pixels that lie within ``tolerance`` of a true
    interface. Recall looks at objects: of all pairs of touching objects, those for whom at least half of their common
    interface lies within ``tolerance`` of a predicted one. Without instance ids a pair cannot be told from its
    neighbours; recall then counts the centre line's pixels of the true interfaces.

    Args:
        predicted: True where an interface is predicted.
        separation: true separation label; 0 other, 1 interface, 255 not labelled (left out).
        instances: ids of the objects, or None.
        tolerance: in pixels.
        gap: objects at most this many pixels apart touch (see :func:`lazylabels_monai.labels.interfaces.touching_pairs`).
        thickness: thickness of the true interfaces in pixels.

    Returns:
        ``(correct length, predicted length, found, to be found)``, from 0 on: precision is the first over the second,
        recall the third over the fourth.

    Example:
        >>> ids = np.zeros((9, 21), int)
        >>> ids[2:7, 2:10], ids[2:7, 11:19] = 1, 2
        >>> strip = np.zeros(ids.shape, bool)
        >>> strip[2:7, 10] = True
        >>> correct, predicted, found, wanted = interface_scores(strip, strip.astype(int), ids)
        >>> correct / predicted, found / wanted
        (1.0, 1.0)
    """
    labelled = separation != IGNORE
    predicted = predicted & labelled
    pairs = None
    if instances is not None:
        interface, pairs = interface_labels(instances, gap=gap, thickness=thickness)
        truth = (interface > 0) & labelled
    else:
        truth = separation == INTERFACE
    line = skeletonize(predicted)
    correct = float(np.count_nonzero(line & (_distance_to(truth) <= tolerance)))
    near = _distance_to(predicted) <= tolerance
    if pairs is None:
        true_line = skeletonize(truth)
        found, wanted = np.count_nonzero(true_line & near), np.count_nonzero(true_line)
    else:
        size = np.bincount(interface[truth], minlength=len(pairs) + 1)[1:]
        hit = np.bincount(interface[truth & near], minlength=len(pairs) + 1)[1:]
        found, wanted = np.count_nonzero((2 * hit >= size) & (size > 0)), np.count_nonzero(size)
    return correct, float(np.count_nonzero(line)), float(found), float(wanted)


def _distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels of every pixel to the nearest True pixel of ``mask``; infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask)
