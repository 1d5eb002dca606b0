"""What is known around an object that a person outlined: whose the pixels are, and which interfaces part it from others.

All arrays are (H, W), of the part of a picture that holds the outline and what may touch it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lazylabels_monai.labels.interfaces import DEFAULT_GAP, interface_labels
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE

__all__ = ["HALO", "SQUARE", "Surroundings", "along_border", "drawn_in", "objects_of", "parted"]

#: Pixels around an exact outline that are background, as in ``lazylabels datalist``.
HALO = 3
#: A pixel and those that touch it, corners too.
SQUARE = np.ones((3, 3), bool)
#: A scribble that cuts at least so much off an object runs through it; one that cuts off less runs along its border.
_THROUGH = 0.25
#: What surrounds more of an outline than this is no neighbour, but a prediction that is too large.
_SURROUNDS = 0.5


@dataclass(frozen=True)
class Surroundings:
    """What is known around an outline, (H, W) bool each.

    Args:
        exact: exact masks of other objects.
        background: the halo, but for other objects and what lies behind an interface.
        known: where it is known whether the object is there, others are or background.
        dab: the inner region that the person drew in the object; nothing where it may have followed from an earlier outline.
        stale: interfaces that followed from an earlier outline, and go with it.
        interfaces: those that the person drew, along its border and beside it, which stay.
    """

    exact: np.ndarray
    background: np.ndarray
    known: np.ndarray
    dab: np.ndarray
    stale: np.ndarray
    interfaces: np.ndarray

    @classmethod
    def of(
        cls, inside: np.ndarray, seen: np.ndarray, shown: np.ndarray, marks: Mapping[str, np.ndarray], halo: int = HALO
    ) -> Surroundings:
        """What the labels and the objects on the screen say.

        Args:
            inside: (H, W) bool, the outline.
            seen: (H, W) bool, the object as the screen shows it.
            shown: (H, W) ids on the screen.
            marks: (H, W) uint8 by task, what the person drew, 255 where nothing.
            halo: pixels around the outline that are background.
        """
        drawn, mask = marks["separation"] == INTERFACE, objects_of(marks["segmentation"])
        taken = bool(seen.any() and (mask[seen] > 0).all())
        # masks have no ids: pieces between interfaces, and what other ids do not cover
        own = _own(np.where(seen | (shown == 0), mask, 0), inside, drawn)
        if taken and _parts(seen & ~drawn).max(initial=0) == 1:
            own |= seen
        others = (mask > 0) & ~own
        # what followed from its former outline goes with that
        former = seen & own if taken else np.zeros_like(inside)
        stale = interface_labels(parted(former, others), DEFAULT_GAP)[0] > 0
        along, scribble = _that_stay(drawn & ~stale, inside)
        inner = objects_of(marks["detection"])
        own_inner = drawn_in(inner, inside) > 0
        neighbour = _neighbour((seen | own) & ~inside & ~others, inside)
        foreign = ((shown > 0) & ~seen | others | neighbour | (inner > 0) & ~own_inner) & ~inside
        reached = _reached(inside & ~along, scribble & (along | ~inside), halo)
        background = reached & ~inside & ~foreign & (ndimage.distance_transform_edt(~inside) <= halo)
        exact = others & ~inside
        known = inside | background | exact | (marks["segmentation"] == BACKGROUND) & ~foreign
        dab = own_inner & inside & (not former.any())
        return cls(exact, background, known, dab, stale, along | scribble & ~inside)


def parted(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Ids of an object and of all others, as one of which it is parted."""
    return np.where(one, 1, np.where(other, 2, 0)).astype(np.int32)


def along_border(scribble: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What of interfaces reaches into an object from its border; not what runs through it, or lies in its midst."""
    pieces, count = ndimage.label(scribble & inside, SQUARE)
    edge = inside & ~ndimage.binary_erosion(inside, border_value=1)
    along = np.zeros_like(inside)
    whole = int(_parts(inside).max(initial=0))
    for piece in range(1, count + 1):
        where = pieces == piece
        if (where & edge).any() and int(_parts(inside & ~where).max(initial=0)) <= whole:
            along |= where
    return along


def drawn_in(drawn: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Drawn classes of pieces that lie mostly in an object; those of a neighbour may reach into it."""
    own = np.zeros_like(drawn)
    for value in np.unique(drawn[where & (drawn > 0)]):
        pieces, count = ndimage.label(drawn == value)
        inside = 2 * np.bincount(pieces[where], minlength=count + 1) > np.bincount(pieces.ravel())
        own[(pieces > 0) & inside[pieces]] = value
    return own


def objects_of(label: np.ndarray) -> np.ndarray:
    """Classes of objects in a label, 0 elsewhere."""
    return np.where(label == IGNORE, np.uint8(BACKGROUND), label)


def _own(exact: np.ndarray, inside: np.ndarray, scribble: np.ndarray) -> np.ndarray:
    """Pieces of an exact mask, between interfaces, that lie mostly in an outline, (H, W) bool."""
    cut = (exact > 0) & ~scribble
    own = drawn_in(np.where(cut, exact, 0), inside) > 0
    under = (exact > 0) & scribble
    if own.any() and under.any():
        nearest = ndimage.distance_transform_edt(~cut, return_distances=False, return_indices=True)
        own |= under & own[tuple(nearest)]
    return own


def _that_stay(scribble: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interfaces along the border of an outline, and all that stay: those that run through it go, with their ends."""
    along = along_border(scribble, inside)
    through = scribble & inside & ~along
    if through.any():  # the ends are a few pixels outside
        scribble = scribble & (~ndimage.binary_dilation(through, SQUARE, iterations=HALO) | along)
    return along, scribble


def _neighbour(rest: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What of an object that lies outside of its outline likely is a neighbour that was taken for a part of it."""
    pieces, _ = ndimage.label(_thick(rest))
    border = ndimage.binary_dilation(inside) & ~inside
    share = np.bincount(pieces[border], minlength=1) / max(1, np.count_nonzero(border))
    beside = np.flatnonzero((share > 0) & (share < _SURROUNDS))
    return np.isin(pieces, beside[beside > 0])


def _thick(where: np.ndarray) -> np.ndarray:
    """Parts that are more than a strip along a border: those that hold a square of ``2 * HALO + 1`` pixels, roughly."""
    core = ndimage.binary_opening(where, iterations=HALO)
    return ndimage.binary_dilation(core, iterations=2 * HALO, mask=where) if core.any() else core


def _parts(where: np.ndarray) -> np.ndarray:
    """Connected parts, numbered, that are large enough to be some of an object, (H, W) int."""
    parts, count = ndimage.label(where)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = np.flatnonzero((sizes > 0) & (sizes >= _THROUGH * sizes.sum()))
    numbers = np.zeros(count + 1, int)
    numbers[large] = np.arange(1, len(large) + 1)
    return numbers[parts]


def _reached(core: np.ndarray, scribble: np.ndarray, steps: int) -> np.ndarray:
    """What lies around an object on its side of the interfaces: behind one there is another object."""
    start = _parts(core) > 0
    return ndimage.binary_dilation(start, SQUARE, iterations=steps, mask=~scribble) if steps else start
