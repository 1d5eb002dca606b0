"""Annotation files, built with the field's own libraries or programs, against those libraries' own pixels.

``data/formats`` holds files that programs wrote, and the pixels that they make of them: ``imagej.zip`` and ``imagej.png``
from ImageJ 1.53t (RoiEncoder, RoiDecoder, ImageProcessor.fill), ``napari.csv`` and ``napari.png`` from napari 0.9.2
(Shapes.to_masks), ``label_studio.json`` from the COCO export of label-studio-sdk 2.1.2. The pictures hold the masks of one
shape below the other.
"""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from shapely.geometry import mapping

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import (
    ANNOTATION_SUFFIXES,
    image_names,
    read_annotations,
    read_label_picture,
    read_legend,
)
from lazylabels_monai.labels.formats.coco import _from_polygons, _from_runs
from lazylabels_monai.labels.formats.imagej import class_name

DATA = Path(__file__).parent / "data" / "formats"
SHAPE = (60, 83)


def canvas(mark, shape=SHAPE, **options):
    out = np.zeros(shape, bool)
    part, mask = mark.draw(shape, **options)
    out[part] = mask
    return out


def centres(shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.points(x, y)


def inside(geometry, shape=SHAPE):
    """Pixels whose centre shapely finds in a geometry of (x, y)."""
    return shapely.contains(geometry, centres(shape))


def assert_is(mask, geometry):
    """The pixels are shapely's; it says nothing of a centre on an edge, which test_annotations.py and ImageJ's masks do."""
    clear = shapely.distance(geometry.boundary, centres(mask.shape)) > 1e-9
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(mask[clear], inside(geometry, mask.shape)[clear])


def masks_of(picture):
    return np.array(Image.open(DATA / picture)).reshape(-1, *SHAPE)


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def only(path):
    (annotation,) = read_annotations(path)
    assert annotation.source == path
    return annotation


# ------------------------------------------------------------------------------------------------------------- GeoJSON


def feature(geometry, class_name=None, **properties):
    """As QuPath 0.5 writes an annotation."""
    properties = {"objectType": "annotation", **properties}
    if class_name is not None:
        properties["classification"] = {"name": class_name, "color": [200, 0, 0]}
    return {"type": "Feature", "id": "5b1f", "geometry": geometry, "properties": properties}


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


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


# -------------------------------------------------------------------------------------------------------------- ImageJ


def test_areas_of_imagej_are_imagejs():
    # polygon, freehand, traced, rectangle, rounded, oval, ellipse, rotated, composite with holes, from a threshold; whole and
    # half pixels, cut by the border
    marks, expected = only(DATA / "imagej.zip").marks, masks_of("imagej.png")
    assert len(marks) == len(expected) == 32
    for mark, mask in zip(marks, expected, strict=True):
        np.testing.assert_array_equal(canvas(mark), mask, err_msg=mark.id)
    assert {mark.kind for mark in marks} == {"area"}
    assert {"polygon", "oval", "compoval"} < {mark.name for mark in marks}


def roi(points, kind=roifile.ROI_TYPE.POLYGON, name="bubble", **values):
    made = roifile.ImagejRoi.frompoints(points, name=name)
    made.roitype = kind
    for key, value in values.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize("dtype", [int, float])
def test_a_polygon_of_roifile(tmp_path, dtype):
    points = np.array([[5, 10], [70, 12], [61, 55], [4, 40]], dtype=dtype)
    path = tmp_path / "bubble-12.roi"
    roi(points, name="bubble-12").tofile(path)
    (mark,) = only(path).marks
    assert (mark.name, mark.id) == ("bubble", "bubble-12")
    assert_is(canvas(mark), shapely.Polygon(points))


@pytest.mark.parametrize("kind", [roifile.ROI_TYPE.POLYLINE, roifile.ROI_TYPE.FREELINE])
def test_lines_of_imagej_run_through_the_centres_of_pixels(tmp_path, kind):
    path = tmp_path / "interface.roi"
    roi([[5, 10], [70, 10]], kind, name="interface", stroke_width=3).tofile(path)
    (mark,) = only(path).marks
    assert (mark.kind, mark.width) == ("line", 3)
    expected = np.zeros(SHAPE, bool)
    expected[9:12, 4:72] = True
    np.testing.assert_array_equal(canvas(mark, width=9), expected)


def test_a_straight_line_and_points_of_imagej(tmp_path):
    straight = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=5, y1=10, x2=70, y2=40, name="interface")
    points = roi([[5.0, 10.0], [70.0, 40.0]], roifile.ROI_TYPE.POINT)
    roifile.roiwrite(tmp_path / "a.zip", [straight, points], name=["a", "b"])
    line, point = only(tmp_path / "a.zip").marks
    assert (line.kind, line.width, point.kind) == ("line", None, "point")
    np.testing.assert_array_equal(line.points, [[10.5, 5.5], [40.5, 70.5]])
    assert np.argwhere(canvas(point, radius=0)).tolist() == [[10, 5], [40, 70]]


