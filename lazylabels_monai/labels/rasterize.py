"""Pixels of areas, lines and points.

A pixel belongs to a shape when its centre does. Only the rows and columns of the shape itself are visited, so that the
time to draw thousands of objects does not depend on the size of the image. Coordinates are (y, x) in pixels from the
outer corner of the first pixel: the centre of pixel (row, column) lies at (row + 0.5, column + 0.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Drawing", "Patch", "ellipse", "fill_polygons", "place_raster", "stroke_lines"]

#: The part of the image that holds a shape, clipped to the image, and the bool mask of that part.
Drawing = tuple[tuple[slice, slice], np.ndarray]


class Patch:
    """The pixels of a shape, made only when they are drawn and only as far as the image reaches: a file may claim any size.

    Args:
        box: (row, column, height, width) that holds the shape.
        make: gives the mask (bool) of the box's first rows and columns, at most so many: ``make(rows, columns)``.
    """

    def __init__(self, box: tuple[int, int, int, int], make: Callable[[int, int], np.ndarray]) -> None:
        self.box, self.make = box, make

    def __iter__(self) -> Iterator[Any]:
        """The whole mask, and the (row, column) of its first pixel."""
        yield self.make(*self.box[2:])
        yield self.box[:2]

    def draw(self, shape: tuple[int, int]) -> Drawing:
        """The part of an image of ``shape`` (H, W) that holds the shape, and its mask there."""
        rows, columns = (
            max(0, min(first + n, size) - first) for first, n, size in zip(self.box[:2], self.box[2:], shape, strict=True)
        )
        if not rows * columns:
            return _nothing()
        return place_raster(self.make(rows, columns)[:rows, :columns], self.box[:2], shape)


def fill_polygons(polygons: Sequence[Sequence[np.ndarray]], shape: tuple[int, int]) -> Drawing:
    """The union of polygons, each with the even-odd rule over its rings (outer ring, holes).

    A centre exactly on an edge belongs to the polygon below or to the right of that edge: polygons that share an edge
    neither overlap there nor leave a gap.

    Args:
        polygons: rings (N, 2) of (y, x), open or closed; a ring of fewer than three vertices covers nothing.
        shape: (H, W) of the image.
    """
    drawn = [_fill(polygon, shape) for polygon in polygons]
    drawn = [(part, mask) for part, mask in drawn if mask.size]
    if len(drawn) < 2:
        return drawn[0] if drawn else _nothing()
    rows = slice(min(part[0].start for part, _ in drawn), max(part[0].stop for part, _ in drawn))
    columns = slice(min(part[1].start for part, _ in drawn), max(part[1].stop for part, _ in drawn))
    union = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    for (r, c), mask in drawn:
        union[r.start - rows.start : r.stop - rows.start, c.start - columns.start : c.stop - columns.start] |= mask
    return (rows, columns), union


def stroke_lines(points: np.ndarray, shape: tuple[int, int], radius: float, joined: bool = True) -> Drawing:
    """The pixels whose centre lies within ``radius`` of an open line, or of each of several points.

    A shape too small to reach any centre covers the pixel it lies in.

    Args:
        points: (N, 2) of (y, x): vertices in order; one vertex is a point.
        shape: (H, W) of the image.
        radius: in pixels; a line takes at least 0.5, which makes it a connected (8 neighbours) line of single pixels.
        joined: False for separate points.
    """
    points = np.asarray(points, float).reshape(-1, 2)
    joined = joined and len(points) > 1
    radius = max(radius, 0.5) if joined else max(radius, 0)
    part = _clipped(points, radius, shape)
    height, width = part[0].stop - part[0].start, part[1].stop - part[1].start
    if not height * width:
        return _nothing()
    start, stop = (points[:-1], points[1:]) if joined else (points, points)
    segment, row = _pairs(
        np.ceil(np.minimum(start[:, 0], stop[:, 0]) - radius - 0.5),
        np.floor(np.maximum(start[:, 0], stop[:, 0]) + radius - 0.5) + 1,
        part[0],
    )
    left, right = _capsule_rows(start[segment], stop[segment], radius, row + 0.5)
    reached = left <= right
    first = _columns(np.ceil(left[reached] - 0.5), part[1])
    last = _columns(np.floor(right[reached] - 0.5) + 1, part[1])
    change = np.zeros((height, width + 1), np.int32)
    np.add.at(change, (row[reached] - part[0].start, first), 1)
    np.add.at(change, (row[reached] - part[0].start, last), -1)
    mask = np.cumsum(change, axis=1)[:, :width] > 0
    # the gap between four centres may hold all of a short line, or a point
    small = points[:1] if joined and np.ptp(points, axis=0).max() < 1 else points[: 0 if joined else None]
    rows, columns = np.floor(small).T
    inside = (rows >= part[0].start) & (rows < part[0].stop) & (columns >= part[1].start) & (columns < part[1].stop)
    mask[(rows[inside] - part[0].start).astype(int), (columns[inside] - part[1].start).astype(int)] = True
    return part, mask


def place_raster(mask: np.ndarray, origin: tuple[int, int], shape: tuple[int, int]) -> Drawing:
    """A mask (h, w) whose first pixel lies at ``origin`` (row, column), clipped to the image."""
    start = [min(max(first, 0), size) for first, size in zip(origin, shape, strict=True)]
    stop = [min(max(o + n, 0), size) for o, n, size in zip(origin, mask.shape, shape, strict=True)]
    if start[0] >= stop[0] or start[1] >= stop[1]:
        return _nothing()
    inside = mask[start[0] - origin[0] : stop[0] - origin[0], start[1] - origin[1] : stop[1] - origin[1]]
    return (slice(start[0], stop[0]), slice(start[1], stop[1])), np.asarray(inside, bool)


def _nothing() -> Drawing:
    return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)


def _fill(polygon: Sequence[np.ndarray], shape: tuple[int, int]) -> Drawing:
    """Even-odd fill of the rings of one polygon."""
    rings = [ring for ring in (np.asarray(ring, float).reshape(-1, 2) for ring in polygon) if len(ring) > 2]
    if not rings:
        return _nothing()
    part = _clipped(np.concatenate(rings), 0, shape)
    height, width = part[0].stop - part[0].start, part[1].stop - part[1].start
    return (part, _even_odd(np.concatenate([_edges(ring) for ring in rings]), part)) if height * width else _nothing()


def _clipped(points: np.ndarray, margin: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels around ``points``, clipped to the image."""
    if not len(points):
        return slice(0, 0), slice(0, 0)
    start = np.clip(np.floor(points.min(axis=0) - margin), 0, shape).astype(int).tolist()
    stop = np.clip(np.floor(points.max(axis=0) + margin) + 1, 0, shape).astype(int).tolist()
    if start[0] >= stop[0] or start[1] >= stop[1]:
        return slice(0, 0), slice(0, 0)
    return slice(start[0], stop[0]), slice(start[1], stop[1])


