"""A picture cut into square tiles, and the larger window that a tile is seen in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

__all__ = ["Place", "Tiling", "inside"]

#: Rows and columns, as an array is indexed by them.
Place = tuple[slice, slice]


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``side`` pixels, row by row; the last ones of a row and a column may be smaller.

    Args:
        shape: (H, W) of the picture.
        side: of a tile.
    """

    shape: tuple[int, int]
    side: int

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Number of tiles downwards and across."""
        return -(-self.shape[0] // self.side), -(-self.shape[1] // self.side)

    def __len__(self) -> int:
        return self.grid[0] * self.grid[1]

    def tile(self, index: int) -> Place:
        """Rows and columns of a tile."""
        return self.window(index, 0)

    def window(self, index: int, halo: int) -> Place:
        """A tile with ``halo`` pixels on each side, as far as the picture reaches."""
        row, column = divmod(index, self.grid[1])
        return tuple(
            slice(max(0, place * self.side - halo), min(size, (place + 1) * self.side + halo))
            for place, size in zip((row, column), self.shape, strict=True)
        )

    def over(self, place: Place) -> list[int]:
        """The tiles that a window reaches into."""
        rows, columns = (range(part.start // self.side, -(-part.stop // self.side)) for part in place)
        return [row * self.grid[1] + column for row in rows for column in columns]

    def faces(self) -> list[tuple[int, int, int]]:
        """Pairs of tiles with a common face: the first, the second, and the axis across which they meet."""
        down, across = self.grid
        below = [(row * across + column, (row + 1) * across + column, 0) for row in range(down - 1) for column in range(across)]
        right = [(row * across + column, row * across + column + 1, 1) for row in range(down) for column in range(across - 1)]
        return below + right

    def corners(self) -> list[tuple[int, int, tuple[str, str], tuple[int, int]]]:
        """Pairs of tiles that touch at a corner alone: on which of their edges that is, and at which end."""
        down, across = self.grid
        found = []
        for row in range(down - 1):
            for column in range(across - 1):
                index = row * across + column
                found.append((index, index + across + 1, ("bottom", "top"), (-1, 0)))
                found.append((index + 1, index + across, ("bottom", "top"), (0, -1)))
        return found


def inside(tile: Place, window: Place) -> Place:
    """Where a tile lies within its window."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(tile, window, strict=True))
