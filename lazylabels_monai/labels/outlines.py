"""The outlines of objects as polygons along the edges of their pixels, all objects of an image at once.

A vertex lies on the corner of a pixel, so that no pixel's centre ever lies on an edge: whatever rule a program has for
those, it fills these polygons with the very pixels of the object.
"""

from __future__ import annotations

import numpy as np
from skimage.measure import label

__all__ = ["Outline", "outlines"]

#: The polygons of an object, each a list of rings, the outer one first, then its holes; a ring is (N, 2) int64 (y, x).
Outline = list[list[np.ndarray]]


def outlines(ids: np.ndarray) -> dict[int, Outline]:
    """Polygons of the objects of an id map.

    Pixels join through edges; those that merely share a corner are polygons of their own, as are all pieces of an object.
    The rings are open (the first vertex is not repeated), turn only at vertices and touch themselves nowhere; outer ones
    have a positive area in (x, y), holes a negative one. So the polygons are valid by the OGC's simple features, which
    QuPath's Java library and shapely ask for.

    Args:
        ids: (H, W) whole numbers, 0 = no object.

    Returns:
        the polygons of each object by its id, ids ascending, and within an object from top to bottom.

    Example:
        >>> outlines(np.pad(np.ones((1, 2), int), 1))[1][0][0].tolist()
        [[1, 1], [1, 3], [2, 3], [2, 1]]
    """
    pieces = label(ids, background=0, connectivity=1)
    owner = np.zeros(int(pieces.max(initial=0)) + 1, np.int64)
    owner[pieces.ravel()] = np.asarray(ids).ravel()
    pixel, side, following, stride = _edges(pieces)
    ring, position = _rings(following)
    order = np.lexsort((position, ring))
    pixel, side, ring = pixel[order], side[order], ring[order]
    y, x = pixel // stride - 1, pixel % stride - 1

    starts = np.flatnonzero(np.r_[True, ring[1:] != ring[:-1]]) if len(ring) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(ring)][: len(starts)]
    # a ring's area by its edges that go down, on a pixel's right side, and up, on its left
    area = np.add.reduceat(np.where(side == 1, x + 1, 0) - np.where(side == 3, x, 0), starts) if len(starts) else starts
    before = np.arange(len(ring)) - 1
    before[starts] = ends - 1
    corner = side != side[before]
    points = np.stack([y + (side >= 2), x + ((side == 1) | (side == 2))], axis=1)[corner]
    cuts = np.r_[0, np.cumsum(corner)]
    piece = pieces[y[starts], x[starts]]

    found: dict[int, Outline] = {}
    previous = 0
    for index in np.lexsort((starts, area < 0, piece, owner[piece])).tolist():
        vertices = points[cuts[starts[index]] : cuts[ends[index]]]
        polygons = found.setdefault(int(owner[piece[index]]), [])
        if piece[index] != previous:
            polygons.append([])
            previous = piece[index]
        polygons[-1].append(vertices)
    return found


def _edges(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The edges of pixels along which a piece ends, and which edge follows on which.

    The piece lies to the right of an edge as one goes along it on the screen: side 0 is a pixel's upper side, which leads
    right, 1 its right side, which leads down, 2 its lower, 3 its left.

    Returns:
        pixel of each edge, as its index in the map with one pixel around it; side; index of the edge that follows; width of
        that map.
    """
    around = np.pad(pieces, 1)
    stride, flat = around.shape[1], around.ravel()
    beside = np.array([-stride, 1, stride, -1])
    ahead = np.array([1, stride, -1, -stride])
    inside = np.flatnonzero(flat)
    keys = np.sort(np.concatenate([inside[flat[inside] != flat[inside + beside[d]]] * 4 + d for d in range(4)]))
    pixel, side = keys // 4, keys % 4
    front = pixel + ahead[side]
    diagonal = front + beside[side]
    # where four pixels meet, two of the piece across from each other: the ring goes on along the other one, so that it does
    # not touch itself there; they are one piece, so that the ring is closed on either side of the corner
    turns_out, straight = flat[diagonal] == flat[pixel], flat[front] == flat[pixel]
    following = np.where(
        turns_out, diagonal * 4 + (side + 3) % 4, np.where(straight, front * 4 + side, pixel * 4 + (side + 1) % 4)
    )
    return pixel, side, np.searchsorted(keys, following), stride


def _rings(following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ring of each edge, called by its first edge, and the edge's place in it; by doubling the steps (Wyllie 1979)."""
    edges = np.arange(len(following))
    ring, jump = edges.copy(), following.copy()
    while (ring != ring[following]).any():
        ring = np.minimum(ring, ring[jump])
        jump = jump[jump]
    last = following == ring
    jump = np.where(last, edges, following)
    to_end = (~last).astype(np.int64)
    while (jump != jump[jump]).any():
        to_end += to_end[jump]
        jump = jump[jump]
    return ring, -to_end
