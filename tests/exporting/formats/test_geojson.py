"""QuPath's GeoJSON, read by shapely and by the package's own reader."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import numpy as np
import shapely
from hypothesis import given, settings

from lazylabels_monai.exporting.formats.geojson import GeoJsonFiles
from lazylabels_monai.images.pictures import class_colour
from tests.exporting.maps import ID_MAPS, NAMES, came_back, objects, scene, written


@given(ids=ID_MAPS)
@settings(max_examples=80, deadline=None)
def test_pixels_and_classes_come_back(ids, tmp_path_factory):
    came_back(ids, "geojson", tmp_path_factory.mktemp("geojson"))


def test_what_shapely_reads():
    ids = scene()
    content = json.loads(written(ids, "geojson")[1].decode("utf-8"))
    assert content["type"] == "FeatureCollection"
    kept = [id for id in np.unique(ids).tolist() if id]
    assert len(content["features"]) == len(kept) == len({feature["id"] for feature in content["features"]})
    y, x = np.mgrid[: ids.shape[0], : ids.shape[1]] + 0.5
    for id, feature in zip(kept, content["features"], strict=True):
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert geometry.is_valid
        np.testing.assert_array_equal(shapely.contains_xy(geometry, x, y), ids == id)
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert properties["classification"] == {"name": NAMES[id % 3], "color": list(class_colour(id % 3 + 1))}
        assert "measurements" not in properties
    kinds = {id: feature["geometry"]["type"] for id, feature in zip(kept, content["features"], strict=True)}
    assert kinds[77] == "Polygon"
    assert kinds[70000] == "MultiPolygon"


def test_rings_are_closed_and_holes_are_inside():
    ids = np.ones((3, 3), int)
    ids[1, 1] = 0
    (feature,) = json.loads(written(ids, "geojson")[1])["features"]
    outer, hole = feature["geometry"]["coordinates"]
    assert outer[0] == outer[-1]
    assert hole == [[2, 1], [1, 1], [1, 2], [2, 2], [2, 1]] or sorted(hole[:-1]) == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_measurements():
    made = replace(objects(np.array([[1, 0, 2]])), measurements={1: {"id": 1, "area_um2": 0.25}})
    ((_, content),) = GeoJsonFiles(NAMES).image(made)
    first, second = json.loads(content)["features"]
    assert first["properties"]["measurements"] == {"id": 1, "area_um2": 0.25}
    assert "measurements" not in second["properties"]


def test_no_object():
    assert json.loads(written(np.zeros((3, 4), int), "geojson")[1]) == {"type": "FeatureCollection", "features": []}
