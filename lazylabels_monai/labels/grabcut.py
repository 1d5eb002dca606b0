"""From inner regions to proposals of exact masks by GrabCut, window by window.

GrabCut (Rother, Kolmogorov, Blake 2004: "GrabCut": interactive foreground extraction using iterated graph cuts, ACM
Transactions on Graphics 23(3)) learns one colour model of the foreground and one of the background and cuts between
them where the image has an edge. Ke et al. 2020, Sec. 4.1, make exact masks out of inner regions with it.

Each class is cut by itself. Its marks are sure foreground, the marks of other classes and what lies far from every mark
are sure background, the rest is undecided. Marks are gathered into windows of limited size, and each window learns
colours of its own: neither does one model serve a whole image, nor does a large image need much memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, is_marked

__all__ = ["METHODS", "Cluster", "GrabCutSettings", "Proposal", "propose", "to_uint8"]

#: How undecided pixels are decided.
METHODS: tuple[str, ...] = ("hybrid", "grabcut", "distance")

#: A cut that decides less than this share of the undecided pixels either way has found no edge.
_NOTHING = 0.02

#: Below this balanced accuracy on sure pixels the two colour models are hardly better than a guess, 0.5.
_ALIKE = 0.55

#: Objects whose marks are shallower than this, in pixels, are all edge: no colour model tells where they end.
_TINY = 3.0

#: Marks deeper than this many pixels are cut on a coarser grid: the same outline, faster, with noise averaged away.
_WORKING_DEPTH = 16
_COARSEST = 4

#: Standard deviation, in pixels, of the blur against shot noise.
_SMOOTHING = 0.8

#: The votes of the hybrid rule. A log likelihood ratio of the colours counts up to _RATIO_LIMIT, the cut _CUT_WEIGHT, and
#: _RATIO_LIMIT again for each _PRIOR_WIDTH of a mark's depth that a pixel lies off the expected outline. Tried on training
#: images of superalloy, emps and glas: cut weights from 0 to 5, widths 0.2 and 0.35.
_RATIO_LIMIT = 2.0
_CUT_WEIGHT = 0.75
_PRIOR_WIDTH = 0.2

#: Pixels around what is undecided from which a window learns the background's colours.
_CONTEXT = 12


@dataclass(frozen=True)
class GrabCutSettings:
    """What :func:`propose` assumes about the marks, and how it cuts.

    Args:
        method: ``"grabcut"`` takes the cut as it is. ``"distance"`` looks at no colour: an object ends ``missed`` depths
            outside its mark. ``"hybrid"`` lets the cut, the colour models and the distance vote on each undecided pixel,
            and looks at distance alone where marks are shallower than three pixels, as such objects are all edge. However
            sure cut and colours are, they move the outline by at most a quarter of the mark's depth or so.
        iterations: of GrabCut, 1 or more.
        missed: how far an object reaches beyond its mark, in depths of the mark (the largest distance from its inside to
            its border). A mark that misses the share s of its object's depth has s / (1 - s); 0.37 is that of the inner
            regions of :func:`~lazylabels_monai.labels.inner.inner_regions`.
        margin: from this many depths of the nearest mark, and two pixels, on there is only background. This assumes that
            every object of the image is marked. Above ``missed``.
        window: longest side of a window of marks in pixels of the grid it is cut on, 32 or more.

    Raises:
        LazyLabelsError: for a value out of range.
    """

    method: str = "hybrid"
    iterations: int = 5
    missed: float = 0.37
    margin: float = 1.0
    window: int = 384

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        if self.method not in METHODS:
            raise LazyLabelsError(f"method '{self.method}' must be one of {', '.join(METHODS)}.")
        if self.iterations < 1 or int(self.iterations) != self.iterations:
            raise LazyLabelsError(f"iterations {self.iterations} must be a whole number, 1 or more.")
        if not 0 < self.missed < self.margin:
            raise LazyLabelsError(f"missed {self.missed} must be above 0 and below margin {self.margin}.")
        if self.window < 32:
            raise LazyLabelsError(f"window {self.window} must be 32 pixels or more.")


@dataclass(frozen=True)
class Cluster:
    """What happened to the marks of one class in one window.

    Args:
        box: (top, left, bottom, right) of the window in pixels.
        marked: pixels of its marks.
        rule: ``"cut"``, ``"vote"`` or ``"distance"``.
        failure: why the cut was not used, as a clause, or an empty text.
    """

    box: tuple[int, int, int, int]
    marked: int
    rule: str
    failure: str = ""


@dataclass(frozen=True)
class Proposal:
    """A proposed exact mask and how it came about.

    Args:
        classes: (H, W) uint8: 0 background, k class k, 255 where the detection label says 255 and nothing reached.
        status: ``"ok"``; ``"partly"`` where some windows failed and took the distance rule; ``"failed"`` where windows
            with more than half of the marked pixels did, or hardly any background is left.
        reason: why it is not ``"ok"``, as a clause.
        clusters: one entry for each window.
    """

    classes: np.ndarray
    status: str
    reason: str
    clusters: list[Cluster] = field(default_factory=list)


@dataclass(frozen=True)
class _Marks:
    """Inner regions of one class."""

    regions: np.ndarray  # (H, W) int32, 0 = no mark
    depths: np.ndarray  # depth of each region, entry 0 is 0


@dataclass(frozen=True)
class _Plan:
    """One window: the pieces of marks that it decides about, and the box that it looks at."""

    factor: int  # coarseness of the grid it is cut on
    cell: int  # pixels; regions are cut along a fixed grid of this size
    pieces: np.ndarray  # keys of region and grid cell, see _piece
    depth: float  # median of the marks
    box: tuple[int, int, int, int]  # top, left, bottom, right

    @property
    def view(self) -> tuple[slice, slice]:
        return slice(self.box[0], self.box[2]), slice(self.box[1], self.box[3])


@dataclass(frozen=True)
class _Field:
    """Where the pixels of a window lie as seen from the marks of one class."""

    nearest: np.ndarray  # (h, w) region of the nearest mark
    row: np.ndarray  # (h, w) of that mark's pixel in the image
    column: np.ndarray
    distance: np.ndarray  # (h, w) float32, to that mark
    depth: np.ndarray  # (h, w) float32, of that mark
    excess: np.ndarray  # (h, w) float32, distance outside the expected outline; negative inside


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Stretch an image between its 0.5 and 99.5 percentiles to (H, W, 3) uint8, as cv2.grabCut wants it.

    Gray values stand three times. With smoothed copies, the local deviation or the gradient in the further channels GrabCut's
    Dice on the training images of superalloy was lower for the large class (0.945 to 0.980 against 0.983) and no more than
    0.006 higher for the small one.

    Args:
        image: (H, W) or (H, W, C) of any real type; of C = 3 or 4 the first three channels are colours, of other counts
            the first channel is taken.

    Raises:
        LazyLabelsError: for another shape.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or not image.size:
        raise LazyLabelsError(f"image of shape {image.shape} must be (H, W) or (H, W, C).")
    if image.ndim == 2:
        image = image[..., None]
    image = image[..., :3] if image.shape[2] in (3, 4) else image[..., :1]
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / 1e6)))  # percentiles of a million pixels will do
    low, high = (float(v) for v in np.percentile(image[::step, ::step], (0.5, 99.5)))
    out = np.empty((*image.shape[:2], 3), np.uint8)
    rows = max(1, 4_000_000 // image.shape[1])  # in strips: a float copy of a large image would be its largest array
    for top in range(0, image.shape[0], rows):
        strip = (image[top : top + rows].astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        out[top : top + rows] = np.clip(strip, 0, 255).round()
    return out


def propose(
    image: np.ndarray,
    detection: np.ndarray,
    separation: np.ndarray | None = None,
    settings: GrabCutSettings | None = None,
) -> Proposal:
    """Propose an exact mask for an image with inner regions.

    A mark keeps its class. Each other pixel belongs to the class, and to the window, whose mark's expected outline is
    nearest, so that windows may overlap and do not compete. Scribbles on interfaces start as background; the cut may
    decide otherwise. Foreground that hangs together with no mark is dropped.

    A window's cut fails where it decides (nearly) all undecided pixels alike, as the edge it found is then merely the limit
    of what was undecided, and where the colours inside and outside of the marks are alike. Such a window takes the distance
    rule and is reported. The result is deterministic.

    Args:
        image: (H, W) or (H, W, C), any real type.
        detection: (H, W) inner regions: 0 none, k class k, 255 not looked at.
        separation: (H, W) scribbles: 1 interface.
        settings: see :class:`GrabCutSettings`.

    Returns:
        The proposal; check its ``status`` before it is used.

    Raises:
        LazyLabelsError: for shapes that differ, labels that are no whole numbers, or a detection label without any mark.
    """
    settings = settings or GrabCutSettings()
    detection = _checked("detection", detection, np.shape(image)[:2])
    scribbles = None if separation is None else _checked("separation", separation, detection.shape) == INTERFACE
    values = [int(v) for v in np.unique(detection) if v not in (BACKGROUND, IGNORE)]
    if not values:
        raise LazyLabelsError("the detection label holds no mark: leave this image out, or mark its objects.")
    colours = to_uint8(image)
    marks = [_marks(detection, value) for value in values]
    out = np.zeros(detection.shape, np.uint8)
    clusters = []
    for number in range(len(marks)):
        for plan in _windows(marks[number], settings):
            lines = None if scribbles is None else scribbles[plan.view]
            cluster, foreground = _decide(colours[plan.view], lines, marks, number, plan, settings)
            out[plan.view][foreground] = values[number]
            clusters.append(cluster)
    return _finished(out, detection, values, clusters)


def _checked(name: str, label: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    label = np.asarray(label)
    if label.shape != tuple(shape) or label.ndim != 2:
        raise LazyLabelsError(f"{name} of shape {label.shape} must have the image's height and width, {tuple(shape)}.")
    if label.dtype.kind not in "biu" or (label.size and (label.min() < 0 or label.max() > IGNORE)):
        raise LazyLabelsError(f"{name} must hold whole numbers from 0 to {IGNORE}: save it as a class map.")
    return label.astype(np.uint8)


def _marks(detection: np.ndarray, value: int) -> _Marks:
    mask = (detection == value).astype(np.uint8)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    depths = np.zeros(count, np.float32)
    for index in range(1, count):
        x, y, w, h = (int(v) for v in stats[index, :4])
        # one pixel more than the region, save at the image's border, which is no border of an object
        crop = regions[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1] == index
        inside = cv2.distanceTransform(crop.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        depths[index] = min(float(inside.max()), max(crop.shape))
    return _Marks(regions, depths)


def _piece(region: np.ndarray, row: np.ndarray, column: np.ndarray, cell: int, shape: tuple[int, ...]) -> np.ndarray:
    """Key of a region's part in a grid cell."""
    return (region.astype(np.int64) * (shape[0] // cell + 1) + row // cell) * (shape[1] // cell + 1) + column // cell


def _windows(marks: _Marks, settings: GrabCutSettings) -> list[_Plan]:
    shape = marks.regions.shape
    rows, columns = np.nonzero(marks.regions)
    regions = marks.regions[rows, columns]
    coarse = np.clip(marks.depths // _WORKING_DEPTH, 1, _COARSEST).astype(np.int64)
    plans = []
    for factor in np.unique(coarse[1:]):
        mine = coarse[regions] == factor
        y, x, r = rows[mine], columns[mine], regions[mine]
        limit = int(settings.window * factor)
        # Regions larger than a window, such as a network that spans the image, are cut along a fixed grid.
        keys, first, piece = np.unique(_piece(r, y, x, limit // 2, shape), return_index=True, return_inverse=True)
        boxes = np.zeros((len(keys), 4), np.int64)
        boxes[:, :2] = max(shape)
        for column, (reduce, at) in enumerate(((np.minimum, y), (np.minimum, x), (np.maximum, y + 1), (np.maximum, x + 1))):
            reduce.at(boxes[:, column], piece, at)
        for group in _groups(boxes, limit):
            depths = marks.depths[r[first[group]]]
            grow = int(np.ceil(settings.margin * depths.max() + 2)) + _CONTEXT * int(factor)
            low = np.maximum(boxes[group, :2].min(axis=0) - grow, 0)
            high = np.minimum(boxes[group, 2:].max(axis=0) + grow, shape)
            box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
            plans.append(_Plan(int(factor), limit // 2, keys[group], float(np.median(depths)), box))
    return plans


def _groups(boxes: np.ndarray, limit: int) -> list[np.ndarray]:
    """Halve the pieces along the longer side of what they cover until each group fits a window."""
    groups, todo = [], [np.arange(len(boxes))]
    while todo:
        group = todo.pop()
        low, high = boxes[group, :2].min(axis=0), boxes[group, 2:].max(axis=0)
        axis = int(np.argmax(high - low))
        first = boxes[group, axis] + boxes[group, axis + 2] < low[axis] + high[axis]
        if (high - low).max() <= limit or first.all() or not first.any():
            groups.append(group)
        else:
            todo += [group[~first], group[first]]
    return groups


def _field(marks: _Marks, view: tuple[slice, slice], missed: float) -> _Field | None:
    """None where the window shows no mark of this class."""
    regions = marks.regions[view]
    free = (regions == 0).astype(np.uint8)
    if free.all():
        return None
    distance, labels = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    distance[free == 0] = 0  # OpenCV leaves rubbish there where a window is all mark
    rows, columns = np.nonzero(free == 0)
    index = np.zeros(int(labels.max()) + 1, np.int32)
    index[labels[rows, columns]] = np.arange(rows.size, dtype=np.int32)
    index = index[labels]
    row, column = rows.astype(np.int32)[index], columns.astype(np.int32)[index]
    nearest = regions[row, column]
    depth = marks.depths[nearest]
    return _Field(nearest, row + view[0].start, column + view[1].start, distance, depth, distance - (missed * depth + 0.5))


def _decide(
    colours: np.ndarray,
    scribbles: np.ndarray | None,
    marks: list[_Marks],
    number: int,
    plan: _Plan,
    settings: GrabCutSettings,
) -> tuple[Cluster, np.ndarray]:
    """What became of a window, and its (h, w) foreground: only pixels that belong to its own pieces."""
    fields = [_field(each, plan.view, settings.missed) for each in marks]
    own = fields[number]
    mine = np.ones(own.distance.shape, bool)
    for other, place in enumerate(fields):
        if place is not None and other != number:
            mine &= own.excess < place.excess if other < number else own.excess <= place.excess

    trimap = np.full(mine.shape, cv2.GC_PR_BGD, np.uint8)
    trimap[own.excess <= 0] = cv2.GC_PR_FGD
    if scribbles is not None:
        trimap[scribbles] = cv2.GC_PR_BGD
    trimap[(own.distance >= settings.margin * own.depth + 2) | ~mine] = cv2.GC_BGD
    marked = marks[number].regions[plan.view] > 0
    trimap[marked] = cv2.GC_FGD
    for other, each in enumerate(marks):
        if other != number:
            trimap[each.regions[plan.view] > 0] = cv2.GC_BGD

    owned = np.isin(_piece(own.nearest, own.row, own.column, plan.cell, marks[number].regions.shape), plan.pieces)
    undecided = ((trimap == cv2.GC_PR_FGD) | (trimap == cv2.GC_PR_BGD)) & owned
    foreground = marked | (undecided & (own.excess <= 0))
    rule, failure = "distance", ""
    # Objects that are all edge have no colours of their own to learn.
    cuts = settings.method == "grabcut" or (settings.method == "hybrid" and plan.depth >= _TINY)
    if cuts and undecided.any():
        if not ((trimap == cv2.GC_BGD) | (trimap == cv2.GC_PR_BGD)).any():
            failure = "no background is left to learn its colours from"
        else:
            cut, score, separability = _cut(colours, trimap, own, plan.factor, settings.iterations)
            grown = float(cut[undecided].mean())
            if grown < _NOTHING:
                failure = "no foreground was found beyond the marks"
            elif grown > 1 - _NOTHING:
                failure = "everything undecided became foreground"
            elif separability < _ALIKE:
                failure = "inside and outside of the marks look alike"
            else:
                rule = "cut" if settings.method == "grabcut" else "vote"
                foreground = marked | (undecided & (cut if rule == "cut" else score > 0))
                foreground = _without_pinholes(foreground, plan.depth)
    cluster = Cluster(plan.box, int((marked & owned).sum()), rule, failure)
    return cluster, foreground & owned & (trimap != cv2.GC_BGD)


def _cut(
    colours: np.ndarray, trimap: np.ndarray, own: _Field, factor: int, iterations: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """GrabCut's foreground, the score of the vote (foreground above 0), both (h, w), and the separability."""
    height, width = trimap.shape
    size = (-(-width // factor), -(-height // factor))
    small = trimap if factor == 1 else cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    if factor > 1:
        colours = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    colours = cv2.GaussianBlur(colours, (0, 0), _SMOOTHING)
    sure_fg, sure_bg = small == cv2.GC_FGD, small == cv2.GC_BGD
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    result = small.copy()
    cv2.setRNGSeed(0)  # the colour models start from random centres
    try:
        cv2.grabCut(colours, result, None, background, foreground, iterations, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels for a model
        return trimap == cv2.GC_FGD, np.where(own.excess <= 0, 1.0, -1.0), 0.5
    cut = ((result == cv2.GC_FGD) | (result == cv2.GC_PR_FGD)).astype(np.float32)
    ratio = _log_likelihood(colours, foreground) - _log_likelihood(colours, background)
    sure = [float((ratio[sure_fg] > 0).mean()), float((ratio[sure_bg] <= 0).mean()) if sure_bg.any() else 0.5]
    ratio = cv2.GaussianBlur(np.clip(ratio, -_RATIO_LIMIT, _RATIO_LIMIT), (0, 0), 1.0)
    if factor > 1:
        cut = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
        ratio = cv2.resize(ratio, (width, height), interpolation=cv2.INTER_LINEAR)
    ratio += _CUT_WEIGHT * (2 * cv2.GaussianBlur(cut, (0, 0), 1.0) - 1)
    score = ratio - _RATIO_LIMIT * own.excess / np.maximum(_PRIOR_WIDTH * own.depth, 1)
    return cut > 0.5, score, sum(sure) / 2


def _log_likelihood(colours: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Of (h, w, 3) uint8 colours under OpenCV's mixture of five Gaussians: 5 weights, 15 means, 45 covariances."""
    weights, means, covariances = model[0, :5], model[0, 5:20].reshape(5, 3), model[0, 20:].reshape(5, 3, 3)
    total = np.zeros(colours.shape[:2], np.float32)
    pixels = colours.astype(np.float32)
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        if weight > 0:
            covariance = covariance + 0.01 * np.eye(3)  # gray images have three equal channels
            offset = pixels - mean.astype(np.float32)
            power = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(covariance).astype(np.float32), offset, optimize=True)
            total += np.float32(weight / np.sqrt(np.linalg.det(covariance))) * np.exp(-0.5 * power)
    return np.log(total + 1e-12)


def _without_pinholes(foreground: np.ndarray, depth: float) -> np.ndarray:
    """Holes far smaller than a mark are noise; larger ones may be background that touching objects enclose."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~foreground).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= max(4.0, 0.1 * depth * depth)
    small[0] = False
    return foreground | small[holes]


def _finished(out: np.ndarray, detection: np.ndarray, values: list[int], clusters: list[Cluster]) -> Proposal:
    """Drop what hangs together with no mark, leave open what nobody looked at, and judge the whole image."""
    for value in values:
        count, parts = cv2.connectedComponents((out == value).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        held = np.zeros(count, bool)
        held[parts[detection == value]] = True
        held[0] = True
        out[~held[parts]] = BACKGROUND
    marked = is_marked(detection)
    out[marked] = detection[marked]
    share, of_marks = float((out != BACKGROUND).mean()), float(marked.mean())
    out[(detection == IGNORE) & (out == BACKGROUND)] = IGNORE

    failed = [cluster for cluster in clusters if cluster.failure]
    lost = sum(cluster.marked for cluster in failed) / max(sum(cluster.marked for cluster in clusters), 1)
    reasons = sorted({cluster.failure for cluster in failed})
    status, reason = "ok", ""
    if share > 1 - _NOTHING and of_marks < 0.9:
        status, reason = "failed", f"{share:.0%} of the image became foreground"
    elif failed:
        status = "failed" if lost > 0.5 else "partly"
        reason = f"in {len(failed)} of {len(clusters)} windows, with {lost:.0%} of the marks, {' or '.join(reasons)}"
    return Proposal(out, status, reason, clusters)