@pytest.mark.parametrize(
    ("name", "group", "expected"),
    [
        ("0012-0345", 0, ""),
        ("0001-0012-0345", 0, ""),
        ("0012-0345-1", 0, ""),
        ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", 0, ""),
        ("air bubble-12", 0, "air bubble"),
        ("air bubble-0012-0345", 0, "air bubble"),
        ("ice_crystal_3", 0, "ice_crystal"),
        ("interface", 0, "interface"),
        ("phase 2: the left one", 0, "phase 2"),
        ("interface", 2, "2"),
        ("0012-0345", 300, "300"),
    ],
)
def test_class_of_a_roi(name, group, expected):
    assert class_name(name, group) == expected
    made = roifile.ImagejRoi.frombytes(roi([[0, 0], [9, 0], [0, 9]], name=name, group=group).tobytes())
    assert class_name(made.name, made.group) == expected


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (roi([[0, 0], [9, 0], [0, 9]], roifile.ROI_TYPE.ANGLE), "angle"),
        (roi([[0, 0], [9, 0], [0, 9]], position=2), "slice 2"),
        (roi([[0, 0], [9, 0], [0, 9]], z_position=3), "slice 3"),
        (roi([[0, 0], [9, 0], [0, 9]], t_position=4), "slice 4"),
        (roi([[0, 0], [9, 0], [0, 9]], options=roifile.ROI_OPTIONS.SPLINE_FIT), "spline"),
        (roi([[0, 0], [9, 0], [0, 9]], subtype=roifile.ROI_SUBTYPE.TEXT, text="hello"), "text"),
        (roi([[0, 0], [9, 0]]), "2 points"),
        (roi([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], subpixel_coordinates=np.full((3, 2), np.nan, np.float32)), "finite"),
        (roifile.ImagejRoi(roitype=roifile.ROI_TYPE.NOROI), "type 6"),
        (roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=5, right=5, top=3, bottom=9), "0 pixels wide"),
    ],
)
def test_a_roi_without_a_meaning_here_is_named(tmp_path, made, words):
    roifile.roiwrite(tmp_path / "a.zip", [roi([[0, 0], [9, 0], [0, 9]]), made], name=["good", "other"])
    with pytest.raises(AnnotationError, match=rf"a\.zip': ROI 'other' .*{words}"):
        read_annotations(tmp_path / "a.zip")


def test_channels_of_an_image_are_no_stack(tmp_path):
    roi([[0, 0], [9, 0], [0, 9]], position=1, c_position=2, z_position=1, t_position=1).tofile(tmp_path / "a.roi")
    assert len(only(tmp_path / "a.roi").marks) == 1


def test_other_files_in_a_zip_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("__MACOSX/._b.roi", b"x")
        archive.writestr("set/b.roi", roi([[0, 0], [9, 0], [0, 9]], name="b").tobytes())
        archive.writestr("set/.c.roi", b"x")
        archive.writestr("notes.txt", b"x")
    assert [mark.id for mark in only(tmp_path / "a.zip").marks] == ["b"]


