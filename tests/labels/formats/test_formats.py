"""Files that are no annotations, in any format."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np
import pytest
import shapely
from shapely.geometry import mapping

from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import (
    read_annotations,
)
from tests.labels.formats.drawing import DATA, _bytes, collection, feature

BOX = mapping(shapely.box(0, 0, 5, 5))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.json", b"", "is empty"),
        ("a.json", b"text", "unknown format"),
        ("a.json", b"{", "no valid JSON"),
        ("a.json", b"[" * 100_000, "no valid JSON"),
        ("a.json", b'{"a": 1}', "unknown kind"),
        ("a.json", b"[1, 2]", "unknown kind"),
        ("a.json", b'[{"id": 1, "data": {}, "completions": []}]', "Label Studio"),
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
        ("a.geojson.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "damaged"),
        ("a.zip", b"PK\x03\x04 and so on", "damaged"),
        ("a.zip", (DATA / "imagej.zip").read_bytes()[:5000], "damaged"),
        ("a.roi", b"Iout", "damaged"),
        ("a.roi", b"text", "damaged"),
        ("a.csv", b'index,axis-0,axis-1\n0,"1', "CSV"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b", "lacks the columns"),
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
    with pytest.raises(AnnotationError, match=r"none\.json.*does not exist"):
        read_annotations(tmp_path / "none.json")


def test_a_zip_without_marks_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(AnnotationError, match=r"a\.zip.*neither"):
        read_annotations(tmp_path / "a.zip")


ODD = "a\nb\x1b[2J\r"


def _zip(*names: str, whole: bool) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"Iout" + bytes(20))
    data = file.getvalue()
    return data if whole else data.replace(b"Iout", b"Xout")  # its checksum is another


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", _zip(f"{ODD}.json", whole=False)),
        ("a.zip", _zip(f"{ODD}.roi", whole=False)),
        ("a.zip", _zip(f"{ODD}.roi", whole=True)),
        (
            "a.geojson",
            json.dumps(collection({"type": "Feature", "id": ODD, "geometry": {"type": ODD, "coordinates": []}})).encode(),
        ),
        (
            "a.json",
            json.dumps(
                {"images": [{"id": 1, "file_name": ODD}], "annotations": [{"image_id": ODD}], "categories": []}
            ).encode(),
        ),
    ],
)
def test_names_in_a_file_neither_break_a_line_nor_steer_the_terminal(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    try:
        said = [phrase for annotation in read_annotations(path) for phrase in annotation.left_out]
    except AnnotationError as error:
        said = [str(error)]
    assert said
    assert not [phrase for phrase in said if any(character in phrase for character in "\n\r\x1b")]
