"""Connected pieces of a whole picture from those of its tiles: pieces that meet across a face are one. This is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from lazylabels_monai.images.axes import swap_plane
from lazylabels_monai.predicting.large.tiling import Place, Tiling

__all__ = ["Joined", "TilePieces", "join", "pieces_of_tile"]

_EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class TilePieces:
    """The pieces of one tile, numbered 1..n.

    Attributes:
        sizes: (n,) pixels of each.
        first: (n,) place of its first pixel, counted down the columns of the whole picture: the order in which the pieces of
            the whole picture are numbered, whose arrays are MONAI's (W, H).
        boxes: (n, 4) first row, first column, last row, last column in the whole picture, the last ones excluded.
        edges: numbers along the four edges of the tile, 0 = none, and what was labelled there: only equal values join.
    """

    sizes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray
    edges: dict[str, np.ndarray]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """All of it for a file, under keys that begin with ``name``."""
        own = {"sizes": self.sizes, "first": self.first, "boxes": self.boxes}
        return {f"{name}_{key}": value for key, value in {**own, **self.edges}.items()}

    @classmethod
    def read(cls, arrays: dict[str, np.ndarray], name: str) -> TilePieces:
        """What :meth:`arrays` gave."""
        found = [arrays[f"{name}_{key}"] for key in ("sizes", "first", "boxes")]
        return cls(*found, {key: arrays[f"{name}_{key}"] for key in _EDGES})


def pieces_of_tile(values: np.ndarray, place: Place, height: int, corners: bool = False) -> tuple[np.ndarray, TilePieces]:
    """Label the connected pieces of equal values in a tile; pixels join through faces, 0 is none.

    Args:
        values: (h, w) whole numbers or bools.
        place: of the tile in the picture.
        height: of the picture.
        corners: pixels join through corners, too.

    Returns:
        (h, w) int32 numbers 1..n, and what joining them takes.
    """
    turned = np.ascontiguousarray(swap_plane(values)).astype(np.int32)
    found = label(turned, background=0, connectivity=2 if corners else 1)
    flat, count = found.ravel(), int(found.max(initial=0))
    # labels are numbered in the order of their first pixels
    reached = np.maximum.accumulate(flat)
    first = np.flatnonzero(np.diff(reached, prepend=0))
    columns, rows = np.divmod(first, turned.shape[1])
    key = (columns + place[1].start).astype(np.int64) * height + rows + place[0].start
    numbers = np.ascontiguousarray(swap_plane(found)).astype(np.int32)
    strips = {"top": 0, "bottom": -1}
    edges = {name: np.stack([numbers[at], values[at].astype(np.int32)]) for name, at in strips.items()}
    strips = {"left": 0, "right": -1}
    edges |= {name: np.stack([numbers[:, at], values[:, at].astype(np.int32)]) for name, at in strips.items()}
    return numbers, TilePieces(np.bincount(flat, minlength=count + 1)[1:], key, _boxes(numbers, count, place), edges)


def _boxes(numbers: np.ndarray, count: int, place: Place) -> np.ndarray:
    out = np.zeros((count, 4), np.int64)
    rows, columns = np.nonzero(numbers)
    ids = numbers[rows, columns] - 1
    for axis, (values, start) in enumerate(((rows, place[0].start), (columns, place[1].start))):
        low = np.full(count, np.iinfo(np.int64).max)
        high = np.full(count, -1)
        np.minimum.at(low, ids, values)
        np.maximum.at(high, ids, values)
        out[:, axis], out[:, axis + 2] = low + start, high + start + 1
    return out


@dataclass(frozen=True)
class Joined:
    """The pieces of the whole picture, numbered 0..n - 1 in the order of their first pixels.

    Attributes:
        offsets: (tiles + 1,) how many pieces the tiles before one have.
        piece: (pieces of all tiles,) which piece of the picture each is of.
        sizes, first, boxes: as in :class:`TilePieces`, (n, ...).
    """

    offsets: np.ndarray
    piece: np.ndarray
    sizes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray

    def table(self, tile: int, values: np.ndarray) -> np.ndarray:
        """``values`` (n,) of the pieces by the numbers within a tile; entry 0 is 0."""
        own = self.piece[self.offsets[tile] : self.offsets[tile + 1]]
        return np.concatenate([np.zeros(1, values.dtype), values[own]])


def join(tiling: Tiling, tiles: list[TilePieces], corners: bool = False) -> Joined:
    """Join the pieces of all tiles.

    Args:
        tiling: of the picture.
        tiles: by index.
        corners: as for :func:`pieces_of_tile`.
    """
    counts = [len(tile.sizes) for tile in tiles]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(offsets[-1])
    pairs = [np.zeros((2, 0), np.int64)]
    for one, other, axis in tiling.faces():
        names = ("bottom", "top") if axis == 0 else ("right", "left")
        strip, opposite = tiles[one].edges[names[0]], tiles[other].edges[names[1]]
        length = strip.shape[1]
        for shift in (-1, 0, 1) if corners else (0,):
            a, b = strip[:, max(0, -shift) : length - max(0, shift)], opposite[:, max(0, shift) : length - max(0, -shift)]
            pairs.append(_meeting(a, b, offsets[one], offsets[other]))
    for one, other, names, ends in tiling.corners() if corners else ():
        strips = [tiles[tile].edges[name][:, end] for tile, name, end in zip((one, other), names, ends, strict=True)]
        pairs.append(_meeting(*(strip[:, None] for strip in strips), offsets[one], offsets[other]))
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(total, total))
    count, piece = connected_components(graph, directed=False) if total else (0, np.zeros(0, np.int64))
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, piece, np.concatenate([tile.first for tile in tiles] or [np.zeros(0, np.int64)]))
    order = np.argsort(first, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    piece = rank[piece]
    boxes = np.concatenate([tile.boxes for tile in tiles] or [np.zeros((0, 4), np.int64)])
    low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
    np.minimum.at(low, piece, boxes[:, :2])
    np.maximum.at(high, piece, boxes[:, 2:])
    sizes = np.bincount(piece, np.concatenate([tile.sizes for tile in tiles]) if tiles else None, count).astype(np.int64)
    return Joined(offsets, piece, sizes, first[order], np.concatenate([low, high], axis=1))


def _meeting(strip: np.ndarray, opposite: np.ndarray, first: int, second: int) -> np.ndarray:
    """(2, pairs) of pieces that meet where two strips (numbers, values) lie side by side; the offsets of their tiles added."""
    meet = (strip[0] > 0) & (opposite[0] > 0) & (strip[1] == opposite[1])
    return np.unique(np.stack([strip[0][meet] - 1 + first, opposite[0][meet] - 1 + second]), axis=1)
