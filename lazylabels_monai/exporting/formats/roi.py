"""ROI sets of ImageJ and Fiji: a ``.zip`` for each image, for *ROI Manager > More > Open*."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from lazylabels_monai.exporting.formats.writer import File, Writer
from lazylabels_monai.exporting.objects import ImageObjects
from lazylabels_monai.images.pictures import class_colour
from lazylabels_monai.labels.formats.roi_names import roi_name, roi_properties
from lazylabels_monai.labels.outlines import Outline

__all__ = ["RoiSets"]

#: Of the ROIs in a set: a date of its own would make every export another file.
_NO_DATE = (1980, 1, 1, 0, 0, 0)

#: Of ImageJ 1.52t; from 1.53 on it reads older ones all the same.
_VERSION = 227

#: Numbers in front of a point in a path of Java's.
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0

#: Beyond, a coordinate of 16 bits with a sign would be negative.
_LARGEST = 2**15 - 1


class RoiSets(Writer):
    """A ROI for each object: traced outlines, or composites where an object has holes or several pieces."""

    unturned = "Fiji"

    def names(self, images: Sequence[str]) -> list[str]:
        """``<image>.zip``."""
        return [f"{name}.zip" for name in images]

    @classmethod
    def made(cls, content: bytes) -> bool:
        """By the dates, which other programs set."""
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                return all(member.date_time == _NO_DATE for member in archive.infolist())
        except zipfile.BadZipFile:
            return False

    def image(self, objects: ImageObjects) -> Iterator[File]:
        """The image's ROI set; without any objects it is a zip without files."""
        content = BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for id in objects.classes:
                roi = _roi(objects.outlines[id])
                roi.name = roi_name(objects.class_name(id), id)
                roi.props = roi_properties(objects.class_name(id), id)
                roi.stroke_color = bytes([255, *class_colour(objects.classes[id])])
                member = zipfile.ZipInfo(f"{roi.name}.roi", _NO_DATE)
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, roi.tobytes())
        yield f"{objects.name}.zip", content.getvalue()


def _roi(outline: Outline) -> ImagejRoi:
    rings = [ring[:, ::-1] for polygon in outline for ring in polygon]
    corners = np.concatenate(rings)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    box = {"version": _VERSION, "left": left, "top": top, "right": right, "bottom": bottom}
    if len(rings) == 1 and max(right - left, bottom - top) <= _LARGEST:
        points = (rings[0] - (left, top)).astype(np.int32)
        return ImagejRoi(roitype=ROI_TYPE.TRACED, n_coordinates=len(points), integer_coordinates=points, **box)
    path = np.concatenate([_path(ring) for ring in rings]).astype(np.float32)  # exact up to 16 million pixels
    return ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=path, **box)


def _path(ring: np.ndarray) -> np.ndarray:
    steps = np.full((len(ring), 1), _LINE)
    steps[0] = _MOVE
    return np.r_[np.hstack([steps, ring]).ravel(), _CLOSE]
