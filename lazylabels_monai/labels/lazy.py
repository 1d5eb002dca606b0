"""Lazy labels made from exact instances: what a person would have drawn in a fraction of the time.

The labels are those of Ke et al. 2020, Sec. 3: a rough region inside each object that misses its border (detection) and
scribbles on the interface of touching objects (separation). Everything here works on arrays of two or three dimensions.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from ..tasks import IGNORE

__all__ = [
    "default_share",
    "dice_of_inner_regions",
    "inner_regions",
    "instances_from_classes",
    "interface_labels",
    "interfaces",
    "object_classes",
    "touching_pairs",
]

#: Two objects with at most this many pixels between them count as touching.
DEFAULT_GAP = 2

#: Outlines drawn by hand often stop this many pixels before the image's border, which the object reaches all the same.
_SLACK = 2

#: Thickness of a scribble in pixels.
DEFAULT_THICKNESS = 3


def default_share(ndim: int) -> float:
    """Cut-off of an inner region as a share of the object's depth, for images of ``ndim`` dimensions.

    The inner regions, taken for masks, then have a Dice of about 0.72 against the truth, which Ke et al. 2020, Table 1,
    report for a U-Net trained on weak labels. In a volume the same cut-off would take more away.
    """
    return 0.27 if ndim == 2 else 0.18


def _checked(instances: np.ndarray) -> np.ndarray:
    """``instances`` as an int32 array of ids, 0 = no object."""
    instances = np.asarray(instances)
    if instances.ndim not in (2, 3):
        raise ValueError(f"instances of shape {instances.shape} must have two or three dimensions, without channels.")
    if not (np.issubdtype(instances.dtype, np.integer) or instances.dtype == bool):
        raise ValueError(f"instances of type {instances.dtype} must be whole numbers: one id for each object, 0 outside.")
    if instances.size and instances.min() < 0:
        raise ValueError("instances must not be negative: give one id for each object and 0 outside.")
    if instances.size and instances.max() > np.iinfo(np.int32).max:
        raise ValueError(f"instances must not exceed {np.iinfo(np.int32).max}: number the objects anew.")
    return instances.astype(np.int32)


def _compact(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the objects 1..n; returns that map and the table from the new ids to the old ones (entry 0 is 0)."""
    top = int(instances.max()) if instances.size else 0
    if top <= max(65535, instances.size):
        table = np.flatnonzero(np.bincount(instances.ravel(), minlength=1))
        if table.size == 0 or table[0] != 0:
            table = np.concatenate([[0], table])
        new = np.zeros(top + 1, np.int32)
        new[table] = np.arange(table.size)
        return new[instances], table
    table = np.union1d([0], instances)
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
    """
    classes = _checked(classes)
    out = np.zeros(classes.shape, np.int32)
    start = 0
    for value in np.unique(classes):
        if value in (0, IGNORE):
            continue
        labels, _ = ndimage.label(classes == value)
        sizes = np.bincount(labels.ravel())
        keep = sizes >= min_size
        keep[0] = False
        new = np.zeros(sizes.size, np.int32)
        count = int(keep.sum())
        new[keep] = np.arange(start + 1, start + count + 1)
        out += new[labels]
        start += count
    return out


def object_classes(instances: np.ndarray, classes: np.ndarray | None = None) -> dict[int, int]:
    """Class of each object: the most frequent class among its pixels, background and unlabelled pixels aside.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        classes: class map of the same shape; None gives every object class 1.

    Returns:
        ``{id: class}``; class 0 for an object without any pixel of an object class.

    Raises:
        ValueError: when the shapes differ.
    """
    compact, table = _compact(_checked(instances))
    return {int(a): int(b) for a, b in zip(table[1:], _class_table(compact, table, classes)[1:], strict=True)}


def _class_table(compact: np.ndarray, table: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    count = table.size
    if classes is None:
        result = np.ones(count, np.int64)
    else:
        classes = np.asarray(classes)
        if classes.shape != compact.shape:
            raise ValueError(f"classes of shape {classes.shape} must have the shape of the instances, {compact.shape}.")
        votes = np.bincount(compact.ravel().astype(np.int64) * 256 + classes.ravel(), minlength=count * 256)
        votes = votes.reshape(count, 256)
        votes[:, (0, IGNORE)] = 0
        result = votes.argmax(axis=1)
    result[0] = 0
    return result


def _grown(box: tuple[slice, ...], shape: tuple[int, ...], by: int) -> tuple[slice, ...]:
    return tuple(slice(max(s.start - by, 0), min(s.stop + by, n)) for s, n in zip(box, shape, strict=True))


def _run_on(mask: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The object as if it ran on to the image's border where it stops a pixel or two before it."""
    out = mask.copy()
    for axis, (side, size) in enumerate(zip(box, shape, strict=True)):
        view = np.moveaxis(out, axis, 0)
        for start, step in ((side.start, 1), (size - side.stop, -1)):
            if start == 0:
                lines = view[::step]
                for k in range(min(_SLACK, len(lines) - 1) - 1, -1, -1):
                    lines[k] |= lines[k + 1]
    return out