def test_a_roi_cut_short_anywhere_is_an_error(tmp_path):
    whole = roi([[5, 10], [70, 12], [61, 55], [4, 40]], name="bubble").tobytes()
    assert only(_bytes(tmp_path / "a.roi", whole)).marks
    for length in range(len(whole)):
        path = _bytes(tmp_path / "a.roi", whole[:length])
        with pytest.raises(AnnotationError, match=r"a\.roi"):
            read_annotations(path)


def _bytes(path, data):
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------------------------------------------------------- COCO


def coco(annotations, **tables):
    images = [
        {"id": 1, "file_name": "images/left.png", "height": SHAPE[0], "width": SHAPE[1]},
        {"id": 2, "file_name": "right.png", "height": 20, "width": 30},
    ]
    categories = [{"id": 7, "name": "air bubble"}, {"id": 3, "name": "ice crystal"}]
    return {"images": images, "categories": categories, "annotations": annotations, **tables}


def object_(id, segmentation, image=1, category=7, **values):
    return {"id": id, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, **values}


def rle(mask, compressed=True):
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": packed["size"], "counts": packed["counts"].decode()}
    flat = mask.T.ravel().astype(int)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()}


def masks_by_pycocotools(path):
    api = COCO(path)
    return {id: api.annToMask(annotation).astype(bool) for id, annotation in api.anns.items()}


def random_mask(rng, shape=SHAPE):
    return inside(shapely.Point(*rng.uniform(0, 60, 2)).buffer(rng.uniform(2, 30)), shape) ^ (rng.random(shape) < 0.02)


def test_coco_is_what_pycocotools_makes_of_it(tmp_path, capsys):
    rng = np.random.default_rng(0)
    objects = []
    for id in range(1, 61):
        points = rng.uniform((-20, -20), (100, 80), (rng.integers(3, 9), 2))
        if id % 3 == 0:
            points = np.round(points)
        parts = [points.ravel().tolist(), (points * 0.3 + 30).ravel().tolist()][: 1 + id % 2]
        objects.append(object_(id, parts, category=(7, 3)[id % 2]))
    objects += [object_(100 + n, rle(random_mask(rng), n % 2 == 0), iscrowd=n % 2) for n in range(20)]
    objects += [object_(200, rle(np.zeros(SHAPE, bool))), object_(201, rle(np.ones(SHAPE, bool)))]
    path = write_json(tmp_path / "a.json", coco(objects))
    expected = masks_by_pycocotools(path)
    left, right = read_annotations(path)
    assert (left.image, left.size, right.image, right.size) == ("images/left.png", SHAPE, "right.png", (20, 30))
    assert list(right.marks) == []
    assert [mark.id for mark in left.marks] == [str(o["id"]) for o in objects]
    assert [mark.name for mark in left.marks[:2]] == ["ice crystal", "air bubble"]
    for mark in left.marks:
        np.testing.assert_array_equal(canvas(mark), expected[int(mark.id)], err_msg=mark.id)
    assert sum(mask.any() for mask in expected.values()) > 70


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-300, 1100), st.integers(-300, 900)), min_size=3, max_size=8), st.sampled_from([1, 7, 10])
)
def test_polygons_are_cocos(points, divisor):
    points = np.array(points) / divisor
    mask, origin = _from_polygons([points], SHAPE)
    out = np.zeros(SHAPE, bool)
    out[origin[0] : origin[0] + mask.shape[0], origin[1] : origin[1] + mask.shape[1]] = mask
    runs = coco_mask.frPyObjects([points.ravel().tolist()], *SHAPE)
    np.testing.assert_array_equal(out, coco_mask.decode(coco_mask.merge(runs)).astype(bool))


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(0, 10**6), st.floats(0, 1), st.booleans())
def test_run_lengths_are_cocos(height, width, seed, share, compressed):
    expected = np.random.default_rng(seed).random((height, width)) < share
    mask, origin = _from_runs(rle(expected, compressed), expected.shape)
    out = np.zeros(expected.shape, bool)
    out[origin[0] : origin[0] + mask.shape[0], origin[1] : origin[1] + mask.shape[1]] = mask
    np.testing.assert_array_equal(out, expected)


