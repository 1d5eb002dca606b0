"""COCO files, read by pycocotools."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from lazylabels_monai.exporting.formats.coco import CocoFile, run_lengths
from lazylabels_monai.exporting.objects import objects_of
from lazylabels_monai.labels.formats import read_annotations
from tests.exporting.maps import ID_MAPS, NAMES, classes_of, drawn, same_objects, scene, written


@given(ids=ID_MAPS)
@settings(max_examples=80, deadline=None)
def test_pixels_and_classes_come_back(ids, tmp_path_factory):
    path = tmp_path_factory.mktemp("coco") / "objects.json"
    path.write_bytes(written(ids, "coco")[1])
    (annotation,) = read_annotations(path)
    assert (annotation.image, annotation.size) == ("a.png", ids.shape)
    back, names = drawn(annotation, ids.shape)
    assert same_objects(ids, back)
    for number, class_name in names.items():
        assert class_name == NAMES[classes_of(ids)[back == number][0] - 1]


@given(ids=arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3)))
@settings(max_examples=100, deadline=None)
def test_run_lengths_are_those_of_pycocotools(ids):
    found = run_lengths(ids)
    assert list(found) == [id for id in np.unique(ids).tolist() if id]
    for id, counts in found.items():
        theirs = coco_mask.encode(np.asfortranarray(ids == id, dtype=np.uint8))
        ours = coco_mask.frPyObjects({"counts": counts, "size": list(ids.shape)}, *ids.shape)
        assert ours == theirs


def test_no_pixels():
    assert run_lengths(np.zeros((0, 3), int)) == {}


def test_what_pycocotools_reads(tmp_path, capsys):
    maps = {"Müller 'Probe' 0": scene(), "empty": np.zeros((5, 4), int), "b.c": scene((20, 33), 2)}
    writer = CocoFile(NAMES)
    assert writer.names(list(maps)) == ["objects.json"]
    for name, ids in maps.items():
        assert list(writer.image(objects_of(name, f"{name}.tif", ids, classes_of(ids), NAMES))) == []
    ((name, content),) = writer.end()
    (tmp_path / name).write_bytes(content)
    coco = COCO(str(tmp_path / name))
    assert {k: c["name"] for k, c in coco.cats.items()} == dict(enumerate(NAMES, start=1))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [f"{name}.tif" for name in maps]
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
    for image, ids in zip(coco.loadImgs(coco.getImgIds()), maps.values(), strict=True):
        assert (image["height"], image["width"]) == ids.shape
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        for id, annotation in zip([id for id in np.unique(ids).tolist() if id], found, strict=True):
            np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), ids == id)
            where = np.argwhere(ids == id)
            (top, left), (height, width) = where.min(axis=0), np.ptp(where, axis=0) + 1
            assert annotation["bbox"] == [left, top, width, height]
            assert annotation["area"] == len(where)
            assert annotation["iscrowd"] == 0
            assert annotation["category_id"] == id % 3 + 1
    assert json.loads(content)["annotations"][0]["id"] == 1
