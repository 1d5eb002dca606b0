"""What a careful colleague would point out about the marks of one image: arrays in, faults out.

The labels of Ke et al. 2020, Sec. 3, explain each other: an inner region lies inside one object and leaves its border out,
a scribble runs between two objects, and the class of an inner region is the segmentation's class there. Where two labels
of an image contradict each other, one of them is wrong, and the network is taught both.

The thresholds were set on the training images of superalloy, emps, glas and nuclei_fluo, whose exact masks people drew:
see docs/checking.md for what they flag there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.checking.findings import Fault
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, is_marked

__all__ = ["all_in_the_corner", "mark_diameter", "mark_extent", "mark_faults", "pieces"]

#: Share of an inner region that must lie on the far side of a scribble, or on a second object: less is a slip of the hand.
MIN_PART = 0.15
#: Pixels that such a part has at least.
MIN_PART_PIXELS = 4
#: Depth of a mark where a scribble cuts it, as a share of its largest depth; scribbles that graze a waist reach 0.35.
MIN_CUT_DEPTH = 0.5
#: Share of an inner region under scribbles from which there is no mark left; thin marks beside a scribble reach 0.7.
MAX_COVERED = 0.9
#: Share of an inner region inside its object below which it counts as sticking out.
MIN_INSIDE = 0.9
#: Objects of fewer pixels need no mark: there is no room for a region that leaves the border out.
MIN_OBJECT = 16
#: Share of the objects with a mark from which the others count as forgotten.
FULLY_MARKED = 0.5
#: Radius in pixels of the disc that does not fit into a sliver.
SLIVER_RADIUS = 2
#: Length in pixels from which what the disc leaves out is a sliver: the corners and notches of a good mask are shorter.
SLIVER_LENGTH = 12
#: Share of thin objects in an image from which thinness is in the objects' nature (needles, fibres).
THIN_SHARE = 0.2
#: Largest speck in pixels, and as a share of the image's median object.
SPECK_PIXELS, SPECK_SHARE = 5, 0.05
#: Images with marks, and marks in all of them, from which it is no chance that all lie in the first quarter of their image.
CORNER_IMAGES, CORNER_MARKS = 3, 10
#: Neighbouring pixels from which two marks of different classes count as touching.
MIN_CONTACT = 3


def mark_faults(labels: Mapping[str, np.ndarray]) -> list[Fault]:
    """Faults in the labels of one image.

    Args:
        labels: arrays of one shape, (H, W) or three axes, under ``segmentation``, ``detection``, ``separation`` and
            ``instances`` as far as the image has them; values as in a datalist.

    Returns:
        at most one fault for each code.
    """
    faults = []
    detection, mask = labels.get("detection"), labels.get("segmentation")
    if mask is not None:
        faults += _shape_faults(mask)
        if "instances" in labels:
            faults += _other_objects(mask, labels["instances"])
    if detection is None:
        return faults
    if mask is not None and _equal_masks(mask, detection):
        # All that follows would say the same again.
        return [Fault("mask-equals-inner", "segmentation", pixels=int(np.count_nonzero(is_marked(mask))))]
    marks, classes = pieces(detection)
    count = len(classes) - 1
    disagreeing = _disagreeing(marks, classes, mask) if mask is not None else []
    if any(f.code == "strong-disagrees-inner" and 2 * f.objects > count for f in disagreeing):
        # The labels are of two images: to compare them any further says nothing.
        return faults + [f for f in disagreeing if f.code == "strong-disagrees-inner"]
    faults += disagreeing + _meeting_classes(detection, marks, count)
    if (scribbles := labels.get("separation")) is not None:
        faults += _crossed(marks, count, scribbles == INTERFACE)
    objects = labels.get("instances")
    if objects is None and mask is not None:
        objects = pieces(mask)[0]
    if objects is not None:
        faults += _spanning(marks, count, objects)
        faults += _unmarked(objects, detection, mask)
    return faults


def pieces(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected pieces of each class; pixels join through faces only, so that a shared corner does not join two marks.

    Args:
        label: class map of two or three axes; 0 and 255 belong to no piece.

    Returns:
        int32 map of the same shape with the pieces' numbers 1..n, 0 elsewhere; and their classes, (n + 1,), 0 first.
    """
    out, classes = np.zeros(label.shape, np.int32), [0]
    for value in np.unique(label):
        if value in (BACKGROUND, IGNORE):
            continue
        found, count = ndimage.label(label == value)
        inside = found > 0
        out[inside] = found[inside] + (len(classes) - 1)
        classes += [int(value)] * count
    return out, np.array(classes)