def test_label_studios_export():
    left, right = read_annotations(DATA / "label_studio.json")
    assert left.image.endswith("0a1b2c3d-left.png")
    assert left.size == right.size == SHAPE
    assert [mark.name for mark in left.marks] == ["air bubble", "ice crystal"]
    expected = masks_by_pycocotools(DATA / "label_studio.json")
    for mark in (*left.marks, *right.marks):
        np.testing.assert_array_equal(canvas(mark), expected[int(mark.id)])
    assert image_names(left.image)[-1] == "left.png"


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("cell.png", ("cell.png",)),
        ("images/0a1b2c3d-cell.png", ("images/0a1b2c3d-cell.png", "0a1b2c3d-cell.png", "cell.png")),
        ("images\\3\\cell.png", ("images/3/cell.png", "cell.png")),
        ("/data/upload/1/deadbeef-.png", ("data/upload/1/deadbeef-.png", "deadbeef-.png", ".png")),
        ("0a1b2c3-cell.png", ("0a1b2c3-cell.png",)),
    ],
)
def test_names_of_an_image(given_name, expected):
    assert image_names(given_name) == expected


def test_key_points_alone_are_left_out(tmp_path):
    square = [2, 2, 9, 2, 9, 9, 2, 9]
    objects = [object_(1, [], keypoints=[1, 1, 2]), object_(2, [square], keypoints=[1, 1, 2])]
    marks = read_annotations(write_json(tmp_path / "a.json", coco(objects)))[0].marks
    assert [mark.id for mark in marks] == ["2"]


SQUARE = [2, 2, 9, 2, 9, 9, 2, 9]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (coco([object_(5, [], bbox=[1, 2, 3, 4])]), "annotation 5 has a box but no outline"),
        (coco([object_(5, [[1, 2, 3, 4]])]), "annotation 5 .*three or more"),
        (coco([object_(5, [[1, 2, 3, 4, 5, 6, 7]])]), "annotation 5 .*three or more"),
        (coco([object_(5, SQUARE)]), "annotation 5 .*three or more"),
        (coco([object_(5, [[float("nan"), *SQUARE[1:]]])]), "annotation 5 "),
        (coco([object_(5, [[1e9, *SQUARE[1:]]])]), "annotation 5 .*far outside"),
        (coco([object_(5, [["a", *SQUARE[1:]]])]), "annotation 5 "),
        (coco([object_(5, "text")]), "annotation 5 "),
        (coco([object_(5, [SQUARE], category=9)]), "category 9"),
        (coco([object_(5, [SQUARE], image=9)]), "image 9"),
        (coco([object_(5, {"size": [83, 60], "counts": [4980]})]), r"size \[83, 60\]"),
        (coco([object_(5, {"size": 60, "counts": [4980]})]), "size 60"),
        (coco([object_(5, {"size": [60, 83], "counts": [10, 10]})]), "add up"),
        (coco([object_(5, {"size": [60, 83], "counts": {}})]), "no run lengths"),
        (coco([object_(5, {"size": [60, 83], "counts": [5000, -20]})]), "add up"),
        (coco([object_(5, {"size": [60, 83], "counts": "~~~~"})]), "packed"),
        (coco([object_(5, {"size": [60, 83], "counts": "oooo"})]), "packed"),
        (coco([object_(5, {"size": [60, 83]})]), "annotation 5 "),
        (coco([], categories=None), "'categories'"),
        ({"images": [], "annotations": []}, "'categories'"),
        (coco([], categories=[{"id": 1}]), "category"),
        (coco([], images=[{"id": 1, "file_name": "a.png"}]), "'a.png' lacks"),
        (coco([], images=[{"id": 1, "file_name": n, "height": 3, "width": 3} for n in "ab"]), "two images"),
        (coco([], images=[{"id": 1, "file_name": "a.png", "height": 10**9, "width": 10}]), "more than"),
        (coco([[]]), "'annotations'"),
    ],
)
def test_unusable_coco_is_named(tmp_path, content, words):
    with pytest.raises(AnnotationError, match=rf"a\.json'.*{words}"):
        read_annotations(write_json(tmp_path / "a.json", content))


