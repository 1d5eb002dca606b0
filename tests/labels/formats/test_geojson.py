"""GeoJSON against shapely."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import mapping

from lazylabels_monai.labels.formats import (
    ANNOTATION_SUFFIXES,
)
from tests.labels.formats.drawing import SHAPE, assert_is, canvas, collection, feature, inside, only, write_json

HOLED = shapely.Polygon(
    [(5, 10), (75.5, 12), (60, 50), (4, 40)], [[(20, 20), (30, 20), (25, 35)], [(40, 20), (50, 21), (45, 30)]]
)


CUT = shapely.Polygon([(-20, -5), (30, -9), (12, 30), (-4, 25)])


PARTS = shapely.MultiPolygon([HOLED, shapely.Polygon([(70, 45), (90, 45), (90, 70), (70, 70)])])


@pytest.mark.parametrize("geometry", [HOLED, CUT, PARTS, shapely.Point(50, 30).buffer(11)])
def test_areas_of_geojson_are_shapelys(tmp_path, geometry):
    annotation = only(write_json(tmp_path / "a.geojson", collection(feature(mapping(geometry), "air bubble"))))
    assert (annotation.image, annotation.size) == (None, None)
    (mark,) = annotation.marks
    assert (mark.kind, mark.name, mark.id) == ("area", "air bubble", "5b1f")
    assert_is(canvas(mark), geometry)
    assert 0 < inside(geometry).sum() < inside(geometry).size


def test_lines_and_points_of_geojson(tmp_path):
    line = shapely.LineString([(3, 50), (70, 8)])
    lines = shapely.MultiLineString([[(3, 5), (70, 8)], [(1, 1), (2, 50)]])
    points = shapely.MultiPoint([(3.5, 50.5), (70.5, 8.5)])
    both = shapely.GeometryCollection([shapely.box(2, 3, 20, 6), line])
    content = collection(*(feature(mapping(g), "interface") for g in (line, lines, points, shapely.Point(5, 1), both)))
    marks = only(write_json(tmp_path / "a.json", content)).marks
    assert [mark.kind for mark in marks] == ["line", "line", "line", "point", "point", "area", "line"]
    assert {mark.name for mark in marks} == {"interface"}
    np.testing.assert_array_equal(marks[0].points, [[50, 3], [8, 70]])
    np.testing.assert_array_equal(canvas(marks[0], width=4), inside(line.buffer(2, cap_style="round", quad_segs=500)))
    assert np.argwhere(canvas(marks[3], radius=0)).tolist() == [[8, 70], [50, 3]]
    np.testing.assert_array_equal(canvas(marks[5]), inside(shapely.box(2, 3, 20, 6)))


def test_objects_keep_the_files_order_and_their_names(tmp_path):
    box = mapping(shapely.box(0, 0, 9, 9))
    content = [
        feature(box, "first"),
        feature(box, name="second", objectType="detection"),
        feature(box, None, name="third"),
        feature(box),
        feature({"type": "Polygon", "coordinates": []}, "empty"),
        feature(box, "core", objectType="tmaCore"),
        {"type": "Feature", "geometry": box, "properties": {"classification": {"names": ["Tumor", "Positive"]}}},
        {**feature(box, "cell", objectType="cell"), "nucleusGeometry": mapping(shapely.box(3, 3, 5, 5))},
    ]
    marks = only(write_json(tmp_path / "a.geojson", content)).marks
    assert [mark.name for mark in marks] == ["first", "second", "third", "", "Tumor: Positive", "cell"]
    assert canvas(marks[-1]).sum() == 81


def test_geojson_may_be_one_feature_or_packed(tmp_path):
    one = feature(mapping(CUT), "a")
    plain = write_json(tmp_path / "a.geojson", one)
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain, "a.geojson")
    marked = tmp_path / "b.geojson"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())  # a byte order mark
    for path in (plain, packed, tmp_path / "a.zip", marked):
        assert_is(canvas(only(path).marks[0]), CUT)
        assert path.name.endswith(ANNOTATION_SUFFIXES)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 900), st.integers(-50, 700)), min_size=3, max_size=9, unique=True))
def test_any_valid_polygon_of_geojson_is_shapelys(tmp_path_factory, points):
    polygon = shapely.make_valid(shapely.Polygon([(x / 10, y / 10) for x, y in points]))
    polygon = polygon.difference(shapely.box(20.2, 20.2, 30.3, 28.1)).buffer(0)
    path = write_json(tmp_path_factory.mktemp("g") / "a.geojson", collection(feature(mapping(polygon))))
    drawn = sum((canvas(mark) for mark in only(path).marks), np.zeros(SHAPE, bool))
    assert_is(drawn, polygon)
