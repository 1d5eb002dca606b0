"""COCO files against pycocotools' own pictures of them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import (
    read_annotations,
)
from lazylabels_monai.labels.formats.coco import _from_polygons, _from_runs
from tests.labels.formats.drawing import DATA, SHAPE, canvas, coco, inside, object_, write_json


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
        (coco([object_(5, [[1, 2, 3, 4]])]), "annotation 5 .*fewer than three points"),
        (coco([object_(5, [[1, 2, 3, 4, 5, 6, 7]])]), "annotation 5 .*no list of x, y"),
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
        (coco([], images=[{"id": 1, "file_name": "a.png", "height": "x", "width": 3}]), "'a.png' has the height 'x'"),
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


@pytest.mark.parametrize("segmentation", [SQUARE, [[[2, 2], [9, 2], [9, 9], [2, 9]]], [SQUARE, [5.0, 5.0, 6.0, 5.0], []]])
def test_one_polygon_however_it_is_nested(tmp_path, segmentation):
    """And a part of two points, which contour tracing leaves beside good ones, has no area."""
    left, _ = read_annotations(write_json(tmp_path / "a.json", coco([object_(5, segmentation)])))
    plain = write_json(tmp_path / "b.json", coco([object_(5, [SQUARE])]))
    np.testing.assert_array_equal(canvas(left.marks[0]), masks_by_pycocotools(plain)[5])
    assert not left.left_out
    assert left.marks[0].trimmed == (2 if len(segmentation) == 3 else 0)


@pytest.mark.parametrize(("height", "width"), [(60.0, 83.0), ("60", "83"), ("60.0", 83)])
def test_sizes_and_ids_as_tables_write_them(tmp_path, height, width):
    content = coco([object_(5, [SQUARE], image=1.0, category="7.0"), object_(6, {"size": [60.0, "83"], "counts": [4980]})])
    content["images"][0].update(height=height, width=width)
    left, _ = read_annotations(write_json(tmp_path / "a.json", content))
    assert left.size == SHAPE
    assert [mark.name for mark in left.marks] == ["air bubble", "air bubble"]


@pytest.mark.parametrize("without", [{}, {"height": 0, "width": 0}, {"height": None, "width": None}])
def test_a_size_that_the_file_does_not_say_is_the_images(tmp_path, without):
    content = coco([object_(5, [SQUARE]), object_(6, rle(inside(shapely.box(3, 3, 50, 40))))])
    expected = masks_by_pycocotools(write_json(tmp_path / "b.json", content))
    content["images"][0] = {"id": 1, "file_name": "a.png", **without}
    left, _ = read_annotations(write_json(tmp_path / "a.json", content))
    assert left.size is None
    for mark in left.marks:
        np.testing.assert_array_equal(canvas(mark), expected[int(mark.id)])
