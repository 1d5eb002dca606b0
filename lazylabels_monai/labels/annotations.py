"""What people draw in annotation programs, before it becomes label maps: areas, lines and points with a class name.

The readers of the file formats are in :mod:`lazylabels_monai.labels.formats`; what the marks mean for the three tasks is
decided in :mod:`lazylabels_monai.data.building`. Coordinates are (y, x) in pixels with the origin at the outer corner of the
first pixel: the centre of pixel (row, column) lies at (row + 0.5, column + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lazylabels_monai.errors import LazyLabelsError, one_line
from lazylabels_monai.labels.rasterize import Patch, fill_polygons, place_raster, stroke_lines

__all__ = ["Annotation", "AnnotationError", "Mark", "NoMarksError", "reachable", "unusable"]


class AnnotationError(LazyLabelsError):
    """An annotation file that cannot be used as it is; the message names the file, the mark and the remedy.

    It is one line, whatever names the file gives its marks.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NoMarksError(AnnotationError):
    """A file that is whole but holds no mark that can be used: it is empty, of another format, or all of it is odd."""


#: No picture is as wide, in pixels; far beyond it sums and squares of coordinates overflow.
_FARTHEST = 1e12


def reachable(numbers: ArrayLike) -> bool:
    """Whether all coordinates or widths, in pixels, are finite and below a million million: others cannot be drawn."""
    return bool((np.abs(np.asarray(numbers, float)) < _FARTHEST).all())  # of NaN it is not


def unusable(path: Path, phrases: Sequence[str]) -> str:
    """The sentence about a file none of whose marks can be used."""
    more = f" (and {len(phrases) - 1} more)" if len(phrases) > 1 else ""
    return f"annotation file '{path}': {phrases[0]}{more}, and no mark can be used: draw it anew, or take the file away."


@dataclass(frozen=True)
class Mark:
    """One thing that a person drew.

    Args:
        kind: ``"area"`` (a filled region), ``"line"`` (an open line: a scribble of some width) or ``"point"``.
        name: class name as the file has it; "" where it has none.
        polygons: of an area, each a list of rings (outer first, then its holes), each ring (N, 2) float (y, x).
        points: of a line its vertices in order, of points each of them; (N, 2) float (y, x).
        raster: of an area that the file stores as pixels: their mask (bool) and the (row, column) of its first pixel.
        id: what the file calls the mark, for messages.
        width: of a line, in pixels, where the file gives one.
        trimmed: how many parts and holes of fewer than three points were dropped from an area, as they have none.
        is_object: whether the file says that an area is an object, and no region around some: QuPath's detections, and what
            ``export-objects`` wrote.
        is_class: whether the file's format says that the name is a class (COCO's category, QuPath's classification), so that
            no number in it is one of an object.
    """

    kind: Literal["area", "line", "point"]
    name: str = ""
    polygons: Sequence[Sequence[np.ndarray]] = ()
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    raster: tuple[np.ndarray, tuple[int, int]] | Patch | None = None
    id: str = ""
    width: float | None = None
    trimmed: int = 0
    is_object: bool = False
    is_class: bool = False

    def draw(self, shape: tuple[int, int], width: float = 3, radius: float = 2) -> tuple[tuple[slice, slice], np.ndarray]:
        """The mark's pixels inside an image of ``shape`` (H, W).

        An area covers the pixels whose centre lies inside it: even-odd within a polygon's rings, a centre exactly on an
        edge belongs to what lies below or to the right of it. A line covers the pixels whose centre lies within half of
        ``width`` pixels of it (at least a connected line of single pixels; a line that brings its own width keeps it), a
        point those within ``radius`` (at least the pixel that it lies in).

        Returns:
            the part of the image that holds the mark, clipped to the image, and a bool mask of that part; an empty part
            where the mark lies outside. An area that holds no pixel's centre has an empty mask.
        """
        if self.kind == "area":
            if isinstance(self.raster, Patch):
                return self.raster.draw(shape)
            return place_raster(*self.raster, shape) if self.raster is not None else fill_polygons(self.polygons, shape)
        if self.kind == "line":
            return stroke_lines(self.points, shape, (width if self.width is None else self.width) / 2)
        return stroke_lines(self.points, shape, radius, joined=False)


@dataclass(frozen=True)
class Annotation:
    """The marks of one image.

    Args:
        source: file they come from.
        image: name of the image as the file gives it (COCO's ``file_name``); None where a file belongs to the image that
            shares its own name.
        size: (H, W) as the file gives it; None where it does not.
        marks: in the file's order.
        left_out: what of the file cannot be used while the rest can, such as "annotation 5 has no area"; a phrase each.
        unknown: (row, column, height, width) in pixels where an object is that cannot be used, such as a box without an
            outline: what else is drawn there counts, the rest is not labelled.
        word: class that the file's name gives to marks without one (``a_interface.csv``); "" where it gives none.
        unturned: the program that writes such files, where it shows pictures as they are stored, whatever orientation their
            tags state; "" for programs that turn them, and where nothing tells.
    """

    source: Path
    image: str | None
    size: tuple[int, int] | None
    marks: Sequence[Mark]
    left_out: Sequence[str] = ()
    unknown: Sequence[tuple[float, float, float, float]] = ()
    word: str = ""
    unturned: str = ""