def test_ids_may_be_text_here_and_numbers_there(tmp_path):
    objects = [object_("5", [SQUARE], image="1", category="3")]
    (mark,) = read_annotations(write_json(tmp_path / "a.json", coco(objects)))[0].marks
    assert mark.name == "ice crystal"


# -------------------------------------------------------------------------------------------------------------- napari


def test_shapes_of_napari_are_naparis():
    with open(DATA / "napari.csv", newline="") as f:
        kinds = [row["shape-type"] for row in csv.DictReader(f) if row["vertex-index"] == "0"]
    marks, expected = only(DATA / "napari.csv").marks, masks_of("napari.png")
    assert len(marks) == len(kinds) == len(expected) == 20
    for mark, kind, mask in zip(marks, kinds, expected, strict=True):
        if kind in ("polygon", "rectangle"):
            np.testing.assert_array_equal(canvas(mark), mask)
        elif kind == "ellipse":  # napari's is a polygon of fewer sides
            assert (canvas(mark) != mask).sum() <= 2
        else:
            assert mark.kind == "line"


def write_csv(path, columns, rows):
    with open(path, "w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


SHAPES = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]


def test_the_origin_of_napari_is_a_pixels_centre(tmp_path):
    rows = [["0.0", "path", n, y, x, "interface"] for n, (y, x) in enumerate([(10, 5), (10, 70)])]
    (mark,) = only(write_csv(tmp_path / "a.csv", [*SHAPES, "class"], rows)).marks
    assert (mark.kind, mark.name) == ("line", "interface")
    expected = np.zeros(SHAPE, bool)
    expected[10, 5:71] = True
    np.testing.assert_array_equal(canvas(mark, width=0.9), expected)


def test_points_of_napari(tmp_path):
    marks = only(write_csv(tmp_path / "a.csv", ["index", "axis-0", "axis-1"], [["0.0", 10, 5], ["1.0", 40, 70]])).marks
    assert [mark.kind for mark in marks] == ["point", "point"]
    assert np.argwhere(canvas(marks[1], radius=0)).tolist() == [[40, 70]]


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["a", "b"], [[1, 2]], "lacks the columns"),
        ([*SHAPES, "axis-2"], [[0, "path", 0, 1, 2, 3]], "3 axes"),
        (SHAPES, [[0, "blob", 0, 1, 2]], "blob"),
        (SHAPES, [[0, "path", 0, "one", 2], [0, "path", 1, 1, 2]], "one"),
        (SHAPES, [[0, "path", 0, "inf", 2], [0, "path", 1, 1, 2]], "finite"),
        (SHAPES, [[0, "path", 0, 1, 2]], "too few"),
        (SHAPES, [[0, "polygon", 0, 1, 2], [0, "polygon", 1, 4, 5]], "too few"),
        (SHAPES, [[0, "ellipse", 0, 1, 2], [0, "ellipse", 1, 4, 5], [0, "ellipse", 2, 9, 5]], "3 corners"),
        (SHAPES, [[0, "path", 0, 1]], "cannot be used"),
    ],
)
def test_unusable_csv_is_named(tmp_path, columns, rows, words):
    with pytest.raises(AnnotationError, match=rf"a\.csv'.*{words}"):
        read_annotations(write_csv(tmp_path / "a.csv", columns, rows))


# ------------------------------------------------------------------------------------------------- other, damaged files

