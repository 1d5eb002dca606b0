"""What a label map looks like: object ids, classes, or neither (a smoothed mask, a picture, outlines). Plain arrays.

A folder's name says what its pictures are meant to be; their pixels say what they can be. Ids are one piece each, nearly
always: of the 1080 id maps of the five public sets none has an id in more than three pieces (docs/checking.md). A class has
as many pieces as there are objects of it. Smoothing puts values between two others along every edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lazylabels_monai.tasks import IGNORE

__all__ = ["Look", "Suspicion", "look_at", "suspect_classes", "suspect_ids"]

#: Pieces of a value below this share of its largest, or of fewer pixels, are slips of the hand and do not count.
MIN_PIECE, MIN_PIECE_PIXELS = 0.1, 4
#: Pieces from which an id that is not alone is questioned.
MANY_PIECES = 4
#: Ids in two pieces or more from which numbers went around, where nearly all that 8 or 16 bits hold are in use.
TWICE, IN_USE = 5, 0.9
#: Pieces for each id, over all maps and in one map alone, from which ids are classes.
CLASS_PIECES, CLASS_PIECES_ALONE = 2.0, 3.0
#: Share of the objects' border pixels that lie on a slope (a < here < b along a row or column) from which a map is smoothed;
#: the id maps of the public sets reach 0.015.
MAX_SLOPE = 0.1
#: Border pixels below which the share says nothing.
MIN_BORDER = 20
#: Different values, and pieces for each, from which a map is a smoothed one, or a picture where no two values prevail.
SMOOTHED_VALUES, PICTURE_VALUES, SCATTERED_PIECES = 8, 24, 4.0
#: Largest speck in pixels, and the fewest that are reported.
SPECK_PIXELS, MIN_SPECKS = 3, 5
#: Share of the map's border that a value holds which surrounds all others, and that 0 holds at most beside it.
SURROUNDS, ZERO_ON_BORDER = 0.5, 0.1
#: Share of the object pixels inside of objects below which they may be outlines, and how much larger the area inside is.
OUTLINE_INSIDE, OUTLINE_FILLED = 0.05, 1.5
#: Holes in a single object that reaches along most of the border, from which the holes may be the objects.
MIN_HOLES = 3
#: Values of one map above which they are hardly classes.
_MANY_CLASSES = 20
#: Pixels above which only the middle of a map is looked at.
_MOST_PIXELS = 1 << 25


@dataclass(frozen=True)
class Look:
    """What one map looks like.

    Args:
        values: its values other than 0, sorted.
        areas: pixels of each.
        pieces: how many pieces each has that count (:data:`MIN_PIECE`); pixels join through faces and corners.
        parts: how many pieces there are in all, specks included.
        slope: share of the border pixels that lie on a slope between a lower and a higher value.
        between: how many values lie on slopes for the most part.
        surround: value other than 0 that surrounds the others; None where there is none.
        holes: how many pieces of 0 there are that count, where a single value holds most of the border; otherwise 0.
        outlines: whether objects are drawn as outlines and left hollow.
        zeros: pixels of 0.
        flat: share of the pixels that the two most frequent values hold.
    """

    values: np.ndarray
    areas: np.ndarray
    pieces: np.ndarray
    parts: int
    slope: float
    between: int
    surround: int | None
    holes: int
    outlines: bool
    flat: float
    zeros: int = 0

    def without(self, values: Collection[int]) -> Look:
        """The same without some values, whose meaning is known."""
        kept = ~np.isin(self.values, list(values))
        surround = None if self.surround in values else self.surround
        return replace(self, values=self.values[kept], areas=self.areas[kept], pieces=self.pieces[kept], surround=surround)


class Suspicion(NamedTuple):
    """Why a map is not what it is meant to be.

    Args:
        code: name of the reason.
        index: which of the maps.
        what: the fault, continuing "file 'a.png' has ...".
        sure: whether it cannot be meant; otherwise it is a question.
        value: the value concerned, where it is one.
    """

    code: str
    index: int
    what: str
    sure: bool
    value: int | None = None


def look_at(label: np.ndarray) -> Look:
    """Look at a map of whole numbers, (H, W) or (D, H, W); 0 is what nobody marked."""
    from skimage.measure import label as connected  # half a second

    label = _middle(np.asarray(label))
    values, ranks = _ranks(label)
    count = values.size
    areas = np.bincount(ranks.ravel(), minlength=count)
    pieces = connected(ranks + 1, background=0, connectivity=label.ndim)
    sizes = np.bincount(pieces.ravel())[1:]
    owner = np.zeros(sizes.size + 1, np.int64)
    owner[pieces.ravel()] = ranks.ravel()
    owner = owner[1:]
    largest = np.zeros(count)
    np.maximum.at(largest, owner, sizes)
    counted = sizes >= np.maximum(MIN_PIECE * largest[owner], np.minimum(MIN_PIECE_PIXELS, largest[owner]))
    marked = values != 0
    inside = label != 0
    slope, between = _slopes(ranks, inside, areas)
    two = np.sort(areas)[-2:].sum()
    return Look(
        values[marked],
        areas[marked],
        np.bincount(owner[counted], minlength=count)[marked],
        int(np.count_nonzero(marked[owner])),
        slope,
        int(np.count_nonzero(between & marked)),
        _surrounding(label, int(sizes.size)),
        _holes(label, values, np.bincount(owner[counted], minlength=count)),
        _hollow(ranks, inside),
        float(two / max(label.size, 1)),
        int(areas[~marked].sum()),
    )


def suspect_ids(looks: Sequence[Look]) -> list[Suspicion]:
    """Why the maps of a data set are no object ids: one value for each object, 0 elsewhere.

    Args:
        looks: at each map.

    Returns:
        at most one for each map.
    """
    surround = _usual_surrounding(looks)
    found = [_no_label(i, look) or _surrounded(i, look, surround, True) for i, look in enumerate(looks)]
    left = [i for i, suspicion in enumerate(found) if suspicion is None and looks[i].values.size]
    alone = [i for i in left if looks[i].values.size == 1 and looks[i].pieces[0] > 1]
    many = sum(looks[i].pieces.sum() for i in left) >= CLASS_PIECES * sum(looks[i].values.size for i in left)
    for i in left:
        look = looks[i]
        worst = int(look.pieces.argmax())
        value, pieces = int(look.values[worst]), int(look.pieces[worst])
        ratio = look.pieces.sum() / look.values.size
        if look.outlines:
            found[i] = Suspicion("ids-outlines", i, "outlines whose inside is empty", False)
        elif i in alone:
            sure = value == IGNORE or len(alone) > 1 or pieces > 2
            found[i] = Suspicion("ids-binary", i, f"one id, {value}, in {pieces} pieces, like a binary mask", sure, value)
        elif look.holes >= MIN_HOLES:
            what = f"one id, {value}, around {look.holes} holes, like a mask whose objects are 0"
            found[i] = Suspicion("ids-background", i, what, value == IGNORE, value)
        elif look.values.size > 1 and (ratio >= CLASS_PIECES_ALONE or (many and ratio >= CLASS_PIECES)):
            what = f"{look.values.size} ids in {look.pieces.sum()} pieces, like a map of classes"
            found[i] = Suspicion("ids-classes", i, what, True)
        elif pieces >= MANY_PIECES:
            found[i] = Suspicion("ids-pieces", i, f"the id {value} in {pieces} pieces", False, value)
        elif look.values[-1] in (255, 65535) and (twice := _went_around(look)):
            found[i] = Suspicion("ids-pieces", i, f"{twice} of {look.values.size} ids in two pieces or more", False)
        else:
            found[i] = _specks(i, look)
    return [suspicion for suspicion in found if suspicion is not None]


def suspect_classes(looks: Sequence[Look], named: bool) -> list[Suspicion]:
    """Why the maps of a data set are no classes: few values, each for all objects of a kind.

    Args:
        looks: at each map; 255 is not labelled and no class.
        named: whether somebody named as many classes as there are values.

    Returns:
        at most one for each map.
    """
    looks = [look.without([IGNORE]) for look in looks]
    surround = _usual_surrounding(looks)
    found = [_no_label(i, look, few=False) or _surrounded(i, look, surround, False) for i, look in enumerate(looks)]
    for i, look in enumerate(looks):
        if found[i] is None and look.outlines:
            found[i] = Suspicion("ids-outlines", i, "outlines whose inside is empty", False)
    numbered = [i for i, look in enumerate(looks) if found[i] is None and _is_numbered(look)]
    seen = sum(suspicion is None and look.values.size > 0 for suspicion, look in zip(found, looks, strict=True))
    counts = {looks[i].values.size for i in numbered}
    # Objects of one image are numbered anew in the next, and their number differs; classes are the same everywhere.
    if numbered and 2 * len(numbered) > seen and max(counts) > 2 and (len(counts) > 1 or not named):
        for i in numbered:
            what = f"{looks[i].values.size} values, each in one piece, like object ids"
            found[i] = Suspicion("classes-ids", i, what, not named)
    return [suspicion for suspicion in found if suspicion is not None]


def _middle(label: np.ndarray) -> np.ndarray:
    if label.size <= _MOST_PIXELS:
        return label
    side = int(_MOST_PIXELS ** (1 / label.ndim))
    return label[tuple(slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + side) for n in label.shape)]


def _ranks(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values, and a map (int32) of each pixel's place among them; counting beats sorting for small ones."""
    if label.size and label.min() >= 0 and label.max() < max(1 << 16, label.size):
        values = np.flatnonzero(np.bincount(label.ravel().astype(np.intp, copy=False)))
        table = np.zeros(int(values[-1]) + 1, np.int32)
        table[values] = np.arange(values.size)
        return values, table[label]
    values, ranks = np.unique(label, return_inverse=True)
    return values, ranks.reshape(label.shape).astype(np.int32)


