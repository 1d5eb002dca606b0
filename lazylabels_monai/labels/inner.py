"""Inner regions: what a person would have drawn inside each object in a fraction of the time an exact mask takes.

They are the detection labels of Ke et al. 2020, Sec. 3: a rough region inside each object that misses its border. Each
object is worked on in its own bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.choices import DEFAULT_JITTER, STYLES
from lazylabels_monai.labels.objects import (
    checked_instances,
    class_table,
    compact_instances,
    count_values,
    distinct_values,
    uniforms,
)
from lazylabels_monai.tasks import IGNORE

__all__ = [
    "DEFAULT_JITTER",
    "STYLES",
    "check_inner_regions",
    "default_keep",
    "default_share",
    "dice_of_inner_regions",
    "inner_regions",
    "shares_kept",
]

#: Outlines drawn by hand often stop this many pixels before the image's border, which the object reaches all the same.
_SLACK = 2

#: A stroke's course is found on a grid on which the object has at most this many pixels along its longer side.
_COURSE_SIZE = 28


def default_share(ndim: int) -> float:
    """Cut-off of an eroded inner region as a share of the object's depth, for images of ``ndim`` dimensions.

    The inner regions, taken for masks, then have a Dice of about 0.72 against the truth, which Ke et al. 2020, Table 1,
    report for a U-Net trained on weak labels. In a volume the same cut-off would take more away.
    """
    return 0.27 if ndim == 2 else 0.18


def default_keep(style: str) -> float | None:
    """Share of an object's area that a style keeps unless told otherwise; None: set by :func:`default_share`.

    A region inside its object that keeps 0.5625 of the area has a Dice of 2 * 0.5625 / 1.5625 = 0.72 against it, as the
    paper's weak labels. A quick stroke covers less.
    """
    return {"erode": None, "blob": 0.5625, "stroke": 0.2}[style]


@dataclass(frozen=True)
class _Object:
    """One object in its bounding box, which is grown by a few pixels save at the image's border."""

    mask: np.ndarray  # bool
    inside: np.ndarray  # bool: the mask without its border, or the mask where it is all border
    depth: np.ndarray  # distance to the nearest pixel that is not the object's; the image's border does not count

    @property
    def deepest(self) -> float:
        return float(self.depth[self.mask].max())


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


