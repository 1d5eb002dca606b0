"""Cellpose's ``_seg.npy``: what a stranger's file names is not run."""

from __future__ import annotations

import datetime
import os
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import read_label_picture

IDS = np.arange(12, dtype=np.uint16).reshape(3, 4)


def _save(path, content):
    np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "i8", ">u2"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        # as Cellpose 2 to 4 write it
        {
            "outlines": IDS,
            "colors": np.zeros((3, 3), np.uint8),
            "chan_choose": [0, 0],
            "filename": "C:\\data\\a.png",
            "flows": [np.zeros((3, 4, 3), np.uint8), np.zeros((1, 3, 4), np.float32), []],
            "ismanual": np.zeros(5, bool),
            "manual_changes": [["22-02-2024, 10:00:00", "added mask", [np.array([1]), np.array([2])]]],
            "model_path": 0,
            "est_diam": np.float32(30.5),
            "normalize_params": {"lowhigh": None, "percentile": [1.0, 99.0], "norm3D": np.bool_(False)},
            "restore": None,
        },
        {"when": datetime.datetime(2024, 1, 1), "where": PurePosixPath("/a/b"), "complex": 1j, "set": {1, 2}},
    ],
)
def test_the_masks_are_those_that_were_saved(tmp_path, dtype, more):
    read = read_label_picture(_save(tmp_path / "a_seg.npy", {"masks": IDS.astype(dtype), **more}))
    np.testing.assert_array_equal(read, IDS)
    assert read.dtype.isnative


class _Harm:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("nested", [lambda harm: {"masks": IDS, "x": harm}, lambda harm: {"masks": harm}, lambda harm: harm])
def test_code_in_a_file_is_not_run(tmp_path, nested):
    path = _save(tmp_path / "a_seg.npy", nested(_Harm(tmp_path / "harm")))
    try:
        np.testing.assert_array_equal(read_label_picture(path), IDS)
    except AnnotationError as error:
        assert "save the masks in Cellpose" in str(error) or "its masks are no array" in str(error)  # noqa: PT017
    assert not (tmp_path / "harm").exists()
    np.load(path, allow_pickle=True)  # it would be by numpy
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"flows": []}, "save the masks in Cellpose by"),
        ([{}, 2], "save the masks in Cellpose by"),
        ({"masks": np.zeros((2, 3, 4), np.uint16)}, r"shape \(2, 3, 4\)"),
        ({"masks": np.zeros((3, 4))}, "masks are"),
        ({"masks": None}, "no array"),
    ],
)
def test_a_file_without_masks_is_named(tmp_path, content, words):
    with pytest.raises(AnnotationError, match=rf"a_seg\.npy'.*{words}"):
        read_label_picture(_save(tmp_path / "a_seg.npy", content))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_one_sentence(tmp_path_factory, at, garbage):
    path = _save(tmp_path_factory.mktemp("c") / "a_seg.npy", {"masks": IDS, "filename": "a.png"})
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(garbage)] = garbage
    path.write_bytes(bytes(data))
    try:
        assert read_label_picture(path).ndim == 2
    except AnnotationError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_plain_array_is_read_as_before(tmp_path):
    np.testing.assert_array_equal(read_label_picture(_save(tmp_path / "a.npy", IDS)), IDS)
    np.testing.assert_array_equal(read_label_picture(_save(tmp_path / "b_seg.npy", IDS)), IDS)
