"""One odd element in an otherwise good file: it is left out and named, the rest is read as without it."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.labels.annotations import NoMarksError
from lazylabels_monai.labels.formats import read_annotations
from tests.labels.formats.drawing import SHAPES, canvas, coco, collection, feature, object_, roi, write_csv, write_json

BOX = {"type": "Polygon", "coordinates": [[[2, 2], [20, 2], [20, 15], [2, 15], [2, 2]]]}
SQUARE = [2, 2, 20, 2, 20, 15, 2, 15]
NAN = float("nan")


def _geojson(path, odd):
    return write_json(path / "a.geojson", collection(feature(BOX, "cell"), *odd, feature(BOX, "cell", name="last")))


def _coco(path, odd):
    return write_json(path / "a.json", coco([object_(1, [SQUARE]), *odd, object_(2, [SQUARE])]))


def _zip(path, odd):
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        archive.writestr("first.roi", roi([[2, 2], [20, 2], [20, 15], [2, 15]], name="cell").tobytes())
        for number, data in enumerate(odd):
            archive.writestr(f"odd{number}.roi", data)
        archive.writestr("last.roi", roi([[2, 2], [20, 2], [20, 15], [2, 15]], name="cell").tobytes())
    return path / "a.zip"


def _csv(path, odd):
    corners = [(2, 2), (2, 20), (15, 20), (15, 2)]
    rows = [[0, "polygon", n, *corner] for n, corner in enumerate(corners)]
    last = [[9, "polygon", n, *corner] for n, corner in enumerate(corners)]
    return write_csv(path / "a.csv", SHAPES, [*rows, *(row for shape in odd for row in shape), *last])


def _points(path, odd):
    return write_csv(path / "a.csv", ["index", "axis-0", "axis-1"], [[0, 5, 5], *odd, [9, 7, 7]])


def _wide(width):
    """A line of this width: ImageJ keeps it as a float of 32 bits."""
    return roi([[0.5, 0], [9, 0], [3, 9]], roifile.ROI_TYPE.POLYLINE, float_stroke_width=width).tobytes()


def _geometry(kind, coordinates):
    return {"type": kind, "coordinates": coordinates}


ODD = {
    _geojson: [
        feature(None),
        feature({}),
        feature(_geometry("Polygon", [])),
        feature(_geometry("Polygon", [[]])),
        feature(_geometry("Polygon", [[[1, 1], [2, 2]]])),
        feature(_geometry("Polygon", [[[1, 1], [2, 2], [NAN, 3]]])),
        feature(_geometry("Polygon", [[[1, 1], [2, 2], [1e200, 3]]])),
        feature(_geometry("LineString", [[1, 1], [2, -1e300]])),
        feature(_geometry("Point", [1e12, 3])),
        feature(_geometry("Polygon", None)),
        feature(_geometry("MultiPolygon", [[[[1, 1], [2, 2], [1, 1]], [[1, "x"]]]])),
        feature(_geometry("LineString", [[1, 1]])),
        feature(_geometry("Point", [])),
        feature(_geometry("Point", [None, 3])),
        feature(_geometry("Circle", [1, 1, 5])),
        feature({"type": "GeometryCollection", "geometries": []}),
        feature({"type": "GeometryCollection", "geometries": [None]}),
        feature({**BOX, "plane": {"c": -1, "z": 3, "t": 0}}),
        {"type": "Feature", "properties": None},
        None,
        7,
    ],
    _coco: [
        object_(5, []),
        object_(5, None),
        object_(5, [], bbox=[1, 2, 3, 4]),
        object_(5, [[1, 2, 3, 4]]),
        object_(5, [[1, 2, 3, 4], [5, 6]]),
        object_(5, [[1, 2, 3]]),
        object_(5, [[NAN, *SQUARE[1:]]]),
        object_(5, [SQUARE, [NAN, *SQUARE[1:]]]),
        object_(5, [["a", *SQUARE[1:]]]),
        object_(5, [[1e9, *SQUARE[1:]]]),
        object_(5, [[1e200, *SQUARE[1:]]]),
        object_(5, "text"),
        object_(5, 3),
        object_(5, [SQUARE], category=9),
        object_(5, [SQUARE], category=None),
        object_(5, [SQUARE], image=9),
        object_(5, {"size": [83, 60], "counts": [4980]}),
        object_(5, {"size": [60, 83], "counts": [10, 10]}),
        object_(5, {"size": [60, 83], "counts": "~~~~"}),
        object_(5, {"size": [60, 83], "counts": None}),
        object_(5, {}),
        {"id": 5},
        None,
        [],
    ],
    _zip: [
        b"",
        b"text",
        b"Iout",
        roi([[0, 0], [9, 0], [0, 9]]).tobytes()[:70],
        roi([[0, 0], [9, 0], [0, 9]], roifile.ROI_TYPE.ANGLE).tobytes(),
        roi([[0, 0], [9, 0], [0, 9]], position=2).tobytes(),
        roi([[0, 0], [9, 0]]).tobytes(),
        roi([[0, 0], [9, 0], [0, 9]], subtype=roifile.ROI_SUBTYPE.TEXT, text="hello").tobytes(),
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.NOROI).tobytes(),
        roi([[0, 0.5], [9, 1e30], [0, 9]]).tobytes(),
        _wide(float("inf")),
        _wide(float("nan")),
        _wide(1e30),
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=5, right=5, top=3, bottom=9).tobytes(),
    ],
    _csv: [
        [[5, "blob", 0, 1, 2]],
        [[5, "polygon", 0, 1, 2], [5, "polygon", 1, 4, 5]],
        [[5, "path", 0, 1, 2]],
        [[5, "polygon", 0, "nan", 2], [5, "polygon", 1, 4, 5], [5, "polygon", 2, 9, 5]],
        [[5, "polygon", 0, "", 2], [5, "polygon", 1, 4, 5], [5, "polygon", 2, 9, 5]],
        [[5, "ellipse", 0, 1, 2], [5, "ellipse", 1, 4, 5], [5, "ellipse", 2, 9, 5]],
        [[5, "path", 0, 1]],
        [[5, "path", 0, 1, 2], [5, "path", 1, 4, "1e200"]],
        [[5, "polygon", 0, 1, 2], [5, "polygon", 1, "-1e300", 5], [5, "polygon", 2, 9, 5]],
    ],
    _points: [[5, "nan", 3], [5, "1e13", 3], [5, "x", 3], [5, "", ""], [5, 3]],
}
CASES = [(write, odd) for write, odds in ODD.items() for odd in odds]


def _marks(path):
    return [(m.kind, m.name, canvas(m)) for annotation in read_annotations(path) for m in annotation.marks]


@pytest.mark.parametrize(("write", "odd"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_the_rest_is_read_as_without_it(tmp_path, write, odd):
    expected = _marks(write(tmp_path, []))
    path = write(tmp_path, [odd])
    left_out = [phrase for annotation in read_annotations(path) for phrase in annotation.left_out]
    assert len(left_out) == 1
    assert "\n" not in left_out[0]
    assert "again" not in left_out[0]  # the same program would write the same again
    made = _marks(path)
    assert [mark[:2] for mark in made] == [mark[:2] for mark in expected]
    assert all((mark[2] == other[2]).all() for mark, other in zip(made, expected, strict=True))


@pytest.mark.parametrize("write", [_geojson, _coco, _zip])
def test_any_number_of_odd_elements_is_counted(tmp_path_factory, write):
    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.sampled_from(range(len(ODD[write]))), max_size=6))
    def counted(chosen):
        path = write(tmp_path_factory.mktemp("odd"), [ODD[write][n] for n in chosen])
        read = read_annotations(path)
        assert sum(len(annotation.left_out) for annotation in read) == len(chosen)
        assert sum(len(annotation.marks) for annotation in read) == 2

    counted()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.geojson", json.dumps(collection(feature(None), feature(None)))),
        ("a.json", json.dumps(coco([object_(5, [], bbox=[1, 2, 3, 4]), object_(6, [[1, 2]])]))),
        ("a.csv", "index,shape-type,vertex-index,axis-0,axis-1\n0,blob,0,1,2\n"),
    ],
)
def test_nothing_but_odd_elements_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(NoMarksError, match="no mark can be used"):
        read_annotations(tmp_path / name)


def test_a_damaged_member_of_a_zip_is_left_out(tmp_path):
    path = _zip(tmp_path, [roi([[0, 0], [9, 0], [0, 9]], name="spoilt").tobytes()])
    data = bytearray(path.read_bytes())
    at = data.index(b"odd0.roi") + len(b"odd0.roi") + 70  # inside the member's data, which the checksum guards
    data[at] ^= 255
    path.write_bytes(bytes(data))
    (annotation,) = read_annotations(path)
    assert len(annotation.marks) == 2
    assert "odd0.roi" in annotation.left_out[0]


def test_a_layer_without_a_shape_has_no_marks(tmp_path):
    for columns in (SHAPES, ["index", "axis-0", "axis-1"]):
        (annotation,) = read_annotations(write_csv(tmp_path / "a.csv", columns, []))
        assert (list(annotation.marks), list(annotation.left_out)) == ([], [])


def test_holes_and_parts_without_an_area_change_nothing(tmp_path):
    holed = {"type": "MultiPolygon", "coordinates": [[BOX["coordinates"][0], [[5, 5], [6, 6]]], [[[1, 1], [2, 2]]]]}
    (annotation,) = read_annotations(write_json(tmp_path / "a.geojson", collection(feature(holed, "cell"))))
    (mark,) = annotation.marks
    assert mark.trimmed == 2
    np.testing.assert_array_equal(canvas(mark), _marks(_geojson(tmp_path, []))[0][2])
