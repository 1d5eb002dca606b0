"""Which objects were outlined twice, as by two people, or anew without taking the first outline away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["DrawnTwice", "Outlined", "drawn_twice"]


class DrawnTwice(NamedTuple):
    """An object that was outlined twice: two exact areas of one class that share most of their pixels.

    Args:
        first: the file of the one.
        id: what that file calls it.
        second: the file of the other; likewise its name there.
        second_id: of the other.
    """

    first: Path
    id: str
    second: Path
    second_id: str


class Outlined(NamedTuple):
    """An exactly drawn object.

    Args:
        meaning: its class, 1 or more.
        source: the file that it comes from.
        id: what that file calls it.
        part: rows and columns of the image.
        mask: (h, w) bool, its pixels there.
    """

    meaning: int
    source: Path
    id: str
    part: tuple[slice, slice]
    mask: np.ndarray


def drawn_twice(outlined: Sequence[Outlined]) -> list[DrawnTwice]:
    """Pairs of one class whose intersection is more than half of their union, but for those that are the same pixel for pixel:
    the one covers the other, and nothing comes of it.
    """
    if len(outlined) < 2:
        return []
    boxes = np.array([[(p.start, p.stop) for p in o.part] for o in outlined])
    areas = np.array([np.count_nonzero(o.mask) for o in outlined])
    classes = np.array([o.meaning for o in outlined])
    order = np.argsort(boxes[:, 0, 0], kind="stable")
    tops = boxes[order, 0, 0]
    found = []
    for place, a in enumerate(order):
        # those that begin above its last row; what they share is at most what their boxes do
        below = order[place + 1 : np.searchsorted(tops, boxes[a, 0, 1])]
        shared = (np.minimum(boxes[below, :, 1], boxes[a, :, 1]) - np.maximum(boxes[below, :, 0], boxes[a, :, 0])).clip(0)
        possible = (3 * shared.prod(axis=1) > areas[below] + areas[a]) & (classes[below] == classes[a])
        for b in below[possible]:
            common = _common(outlined[a], outlined[b])
            if 3 * common > areas[a] + areas[b] and not common == areas[a] == areas[b]:
                first, second = sorted((outlined[a], outlined[b]), key=lambda o: str(o.source))
                found.append(DrawnTwice(first.source, first.id, second.source, second.id))
    return found


def _common(first: Outlined, second: Outlined) -> int:
    """How many pixels two areas share."""
    both = [slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(first.part, second.part, strict=True)]
    masks = [
        o.mask[tuple(slice(b.start - p.start, b.stop - p.start) for b, p in zip(both, o.part, strict=True))]
        for o in (first, second)
    ]
    return int(np.count_nonzero(masks[0] & masks[1]))