def _along(array: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(array, axis, 0)


def _slopes(ranks: np.ndarray, inside: np.ndarray, areas: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of the objects' border pixels on slopes, and which values lie on them for the most part."""
    slope, border = np.zeros(ranks.shape, bool), np.zeros(ranks.shape, bool)
    for axis in range(ranks.ndim):
        step = np.sign(np.diff(_along(ranks, axis), axis=0))
        _along(slope, axis)[1:-1] |= (step[1:] == step[:-1]) & (step[1:] != 0)
        _along(border, axis)[1:] |= step != 0
        _along(border, axis)[:-1] |= step != 0
    slope &= inside
    count = np.count_nonzero(border & inside)
    on_slope = np.bincount(ranks[slope], minlength=areas.size)
    return (float(np.count_nonzero(slope) / count) if count >= MIN_BORDER else 0.0), 2 * on_slope > areas


def _surrounding(label: np.ndarray, pieces: int) -> int | None:
    """The value other than 0 that holds most of the map's border and part of each side, where the others lie inside."""
    if pieces < 3 or min(label.shape) < 3:
        return None
    sides = [_along(label, axis)[at].ravel() for axis in range(label.ndim) for at in (0, -1)]
    values, counts = np.unique(np.concatenate(sides), return_counts=True)
    shares = dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True))
    value = int(values[counts.argmax()])
    if value == 0 or shares[value] < SURROUNDS or shares.get(0, 0) > ZERO_ON_BORDER:
        return None
    return value if all((side == value).any() for side in sides) else None