def mark_diameter(labels: Mapping[str, np.ndarray]) -> float | None:
    """Median equivalent diameter in pixels of an image's objects, else of its inner regions; None without any.

    Args:
        labels: as for :func:`mark_faults`.

    Returns:
        diameter of the disc (ball) of the same area (volume); of ids, then of the exact mask's pieces, then of the marks.
    """
    for key in ("instances", "segmentation", "detection"):
        if key not in labels:
            continue
        found = labels[key] if key == "instances" else pieces(labels[key])[0]
        _, sizes = np.unique(found[found > 0], return_counts=True)
        if sizes.size:
            ball = np.pi / 4 if found.ndim == 2 else np.pi / 6
            return float((np.median(sizes) / ball) ** (1 / found.ndim))
    return None


def mark_extent(labels: Mapping[str, np.ndarray]) -> tuple[float, int] | None:
    """How far an image's objects and marks reach from its first pixel, and how many there are; None without any.

    Args:
        labels: as for :func:`mark_faults`.

    Returns:
        the largest share of a side that they reach to, as whole pixels fit; and the number of connected pieces.
    """
    drawn = [label > 0 if key == "instances" else is_marked(label) for key, label in labels.items() if key != "separation"]
    if not drawn or not (where := np.logical_or.reduce(drawn)).any():
        return None
    reach = 0.0
    for axis in range(where.ndim):
        along = np.flatnonzero(where.any(axis=tuple(other for other in range(where.ndim) if other != axis)))
        reach = max(reach, int(along[-1]) / where.shape[axis])
    return reach, int(ndimage.label(where)[1])


def all_in_the_corner(extents: Sequence[tuple[float, int]]) -> bool:
    """Whether no mark of several images reaches beyond half of a side: they were drawn on pictures of half the size.

    Args:
        extents: of :func:`mark_extent`, for each image that has marks.
    """
    enough = len(extents) >= CORNER_IMAGES and sum(count for _, count in extents) >= CORNER_MARKS
    return enough and all(reach <= 0.5 for reach, _ in extents)


def _first(where: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.argmax(where), where.shape))


def _fault(code: str, key: str, bad: np.ndarray, where: np.ndarray, of: int | None) -> list[Fault]:
    """A fault of the marks or objects numbered ``bad``, whose pixels ``where`` holds; none where there are none."""
    if not bad.size:
        return []
    return [Fault(code, key, int(bad.size), int(np.count_nonzero(where)), _first(where), of)]


