"""Corrections of predicted objects, and the labels that they are.

Each function takes the objects on the screen and what the person did, and gives the objects as they are then and what that
says about labels: a split an interface scribble, a join "no interface here", a fixed outline an exact mask of that object and
nothing about the rest, an erased object background, another class an inner region of that class. The labels follow the rules
by which ``lazylabels datalist`` makes them of outlines that a person drew, with unmarked pixels ignored. Those that the person
marked before are asked for (``marks``): what a correction implies gives way to an interface scribble, an exact mask or an inner
region of another object, and touching exact objects have an interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.surroundings import HALO, SQUARE, Surroundings, along_border, drawn_in, objects_of, parted
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import DEFAULT_GAP, interface_labels, interfaces_where_known
from lazylabels_monai.labels.rasterize import stroke_lines
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, TASKS

__all__ = [
    "KEEP",
    "Correction",
    "apply",
    "drawn_labels",
    "erase",
    "join",
    "line_of",
    "marked",
    "outline",
    "outlined",
    "relabel",
    "split",
    "undo",
]

#: "As it is" in the changes of a label.
KEEP = -1
#: A piece of fewer pixels that a stroke cuts off is none.
MIN_PIECE = 4

_CLASSED = {"detection", "segmentation"}  # labels that name the class of an object
_AROUND = 8  # pixels around what changes that are looked at

#: Labels of an image by task, (H, W) uint8 as drawn, 255 not labelled.
_Marks = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Correction:
    """What a person put right.

    Args:
        objects: (H, W) int32 ids as they are now.
        classes: class of the ids that are as the person said, new ones and those of before.
        labels: by task, (H, W) int16: what the label is there from now on, :data:`KEEP` where it stays as it is.
        overrule: class that replaces another object class in an exact mask or inner region, by pixel; None: nowhere.
    """

    objects: np.ndarray
    classes: dict[int, int] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    overrule: np.ndarray | None = None


def line_of(points: np.ndarray | Sequence[Sequence[float]], shape: tuple[int, int], radius: float = 0.75) -> np.ndarray:
    """The pixels of a drawn line, (H, W) bool.

    Args:
        points: (N, 2) rows and columns of pixels, as a viewer gives them: the centre of the first pixel is (0, 0).
        shape: (H, W).
        radius: 0.75 gives a line without gaps.
    """
    part, mask = stroke_lines(np.asarray(points, float).reshape(-1, 2) + 0.5, shape, radius)
    line = np.zeros(shape, bool)
    line[part] = mask
    return line


def split(
    objects: np.ndarray, stroke: np.ndarray, classes: np.ndarray | None = None, marks: _Marks | None = None
) -> Correction:
    """Part each object that a stroke crosses.

    Args:
        objects: (H, W) ids.
        stroke: (H, W) bool, from one side of an object to the other; see :func:`line_of`.
        classes: class by id, for the pieces; None: 1.
        marks: of :func:`drawn_labels`; interfaces that are drawn in an object stay.

    Returns:
        the largest piece keeps the id, the others have new ones; the stroke's pixels go to the piece that is nearest.

    Raises:
        LazyLabelsError: when the stroke parts no object.
    """
    objects, stroke = _checked(objects, stroke, "stroke")
    made, next_id = objects.copy(), int(objects.max(initial=0)) + 1
    scribble = _mark(marks, "separation", objects.shape) == INTERFACE
    new: dict[int, int] = {}
    separation = np.full(objects.shape, KEEP, np.int16)
    for number in _under(objects, stroke):
        box = _box(objects == number)
        inside, cut = objects[box] == number, stroke[box]
        pieces, count = ndimage.label(inside & ~cut)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        before, _ = ndimage.label(inside)
        parts = [piece for piece in range(1, count + 1) if sizes[piece] >= MIN_PIECE]
        # what hung together before
        owners = {piece: int(before[pieces == piece][0]) for piece in parts}
        if len(parts) < 2 or len(set(owners.values())) == len(parts):
            continue
        pieces[~np.isin(pieces, parts)] = 0
        nearest = ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
        pieces = np.where(inside, pieces[tuple(nearest)], 0)
        new[number] = _class(classes, number)
        for piece in sorted(parts, key=lambda piece: -sizes[piece])[1:]:
            made[box][pieces == piece] = next_id
            new[next_id] = _class(classes, number)
            next_id += 1
        label = interfaces_where_known(pieces, inside, DEFAULT_GAP)
        label[scribble[box] & (label == BACKGROUND)] = IGNORE
        _change(separation[box], label)
    if not new:
        raise LazyLabelsError("the stroke parts no object: draw it from outside of the object right across to its other side.")
    return Correction(made, new, {"separation": separation})


def join(
    objects: np.ndarray,
    line: np.ndarray,
    classes: np.ndarray | None = None,
    drawn: np.ndarray | None = None,
    marks: _Marks | None = None,
) -> Correction:
    """Make one object of those that a line touches, of one class in all marks.

    Args:
        objects: (H, W) ids.
        line: (H, W) bool; its pixels between the objects belong to the one that they become.
        classes: class by id; the largest of the objects gives id and class.
        drawn: (H, W) classes that the person drew, 0 where none, as of :func:`marked`; they go before ``classes``.
        marks: of :func:`drawn_labels`; interfaces that are drawn along the border of what is joined stay.

    Raises:
        LazyLabelsError: when the line touches fewer than two objects.
    """
    objects, line = _checked(objects, line, "line")
    numbers = _under(objects, line)
    if len(numbers) < 2:
        raise LazyLabelsError("the line touches fewer than two objects: draw it from one object into the other.")
    sizes = {number: int(np.count_nonzero(objects == number)) for number in numbers}
    numbers.sort(key=lambda number: (-sizes[number], number))
    kept = numbers[0]
    one = np.isin(objects, numbers)
    own = np.zeros_like(objects) if drawn is None else drawn_in(drawn, one)
    said = [values for number in numbers if (values := own[(objects == number) & (own > 0)]).size]
    value = int(np.bincount(said[0]).argmax()) if said else _class(classes, kept)
    box = _box(one | line)
    # between the objects, not the ends of the line that reach out of them
    gaps, count = ndimage.label(line[box] & (objects[box] == 0), SQUARE)
    for gap in range(1, count + 1):
        around = ndimage.binary_dilation(gaps == gap, SQUARE)
        if len(set(np.unique(objects[box][around])) & set(numbers)) > 1:
            one[box] |= gaps == gap
    made = objects.copy()
    made[one] = kept
    separation = np.full(objects.shape, KEEP, np.int16)
    inside = one[box]
    # a scribble ends a pixel or two outside of the objects
    former, _ = interface_labels(np.where(np.isin(objects[box], numbers), objects[box], 0))
    between = ndimage.binary_dilation(former > 0, SQUARE)
    separation[box][between] = IGNORE
    scribble = (_mark(marks, "separation", objects.shape)[box] == INTERFACE) & ~between
    _change(separation[box], interfaces_where_known(inside.astype(np.int32), inside, DEFAULT_GAP))
    separation[box][along_border(scribble, inside)] = KEEP
    known = classes is not None or said  # without either nothing is said of the class
    overrule = np.where(one, value, KEEP).astype(np.int16) if known else None
    return Correction(made, {kept: value}, {"separation": separation}, overrule)


def erase(objects: np.ndarray, stroke: np.ndarray) -> Correction:
    """What a stroke touches is no object: background, each of them to its border.

    Args:
        objects: (H, W) ids.
        stroke: (H, W) bool; a click is a stroke of one pixel.

    Raises:
        LazyLabelsError: when the stroke touches no object.
    """
    objects, stroke = _checked(objects, stroke, "stroke")
    gone = np.isin(objects, _touched(objects, stroke))
    change = np.where(gone, BACKGROUND, KEEP).astype(np.int16)
    return Correction(np.where(gone, 0, objects).astype(np.int32), {}, {"segmentation": change, "detection": change.copy()})


def relabel(objects: np.ndarray, stroke: np.ndarray, value: int) -> Correction:
    """What a stroke touches is of another class: an inner region of each, and its class in marks that show another one.

    Args:
        objects: (H, W) ids.
        stroke: (H, W) bool; a click is a stroke of one pixel.
        value: the class, 1 or more.

    Raises:
        LazyLabelsError: when the stroke touches no object.
    """
    objects, stroke = _checked(objects, stroke, "stroke")
    numbers = _touched(objects, stroke)
    where = np.isin(objects, numbers)
    box = _box(where)
    detection = np.full(where.shape, KEEP, np.int16)
    inner = inner_regions(np.where(where, objects, 0)[box], jitter=0.0) > 0
    detection[box][inner] = value
    return Correction(
        objects.copy(),
        {number: int(value) for number in numbers},
        {"detection": detection},
        np.where(where, value, KEEP).astype(np.int16),
    )


def outline(
    objects: np.ndarray,
    number: int,
    mask: np.ndarray,
    value: int,
    halo: int = HALO,
    rng: np.random.Generator | int | None = None,
    marks: _Marks | None = None,
) -> Correction:
    """The object is exactly this: its exact mask, with background close around it, an inner region and no interface inside.

    An interface runs to each exact object that it touches, and those that are drawn along its border stay.

    Args:
        objects: (H, W) ids.
        number: of the object; one that is not there yet is new.
        mask: (H, W) bool, all of it.
        value: its class, 1 or more.
        halo: pixels around it that are background, save those of other objects, on the screen and in the marks, those behind an
            interface that is drawn, and a neighbour that the object on the screen holds, too.
        rng: of the inner region; see :func:`~lazylabels_monai.labels.inner.inner_regions`.
        marks: of :func:`drawn_labels`.

    Raises:
        LazyLabelsError: for an empty mask, or an id below 1.
    """
    objects, mask = _checked(objects, mask, "outline")
    if not mask.any() or number < 1:
        raise LazyLabelsError("the outline holds no pixel: draw around the object.")
    made = np.where(objects == number, 0, objects)
    made[mask] = number
    box = _box(mask, 2 * max(_AROUND, halo + 2))
    inside = mask[box]
    near = Surroundings.of(
        inside, objects[box] == number, objects[box], {t: _mark(marks, t, mask.shape)[box] for t in TASKS}, halo
    )
    segmentation, detection, separation = (np.full(mask.shape, KEEP, np.int16) for _ in TASKS)
    segmentation[box][near.background] = BACKGROUND
    segmentation[box][inside] = value
    detection[box][near.background | inside] = BACKGROUND
    detection[box][near.dab | (inner_regions(inside.astype(np.int32), rng=rng) > 0)] = value
    label = interfaces_where_known(parted(inside, near.exact), near.known, DEFAULT_GAP)
    separation[box][near.stale] = IGNORE
    separation[box][(label == BACKGROUND) & (inside | near.background) & ~near.interfaces] = BACKGROUND
    separation[box][label == INTERFACE] = INTERFACE
    labels = {"segmentation": segmentation, "detection": detection, "separation": separation}
    return Correction(made.astype(np.int32), {int(number): int(value)}, labels)


def drawn_labels(project: Project, entry: ImageEntry) -> dict[str, np.ndarray]:
    """What the person marked, by task, without what "everything is marked here" made background.

    Raises:
        LazyLabelsError: when a label cannot be read.
    """
    return {task: project.labels.drawn(entry, task) for task in TASKS}


def marked(project: Project, entry: ImageEntry) -> np.ndarray:
    """The class of object that the person marked, (H, W) uint8, 0 where none; inner regions go before exact masks.

    Raises:
        LazyLabelsError: when a label cannot be read.
    """
    inner, exact = (objects_of(project.labels.read(entry, task)) for task in ("detection", "segmentation"))
    return np.where(inner > 0, inner, exact)


def outlined(objects: np.ndarray, pixel: tuple[int, int], seen: np.ndarray) -> int:
    """The object that an outline is of, in the objects of now: their ids may be others than when it was asked for.

    Args:
        objects: (H, W) ids.
        pixel: (row, column) that was clicked.
        seen: (H, W) bool, the outline and the object for which it was asked, as that was seen then.

    Returns:
        the id of the object under the click, or else of that which fills most of what was seen; a new id where there is none.
        One that holds something else, too, such as a neighbour that the network takes for a part of it now, stays.
    """
    objects, seen = _checked(objects, seen, "outline")
    size, inside = np.bincount(objects.ravel()), np.bincount(objects[seen], minlength=1)
    inside = np.pad(inside, (0, len(size) - len(inside)))
    most = np.where(2 * inside > size, inside, 0)
    most[0] = 0
    clicked = int(objects[pixel])
    number = clicked if most[clicked] else int(most.argmax())
    rest = (objects == number) & ~seen
    return number if most[number] and not ndimage.binary_erosion(rest, iterations=HALO).any() else len(size)


def apply(project: Project, entry: ImageEntry, correction: Correction) -> dict[str, np.ndarray]:
    """Merge a correction into the labels of an image, and save them.

    What the person marked before gives way where the correction says something.

    Args:
        project: the project.
        entry: the image.
        correction: what was put right.

    Returns:
        the labels that were changed as they were drawn before, for :func:`undo`.

    Raises:
        LazyLabelsError: when a label cannot be read or written; all are as before then.
    """
    before = {}
    changes = dict(correction.labels)
    if correction.overrule is not None:
        for task in _CLASSED & entry.drawn:
            shown = (correction.overrule != KEEP) & (objects_of(project.labels.read(entry, task)) > 0)
            changes[task] = np.where(shown, correction.overrule, changes.get(task, KEEP)).astype(np.int16)
    try:
        for task in TASKS:
            if task not in changes or (changes[task] == KEEP).all():
                continue
            marks = project.labels.drawn(entry, task)
            made = np.where(changes[task] == KEEP, marks, changes[task]).astype(np.uint8)
            if not np.array_equal(made, marks):
                before[task] = marks
                project.labels.save_drawn(entry, task, made)
        project.records.note_corrected(entry, list(before))
    except BaseException:  # a correction of one label alone would be none
        with suppress(LazyLabelsError, OSError):
            undo(project, entry, before)
        raise
    return before


def undo(project: Project, entry: ImageEntry, before: Mapping[str, np.ndarray]) -> None:
    """Save labels as :func:`apply` found them."""
    for task, marks in before.items():
        project.labels.save_drawn(entry, task, marks)


def _mark(marks: _Marks | None, task: str, shape: tuple[int, ...]) -> np.ndarray:
    """A label of the marks, unlabelled where there is none."""
    return marks[task] if marks is not None and task in marks else np.full(shape, IGNORE, np.uint8)


def _checked(objects: np.ndarray, drawn: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    objects, drawn = np.asarray(objects), np.asarray(drawn, bool)
    if objects.ndim != 2 or objects.shape != drawn.shape:
        raise LazyLabelsError(f"the {what} is of {drawn.shape} pixels, the objects of {objects.shape}: draw on this picture.")
    return objects.astype(np.int32), drawn


def _touched(objects: np.ndarray, stroke: np.ndarray) -> list[int]:
    numbers = _under(objects, stroke)
    if not numbers:
        raise LazyLabelsError("there is no object here: click inside one, or draw over several.")
    return numbers


def _under(objects: np.ndarray, drawn: np.ndarray) -> list[int]:
    return [int(number) for number in np.unique(objects[drawn]) if number > 0]


def _box(mask: np.ndarray, around: int = _AROUND) -> tuple[slice, slice]:
    """Of the pixels, with some around them."""
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(slice(max(0, side.start - around), side.stop + around) for side in found)


def _change(change: np.ndarray, label: np.ndarray) -> None:
    known = label != IGNORE
    change[known] = label[known]


def _class(classes: np.ndarray | None, number: int) -> int:
    return int(classes[number]) if classes is not None and number < len(classes) else 1