def _edges(ring: np.ndarray) -> np.ndarray:
    """Edges (N, 4) as y, x of the upper end and y, x of the lower end: the same however the ring turns."""
    following = np.roll(ring, -1, axis=0)
    down = (ring[:, :1] <= following[:, :1]).repeat(2, axis=1)
    return np.concatenate([np.where(down, ring, following), np.where(down, following, ring)], axis=1)


def _even_odd(edges: np.ndarray, part: tuple[slice, slice]) -> np.ndarray:
    """Mask of ``part``: each edge that a row's centres cross toggles the pixels from its column on."""
    edge, row = _pairs(np.ceil(edges[:, 0] - 0.5), np.ceil(edges[:, 2] - 0.5), part[0])
    y0, x0, y1, x1 = edges[edge].T
    column = np.ceil(x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0) - 0.5)
    height, width = part[0].stop - part[0].start, part[1].stop - part[1].start
    cell = (row - part[0].start) * (width + 1) + _columns(column, part[1])
    toggles = np.bincount(cell, minlength=height * (width + 1)).reshape(height, width + 1)
    return (np.cumsum(toggles, axis=1) & 1).astype(bool)[:, :width]


def _pairs(start: np.ndarray, stop: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Each shape's index with each of the rows ``start`` .. ``stop`` - 1 that lie within ``rows``."""
    start = np.clip(start, rows.start, rows.stop).astype(np.int64)
    count = np.clip(stop, start, rows.stop).astype(np.int64) - start
    index = np.repeat(np.arange(len(start)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    return index, start[index] + offset


def _columns(column: np.ndarray, columns: slice) -> np.ndarray:
    """Columns relative to the part; what lies before it starts at 0, what lies behind it ends in one column more."""
    return (np.clip(column, columns.start, columns.stop) - columns.start).astype(np.int64)


def _capsule_rows(start: np.ndarray, stop: np.ndarray, radius: float, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the row at height ``y`` enters and leaves the points within ``radius`` of a segment; (inf, -inf) if nowhere."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)

    def reach(where: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        left[where] = np.minimum(left[where], low[where])
        right[where] = np.maximum(right[where], high[where])

    with np.errstate(invalid="ignore", divide="ignore"):
        for end in (start, stop):  # the round ends
            half = np.sqrt(radius**2 - (y - end[:, 0]) ** 2)
            reach(np.isfinite(half), end[:, 1] - half, end[:, 1] + half)
        dy, dx = (stop - start).T
        length = np.hypot(dy, dx)
        for sign in (-radius, radius):  # the long sides; of a level segment the ends say all
            y0, x0 = start[:, 0] + sign * dx / length, start[:, 1] - sign * dy / length
            along = (y - y0) / dy
            x = x0 + along * dx
            reach((along >= 0) & (along <= 1) & np.isfinite(x), x, x)
    return left, right


def ellipse(centre: np.ndarray, first: np.ndarray, second: np.ndarray, vertices: int = 720) -> np.ndarray:
    """Polygon (N, 2) of an ellipse with the given half axes, all (y, x); off by less than 1e-5 of them."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)[:, None]
    return np.asarray(centre) + np.cos(angle) * np.asarray(first) + np.sin(angle) * np.asarray(second)