def _object(mask: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> _Object:
    whole = _run_on(mask, box, shape)
    inside = ndimage.binary_erosion(mask, border_value=1)
    # An object that fills the image has no border to be far from.
    depth = np.ones(mask.shape) if whole.all() else ndimage.distance_transform_edt(whole)
    return _Object(mask, inside if inside.any() else mask, depth)


def inner_regions(
    instances: np.ndarray,
    classes: np.ndarray | None = None,
    share: float | None = None,
    jitter: float = DEFAULT_JITTER,
    rng: np.random.Generator | int | None = None,
    style: str = "erode",
    keep: float | None = None,
) -> np.ndarray:
    """A rough region inside each object that misses its border: the detection label of Ke et al. 2020, Sec. 3.

    ============  ====================================================================================================
    style         an object keeps
    ============  ====================================================================================================
    ``"erode"``   the pixels that lie deeper than a cut-off, which differs from object to object and from one side of
                  the object to the other
    ``"blob"``    one lump around a point somewhere inside, with a wavy outline
    ``"stroke"``  a brush stroke along the object's medial axis, or across a compact object at a random angle; images
                  of two dimensions only
    ============  ====================================================================================================

    A region lies inside its object and misses the object's border pixels (those with a face neighbour that is not the
    object's), unless the object has no others. The image's border is no border of an object: what it cuts is not eroded
    from there, even if its outline was drawn to within two pixels of it only.

    Args:
        instances: (H, W) or (D, H, W) ids, 0 = no object.
        classes: class map of the same shape; None gives every object class 1. An object's class is that of most of
            its pixels.
        share: of ``"erode"``: mean cut-off as a share of the object's depth (the largest distance to a pixel that is
            not the object's), in [0, 1); default :func:`default_share`. 0 takes only the outermost pixels away.
        jitter: relative spread, in [0, 1], of cut-off and area from object to object, and how wavy a blob is: 0 draws
            every region alike.
        rng: generator or seed; None is seed 0.
        style: one of :data:`STYLES`.
        keep: share of an object's area that its region keeps on average, in (0, 1]; instead of ``share``. Small objects
            are mostly border and may keep less. Default :func:`default_keep`.

    Returns:
        uint8 map of the same shape: the class inside a region, 0 elsewhere. Every object keeps at least one pixel. With
        ``keep``, and in the styles other than ``"erode"``, a region depends on its own object, id and seed alone.

    Raises:
        LazyLabelsError: for shapes that differ, a style that does not exist or cannot draw volumes, and for ``share``,
            ``keep`` or ``jitter`` out of range.
    """
    ndim = np.ndim(instances)
    check_inner_regions(share, jitter, style, keep)
    if style == "stroke" and ndim == 3:
        raise LazyLabelsError("style 'stroke' draws in two dimensions only: use 'erode' or 'blob' for volumes.")
    share = default_share(ndim) if share is None else share
    keep = default_keep(style) if keep is None else keep
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(0 if rng is None else rng)
    compact, table = compact_instances(checked_instances(instances))
    values = class_table(compact, table, classes)
    out = np.zeros(compact.shape, np.uint8)
    count = table.size - 1
    if keep is None:
        # One draw for all objects: an object's region does not depend on the size of those before it.
        cuts = share * (1 + jitter * rng.uniform(-1, 1, count))
        tilts = rng.normal(size=(count, ndim))
        tilts *= jitter / np.maximum(np.linalg.norm(tilts, axis=1, keepdims=True), 1e-9)
    else:
        draws = uniforms(int(rng.integers(2**63)), table[1:], 24)
        targets = np.clip(keep * (1 + jitter * (draws[:, 0] - 0.5)), 0, 1)
    for index, box in enumerate(ndimage.find_objects(compact)):
        # The crop is larger than the object save at the image's border, where nothing erodes it.
        box = _grown(box, compact.shape, _SLACK + 1)
        mask = compact[box] == index + 1
        item = _object(mask, box, compact.shape)
        if keep is None:
            region = _eroded(item, cuts[index], tilts[index])
        else:
            score = {"erode": _erode_score, "blob": _blob_score, "stroke": _stroke_score}[style](item, draws[index, 1:], jitter)
            region = _best(item, score, targets[index], whole=style == "erode")
        out[box][region] = values[index + 1]
    return out


def check_inner_regions(share: float | None, jitter: float, style: str, keep: float | None) -> None:
    """Refuse what :func:`inner_regions` cannot draw.

    Raises:
        LazyLabelsError: naming the argument and its range.
    """
    if style not in STYLES:
        raise LazyLabelsError(f"style '{style}' must be one of {', '.join(STYLES)}.")
    if share is not None and (keep is not None or style != "erode"):
        raise LazyLabelsError(
            f"share {share} is the cut-off of style 'erode' without keep: give either share, or style and keep."
        )
    if share is not None and not 0 <= share < 1:
        raise LazyLabelsError(f"share {share} must be at least 0 and below 1.")
    if keep is not None and not 0 < keep <= 1:
        raise LazyLabelsError(f"keep {keep} must be above 0 and at most 1.")
    if not 0 <= jitter <= 1:
        raise LazyLabelsError(f"jitter {jitter} must lie between 0 and 1.")


def _axes(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Coordinates from -1 to 1 along each side of a box, as open arrays."""
    return np.ogrid[tuple(slice(-1, 1, 1j * n) if n > 1 else slice(0, 1) for n in shape)]


def _tilted(shape: tuple[int, ...], tilt: np.ndarray) -> np.ndarray:
    return sum(float(t) * g for t, g in zip(tilt, _axes(shape), strict=True))


def _eroded(item: _Object, cut: float, tilt: np.ndarray) -> np.ndarray:
    """Pixels deeper than a cut-off, given as a share of the depth, that tilts from one side to the other."""
    level = cut * (1 + _tilted(item.mask.shape, tilt)) * (item.deepest - 0.5) + 0.5
    region = item.inside & (item.depth > level)
    if not region.any() or item.inside is item.mask:
        region = item.inside & (item.depth >= item.depth[item.inside].max())
    return region


def _direction(draws: np.ndarray) -> np.ndarray:
    """A unit vector from one uniform number in two dimensions, or from two in three."""
    angle = 2 * np.pi * draws[0]
    if len(draws) == 1:
        return np.array([np.sin(angle), np.cos(angle)])
    height = 2 * draws[1] - 1
    return np.array([height, *(np.sqrt(1 - height**2) * np.array([np.sin(angle), np.cos(angle)]))])


def _erode_score(item: _Object, draws: np.ndarray, jitter: float) -> np.ndarray:
    ndim = item.mask.ndim
    return item.depth / (1 + _tilted(item.mask.shape, jitter * _direction(draws[: ndim - 1])))


def _waves(axes: list[np.ndarray], draws: np.ndarray, scale: float) -> np.ndarray:
    """A smooth random field of about -1 to 1: plane waves of about ``scale`` periods along the box."""
    ndim = len(axes)
    total = np.zeros((1,) * ndim)
    for own in draws.reshape(-1, ndim):
        wave = scale * np.pi * (0.7 + 0.6 * own[0]) * _direction(own[1:])
        total = total + np.cos(sum(w * a for w, a in zip(wave, axes, strict=True)) + 2 * np.pi * own[0] * 7)
    return total / (draws.size // ndim)


def _blob_score(item: _Object, draws: np.ndarray, jitter: float) -> np.ndarray:
    """Deep, near a point that lies off the centre, and wavy."""
    ndim = item.mask.ndim
    axes = _axes(item.mask.shape)
    deep = item.depth / item.deepest
    # The hand starts at a random pixel of the object's deeper half, sooner at the deepest.
    start = np.argwhere(item.inside & (deep >= min(0.6, deep[item.inside].max())))
    start = start[np.argsort(-deep[tuple(start.T)], kind="stable")][int(draws[0] ** 2 * len(start))]
    centre = [a.ravel()[s] for a, s in zip(axes, start, strict=True)]
    away = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) / ndim
    waves = _waves(axes, draws[1 : 1 + 4 * ndim], 2.0)
    # It keeps away from the border and cares little how deep the middle is.
    return 4 * np.minimum(deep, 0.15) + np.minimum(deep, 0.7) - 0.35 * away + 0.6 * jitter * waves


def _longest_course(item: _Object) -> np.ndarray:
    """Course along the medial axis of a two-dimensional object, from end to end: (N, 2) float pixel coordinates."""
    from skimage.graph import MCP_Geometric  # half a second

    step = max(1, -(-max(item.mask.shape) // _COURSE_SIZE))
    depth = np.pad(np.where(item.inside, item.depth, 0)[step // 2 :: step, step // 2 :: step], 1)
    if not depth.any():  # nothing of a thin object meets the grid
        return np.zeros((0, 2))
    free = depth > 0
    # Where the middle is cheap the way from end to end runs along the medial axis.
    cost = np.where(free, (depth.max() / np.maximum(depth, 1e-9)) ** 2, -1)
    first = np.unravel_index(depth.argmax(), depth.shape)
    for _ in range(2):
        reach, _ = MCP_Geometric(np.where(free, 1.0, -1.0)).find_costs([first])
        last, first = first, np.unravel_index(np.where(np.isfinite(reach), reach, -1).argmax(), depth.shape)
    ways = MCP_Geometric(cost)
    ways.find_costs([first], [last])
    return (np.array(ways.traceback(last), float) - 1) * step + step // 2


def _chord(item: _Object, angle: float, shift: float, bend: float) -> np.ndarray:
    """A slightly bent course past the deepest part at an angle, through the whole object: (N, 2) float pixel coordinates."""
    middle = np.array(np.unravel_index(np.where(item.inside, item.depth, -1).argmax(), item.mask.shape), float)
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([along[1], -along[0]])
    reach = float(max(item.mask.shape))
    steps = np.arange(-reach, reach + 1)[:, None]
    offset = 0.3 * item.deepest * shift + bend * steps**2 / (4 * item.deepest)
    course = middle + steps * along + offset * across
    return course[((course > -0.5) & (course < np.array(item.mask.shape) - 0.5)).all(axis=1)]


def _well_inside(item: _Object, course: np.ndarray) -> np.ndarray:
    """The stretch of a course around its deepest point that keeps away from the object's border; else a point."""
    pixels = tuple(np.clip(np.round(course).astype(int), 0, np.array(item.mask.shape) - 1).T)
    depth = np.where(item.inside[pixels], item.depth[pixels], 0)
    if not depth.any():  # it missed the object
        return np.argwhere(item.inside & (item.depth >= item.depth[item.inside].max()))[:1].astype(float)
    outside = np.flatnonzero(depth < min(0.4 * item.deepest, depth.max()))
    deepest = depth.argmax()
    start, stop = outside[outside < deepest], outside[outside > deepest]
    return course[(start[-1] + 1 if start.size else 0) : (stop[0] if stop.size else len(course))]


def _stroke_score(item: _Object, draws: np.ndarray, jitter: float) -> np.ndarray:
    """Nearness to the course of a brush, whose pressure varies a little."""
    compact = np.count_nonzero(item.mask) < 2.2 * np.pi * item.deepest**2
    if compact and draws[0] < 0.8:  # any direction will do
        course = _chord(item, np.pi * draws[1], 2 * draws[2] - 1, 2 * draws[13] - 1)
    else:
        course = _longest_course(item)
    # A hand draws smoothly and stops before the ends.
    if len(course):
        course = ndimage.uniform_filter1d(course, max(1, len(course) // 8), axis=0, mode="nearest")
    course = _well_inside(item, course)
    n = len(course)
    if n > 4:
        head, tail = (int(0.15 * n * d) for d in draws[3:5])
        course = course[head : n - tail]
    count = int(np.ceil(np.linalg.norm(np.diff(course, axis=0), axis=1).max(initial=0))) + 1
    dense = np.linspace(course[:-1], course[1:], count).reshape(-1, 2) if len(course) > 1 else course
    away = np.ones(item.mask.shape, bool)
    away[tuple(np.clip(np.round(dense).astype(int), 0, np.array(item.mask.shape) - 1).T)] = False
    distance = ndimage.distance_transform_edt(away)
    return -distance * (1 + 0.5 * jitter * _waves(_axes(item.mask.shape), draws[5:13], 1.5))


def _best(item: _Object, score: np.ndarray, target: float, whole: bool) -> np.ndarray:
    """The pixels of the highest score that make up ``target`` of the object's area, inside; ``whole``: all of their pieces."""
    values = score[item.inside]
    count = min(max(1, round(target * np.count_nonzero(item.mask))), values.size)
    region = np.zeros(item.mask.shape, bool)
    chosen = np.zeros(values.size, bool)
    order = np.argsort(-values, kind="stable")
    chosen[order[:count]] = True
    region[item.inside] = chosen
    if not whole:
        labels, pieces = ndimage.label(region, np.ones((3,) * region.ndim))
        if pieces > 1:
            region = labels == labels[item.inside][order[0]]
    return region


def dice_of_inner_regions(detection: np.ndarray, classes: np.ndarray) -> float:
    """Dice of inner regions taken for masks, mean over the object classes present: ``2 sum(x y) / (sum x + sum y)``.

    Args:
        detection: map of :func:`inner_regions`.
        classes: true class map of the same shape.

    Returns:
        A value in [0, 1]; NaN without any object.
    """
    scores = []
    for value in distinct_values(classes):
        if value not in (0, IGNORE):
            a, b = detection == value, classes == value
            scores.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    return float(np.mean(scores)) if scores else float("nan")


def shares_kept(detection: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Share of its area that each object keeps in its inner region.

    Args:
        detection: map of :func:`inner_regions`.
        instances: (H, W) or (D, H, W) ids, 0 = no object.

    Returns:
        (N,) values in [0, 1], in the order of the ids.
    """
    compact, table = compact_instances(checked_instances(instances))
    kept = count_values(compact[np.asarray(detection) > 0], table.size)[1:]
    return kept / count_values(compact, table.size)[1:]
