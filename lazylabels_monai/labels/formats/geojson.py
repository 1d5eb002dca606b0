"""QuPath's GeoJSON: features with a geometry in (x, y) pixels from the image's outer corner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.labels.annotations import AnnotationError, Mark, reachable

__all__ = ["is_geojson", "marks"]

#: QuPath's objects that are no marks: the whole image, and the cores of a tissue micro-array.
_NO_MARKS = ("root", "tmacore", "tma_core", "pathrootobject", "tmacoreobject")
#: Those that a program found one by one, or that export-objects wrote: objects, where an annotation may be a region.
_OBJECTS = ("detection", "cell", "pathdetectionobject", "pathcellobject")


def is_geojson(content: Any) -> bool:
    """Whether parsed JSON is a FeatureCollection, a Feature or a list of features."""
    if isinstance(content, dict):
        return content.get("type") in ("FeatureCollection", "Feature")
    return isinstance(content, list) and all(f is None or (isinstance(f, dict) and f.get("type") == "Feature") for f in content)


def marks(content: Any, path: Path) -> tuple[list[Mark], list[str]]:
    """Marks of parsed GeoJSON, in the file's order; a geometry of several lines gives one each.

    Source: https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html

    Returns:
        the marks; and a phrase for each object that is left out: one without a geometry or an area, with a damaged one, or
        in another plane of a stack.

    Raises:
        AnnotationError: when the file has no list of features.
    """
    features = content
    if isinstance(content, dict):
        features = content.get("features") if content["type"] == "FeatureCollection" else [content]
    if not isinstance(features, list):
        raise AnnotationError(f"annotation file '{path}' has no list of features: export the objects of the image as GeoJSON.")
    found: list[Mark] = []
    left_out: list[str] = []
    for number, feature in enumerate(features, start=1):
        if isinstance(feature, dict):
            _feature(feature, number, found, left_out)
        else:
            left_out.append(f"feature {number} is no object")
    return found, left_out


def _feature(feature: dict, number: int, found: list[Mark], left_out: list[str]) -> None:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    if str(kind).lower() in _NO_MARKS:
        return
    id = str(feature.get("id") or properties.get("name") or f"feature {number}")
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict):
        left_out.append(f"object '{id}' has no geometry")
        return
    try:
        classification = _classification(properties)
        name = classification or str(properties.get("name") or "")
        said = {"is_object": str(kind).lower() in _OBJECTS, "is_class": bool(classification)}
        made = [replace(mark, **said) for mark in _geometry(geometry, name, id)]
        if not made:
            raise ValueError("it is empty")
        found += made
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as e:
        reason = f"it has no {e}" if isinstance(e, KeyError) else e
        left_out.append(f"object '{id}' has a geometry that cannot be used ({reason})")


def _classification(properties: dict) -> str:
    classification = properties.get("classification")
    if isinstance(classification, dict):
        # a derived class, "Tumor: Positive", comes as one name or as the list of its parts
        name = classification.get("name") or ": ".join(map(str, classification.get("names") or ()))
    else:
        name = classification
    return str(name or "")


def _geometry(geometry: dict, name: str, id: str) -> Iterator[Mark]:
    plane = geometry.get("plane") or {}
    if plane.get("z", 0) or plane.get("t", 0):
        raise ValueError(f"it lies in plane z {plane.get('z', 0)}, t {plane.get('t', 0)} of a stack, only z 0, t 0 is an image")
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            if part is not None:
                yield from _geometry(part, name, id)
        return
    coordinates = geometry["coordinates"]
    if not coordinates:  # an empty geometry
        return
    if kind in ("Polygon", "MultiPolygon"):
        polygons = [coordinates] if kind == "Polygon" else coordinates
        rings = [[_points(ring, 0) for ring in polygon] for polygon in polygons]
        # parts and holes of one or two points have no area: contour tracing leaves them beside good ones
        parts = [[ring for ring in polygon if len(ring) > 2] for polygon in rings if polygon and len(polygon[0]) > 2]
        if not parts:
            raise ValueError(
                f"{max((len(ring) for polygon in rings for ring in polygon), default=0)} positions, at least 3 make an area"
            )
        trimmed = sum(map(len, rings)) - sum(map(len, parts))
        yield Mark("area", name, polygons=parts, id=id, trimmed=trimmed)
    elif kind in ("LineString", "MultiLineString"):
        for line in [coordinates] if kind == "LineString" else coordinates:
            yield Mark("line", name, points=_points(line, 2), id=id)
    elif kind in ("Point", "MultiPoint"):
        yield Mark("point", name, points=_points([coordinates] if kind == "Point" else coordinates, 1), id=id)
    else:
        raise ValueError(f"'{kind}' is no geometry of GeoJSON")


def _points(positions: list, fewest: int) -> np.ndarray:
    """(N, 2) of (y, x); a third number (height) is dropped."""
    points = np.array([position[:2] for position in positions], dtype=float)
    if not len(points) and not fewest:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < fewest:
        raise ValueError(f"{len(points)} positions where at least {fewest} of two numbers are expected")
    if not reachable(points):
        raise ValueError("a coordinate is not finite, or 1e12 and more")
    return points[:, ::-1]
