"""Objects in a label map: checking and numbering their ids, connected components, the class of each.

Maps are (H, W) or (D, H, W) and may be large (100 million pixels): what needs more than a byte or an id per pixel is
worked out in parts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import IGNORE

__all__ = [
    "bands",
    "border_pixels",
    "checked_instances",
    "class_table",
    "compact_instances",
    "connected_pieces",
    "count_values",
    "distinct_values",
    "instances_from_classes",
    "object_classes",
    "uniforms",
]

#: Pixels that are worked on at a time.
_PART = 1 << 22


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.ravel()
    for start in range(0, flat.size, _PART):
        yield flat[start : start + _PART]


def bands(shape: tuple[int, ...], pixels: int = _PART) -> Iterator[tuple[int, int]]:
    """Cut the first axis of a map of ``shape`` into stretches (start, stop) of about ``pixels`` pixels each."""
    row = max(1, int(np.prod(shape[1:], dtype=np.int64)))
    step = max(1, pixels // row)
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


def count_values(array: np.ndarray, size: int) -> np.ndarray:
    """How often 0 .. ``size`` - 1 occur in an array of whole numbers below ``size``; (size,) int64."""
    counts = np.zeros(size, np.int64)
    for part in _parts(array):
        counts += np.bincount(part, minlength=size)
    return counts


def distinct_values(array: np.ndarray) -> np.ndarray:
    """The values of an array, sorted, each once."""
    found = [np.unique(part) for part in _parts(np.asarray(array))]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.asarray(array).dtype)


def checked_instances(instances: np.ndarray) -> np.ndarray:
    """``instances`` as an int32 array of ids, 0 = no object; the array itself where it is one already.

    Args:
        instances: (H, W) or (D, H, W) whole numbers or bools from 0 to 2**31 - 1.

    Raises:
        LazyLabelsError: for another number of dimensions, another type, and values out of range.
    """
    instances = np.asarray(instances)
    if instances.ndim not in (2, 3):
        raise LazyLabelsError(f"instances of shape {instances.shape} must have two or three dimensions, without channels.")
    if not (np.issubdtype(instances.dtype, np.integer) or instances.dtype == bool):
        raise LazyLabelsError(f"instances of type {instances.dtype} must be whole numbers: one id for each object, 0 outside.")
    if instances.size and instances.min() < 0:
        raise LazyLabelsError("instances must not be negative: give one id for each object and 0 outside.")
    if instances.size and instances.max() > np.iinfo(np.int32).max:
        raise LazyLabelsError(f"instances must not exceed {np.iinfo(np.int32).max}: number the objects anew.")
    return instances.astype(np.int32, copy=False)


def compact_instances(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the objects 1..n without gaps, in the order of their ids.

    Args:
        instances: what :func:`checked_instances` gave.

    Returns:
        int32 map of the same shape (the same array where nothing changes: not to be written to), and the table from the
        new ids to the old ones, (n + 1,) whose entry 0 is 0.
    """
    top = int(instances.max()) if instances.size else 0
    if top <= max(65535, instances.size):
        table = np.flatnonzero(count_values(instances, top + 1))
        if table.size == 0 or table[0] != 0:
            table = np.concatenate([[0], table])
        if table.size == top + 1:
            return instances, table
        new = np.zeros(top + 1, np.int32)
        new[table] = np.arange(table.size)
        return new[instances], table
    table = np.union1d([0], distinct_values(instances))
    return np.searchsorted(table, instances).astype(np.int32), table


def instances_from_classes(classes: np.ndarray, min_size: int = 1) -> np.ndarray:
    """Connected components of each class, as instance ids.

    Pixels join through faces only, so that objects which merely share a corner stay apart. Unlabelled pixels
    (255) belong to no object.

    Args:
        classes: (H, W) or (D, H, W) class map, 0 = background.
        min_size: components of fewer pixels are dropped.

    Returns:
        int32 ids of the same shape, 1..n, numbered class by class; 0 = no object.

    Raises:
        LazyLabelsError: for arrays that are no class map; see :func:`checked_instances`.
    """
    classes = checked_instances(classes)
    out = np.zeros(classes.shape, np.int32)
    start = 0
    for value in distinct_values(classes):
        if value in (0, IGNORE):
            continue
        labels, found = ndimage.label(classes == value)
        keep = count_values(labels, found + 1) >= min_size
        keep[0] = False
        new = np.zeros(found + 1, np.int32)
        count = int(keep.sum())
        new[keep] = np.arange(start + 1, start + count + 1)
        out += new[labels]
        start += count
    return out


def connected_pieces(values: np.ndarray) -> np.ndarray:
    """Connected pieces of each value, numbered 1 .. n in the order of their first pixels; int32 of the same shape.

    Args:
        values: (H, W) or (D, H, W) whole numbers or bools, 0 = nothing. Pixels join through faces only.
    """
    from skimage.measure import label  # half a second

    values = np.asarray(values)
    return label(values.astype(np.int32, copy=False), background=0, connectivity=1).astype(np.int32)


def object_classes(instances: np.ndarray, classes: np.ndarray | None = None) -> dict[int, int]:
    """Class of each object: the most frequent class among its pixels, background and unlabelled pixels aside.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        classes: class map of the same shape; None gives every object class 1.

    Returns:
        ``{id: class}``; class 0 for an object without any pixel of an object class.

    Raises:
        LazyLabelsError: when the shapes differ, and for instances that are no ids.
    """
    compact, table = compact_instances(checked_instances(instances))
    return {int(a): int(b) for a, b in zip(table[1:], class_table(compact, table, classes)[1:], strict=True)}


def class_table(compact: np.ndarray, table: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """:func:`object_classes` of a map numbered by :func:`compact_instances`: (n + 1,) int64, entry 0 is 0."""
    count = table.size
    if classes is None:
        result = np.ones(count, np.int64)
    else:
        classes = np.asarray(classes)
        if classes.shape != compact.shape:
            raise LazyLabelsError(f"classes of shape {classes.shape} must have the shape of the instances, {compact.shape}.")
        votes = np.zeros(count * 256, np.int64)
        for ids, values in zip(_parts(compact), _parts(classes), strict=True):
            votes += np.bincount(ids.astype(np.int64) * 256 + values, minlength=votes.size)
        votes = votes.reshape(count, 256)
        votes[:, (0, IGNORE)] = 0
        result = votes.argmax(axis=1)
    result[0] = 0
    return result


def border_pixels(compact: np.ndarray) -> np.ndarray:
    """Object pixels that have a face neighbour of another value; bool map of the same shape."""
    border = np.zeros(compact.shape, bool)
    for axis in range(compact.ndim):
        low = [slice(None)] * compact.ndim
        high = [slice(None)] * compact.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        differ = compact[tuple(low)] != compact[tuple(high)]
        border[tuple(low)] |= differ
        border[tuple(high)] |= differ
    return border & (compact > 0)


def _mixed(state: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniforms(seed: int, ids: np.ndarray, count: int) -> np.ndarray:
    """Random numbers of objects, or of pairs, which depend on the seed and their own ids alone.

    Args:
        seed: 0 to 2**63 - 1.
        ids: (N,) or (N, k) ids, 0 or more.
        count: numbers for each.

    Returns:
        (N, count) float64 in [0, 1).
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    ids = np.asarray(ids).astype(np.uint64)
    state = np.full(len(ids), seed, np.uint64)
    for column in np.atleast_2d(ids.T):
        state = _mixed(state * step + column + np.uint64(1))
    steps = np.arange(1, count + 1, dtype=np.uint64) * step
    return (_mixed(state[:, None] + steps) >> np.uint64(11)) * 2.0**-53