def inner_regions(
    instances: np.ndarray,
    classes: np.ndarray | None = None,
    share: float | None = None,
    jitter: float = 0.35,
    rng: np.random.Generator | int | None = None,
) -> np.ndarray:
    """A rough region inside each object that misses its border: the detection label of Ke et al. 2020, Sec. 3.

    An object keeps the pixels that lie deeper than a cut-off, which is drawn for each object around ``share`` of
    its depth (the largest distance to a pixel that is not the object's) and varies from one side of the object to the
    other, as a hand does. The image's border is no border of an object: what it cuts is not eroded from there, even if
    its outline was drawn to within two pixels of it only.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        classes: class map of the same shape; None gives every object class 1. An object's class is that of most of
            its pixels.
        share: mean cut-off as a share of the object's depth, in [0, 1); default :func:`default_share`. 0 takes only the
            outermost pixels away.
        jitter: relative spread of the cut-off, in [0, 1]: 0 draws every region alike.
        rng: generator or seed; None is seed 0.

    Returns:
        uint8 map of the same shape: the class inside a region, 0 elsewhere. Every object keeps at least one pixel.

    Raises:
        ValueError: for shapes that differ, and for ``share`` or ``jitter`` out of range.
    """
    share = default_share(np.ndim(instances)) if share is None else share
    if not 0 <= share < 1:
        raise ValueError(f"share {share} must be at least 0 and below 1.")
    if not 0 <= jitter <= 1:
        raise ValueError(f"jitter {jitter} must lie between 0 and 1.")
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(0 if rng is None else rng)
    compact, table = _compact(_checked(instances))
    values = _class_table(compact, table, classes)
    out = np.zeros(compact.shape, np.uint8)
    count = table.size - 1
    # One draw for all objects: an object's region does not depend on the size of those before it.
    cuts = share * (1 + jitter * rng.uniform(-1, 1, count))
    tilts = rng.normal(size=(count, compact.ndim))
    tilts *= jitter / np.maximum(np.linalg.norm(tilts, axis=1, keepdims=True), 1e-9)
    for index, box in enumerate(ndimage.find_objects(compact)):
        box = _grown(box, compact.shape, _SLACK + 1)
        mask = compact[box] == index + 1
        # The crop is larger than the object save at the image's border, where nothing erodes it.
        whole = _run_on(mask, box, compact.shape)
        if whole.all():  # the object fills the image: there is no border to stay away from
            region = mask
        else:
            depth = ndimage.distance_transform_edt(whole)
            deepest = depth[mask].max()
            grid = np.ogrid[tuple(slice(-1, 1, 1j * n) if n > 1 else slice(0, 1) for n in mask.shape)]
            side = sum(float(t) * g for t, g in zip(tilts[index], grid, strict=True))
            cut = cuts[index] * (1 + side) * (deepest - 0.5) + 0.5
            # Pixels on the border itself go in any case, unless the object has no others.
            region = ndimage.binary_erosion(mask, border_value=1) & (depth > cut)
            if not region.any():
                region = mask & (depth >= deepest)
        out[box][region] = values[index + 1]
    return out


