"""Interfaces between touching objects: pairs, and the scribbles a person would draw along them.

They make the separation labels of Ke et al. 2020, Sec. 3. Maps of 100 million pixels are worked on band by band.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.choices import DEFAULT_GAP, DEFAULT_THICKNESS, MISSED
from lazylabels_monai.labels.objects import (
    bands,
    border_pixels,
    checked_instances,
    compact_instances,
    count_values,
    uniforms,
)
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE

__all__ = [
    "DEFAULT_GAP",
    "DEFAULT_THICKNESS",
    "MISSED",
    "MISSED_MARGIN",
    "Scribbles",
    "check_scribbles",
    "interface_labels",
    "interfaces",
    "interfaces_where_known",
    "scribbles",
    "touching_pairs",
]

#: Pixels around the scribble that was not drawn which stay unlabelled with it.
MISSED_MARGIN = 2


def _whole(name: str, value: int, least: int) -> int:
    if value < least or int(value) != value:
        raise LazyLabelsError(f"{name} {value} must be a whole number of pixels, {least} or more.")
    return int(value)


def check_scribbles(gap: int, thickness: int, wobble: float = 0.0, share: float = 1.0, missed: str = "ignore") -> None:
    """Refuse what :func:`scribbles` cannot draw.

    Raises:
        LazyLabelsError: naming the argument and its range.
    """
    _whole("gap", gap, 0)
    _whole("thickness", thickness, 1)
    if not 0 <= wobble < np.inf:
        raise LazyLabelsError(f"wobble {wobble} must be a number of pixels, 0 or more.")
    if not 0 <= share <= 1:
        raise LazyLabelsError(f"interface share {share} must lie between 0 and 1.")
    if missed not in MISSED:
        raise LazyLabelsError(f"missed '{missed}' must be one of {', '.join(MISSED)}.")


def _close_pixels(compact: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Border pixels of different objects that are near enough to each other.

    The nearest pixels of two objects are border pixels: from any other a step towards the other object stays inside
    and comes closer. Hence only border pixels are compared, for every shift shorter than ``gap + 2``.

    Returns:
        Sums of the two pixels' coordinates (twice their middle), (N, ndim); the smaller id and the larger id, (N,).
    """
    reach = gap + 1
    # Half of the shifts will do: the others are the same pairs the other way round.
    shifts = [
        shift
        for shift in itertools.product(range(-reach, reach + 1), repeat=compact.ndim)
        if shift > (0,) * compact.ndim and sum(s * s for s in shift) < (gap + 2) ** 2
    ]
    middles = [np.zeros((0, compact.ndim), np.int64)]
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start, stop in bands(compact.shape):
        # No shift leads upwards; a row more on either side tells which pixels are border.
        top = max(start - 1, 0)
        part = compact[top : stop + reach + 1]
        border = border_pixels(part)
        padded = np.pad(np.where(border, part, 0), reach)
        flat = padded.ravel()
        strides = np.array([int(np.prod(padded.shape[axis + 1 :])) for axis in range(padded.ndim)])
        points = np.argwhere(border[start - top : stop - top]) + np.array([start - top] + [0] * (compact.ndim - 1))
        index = (points + reach) @ strides
        ids = flat[index]
        points[:, 0] += top
        for shift in shifts:
            other = flat[index + int(np.dot(shift, strides))]
            hit = np.flatnonzero((other > 0) & (other != ids))
            if hit.size:
                middles.append(2 * points[hit] + np.array(shift))
                first.append(np.minimum(ids[hit], other[hit]).astype(np.int64))
                second.append(np.maximum(ids[hit], other[hit]).astype(np.int64))
    return np.concatenate(middles), np.concatenate(first), np.concatenate(second)


def touching_pairs(instances: np.ndarray, gap: int = DEFAULT_GAP) -> np.ndarray:
    """Pairs of objects that touch, or have at most ``gap`` pixels between them.

    Two objects are a pair when the centres of their nearest pixels are less than ``gap + 2`` pixels apart (Euclidean):
    with ``gap=0`` those that share a face, an edge or a corner.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: pixels, 0 or more.

    Returns:
        (N, 2) int64 ids, the smaller first, sorted, each pair once.

    Raises:
        LazyLabelsError: for a negative gap, and for instances that are no ids.

    Example:
        >>> touching_pairs(np.array([[1, 1, 0, 2, 3]]), gap=1).tolist()
        [[1, 2], [2, 3]]
    """
    compact, table = compact_instances(checked_instances(instances))
    _, first, second = _close_pixels(compact, _whole("gap", gap, 0))
    return _ids(np.unique(first * table.size + second), table)