BOX = mapping(shapely.box(0, 0, 5, 5))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.json", b"", "unknown format"),
        ("a.json", b"{", "no valid JSON"),
        ("a.json", b"[" * 100_000, "no valid JSON"),
        ("a.json", b'{"a": 1}', "unknown kind"),
        ("a.json", b"[1, 2]", "unknown kind"),
        ("a.json", b'[{"id": 1, "data": {}, "annotations": []}]', "Label Studio"),
        ("a.json", b'{"shapes": [], "imagePath": "a.png"}', "LabelMe"),
        ("a.xml", b"<annotations/>", "unknown format"),
        ("a.png", b"\x89PNG\r\n\x1a\n\xff", "unknown format"),
        ("a.geojson", json.dumps(collection(feature(None))).encode(), "'5b1f' has no geometry"),
        ("a.geojson", b'{"type": "FeatureCollection"}', "no list of features"),
        ("a.geojson", json.dumps(collection(feature({"type": "Circle", "coordinates": [1]}))).encode(), "Circle"),
        ("a.geojson", json.dumps(collection(feature({"type": "Polygon", "coordinates": [[[0, 0], [1]]]}))).encode(), "5b1f"),
        ("a.geojson", json.dumps(collection(feature({"type": "Polygon", "coordinates": [[[0, 0]]]}))).encode(), "1 positions"),
        ("a.geojson", json.dumps(collection(feature({"type": "Point", "coordinates": [np.nan, 0]}))).encode(), "finite"),
        ("a.geojson", json.dumps(collection(feature({"type": "Polygon", "coordinates": 3}))).encode(), "5b1f"),
        ("a.geojson", json.dumps(collection(feature({**BOX, "plane": {"c": -1, "z": 3, "t": 0}}))).encode(), "z 3"),
        ("a.geojson", json.dumps(collection(feature({**BOX, "plane": {"c": -1, "z": 0, "t": 2}}))).encode(), "t 2"),
        ("a.geojson.gz", gzip.compress(b"{}" * 99)[:-9], "damaged"),
        ("a.zip", b"PK\x03\x04 and so on", "damaged"),
        ("a.zip", (DATA / "imagej.zip").read_bytes()[:5000], "damaged"),
        ("a.roi", b"Iout", "damaged"),
        ("a.roi", b"text", "damaged"),
        ("a.csv", b'index,axis-0,axis-1\n0,"1', "CSV"),
        ("a.csv", b"", "lacks the columns"),
    ],
)
def test_a_file_that_is_no_annotation_gives_one_sentence(tmp_path, name, data, words):
    path = _bytes(tmp_path / name, data)
    with pytest.raises(AnnotationError, match=words) as caught:
        read_annotations(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 400 + len(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json.*No such file"):
        read_annotations(tmp_path / "none.json")


def test_a_zip_without_marks_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(AnnotationError, match=r"a\.zip.*neither"):
        read_annotations(tmp_path / "a.zip")


# ------------------------------------------------------------------------------------------------------ label pictures


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(suffix, dtype) for suffix in (".tif", ".npy") for dtype in (np.uint8, np.uint16, np.int32, np.uint32, np.int64)]
    + [(".png", np.uint8), (".png", np.uint16)],
)
def test_ids_of_a_label_layer_are_kept(tmp_path, suffix, dtype):
    expected = np.random.default_rng(0).integers(0, min(np.iinfo(dtype).max, 3_000_000_000), SHAPE).astype(dtype)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, expected)
    elif suffix == ".tif":
        tifffile.imwrite(path, expected, compression="zlib")  # as napari does
    else:
        Image.fromarray(expected).save(path)
    drawn = read_label_picture(path)
    assert drawn.dtype.kind in "iu"
    np.testing.assert_array_equal(drawn, expected)


RED, GREEN, BLUE, BLACK = (255, 0, 0), (3, 200, 10), (0, 0, 255), (0, 0, 0)


def colours():
    """Classes 0, 1, 2, 7 and their picture."""
    classes = np.zeros(SHAPE, np.int64)
    classes[5:20, 10:70] = 1
    classes[30:, :9] = 7
    classes[40:, 50:] = 2
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[classes == 1] = RED
    picture[classes == 2] = GREEN
    picture[classes == 7] = BLUE
    return classes, picture


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_become_the_values_of_the_legend(tmp_path, mode, suffix):
    classes, picture = colours()
    image = Image.fromarray(picture)
    image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=4) if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"a{suffix}")
    drawn = read_label_picture(tmp_path / f"a{suffix}", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})
    np.testing.assert_array_equal(drawn, classes)