def dice_of_inner_regions(detection: np.ndarray, classes: np.ndarray) -> float:
    """Dice of inner regions taken for masks, mean over the object classes present: ``2 sum(x y) / (sum x + sum y)``.

    Args:
        detection: map of :func:`inner_regions`.
        classes: true class map of the same shape.

    Returns:
        A value in [0, 1]; NaN without any object.
    """
    scores = []
    for value in np.unique(classes):
        if value not in (0, IGNORE):
            a, b = detection == value, classes == value
            scores.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    return float(np.mean(scores)) if scores else float("nan")


def _border(compact: np.ndarray) -> np.ndarray:
    """Object pixels that have a face neighbour of another value."""
    border = np.zeros(compact.shape, bool)
    for axis in range(compact.ndim):
        low = [slice(None)] * compact.ndim
        high = [slice(None)] * compact.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        differ = compact[tuple(low)] != compact[tuple(high)]
        border[tuple(low)] |= differ
        border[tuple(high)] |= differ
    return border & (compact > 0)


def _close_pixels(compact: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Border pixels of different objects that are near enough to each other.

    The nearest pixels of two objects are border pixels: from any other a step towards the other object stays inside
    and comes closer. Hence only border pixels are compared, for every shift shorter than ``gap + 2``.

    Returns:
        Sums of the two pixels' coordinates (twice their middle), (N, ndim); the smaller id and the larger id, (N,).
    """
    if gap < 0 or int(gap) != gap:
        raise ValueError(f"gap {gap} must be a whole number of pixels, 0 or more.")
    gap = int(gap)
    border = _border(compact)
    reach = gap + 1
    padded = np.pad(np.where(border, compact, 0), reach)
    flat = padded.ravel()
    strides = np.array([int(np.prod(padded.shape[axis + 1 :])) for axis in range(padded.ndim)])
    points = np.argwhere(border)
    index = (points + reach) @ strides
    ids = flat[index]
    middles, first, second = [], [], []
    for shift in itertools.product(range(-reach, reach + 1), repeat=compact.ndim):
        # Half of the shifts will do: the others are the same pairs the other way round.
        if shift <= (0,) * compact.ndim or sum(s * s for s in shift) >= (gap + 2) ** 2:
            continue
        other = flat[index + int(np.dot(shift, strides))]
        hit = np.flatnonzero((other > 0) & (other != ids))
        if hit.size:
            middles.append(2 * points[hit] + np.array(shift))
            first.append(np.minimum(ids[hit], other[hit]))
            second.append(np.maximum(ids[hit], other[hit]))
    if not middles:
        return np.zeros((0, compact.ndim), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(middles), np.concatenate(first).astype(np.int64), np.concatenate(second).astype(np.int64)


def touching_pairs(instances: np.ndarray, gap: int = DEFAULT_GAP) -> np.ndarray:
    """Pairs of objects that touch, or have at most ``gap`` pixels between them.

    Two objects are a pair when the centres of their nearest pixels are less than ``gap + 2`` pixels apart (Euclidean):
    with ``gap=0`` those that share a face, an edge or a corner.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: pixels, 0 or more.

    Returns:
        (N, 2) int64 ids, the smaller first, sorted, each pair once.

    Example:
        >>> touching_pairs(np.array([[1, 1, 0, 2, 3]]), gap=1).tolist()
        [[1, 2], [2, 3]]
    """
    compact, table = _compact(_checked(instances))
    _, first, second = _close_pixels(compact, gap)
    keys = np.unique(first * table.size + second)
    return np.stack([table[keys // table.size], table[keys % table.size]], axis=1).astype(np.int64)


def _stamps(middles: np.ndarray, shape: tuple[int, ...], thickness: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels within half a thickness of a middle: (row of the middle, flat pixel index, squared distance x 4)."""
    # A middle that falls between two pixels goes to the lower one: the line is then exactly `thickness` wide there.
    base = middles // 2
    reach = thickness // 2
    low = -((thickness - 1) // 2)
    rows, pixels, distances = [], [], []
    for shift in itertools.product(range(low, reach + 1), repeat=base.shape[1]):
        centred = np.array(shift) - (0.5 if thickness % 2 == 0 else 0.0)
        if float(centred @ centred) > max(thickness / 2, 0.75) ** 2:
            continue
        target = base + np.array(shift)
        inside = np.flatnonzero(((target >= 0) & (target < np.array(shape))).all(axis=1))
        rows.append(inside)
        pixels.append(np.ravel_multi_index(tuple(target[inside].T), shape))
        offset = 2 * target[inside] - middles[inside]
        distances.append((offset * offset).sum(axis=1))
    return np.concatenate(rows), np.concatenate(pixels), np.concatenate(distances)


def interface_labels(
    instances: np.ndarray, gap: int = DEFAULT_GAP, thickness: int = DEFAULT_THICKNESS
) -> tuple[np.ndarray, np.ndarray]:
    """Scribbles on the interfaces of touching objects, numbered by pair.

    The scribble of a pair runs where the border pixels of the two come close (see :func:`touching_pairs`): along the
    line of contact, or in the middle of the gap. It keeps out of the inner half of any object, so that small objects
    are not swallowed; where nothing else is left, one pixel stands for the pair.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: objects with at most this many pixels between them count as touching.
        thickness: of the scribble, in pixels, 1 or more.

    Returns:
        int32 map of the same shape, 0 = no interface, k = interface of the pair in row k-1; and those pairs, (N, 2)
        int64 ids, the smaller first, sorted. Where many objects of a few pixels crowd there may be fewer pixels than
        pairs; a pair without a pixel is left out.

    Raises:
        ValueError: for a negative gap, a thickness below 1, or instances that are no ids.
    """
    if thickness < 1 or int(thickness) != thickness:
        raise ValueError(f"thickness {thickness} must be a whole number of pixels, 1 or more.")
    compact, table = _compact(_checked(instances))
    labels = np.zeros(compact.shape, np.int32)
    middles, first, second = _close_pixels(compact, gap)
    if not len(middles):
        return labels, np.zeros((0, 2), np.int64)
    keys, pair = np.unique(first * table.size + second, return_inverse=True)
    # Many pixels share a middle: one of each is enough.
    doubled = tuple(2 * n for n in compact.shape)
    _, once = np.unique(np.ravel_multi_index(tuple(middles.T), doubled) + pair * int(np.prod(doubled)), return_index=True)
    middles, pair = middles[once], pair[once]

    rows, pixels, distances = _stamps(middles, compact.shape, int(thickness))
    owners = pair[rows]
    under = compact.ravel()[pixels]
    depth = ndimage.distance_transform_edt((compact > 0) & ~_border(compact)).ravel() + 1
    deepest = np.asarray(ndimage.maximum(depth, compact.ravel(), np.arange(table.size)))
    free = (under == 0) | (under == keys[owners] // table.size) | (under == keys[owners] % table.size)
    free &= (under == 0) | (depth[pixels] <= 0.5 * deepest[under])

    order = np.lexsort((owners, distances, pixels))
    flat = labels.ravel()
    chosen = order[free[order]]
    lead = np.ones(chosen.size, bool)
    lead[1:] = pixels[chosen][1:] != pixels[chosen][:-1]
    flat[pixels[chosen][lead]] = owners[chosen][lead] + 1

    sizes = np.bincount(flat, minlength=keys.size + 1)
    missing = np.flatnonzero(sizes[1:] == 0) + 1
    for label in missing:
        # Nothing was left for this pair: it gets the pixel nearest to the contact that another pair can spare.
        _, near, distance = _stamps(middles[pair == label - 1], compact.shape, max(int(thickness), 5))
        for pixel in near[np.lexsort((near, distance))]:
            if flat[pixel] == 0 or sizes[flat[pixel]] > 1:
                sizes[flat[pixel]] -= 1
                sizes[label] += 1
                flat[pixel] = label
                break
    kept = sizes[1:] > 0
    renumber = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
    keys = keys[kept]
    pairs = np.stack([table[keys // table.size], table[keys % table.size]], axis=1).astype(np.int64)
    return renumber[flat].reshape(compact.shape), pairs


def interfaces(instances: np.ndarray, gap: int = DEFAULT_GAP, thickness: int = DEFAULT_THICKNESS) -> np.ndarray:
    """Scribbles where two objects touch or nearly touch: the separation label of Ke et al. 2020, Sec. 3.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: objects with at most this many pixels between them count as touching.
        thickness: of the scribble, in pixels.

    Returns:
        uint8 map of the same shape: 1 on a scribble, 0 elsewhere.
    """
    labels, _ = interface_labels(instances, gap, thickness)
    return (labels > 0).astype(np.uint8)
