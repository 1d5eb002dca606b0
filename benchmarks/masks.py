"""What programs that learn objects are given of the exported labels, and how their objects become class maps.

Needs scipy besides what :mod:`benchmarks.exported` needs.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from benchmarks.exported import BenchmarkError, Exported

__all__ = ["class_map", "exact_masks", "grey", "objects_of"]

#: Pixels around an object that belong to it although a scribble lies there.
_SCRIBBLE = 4


def exact_masks(exported: Exported, program: str, least: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images (H, W[, C]) as stored and ids (H, W) int32 of the training images of which every pixel is known.

    Objects are the parts between the interface scribbles, whose pixels go to the nearest object.

    Args:
        exported: the labels.
        program: that learns from them, for the sentence of an error.
        least: exact masks that it needs.

    Raises:
        BenchmarkError: for several classes, which class maps of objects alone cannot tell apart, and for too few exact masks.
    """
    if len(exported.classes) > 1:
        raise BenchmarkError(f"{exported.folder}: {program} is given one class here; export a data set that has one.")
    found = [
        (image, objects_of(label, exported.interface))
        for image, label, _ in exported.training()
        if not (label == exported.unknown).any()
    ]
    if len(found) < least:
        raise BenchmarkError(f"{exported.folder}: images with exact masks: {len(found)}; {program} needs {least} or more.")
    return found


def objects_of(label: np.ndarray, interface: int) -> np.ndarray:
    """Ids (H, W) int32 of an exported label map."""
    ids = ndimage.label((label > 0) & (label < interface))[0]
    distance, nearest = ndimage.distance_transform_edt(ids == 0, return_indices=True)
    return np.where((label == interface) & (distance <= _SCRIBBLE), ids[tuple(nearest)], ids).astype(np.int32)


def class_map(ids: np.ndarray, interface: int) -> np.ndarray:
    """Class map (H, W) uint8 of objects of one class: 1 inside, ``interface`` where two objects touch."""
    lines = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        first, second = (np.take(ids, range(start, ids.shape[axis] - 1 + start), axis) for start in (0, 1))
        touch = (first != second) & (first > 0) & (second > 0)
        lines |= np.pad(touch, [(0, int(n == axis)) for n in (0, 1)]) | np.pad(touch, [(int(n == axis), 0) for n in (0, 1)])
    return np.where(lines, interface, ids > 0).astype(np.uint8)


def grey(image: np.ndarray) -> np.ndarray:
    """(H, W) of an image (H, W[, C]): the mean of its colours."""
    return image.mean(-1) if image.ndim == 3 else image
