"""From the three maps to separated objects. All arrays are single images (H, W) or volumes (H, W, D)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, TASKS

__all__ = [
    "ROUTES",
    "InstanceSettings",
    "component_instances",
    "distance_instances",
    "instance_classes",
    "needed_tasks",
    "require_needed",
    "separate_objects",
    "three_map_instances",
]

#: Ways from maps to objects: the three maps; connected components, and a watershed on the distance to the background, which
#: need the segmentation alone and so serve single-task models, too.
ROUTES = ("three maps", "components", "distance")


@dataclass(frozen=True)
class InstanceSettings:
    """How objects are separated. ``python -m lazylabels_monai tune`` picks these values on validation images.

    Args:
        route: one of :data:`ROUTES`.
        detection_threshold: a pixel is detected where the probability of any object exceeds this, in (0, 1).
        separation_threshold: a pixel is interface where its probability exceeds this, in (0, 1).
        min_marker: markers of fewer pixels are noise ("three maps").
        min_size: objects of at most this many pixels are dropped.
        max_hole: holes in an object of up to this many pixels are filled.
        cut: a line of background, one pixel wide, is left where two objects meet ("three maps"). A choice of the user, for
            programs that tell objects apart by the gaps between them; ``tune`` leaves it alone.
        min_distance: pixels between the tops of two objects ("distance").
        neck: a marker is parted where it narrows to less than this share of the narrower of its two sides, in [0, 1); 0
            parts none ("three maps"). For round objects, whose shape tells where they touch.
        drop_undetected: a piece of the segmentation in which nothing is detected is dropped, not kept as an object ("three
            maps"). For images with much background, where detection errs less often than segmentation.

    Raises:
        LazyLabelsError: for values out of range.
    """

    route: str = "three maps"
    detection_threshold: float = 0.5
    separation_threshold: float = 0.5
    min_marker: int = 16
    min_size: int = 16
    max_hole: int = 0
    cut: bool = False
    min_distance: int = 5
    neck: float = 0.0
    drop_undetected: bool = False

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise LazyLabelsError(f"route '{self.route}' does not exist: use one of {', '.join(ROUTES)}.")
        for name in ("detection_threshold", "separation_threshold"):
            if not 0 < getattr(self, name) < 1:
                raise LazyLabelsError(f"{name} {getattr(self, name)} must lie between 0 and 1.")
        if not 0 <= self.neck < 1:
            raise LazyLabelsError(f"neck {self.neck} must be 0 or more and below 1.")
        for name, lowest in (("min_marker", 0), ("min_size", 0), ("max_hole", 0), ("min_distance", 1)):
            if getattr(self, name) < lowest:
                raise LazyLabelsError(f"{name} {getattr(self, name)} must be {lowest} pixels or more.")


def needed_tasks(tasks: Sequence[str], settings: InstanceSettings, probabilities: bool = False) -> list[str]:
    """Tasks of a network whose maps a prediction uses: what only the others need is not worth computing.

    Args:
        tasks: that the network learned, segmentation among them.
        settings: how objects are separated. Three maps take all three, and components are taken where one is missing.
        probabilities: whether the maps themselves are wanted.
    """
    three_maps = settings.route == ROUTES[0] and set(TASKS) <= set(tasks)
    return [task for task in tasks if probabilities or three_maps or task == TASKS[0]]


def require_needed(answered: Sequence[str], tasks: Sequence[str], settings: InstanceSettings, objects: bool) -> None:
    """Refuse to predict tasks that the network did not learn, and to leave out one that the results are made of.

    Args:
        answered: the tasks to predict.
        tasks, settings: as for :func:`needed_tasks`.
        objects: whether objects are wanted.

    Raises:
        LazyLabelsError: naming the task and what needs it.
    """
    if unlearned := [task for task in answered if task not in tasks]:
        raise LazyLabelsError(f"answered_tasks: the network did not learn {unlearned[0]}; use some of {', '.join(tasks)}.")
    if TASKS[0] not in answered:
        raise LazyLabelsError(f"answered_tasks must hold {TASKS[0]}, of which the label map is made: add it.")
    missing = [task for task in needed_tasks(tasks, settings) if task not in answered]
    if objects and missing:
        raise LazyLabelsError(
            f"answered_tasks leaves out {missing[0]}, which the route '{settings.route}' makes objects of: add it, set "
            "save_instances to false, or instance_settings to another route."
        )


def separate_objects(
    segmentation: np.ndarray,
    detection_probability: np.ndarray | None = None,
    separation_probability: np.ndarray | None = None,
    settings: InstanceSettings | None = None,
) -> np.ndarray:
    """Objects by the route of ``settings``; without the probabilities of a task, connected components instead of three maps.

    Args:
        segmentation: class values (spatial).
        detection_probability: (classes, spatial).
        separation_probability: (2, spatial).
        settings: default :class:`InstanceSettings`.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    settings = settings or InstanceSettings()
    if settings.route == "distance":
        return distance_instances(segmentation, settings.min_distance, settings.min_size, settings.max_hole)
    if settings.route == "components" or detection_probability is None or separation_probability is None:
        return component_instances(segmentation, settings.min_size, settings.max_hole)
    return three_map_instances(
        segmentation,
        detection_probability,
        separation_probability,
        settings.min_marker,
        settings.min_size,
        detection_threshold=settings.detection_threshold,
        separation_threshold=settings.separation_threshold,
        max_hole=settings.max_hole,
        cut=settings.cut,
        neck=settings.neck,
        drop_undetected=settings.drop_undetected,
    )


def component_instances(segmentation: np.ndarray, min_size: int = 0, max_hole: int = 0) -> np.ndarray:
    """Connected components of each class: what a single-task network offers as objects.

    Args:
        segmentation: class values.
        min_size: objects of at most this many pixels are dropped.
        max_hole: holes of at most this many pixels are filled.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    # neighbouring pixels belong together when their class is the same, so one pass does for all classes
    ids = label(segmentation, background=BACKGROUND, connectivity=1)
    return _drop_specks(_fill_holes(ids, max_hole), min_size)


def distance_instances(segmentation: np.ndarray, min_distance: int = 5, min_size: int = 0, max_hole: int = 0) -> np.ndarray:
    """Watershed of each class's distance to its border: the usual way to part touching round objects of one map.

    Args:
        segmentation: class values.
        min_distance: pixels between the tops of two objects, 1 or more.
        min_size: objects of at most this many pixels are dropped.
        max_hole: holes of at most this many pixels are filled.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    from skimage.feature import peak_local_max  # takes longer to import than all else here, and this route alone needs it

    components = _fill_holes(label(segmentation, background=BACKGROUND, connectivity=1), max_hole)
    classes = _looked_up(instance_classes(components, segmentation), components)
    out = np.zeros(components.shape, np.int32)
    for value in np.unique(classes[classes > 0]):
        # components of one class never touch, so that one distance map serves all of them
        inside = classes == value
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1.0)
        tops = peak_local_max(depth, min_distance=min_distance, labels=components * inside, exclude_border=False)
        markers = np.zeros(components.shape, np.int32)
        markers[tuple(tops.T)] = np.arange(1, len(tops) + 1) + out.max()
        out += watershed(-depth, markers, mask=inside)
    return _drop_specks(out, min_size)


