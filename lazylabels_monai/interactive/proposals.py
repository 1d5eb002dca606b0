"""The outline of one object out of its inner region, for a person to accept or to brush over."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.grabcut import propose
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = ["outline_of", "region_at"]

_OWN, _OTHER = 1, 2

#: What is looked at around the region: so many of its depths, and pixels.
DEPTHS, PIXELS = 3.0, 12


def outline_of(
    picture: np.ndarray,
    inner: np.ndarray,
    others: np.ndarray | None = None,
    interfaces: np.ndarray | None = None,
) -> np.ndarray:
    """The object that an inner region is in.

    Args:
        picture: (H, W) or (H, W, C).
        inner: (H, W) bool, the inner region of one object.
        others: (H, W) bool, inner regions of other objects, to which the object does not reach.
        interfaces: (H, W) bool, scribbles between objects.

    Returns:
        (H, W) bool: in one piece with the region, which it holds. Where the colours tell nothing it ends where the region's
        depth makes one expect it.

    Raises:
        LazyLabelsError: for an empty region, or arrays of different sizes.
    """
    inner = np.asarray(inner, bool)
    if inner.shape != np.shape(picture)[:2] or not inner.any():
        raise LazyLabelsError("there is no inner region here: draw one inside the object first.")
    (found,) = ndimage.find_objects(inner.astype(np.uint8))
    depth = float(ndimage.distance_transform_edt(np.pad(inner[found], 1)).max())
    around = int(DEPTHS * depth) + PIXELS
    box = tuple(slice(max(0, side.start - around), side.stop + around) for side in found)
    detection = np.zeros(inner[box].shape, np.uint8)
    if others is not None:
        detection[np.asarray(others, bool)[box]] = _OTHER
    detection[inner[box]] = _OWN
    separation = None if interfaces is None else np.asarray(interfaces, bool)[box].astype(np.uint8)
    classes = propose(np.asarray(picture)[box], detection, separation).classes
    pieces, _ = ndimage.label(classes == _OWN)
    own = np.unique(pieces[inner[box] & (pieces > 0)])
    mask = np.zeros(inner.shape, bool)
    mask[box] = np.isin(pieces, own[own > 0]) | inner[box]
    return mask


def region_at(detection: np.ndarray, row: int, column: int) -> np.ndarray:
    """The inner region under a click, (H, W) bool.

    Args:
        detection: (H, W) inner regions as a label holds them.
        row, column: of the click.

    Raises:
        LazyLabelsError: when there is none.
    """
    inside = 0 <= row < detection.shape[0] and 0 <= column < detection.shape[1]
    value = int(detection[row, column]) if inside else BACKGROUND
    if value in (BACKGROUND, IGNORE):
        raise LazyLabelsError("there is no inner region under the click: click on one.")
    pieces, _ = ndimage.label(detection == value)
    return pieces == pieces[row, column]