def test_colours_the_legend_lacks_are_counted(tmp_path):
    _, picture = colours()
    picture[0, :5] = (128, 0, 0)
    picture[1, :3] = (127, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match=r"a\.png' has 8 pixels of 2 colours .*#800000: 5, #7f0000: 3"):
        read_label_picture(tmp_path / "a.png", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})


def test_a_gray_picture_needs_no_legend(tmp_path):
    classes, _ = colours()
    Image.fromarray(classes.astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.png", {RED: 1}), classes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: Image.fromarray(colours()[1]).save(p.with_suffix(".png")), "colour"),
        (lambda p: Image.fromarray(colours()[1]).save(p.with_suffix(".jpg")), "JPEG"),
        (lambda p: np.save(p.with_suffix(".npy"), np.zeros((2, 3, 4), int)), r"\(2, 3, 4\)"),
        (lambda p: np.save(p.with_suffix(".npy"), np.zeros((2, 3))), "float64"),
        (lambda p: np.save(p.with_suffix(".npy"), np.array([{}]), allow_pickle=True), "cannot be read"),
        (lambda p: p.with_suffix(".npy").write_bytes(b"no array"), "cannot be read"),
        (lambda p: np.savez(p.with_suffix(".npz"), a=[1]) or p.with_suffix(".npz").rename(p.with_suffix(".npy")), "several"),
        (lambda p: tifffile.imwrite(p.with_suffix(".tif"), np.zeros((5, 20, 30), np.uint16)), "pages"),
        (lambda p: p.with_suffix(".txt").write_text("x"), "unknown format"),
    ],
)
def test_an_unusable_label_is_named(tmp_path, make, words):
    make(tmp_path / "a")
    (path,) = tmp_path.iterdir()
    with pytest.raises(LazyLabelsError, match=words) as caught:
        read_label_picture(path)
    assert str(path) in str(caught.value)
    if path.suffix == ".jpg":
        with pytest.raises(AnnotationError, match="JPEG"):
            read_label_picture(path, {RED: 1})


NAMES = {RED: "air bubble", BLUE: "ice crystal"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("legend.json", '{"#ff0000": "air bubble", "#0000FF": "ice crystal"}'),
        ("legend.json", '{"255,0,0": "air bubble", "0, 0, 255": "ice crystal"}'),
        ("legend.csv", "colour,name\n#ff0000,air bubble\n#0000ff,ice crystal\n"),
        ("legend.csv", "255,0,0,air bubble\n\n0,0,255,ice crystal"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nair bubble:255,0,0::\nice crystal:0,0,255::\n"),
    ],
)
def test_legends(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert read_legend(path) == NAMES
    assert list(read_legend(path)) == list(NAMES)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("legend.json", "{", "cannot be used"),
        ("legend.json", "[1]", "no JSON object"),
        ("legend.json", "{}", "no JSON object"),
        ("legend.json", '{"red": "air bubble"}', "'red' is no colour"),
        ("legend.json", '{"300,0,0": "air bubble"}', "no colour"),
        ("legend.json", '{"#ff0000": 1}', "no name"),
        ("legend.json", '{"#ff0000": "a", "#FF0000": "b"}', "twice"),
        ("legend.json", '{"#ff0000": "a", "#ff0000": "b"}', "twice"),
        ("legend.csv", "#ff0000", "no name"),
        ("legend.csv", "", "empty"),
        ("labelmap.txt", "air bubble", "red,green,blue"),
    ],
)
def test_an_unusable_legend_is_named(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(AnnotationError, match=words) as caught:
        read_legend(path)
    assert str(path) in str(caught.value)


def test_a_missing_legend_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"legend\.json"):
        read_legend(tmp_path / "legend.json")