def three_map_instances(
    segmentation: np.ndarray,
    detection_probability: np.ndarray,
    separation_probability: np.ndarray,
    min_marker: int = 16,
    min_size: int = 0,
    *,
    detection_threshold: float = 0.5,
    separation_threshold: float = 0.5,
    max_hole: int = 0,
    cut: bool = False,
    neck: float = 0.0,
    drop_undetected: bool = False,
) -> np.ndarray:
    """Objects from detection (where they are), separation (where they part) and segmentation (where they end).

    Markers are the connected components of "detected as an object and not an interface"; a watershed grows them inside
    the segmentation over a landscape that rises where separation sees an interface and falls where detection sees an
    object. A component of the segmentation without any marker stays one object, so that nothing segmented is lost, unless
    ``drop_undetected`` asks for it.
    Ties go by the order of the pixels in the array and by nothing else, so that a result can be repeated.

    Args:
        segmentation: class values (spatial).
        detection_probability: probabilities of the detection task (classes, spatial).
        separation_probability: probabilities of the separation task (2, spatial).
        min_marker: a marker of fewer pixels is noise; a small object whose only marker goes stays as a component.
        min_size: objects of at most this many pixels are dropped.
        detection_threshold: detected where the probability of any object exceeds this.
        separation_threshold: interface where its probability exceeds this.
        max_hole: holes of at most this many pixels are filled.
        cut: leave a line of background, one pixel wide, where two objects meet; pixels that it cuts off go, too.
        neck: part a marker where it narrows to less than this share of the narrower side; 0 parts none.
        drop_undetected: a component of the segmentation without any marker is dropped.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    foreground = _fill_holes(label(segmentation != BACKGROUND, connectivity=1), max_hole) > 0
    detected = detection_probability[BACKGROUND] < 1 - detection_threshold
    interface = separation_probability[INTERFACE] > separation_threshold
    # not class by class: patches of another class inside an object would part it (worse on synthetic validation images)
    markers = label(detected & foreground & ~interface, connectivity=1)
    markers = _drop_specks(markers, max(min_marker - 1, 0))
    if neck > 0:
        markers = _part_at_necks(markers > 0, neck, line=cut)
    if neck > 0 and cut:
        # what the lines cut off is no part of its marker any more
        markers = _drop_specks(label(markers, connectivity=1), max(min_marker - 1, 0))

    del detected, interface
    components = label(foreground, connectivity=1)
    orphan = foreground & ~_with_marker(components, markers)
    if drop_undetected:
        foreground &= ~orphan
    else:
        last = markers.max()
        markers[orphan] = components[orphan] + last
    del components, orphan

    landscape = separation_probability[INTERFACE] + detection_probability[BACKGROUND]
    grown = watershed(landscape, markers=markers, mask=foreground, watershed_line=cut)
    del landscape
    if cut:
        # the line may cut single pixels off; the piece that holds the marker is the object
        grown = np.where(_with_marker(label(grown, connectivity=1), markers), grown, 0)
    return _drop_specks(grown, min_size)


def _part_at_necks(mask: np.ndarray, neck: float, line: bool = False) -> np.ndarray:
    """Ids of the parts of ``mask`` on both sides of each neck; widths are those of the distance to the border, smoothed.

    With ``line`` the pixels where two parts meet belong to neither.

    A ratio of widths is a difference of their logarithms, so that the parts are the maxima of the logarithm that rise by
    -log(neck) above the neck: the h-maxima of mathematical morphology (Soille, Morphological Image Analysis, 2003, Sec. 6.3).
    """
    width = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
    height = np.where(mask, np.log(np.maximum(width, 1e-3)), np.log(1e-3))
    # component by component: the reconstruction sorts all pixels that it is given, those of the background too
    pieces, _ = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    tops = np.zeros(mask.shape, bool)
    for index, box in enumerate(ndimage.find_objects(pieces), 1):
        inside = np.pad(pieces[box] == index, 1)
        hill = np.where(inside, np.pad(height[box], 1), np.log(1e-3))
        maxima = local_maxima(reconstruction(hill + np.log(neck), hill), connectivity=mask.ndim) & inside
        tops[box] |= maxima[(slice(1, -1),) * mask.ndim]
    return watershed(-height, label(tops, connectivity=mask.ndim), mask=mask, watershed_line=line)


def instance_classes(instances: np.ndarray, segmentation: np.ndarray) -> np.ndarray:
    """Class of each object: the most frequent object class among its pixels, the lower one of two equally frequent ones.

    Args:
        instances: ids 0..n.
        segmentation: class values of the same shape; 0 and 255 do not count.

    Returns:
        (n + 1,) class by id; entry 0 is 0, and so is that of an object without any pixel of an object class.
    """
    ids = np.asarray(instances)
    values = np.where(np.asarray(segmentation) == IGNORE, BACKGROUND, segmentation)
    width = int(values.max(initial=0)) + 1
    votes = np.zeros((int(ids.max(initial=0)) + 1) * width, np.int64)
    for part in _parts(ids):
        found = np.bincount(ids[part].ravel().astype(np.int64) * width + values[part].ravel())
        votes[: len(found)] += found
    votes = votes.reshape(-1, width)
    votes[:, BACKGROUND] = 0
    classes = votes.argmax(1)
    classes[0] = 0
    return classes


def _with_marker(pieces: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """True on the pieces (ids 1..n) that hold a pixel of a marker."""
    marked = np.zeros(pieces.max(initial=0) + 1, dtype=bool)
    marked[pieces[markers > 0]] = True
    return _looked_up(marked, pieces)


#: Pixels at a time where numpy makes 8 bytes of each id.
_AT_ONCE = 1 << 22


def _parts(ids: np.ndarray) -> Iterator[slice]:
    """Ranges along the first axis, of about :data:`_AT_ONCE` pixels each."""
    step = max(1, _AT_ONCE * len(ids) // max(ids.size, 1))
    return (slice(start, start + step) for start in range(0, len(ids), step))


def _looked_up(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``table[ids]``."""
    out = np.empty(ids.shape, table.dtype)
    for part in _parts(ids):
        np.take(table, ids[part], out=out[part], mode="clip")  # with out, other modes buffer it
    return out


