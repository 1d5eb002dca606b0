"""ImageJ's and Fiji's ROIs (``.roi``, or many in a ``.zip``), decoded by roifile.

ImageJ's integer coordinates are the outer corner of a pixel for areas and its centre for lines and points.
Source: the convention in ImageJ's ``ij/gui/Roi.java``, https://github.com/imagej/ImageJ
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from lazylabels_monai.labels.annotations import Mark, reachable
from lazylabels_monai.labels.formats.roi_names import written_class
from lazylabels_monai.labels.names import split_name
from lazylabels_monai.labels.rasterize import Patch, ellipse

__all__ = ["class_name", "marks"]

#: A centre exactly on an edge belongs, in ImageJ, to the polygon above or to the left of it, here to the one below or to
#: the right: moving areas by this many pixels down and right gives ImageJ's pixels. Down less, for the sake of sloping edges.
_NUDGE = (2e-11, 2e-8)

#: ImageJ's own names (row-column, or slice-row-column, each of four or more digits; "-1" where taken) and those of roifile.
_AUTOMATIC = re.compile(r"\d{4,}(-\d{4,}){1,2}(-\d{1,3})?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
_LINES = (ROI_TYPE.POLYLINE, ROI_TYPE.FREELINE, ROI_TYPE.LINE)


class _Unusable(ValueError):
    """Why a ROI is no mark."""


def marks(rois: Sequence[tuple[str, bytes]], in_zip: bool = True) -> tuple[list[Mark], list[str]]:
    """Marks of ROIs, in order.

    Args:
        rois: file name and content of each.
        in_zip: whether they lie in a zip; a file by itself is called as its image.

    Returns:
        the marks; and a phrase for each ROI that is left out: a damaged one, one in a stack's further plane, or one that is
        neither area, line nor point.
    """
    found, left_out = [], []
    for name, content in rois:
        id = Path(name).name.removesuffix(".roi")
        try:
            roi = _decode(content)
            # roifile names what nobody named, and the file's name says what it is
            is_named = roi.name and not (_AUTOMATIC.fullmatch(roi.name.strip()) and in_zip)
            called = roi.name if is_named else id
            written = roi.group == 0 and written_class(called, roi.props) is not None
            mark = replace(_as_mark(roi, called), is_object=written, is_class=written or roi.group > 0)
            found += _by_counter(mark, roi)
        except _Unusable as e:
            left_out.append(f"ROI '{id}' {e}")
        except Exception as e:  # roifile raises struct.error, TypeError, ValueError ...
            reason = (str(e).splitlines() or [type(e).__name__])[0].rstrip(".")
            left_out.append(f"ROI '{id}' is damaged ({reason})")
    return found, left_out


def class_name(roi: str, group: int) -> str:
    """The class that a ROI stands for: ImageJ stores none.

    The group's number where the ROI is in one; else what stands before a colon; else the name, whose running number
    ("air bubble-12") the other names of the data set tell from a class ("phase 2"). "" for the names that ImageJ gives by
    itself.
    """
    if group > 0:
        return str(group)
    if ":" in roi:
        return roi.split(":", 1)[0].strip()
    return "" if _AUTOMATIC.fullmatch(roi.strip()) else roi.strip()


def _decode(content: bytes) -> ImagejRoi:
    """roifile's ROI; what it drops in silence where a file ends early is an error."""
    roi = ImagejRoi.frombytes(content)
    second = struct.unpack(">i", content[60:64])[0]
    if second > 0:
        name, length = struct.unpack(">ii", content[second + 16 : second + 24])
        if name + 2 * length > len(content):
            raise ValueError(f"{len(content)} bytes are fewer than it needs")
    return roi


def _as_mark(roi: ImagejRoi, id: str) -> Mark:
    slices = [roi.position, roi.z_position, roi.t_position]
    if roi.counter_positions is not None and len(roi.counter_positions):
        slices.append(int(roi.counter_positions.max()))
    if max(slices) > 1:
        raise _Unusable(f"lies on slice {max(slices)} of a stack")
    written = written_class(id, roi.props) if roi.group == 0 else None
    name = class_name(id, roi.group) if written is None else written
    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        raise _Unusable(f"is a drawn {roi.subtype.name.lower()}, which is no mark")
    if roi.options & ROI_OPTIONS.SPLINE_FIT and roi.roitype not in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        raise _Unusable("is a spline through its points, which Edit > Selection > Interpolate in ImageJ makes an area")
    if roi.composite:
        rings = _path_rings(roi.multi_coordinates)
        return Mark("area", name, polygons=[[_area_points(ring) for ring in rings]], id=id)
    if roi.roitype in _AREAS:
        return Mark("area", name, polygons=[[_area_points(_coordinates(roi, 3))]], id=id)
    if roi.roitype == ROI_TYPE.RECT:
        return Mark("area", name, polygons=[[_area_points(_rectangle(roi))]], id=id)
    if roi.roitype == ROI_TYPE.OVAL:
        return _oval(roi, name, id)
    if roi.roitype in _LINES:
        if not reachable(roi.float_stroke_width):
            raise ValueError(f"its width is {roi.float_stroke_width:g}")
        width = roi.float_stroke_width if roi.float_stroke_width > 0 else float(roi.stroke_width)
        return Mark("line", name, points=_coordinates(roi, 2)[:, ::-1] + 0.5, id=id, width=width if width > 0 else None)
    if roi.roitype == ROI_TYPE.POINT:
        return Mark("point", name, points=_coordinates(roi, 1)[:, ::-1] + 0.5, id=id)
    kind = "an angle" if roi.roitype == ROI_TYPE.ANGLE else f"of the unknown type {int(roi.roitype)}"
    raise _Unusable(f"is {kind}, which is neither area, line nor point")


