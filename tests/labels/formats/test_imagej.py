"""ImageJ's regions against ImageJ's own picture of them, and roifile's."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pytest
import roifile
import shapely

from lazylabels_monai.labels.annotations import AnnotationError, NoMarksError
from lazylabels_monai.labels.formats import (
    read_annotations,
)
from lazylabels_monai.labels.formats.imagej import class_name
from tests.labels.formats.drawing import DATA, SHAPE, _bytes, assert_is, canvas, masks_of, only, roi


def test_areas_of_imagej_are_imagejs():
    # polygon, freehand, traced, rectangle, rounded, oval, ellipse, rotated, composite with holes, from a threshold; whole and
    # half pixels, cut by the border
    marks, expected = only(DATA / "imagej.zip").marks, masks_of("imagej.png")
    assert len(marks) == len(expected) == 32
    for mark, mask in zip(marks, expected, strict=True):
        np.testing.assert_array_equal(canvas(mark), mask, err_msg=mark.id)
    assert {mark.kind for mark in marks} == {"area"}
    assert {"polygon-0", "oval-1", "compoval-0"} < {mark.name for mark in marks}


@pytest.mark.parametrize("dtype", [int, float])
def test_a_polygon_of_roifile(tmp_path, dtype):
    points = np.array([[5, 10], [70, 12], [61, 55], [4, 40]], dtype=dtype)
    path = tmp_path / "bubble-12.roi"
    roi(points, name="bubble-12").tofile(path)
    (mark,) = only(path).marks
    assert (mark.name, mark.id) == ("bubble-12", "bubble-12")
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
        ("air bubble-12", 0, "air bubble-12"),  # what the number is, the whole data set tells
        ("type_1 ", 0, "type_1"),
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


def test_the_names_of_files_in_a_zip_count_where_the_rois_have_none_of_their_own(tmp_path):
    """roifile names a ROI by a UUID, and ImageJ by its place, where nobody did."""
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    inner = ["1b4e28ba-2fa1-11d2-883f-0016d3cca427", "0005-0005", "pore-1", "0005-0004"]
    files = ["air bubble-2", "ice-1", "1b4e28ba-2fa1-11d2-883f-0016d3cca428", "0007-0007"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, file in zip(inner, files, strict=True):
            archive.writestr(f"{file}.roi", roi(square, name=name).tobytes())
    assert [mark.name for mark in only(tmp_path / "a.zip").marks] == ["air bubble-2", "ice-1", "pore-1", ""]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("ice.roi", roi(square, name=inner[0]).tobytes())
    assert [mark.name for mark in only(tmp_path / "b.zip").marks] == ["ice"]
    roi(square, name=inner[0]).tofile(tmp_path / "image.roi")  # called as its image, which is no class
    assert [mark.name for mark in only(tmp_path / "image.roi").marks] == [""]


@pytest.mark.parametrize(("name", "expected"), [("", ["counter 0", "counter 2"]), ("cells", ["cells 0", "cells 2"])])
def test_kinds_that_were_counted_in_one_multi_point_stay_apart(tmp_path, name, expected):
    points = roi([[5.0, 10.0], [70.0, 40.0], [20.0, 30.0]], roifile.ROI_TYPE.POINT, name=name or "0010-0005")
    points.counters = np.array([2, 0, 2], np.uint8)
    points.counter_positions = np.zeros(3, np.uint32)
    roifile.roiwrite(tmp_path / "a.zip", [points], name=["0010-0005"])
    marks = only(tmp_path / "a.zip").marks
    assert [mark.name for mark in marks] == expected
    assert all(mark.is_class for mark in marks)  # the number is that of a kind
    assert [np.argwhere(canvas(mark, radius=0)).tolist() for mark in marks] == [[[40, 70]], [[10, 5], [30, 20]]]
    points.counters = np.array([2, 2, 2], np.uint8)
    roifile.roiwrite(tmp_path / "b.zip", [points], name=["0010-0005"])
    assert [mark.name for mark in only(tmp_path / "b.zip").marks] == [name]


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
    annotation = only(tmp_path / "a.zip")
    assert [mark.id for mark in annotation.marks] == ["bubble"]
    (phrase,) = annotation.left_out
    assert re.match(rf"ROI 'other' .*{words}", phrase)
    made.tofile(tmp_path / "other.roi")
    with pytest.raises(NoMarksError, match=rf"other\.roi': ROI 'other' .*{words}"):
        read_annotations(tmp_path / "other.roi")


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