def _sizes(ids: np.ndarray) -> np.ndarray:
    """Pixels of each id from 0 to the highest."""
    counts = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    for part in _parts(ids):
        found = np.bincount(ids[part].ravel())
        counts[: len(found)] += found
    return counts


def _drop_specks(instances: np.ndarray, max_size: int) -> np.ndarray:
    """Drop objects of at most ``max_size`` pixels and number the others 1..n."""
    keep = _sizes(instances) > max_size
    keep[0] = False
    return _looked_up(np.where(keep, np.cumsum(keep), 0).astype(np.int32), instances)


def _fill_holes(instances: np.ndarray, max_hole: int) -> np.ndarray:
    """Give holes of at most ``max_hole`` pixels that lie in one object to that object."""
    if max_hole < 1:
        return instances
    holes, count = ndimage.label(instances == 0, ndimage.generate_binary_structure(instances.ndim, instances.ndim))
    small = np.bincount(holes.ravel(), minlength=count + 1) <= max_hole
    small[0] = False
    out = instances.copy()
    for index, box in enumerate(ndimage.find_objects(holes), 1):
        if not small[index]:
            continue
        grown = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        hole = holes[grown] == index
        at_border = any(side.start == 0 or side.stop == size for side, size in zip(box, instances.shape, strict=True))
        around = np.unique(instances[grown][ndimage.binary_dilation(hole) & ~hole])
        if not at_border and len(around) == 1:
            out[grown][hole] = around[0]
    return out
