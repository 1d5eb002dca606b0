"""QuPath's GeoJSON: a file for each image, for *File > Import objects from file*, or drawn onto the image's window."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence

import numpy as np

from lazylabels_monai.exporting.formats.writer import File, Writer
from lazylabels_monai.exporting.objects import ImageObjects
from lazylabels_monai.images.pictures import class_colour
from lazylabels_monai.labels.outlines import Outline

__all__ = ["GeoJsonFiles"]

_BEGIN = '{"type": "FeatureCollection", "features": ['


class GeoJsonFiles(Writer):
    """A detection for each object, with its class in its colour and its measurements.

    Source: https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html, RFC 7946
    """

    measures = True
    unturned = "QuPath"

    def names(self, images: Sequence[str]) -> list[str]:
        """``<image>.geojson``."""
        return [f"{name}.geojson" for name in images]

    @classmethod
    def made(cls, content: bytes) -> bool:
        """By the lines."""
        return content.startswith(f"{_BEGIN}\n".encode()) and content.endswith(b"\n]}\n")

    def image(self, objects: ImageObjects) -> Iterator[File]:
        """The image's file; each object is a line of it."""
        lines = [json.dumps(_feature(objects, id), ensure_ascii=False, allow_nan=False) for id in objects.classes]
        text = _BEGIN + ",".join(f"\n{line}" for line in lines) + "\n]}\n"
        yield f"{objects.name}.geojson", text.encode("utf-8", "replace")


def _feature(objects: ImageObjects, id: int) -> dict:
    classification = {"name": objects.class_name(id), "color": list(class_colour(objects.classes[id]))}
    properties: dict = {"objectType": "detection", "classification": classification}
    if measured := objects.measurements.get(id):
        properties["measurements"] = dict(measured)
    return {
        "type": "Feature",
        # QuPath wants a UUID; the same object always gets the same one
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{objects.name}\n{id}")),
        "geometry": _geometry(objects.outlines[id]),
        "properties": properties,
    }


def _geometry(outline: Outline) -> dict:
    polygons = [[_closed(ring) for ring in polygon] for polygon in outline]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: np.ndarray) -> list[list[int]]:
    """(x, y) of the vertices, the first one repeated at the end."""
    points = ring[:, ::-1].tolist()
    return [*points, points[0]]