def _holes(label: np.ndarray, values: np.ndarray, pieces: np.ndarray) -> int:
    """Pieces of 0 in a map of one other value that holds most of its border: objects, where the mask is inverted."""
    if values.size != 2 or values[0] != 0:
        return 0
    border = np.concatenate([_along(label, axis)[at].ravel() for axis in range(label.ndim) for at in (0, -1)])
    return int(pieces[0]) if np.count_nonzero(border) >= SURROUNDS * border.size else 0


def _hollow(ranks: np.ndarray, inside: np.ndarray) -> bool:
    """Whether the objects are thin closed lines around areas that nobody marked."""
    total = np.count_nonzero(inside)
    if ranks.ndim != 2 or not total or total > 0.5 * inside.size:
        return False
    same = (ndimage.maximum_filter(ranks, 3) == ranks) & (ndimage.minimum_filter(ranks, 3) == ranks) & inside
    if np.count_nonzero(same) > OUTLINE_INSIDE * total:
        return False
    return bool(np.count_nonzero(ndimage.binary_fill_holes(inside)) > (1 + OUTLINE_FILLED) * total)


def _is_numbered(look: Look) -> bool:
    """Whether the values are numbers of objects: each in one piece, and from 1 to n; or so many that classes they are not."""
    count = look.values.size
    if count < 2 or np.count_nonzero(look.pieces == 1) < 0.9 * count:
        return False
    return bool(look.values[-1] == count) or count > _MANY_CLASSES


def _went_around(look: Look) -> int:
    """How many numbers were given twice, as there were more objects than numbers; 0 for a few slips."""
    twice = int(np.count_nonzero(look.pieces > 1))
    return twice if twice >= TWICE and look.values.size >= IN_USE * look.values[-1] else 0


def _no_label(index: int, look: Look, few: bool = True) -> Suspicion | None:
    """A picture, or a label whose edges were smoothed; ``few``: also where a single value lies in between."""
    count = look.values.size
    scattered = look.parts >= SCATTERED_PIECES * count
    if scattered and count >= PICTURE_VALUES and look.flat < 0.5:
        what = f"{count} values scattered over {look.parts} pieces, like a picture or a label that was resized with smoothing"
        return Suspicion("label-picture", index, what, True)
    # In a map of objects a pixel or two wide each has a value of its own; those of an edge recur along it.
    if count and look.slope >= MAX_SLOPE and look.parts > count:
        what = f"values between two others along {100 * look.slope:.0f} % of the edges, as smoothing makes them"
        # Of a single class in between each edge may be meant: a border one pixel wide.
        return Suspicion("label-smoothed", index, what, few or look.between > 2 or count >= SMOOTHED_VALUES)
    if scattered and count >= SMOOTHED_VALUES and look.pieces.sum() >= CLASS_PIECES * count:
        what = f"{count} values scattered over {look.parts} pieces, as compression with losses makes them"
        return Suspicion("label-smoothed", index, what, True)
    return None


def _usual_surrounding(looks: Sequence[Look]) -> int | None:
    """The value that surrounds the others in most maps; one large object does so in a few."""
    counts = Counter(look.surround for look in looks)
    value, count = counts.most_common(1)[0] if counts else (None, 0)
    return value if 2 * count > len(looks) else None


def _surrounded(index: int, look: Look, usual: int | None, ids: bool) -> Suspicion | None:
    if usual is None or look.surround != usual:
        return None
    what = f"the value {usual} around all others, like a background"
    return Suspicion("ids-background" if ids else "classes-background", index, what, ids, usual)


def _specks(index: int, look: Look) -> Suspicion | None:
    specks = int(np.count_nonzero(look.areas <= SPECK_PIXELS))
    if specks < MIN_SPECKS or 2 * specks <= look.areas.size:
        return None
    return Suspicion("ids-specks", index, f"{specks} of {look.areas.size} ids with at most {SPECK_PIXELS} pixels", False)