def _ids(keys: np.ndarray, table: np.ndarray) -> np.ndarray:
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


def _outer_halves(compact: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Pixels of the objects ``ids`` that are no deeper than half of the object's depth; bool map of the same shape."""
    out = np.zeros(compact.shape, bool)
    boxes = ndimage.find_objects(compact)
    for index in ids:
        box = boxes[index - 1]
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        part = compact[grown]
        inner = (part == index) & ~border_pixels(part)
        if inner.any():
            depth = ndimage.distance_transform_edt(inner)
            out[grown] |= (part == index) & (depth + 1 <= 0.5 * (depth.max() + 1))
    return out


def _wobbled(middles: np.ndarray, pair: np.ndarray, ids: np.ndarray, wobble: float, seed: int) -> np.ndarray:
    """Shift the points of each interface across its direction, smoothly along it, by up to ``wobble`` pixels.

    The shift depends on the place along the interface alone, so that a shifted line has no holes; its slope stays below
    about a half.

    Args:
        middles: (N, ndim) doubled coordinates.
        pair: (N,) row of ``ids`` they belong to, sorted.
        ids: (P, 2) ids of the pairs.
        wobble: pixels.
        seed: of the shifts.
    """
    ndim = middles.shape[1]
    waves = 3
    draws = uniforms(seed, ids, waves * (ndim + 1))
    out = middles.copy()
    for index, (start, stop) in enumerate(_runs(pair, len(ids))):
        points = middles[start:stop] / 2
        if len(points) < 3:
            continue
        centred = points - points.mean(axis=0)
        # The direction in which the interface spreads least is across it.
        axes = np.linalg.eigh(centred.T @ centred)[1].T
        along = centred @ axes[1:].T
        shift = np.zeros(len(points))
        for own in draws[index].reshape(waves, ndim + 1):
            length = max(12 * wobble, 16.0) * (1 + 2 * own[0])
            direction = np.ones(1) if ndim == 2 else np.array([np.sin(own[2] * 2 * np.pi), np.cos(own[2] * 2 * np.pi)])
            shift += np.sin(2 * np.pi * (along @ direction / length + own[1])) / waves
        # The mean of three waves seldom exceeds two thirds.
        shift = np.clip(1.5 * shift, -1, 1) * wobble
        out[start:stop] = np.round(2 * (points + shift[:, None] * axes[0]))
    return out


def _runs(pair: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Start and stop of each of the values 0 .. ``count`` - 1 in a sorted array."""
    edges = np.searchsorted(pair, np.arange(count + 1))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def interface_labels(
    instances: np.ndarray,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
    wobble: float = 0.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Scribbles on the interfaces of touching objects, numbered by pair.

    The scribble of a pair runs where the border pixels of the two come close (see :func:`touching_pairs`): along the
    line of contact, or in the middle of the gap. It keeps out of the inner half of any object, so that small objects
    are not swallowed, and out of every object but the two. Where nothing else is left, one pixel of the two, or
    between them, stands for the pair.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: objects with at most this many pixels between them count as touching.
        thickness: of the scribble, in pixels, 1 or more.
        wobble: pixels, 0 or more, by which the scribble strays from the interface to either side, smoothly along it.
        seed: of the wobble, which depends on the pair's ids besides and on no other object.

    Returns:
        int32 map of the same shape, 0 = no interface, k = interface of the pair in row k-1; and those pairs, (N, 2)
        int64 ids, the smaller first, sorted. Where many objects of a few pixels crowd there may be fewer pixels than
        pairs; a pair without a pixel is left out.

    Raises:
        LazyLabelsError: for a negative gap or wobble, a thickness below 1, or instances that are no ids.
    """
    check_scribbles(gap, thickness, wobble)
    thickness = int(thickness)
    compact, table = compact_instances(checked_instances(instances))
    labels = np.zeros(compact.shape, np.int32)
    middles, first, second = _close_pixels(compact, int(gap))
    if not len(middles):
        return labels, np.zeros((0, 2), np.int64)
    keys, pair = np.unique(first * table.size + second, return_inverse=True)
    # Many pixels share a middle: one of each is enough.
    doubled = tuple(2 * n for n in compact.shape)
    _, once = np.unique(np.ravel_multi_index(tuple(middles.T), doubled) + pair * int(np.prod(doubled)), return_index=True)
    middles, pair = middles[once], pair[once]
    course = _wobbled(middles, pair, _ids(keys, table), wobble, seed) if wobble else middles

    partners = np.stack([keys // table.size, keys % table.size], axis=1)
    outer = _outer_halves(compact, np.unique(partners))
    _draw(labels, compact, outer, course, pair, partners, thickness)
    sizes = count_values(labels, keys.size + 1)
    _spare_pixels(labels, sizes, compact, outer, middles, pair, partners, thickness)
    kept = sizes[1:] > 0
    if not kept.all():
        labels = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)[labels]
    return labels, _ids(keys[kept], table)


def _draw(
    labels: np.ndarray,
    compact: np.ndarray,
    outer: np.ndarray,
    course: np.ndarray,
    pair: np.ndarray,
    partners: np.ndarray,
    thickness: int,
) -> None:
    """Draw the courses into ``labels``; a pixel that several reach goes to the nearest."""
    by_row = np.argsort(course[:, 0], kind="stable")
    rows = course[by_row, 0] // 2
    under, free_half, flat = compact.ravel(), outer.ravel(), labels.ravel()
    row = int(np.prod(compact.shape[1:]))
    for start, stop in bands(compact.shape):
        span = np.searchsorted(rows, [start - thickness, stop + thickness])
        own = np.sort(by_row[span[0] : span[1]])
        at, pixels, distances = _stamps(course[own], compact.shape, thickness)
        owners = pair[own][at]
        beneath = under[pixels]
        free = (beneath == 0) | ((beneath == partners[owners, 0]) | (beneath == partners[owners, 1])) & free_half[pixels]
        free &= (pixels >= start * row) & (pixels < stop * row)
        owners, pixels, distances = owners[free], pixels[free], distances[free]
        order = np.lexsort((owners, distances, pixels))
        lead = np.ones(order.size, bool)
        lead[1:] = pixels[order][1:] != pixels[order][:-1]
        flat[pixels[order][lead]] = owners[order][lead] + 1


def _spare_pixels(
    labels: np.ndarray,
    sizes: np.ndarray,
    compact: np.ndarray,
    outer: np.ndarray,
    middles: np.ndarray,
    pair: np.ndarray,
    partners: np.ndarray,
    thickness: int,
) -> None:
    """Give a pair without a pixel the one nearest to its contact that another pair can spare; ``sizes`` are kept up."""
    under, free_half, flat = compact.ravel(), outer.ravel(), labels.ravel()
    runs = _runs(pair, len(partners))
    for label in np.flatnonzero(sizes[1:] == 0) + 1:
        start, stop = runs[label - 1]
        _, near, distance = _stamps(middles[start:stop], compact.shape, max(thickness, 5))
        beneath = under[near]
        near, distance = (a[(beneath == 0) | np.isin(beneath, partners[label - 1])] for a in (near, distance))
        deep = (under[near] > 0) & ~free_half[near]
        for pixel in near[np.lexsort((near, distance, deep))]:
            if flat[pixel] == 0 or sizes[flat[pixel]] > 1:
                sizes[flat[pixel]] -= 1
                sizes[label] += 1
                flat[pixel] = label
                break


def interfaces(instances: np.ndarray, gap: int = DEFAULT_GAP, thickness: int = DEFAULT_THICKNESS) -> np.ndarray:
    """Scribbles where two objects touch or nearly touch: the separation label of Ke et al. 2020, Sec. 3.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: objects with at most this many pixels between them count as touching.
        thickness: of the scribble, in pixels.

    Returns:
        uint8 map of the same shape: 1 on a scribble, 0 elsewhere.

    Raises:
        LazyLabelsError: as :func:`interface_labels`.
    """
    return scribbles(instances, gap, thickness).label


def interfaces_where_known(instances: np.ndarray, known: np.ndarray, gap: int = DEFAULT_GAP) -> np.ndarray:
    """The separation label of an image of which some objects are known exactly, and the rest is not.

    Args:
        instances: (H, W) or (D, H, W) ids of the known objects, 0 elsewhere.
        known: bool of the same shape: pixels of which it is known what they are.
        gap: objects with at most this many pixels between them count as touching.

    Returns:
        uint8 map of the same shape: 1 on a scribble, 0 elsewhere where it is known that there is none, 255 where it is not:
        beside an unmarked pixel another object may begin, and its interface.
    """
    lines, _ = interface_labels(instances, gap)
    if not known.all():
        known = ndimage.distance_transform_edt(known) > DEFAULT_THICKNESS // 2
    label = np.where(known, BACKGROUND, IGNORE).astype(np.uint8)
    label[lines > 0] = INTERFACE
    return label


@dataclass(frozen=True)
class Scribbles:
    """A separation label and what it shows.

    Args:
        label: uint8 map: 1 on a scribble, 255 where nothing is said, 0 elsewhere.
        pairs: (N, 2) int64 ids of the pairs of touching objects.
        drawn: (N,) bool, whether the pair has a scribble.
    """

    label: np.ndarray
    pairs: np.ndarray
    drawn: np.ndarray


def scribbles(
    instances: np.ndarray,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
    wobble: float = 0.0,
    share: float = 1.0,
    missed: str = "ignore",
    rng: np.random.Generator | int | None = None,
    marks: np.ndarray | None = None,
) -> Scribbles:
    """The separation label of someone who scribbles along a share of the interfaces.

    Outside of scribbles a separation label says "no interface". That would be wrong where a scribble is missing, so
    ``missed="ignore"`` leaves the scribble that was not drawn, and :data:`MISSED_MARGIN` pixels around it, unlabelled:
    the label of someone who does part of the work and marks the rest as not done. ``missed="other"`` is the label of
    someone who overlooks interfaces: label noise.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        gap: objects with at most this many pixels between them count as touching.
        thickness: of a scribble, in pixels.
        wobble: pixels by which a scribble strays; see :func:`interface_labels`.
        share: of the image's interfaces that get a scribble, in [0, 1], rounded, but at least one if above 0. A larger
            share holds the interfaces of a smaller one.
        missed: one of :data:`MISSED`.
        rng: generator or seed of the choice and the wobble; None is seed 0.
        marks: inner regions of the same image, which scribbles leave alone unless nothing else would be left of them:
            nobody draws a line through a mark that says "one object".

    Raises:
        LazyLabelsError: for values out of range, and for instances that are no ids.
    """
    check_scribbles(gap, thickness, wobble, share, missed)
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(0 if rng is None else rng)
    seeds = rng.integers(2**63, size=2)
    numbered, pairs = interface_labels(instances, gap, thickness, wobble, int(seeds[0]))
    if marks is not None:
        left = count_values(np.where(marks > 0, 0, numbered), len(pairs) + 1)
        numbered[(marks > 0) & (left > 0)[numbered]] = 0
    drawn = np.ones(len(pairs), bool)
    if share < 1 and len(pairs):
        count = max(1, int(share * len(pairs) + 0.5)) if share > 0 else 0
        order = np.argsort(uniforms(int(seeds[1]), pairs, 1)[:, 0], kind="stable")
        drawn[order[count:]] = False
    table = np.where(np.concatenate([[False], drawn]), INTERFACE, BACKGROUND).astype(np.uint8)
    label = table[numbered]
    if missed == "ignore" and not drawn.all():
        points = np.argwhere(np.concatenate([[False], ~drawn])[numbered])
        for shift in itertools.product(range(-MISSED_MARGIN, MISSED_MARGIN + 1), repeat=label.ndim):
            if sum(s * s for s in shift) <= MISSED_MARGIN**2:
                near = tuple(np.clip(points + np.array(shift), 0, np.array(label.shape) - 1).T)
                label[near] = np.where(label[near] == INTERFACE, INTERFACE, IGNORE)
    return Scribbles(label, pairs, drawn)