def _pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair of values that occur at the same pixel, the first one, and how often it occurs."""
    others, ranks = np.unique(second, return_inverse=True)  # ids may be too large to be multiplied
    keys, sizes = np.unique(first.astype(np.int64) * max(others.size, 1) + ranks, return_counts=True)
    return keys // max(others.size, 1), sizes


def _equal_masks(mask: np.ndarray, detection: np.ndarray) -> bool:
    return bool(is_marked(mask).any()) and np.array_equal(mask, detection)


def _crossed(marks: np.ndarray, count: int, scribbles: np.ndarray) -> list[Fault]:
    """Marks that fall apart where a scribble runs, or lie under it for the larger part."""
    under = scribbles & (marks > 0)
    if not under.any():
        return []
    sizes = np.bincount(marks.ravel(), minlength=count + 1)
    hit = np.unique(marks[under])
    rest, _ = ndimage.label(np.isin(marks, hit) & ~scribbles)
    inside = rest > 0
    # Two marks never share a piece of the rest: touching marks of two classes would, so the pairs are counted.
    owner, parts = _pairs(marks[inside], rest[inside])
    large = parts >= np.maximum(MIN_PART * sizes[owner], MIN_PART_PIXELS)
    halves = np.bincount(owner[large], minlength=count + 1)
    hidden = np.bincount(marks[under], minlength=count + 1)
    covered = (hidden > MAX_COVERED * sizes) & (hidden >= MIN_OBJECT)
    cut = np.flatnonzero(halves > 1)
    if cut.size:
        # A scribble beside a waisted object grazes its mark and may cut off a lobe: only a cut where the mark is wide counts.
        depth = ndimage.distance_transform_edt(np.isin(marks, cut))
        deepest = np.asarray(ndimage.maximum(depth, marks, cut))
        at_cut = np.asarray(ndimage.maximum(np.where(under, depth, 0), marks, cut))
        cut = cut[at_cut >= MIN_CUT_DEPTH * deepest]
    bad = np.union1d(cut, np.flatnonzero(covered))
    return _fault("inner-crosses-interface", "detection", bad, under & np.isin(marks, bad), count)


def _meeting_classes(detection: np.ndarray, marks: np.ndarray, count: int) -> list[Fault]:
    drawn = is_marked(detection)
    contact = np.zeros(detection.shape, bool)
    pixels = 0
    for axis in range(detection.ndim):
        low, high = [slice(None)] * detection.ndim, [slice(None)] * detection.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(low), tuple(high)
        touch = drawn[a] & drawn[b] & (detection[a] != detection[b])
        contact[a] |= touch
        contact[b] |= touch
        pixels += int(np.count_nonzero(touch))
    if pixels < MIN_CONTACT:
        return []
    return _fault("inner-meets-class", "detection", np.unique(marks[contact]), contact, count)


def _disagreeing(marks: np.ndarray, classes: np.ndarray, mask: np.ndarray) -> list[Fault]:
    """Marks on another class, or partly so, judged where the mask is labelled."""
    count = len(classes) - 1
    known = (marks > 0) & (mask != IGNORE)
    off = known & (classes[marks] != mask)
    seen = np.bincount(marks[known], minlength=count + 1)
    missed = np.bincount(marks[off], minlength=count + 1)
    wrong = (missed > 0.5 * seen) & (missed >= 1)
    loose = (missed > (1 - MIN_INSIDE) * seen) & (missed > MIN_PART_PIXELS) & ~wrong
    found = []
    for code, key, chosen in (
        ("strong-disagrees-inner", "segmentation", wrong),
        ("inner-leaves-object", "detection", loose),
    ):
        bad = np.flatnonzero(chosen)
        found += _fault(code, key, bad, off & np.isin(marks, bad), count)
    return found


def _spanning(marks: np.ndarray, count: int, objects: np.ndarray) -> list[Fault]:
    both = (marks > 0) & (objects > 0)
    owner, sizes = _pairs(marks[both], objects[both])
    total = np.bincount(marks.ravel(), minlength=count + 1)
    large = sizes >= np.maximum(MIN_PART * total[owner], MIN_PART_PIXELS)
    bad = np.flatnonzero(np.bincount(owner[large], minlength=count + 1) > 1)
    return _fault("inner-spans-objects", "detection", bad, np.isin(marks, bad), count)


def _other_objects(mask: np.ndarray, ids: np.ndarray) -> list[Fault]:
    """Objects of the ids where the mask has background for the most part, and pieces of the mask where hardly an id is."""
    found, classes = pieces(mask)
    sizes = np.bincount(found.ravel(), minlength=len(classes))
    named = np.bincount(found[ids > 0], minlength=len(classes))
    missed = np.flatnonzero((sizes >= MIN_OBJECT) & (2 * named < sizes))
    missed = missed[missed > 0]
    numbers, areas = np.unique(ids[ids > 0], return_counts=True)
    off = (ids > 0) & (mask == BACKGROUND)
    empty, counts = np.unique(ids[off], return_counts=True)
    bare = empty[(2 * counts > areas[np.searchsorted(numbers, empty)]) & (counts >= MIN_OBJECT)]
    where = np.isin(found, missed) | (off & np.isin(ids, bare))
    if not where.any():
        return []
    return [Fault("ids-disagree", "instances", len(missed) + len(bare), int(np.count_nonzero(where)), _first(where))]


def _unmarked(objects: np.ndarray, detection: np.ndarray, mask: np.ndarray | None) -> list[Fault]:
    """Objects that nobody marked; those that reach into an unlabelled area (255), where the mark may be, are left out."""
    unlabelled = detection == IGNORE
    if mask is not None:
        unlabelled |= mask == IGNORE
    inside = objects > 0
    ids, sizes = np.unique(objects[inside], return_counts=True)
    marked = np.isin(ids, objects[inside & is_marked(detection)])
    judged = (sizes >= MIN_OBJECT) | marked
    if unlabelled.any():
        judged &= ~np.isin(ids, objects[inside & ndimage.binary_dilation(unlabelled)])
    bad = ids[judged & ~marked]
    total = int(judged.sum())
    code = "object-without-inner" if int((judged & marked).sum()) >= FULLY_MARKED * total else "partly-marked"
    return _fault(code, "detection", bad, np.isin(objects, bad), total)


def _shape_faults(mask: np.ndarray) -> list[Fault]:
    """Slivers and specks; in volumes only specks, as a thin sheet may be an object cut at its side."""
    found, classes = pieces(mask)
    count = len(classes) - 1
    if not count:
        return []
    sizes = np.bincount(found.ravel(), minlength=count + 1)
    usual = np.median(sizes[1:])
    small = np.flatnonzero((sizes <= min(SPECK_PIXELS, SPECK_SHARE * usual)) & (sizes > 0))
    # What the border of the image cuts off, or the edge of what was labelled, may be the tip of an object.
    edge = np.unique(found[_edge(mask)])
    small = np.setdiff1d(small, np.append(edge, 0))
    faults = _fault("mask-speck", "segmentation", small, np.isin(found, small), count)
    return faults + (_slivers(mask, found, sizes) if mask.ndim == 2 else [])


def _edge(mask: np.ndarray) -> np.ndarray:
    edge = ndimage.binary_dilation(mask == IGNORE) if (mask == IGNORE).any() else np.zeros(mask.shape, bool)
    for axis in range(mask.ndim):
        view = np.moveaxis(edge, axis, 0)
        view[0] = view[-1] = True
    return edge


def _slivers(mask: np.ndarray, found: np.ndarray, sizes: np.ndarray) -> list[Fault]:
    """Long thin parts that a disc does not fit into: tails of thick objects, and single thin objects among thick ones."""
    import cv2  # where this module is imported for its pieces only, it is not needed

    size = 2 * SLIVER_RADIUS + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = np.zeros(mask.shape, bool)
    for value in np.unique(mask):
        if value not in (BACKGROUND, IGNORE):
            # An object goes on beyond the image's border, and beyond the edge of what was labelled.
            solid = ((mask == value) | (mask == IGNORE)).astype(np.uint8)
            padded = cv2.copyMakeBorder(solid, size, size, size, size, cv2.BORDER_REPLICATE)
            opened |= cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[size:-size, size:-size] > 0
    thin = (found > 0) & ~opened
    kept = np.bincount(found[(found > 0) & opened], minlength=sizes.size)
    whole = ((2 * kept < sizes) & (sizes >= SLIVER_LENGTH))[1:]
    if whole.sum() > THIN_SHARE * (len(sizes) - 1):
        return []
    labelled, boxes = _components(thin)
    length = np.hypot(boxes[:, 0], boxes[:, 1])
    bad = np.flatnonzero(length >= SLIVER_LENGTH)
    return _fault("mask-sliver", "segmentation", bad, np.isin(labelled, bad), None)


def _components(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components joined by faces and corners: their map and the sides of their boxes, (n + 1, 2), 0 first."""
    import cv2

    _, labelled, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8), connectivity=8)
    boxes = stats[:, [cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH]].astype(float)
    boxes[0] = 0
    return labelled, boxes