def _by_counter(mark: Mark, roi: ImagejRoi) -> list[Mark]:
    """A mark for each counter of a multi-point in which several kinds were counted, named by its number."""
    counters = () if roi.counters is None else np.unique(roi.counters)
    if mark.kind != "point" or len(counters) < 2:
        return [mark]
    return [
        replace(
            mark,
            name=f"{mark.name or 'counter'} {counter}",
            points=mark.points[roi.counters == counter],
            id=f"{mark.id}, counter {counter}",
            is_class=not split_name(mark.name).numbered,  # kinds are counted, not objects
        )
        for counter in counters
    ]


def _coordinates(roi: ImagejRoi, fewest: int) -> np.ndarray:
    """(N, 2) of (x, y)."""
    points = np.asarray(roi.coordinates(), float)
    if len(points) < fewest:
        raise _Unusable(f"has {len(points)} points where {fewest} are needed, so that it has no area or length")
    if not reachable(points):
        raise ValueError("a coordinate is not finite, or 1e12 and more")
    return points


def _area_points(points: np.ndarray) -> np.ndarray:
    """(y, x) of (x, y)."""
    return np.asarray(points, float)[:, ::-1] + _NUDGE


def _box(roi: ImagejRoi) -> tuple[int, int, int, int]:
    """x, y, width, height in whole pixels, as ImageJ draws boxes and ovals even where it keeps fractions of them."""
    box = (roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top)
    if min(box[2:]) < 1:
        raise _Unusable(f"has no area: its box is {box[2]} pixels wide and {box[3]} high")
    return box


def _rectangle(roi: ImagejRoi) -> np.ndarray:
    x, y, width, height = _box(roi)
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], float)
    radius = min(roi.rounded_rect_arc_size, width, height) / 2
    if radius <= 0:
        return corners
    centres = np.clip(corners, corners[0] + radius, corners[2] - radius)
    arcs = ellipse(np.zeros(2), np.array([-radius, 0]), np.array([0, -radius]), 64).reshape(4, 16, 2)
    return np.concatenate([centre + arc for centre, arc in zip(centres, arcs, strict=True)])


def _oval(roi: ImagejRoi, name: str, id: str) -> Mark:
    """The pixels whose centre lies in the ellipse or on it."""
    x, y, width, height = _box(roi)

    def make(rows: int, columns: int) -> np.ndarray:
        down = (np.arange(rows) + 0.5) * 2 / height - 1
        right = (np.arange(columns) + 0.5) * 2 / width - 1
        return down[:, None] ** 2 + right**2 <= 1

    return Mark("area", name, raster=Patch((y, x, height, width), make), id=id)


def _path_rings(path: np.ndarray) -> list[np.ndarray]:
    """Rings (N, 2) of (x, y) of a Java path: 0 move, 1 line, 2 quadratic curve, 3 cubic curve, 4 close."""
    values, rings, at = path.tolist(), [], 0
    if not reachable(path):
        raise ValueError("a coordinate is not finite, or 1e12 and more")
    while at < len(values):
        step = int(values[at])
        if step not in range(5):
            raise ValueError(f"step {step} of its path is unknown")
        numbers = values[at + 1 : at + 1 + (2, 2, 4, 6, 0)[step]]
        if len(numbers) < (2, 2, 4, 6, 0)[step] or (step and not rings):
            raise ValueError("its path is incomplete")
        at += 1 + len(numbers)
        given = np.array(numbers).reshape(-1, 2)
        if step == 0:
            rings.append([given])
        elif step == 1:
            rings[-1].append(given)
        elif step < 4:
            rings[-1].append(_curve([rings[-1][-1][-1], *given]))
    return [np.concatenate(ring) for ring in rings]


def _curve(controls: list[np.ndarray]) -> np.ndarray:
    """32 points (N, 2) along a Bezier curve, its first one left out, by de Casteljau's scheme."""
    along = np.linspace(0, 1, 33)[1:, None]
    while len(controls) > 1:
        controls = [a * (1 - along) + b * along for a, b in pairwise(controls)]
    return controls[0]
