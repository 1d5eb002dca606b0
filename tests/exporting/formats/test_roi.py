"""ROI sets, read by roifile and by the reader that was compared with ImageJ. ImageJ 1.53t itself filled the pixels of
``scene()`` without a difference (docs/export.md)."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import roifile
from hypothesis import given, settings
from roifile import ROI_TYPE, ImagejRoi

from lazylabels_monai.images.pictures import class_colour
from lazylabels_monai.labels.formats import read_annotations
from tests.exporting.maps import ID_MAPS, came_back, drawn, same_objects, scene, written


def members(content: bytes) -> dict[str, ImagejRoi]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()}


@given(ids=ID_MAPS)
@settings(max_examples=80, deadline=None)
def test_pixels_and_classes_come_back(ids, tmp_path_factory):
    came_back(ids, "roi", tmp_path_factory.mktemp("roi"))


def test_what_roifile_reads(tmp_path):
    ids = scene()
    name, content = written(ids, "roi", "Müller 'Probe' 0")
    assert name == "Müller 'Probe' 0.zip"
    rois = members(content)
    assert len(rois) == len(set(rois)) == len(np.unique(ids)) - 1
    for entry, roi in rois.items():
        assert entry == f"{roi.name}.roi"  # ImageJ shows the entry's name
        id = roi.properties["id"]
        where = np.argwhere(ids == id)
        assert (roi.top, roi.left) == tuple(where.min(axis=0))
        assert (roi.bottom, roi.right) == tuple(where.max(axis=0) + 1)
        assert roi.stroke_color == bytes([255, *class_colour(id % 3 + 1)])
        assert roi.group == 0
        assert roi.composite == (id not in (77, 501))
    assert rois["air bubble-501.roi"].roitype == ROI_TYPE.TRACED
    (tmp_path / "a.zip").write_bytes(content)
    assert [roi.name for roi in roifile.roiread(tmp_path / "a.zip")] == [roi.name for roi in rois.values()]
    assert content == written(ids, "roi")[1]  # no date, no chance


def test_no_object(tmp_path):
    name, content = written(np.zeros((3, 4), int), "roi")
    (tmp_path / name).write_bytes(content)
    assert members(content) == {}
    assert [a.marks for a in read_annotations(tmp_path / name)] == [[]]


def test_a_wide_image(tmp_path):
    """Coordinates beyond 16 bits with a sign."""
    ids = np.zeros((3, 60000), np.int32)
    ids[1, 40000:40010], ids[0:2, 100:50000], ids[2, -1] = 4, 7, 9
    name, content = written(ids, "roi")
    (tmp_path / name).write_bytes(content)
    (annotation,) = read_annotations(tmp_path / name)
    assert same_objects(ids, drawn(annotation, ids.shape)[0])
