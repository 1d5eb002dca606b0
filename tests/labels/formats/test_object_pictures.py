"""Ids from a picture for each object, and from a colour for each."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.images.files import ReadError
from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import LABEL_SUFFIXES
from lazylabels_monai.labels.formats.object_pictures import read_object_colours, read_object_files


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def _square(y, x, size, value=255):
    picture = np.zeros((20, 30), np.uint8)
    picture[y : y + size, x : x + size] = value
    return picture


def test_each_file_is_an_object_and_the_smaller_lies_on_top(tmp_path):
    _save(tmp_path / "a" / "1.png", _square(2, 2, 3))
    _save(tmp_path / "a" / "2.png", _square(0, 0, 10, 1))
    _save(tmp_path / "a" / "3.png", np.zeros((20, 30), np.uint8))
    _save(tmp_path / "a" / "4.png", _square(12, 12, 4))
    _save(tmp_path / "a" / ".hidden.png", _square(0, 0, 20))
    ids = read_object_files(tmp_path / "a", LABEL_SUFFIXES)
    expected = np.zeros((20, 30), int)
    expected[:10, :10], expected[2:5, 2:5], expected[12:16, 12:16] = 2, 1, 4
    np.testing.assert_array_equal(ids, expected)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (np.zeros((5, 5), np.uint8), "5 x 5 pixels, but '1.png' beside it is 30 x 20"),
        (np.arange(600, dtype=np.uint16).reshape(20, 30), "600 values"),
        (_square(2, 2, 3) + 7, "2 values"),
    ],
)
def test_what_is_no_object_is_named(tmp_path, second, words):
    _save(tmp_path / "a" / "1.png", _square(2, 2, 3))
    _save(tmp_path / "a" / "2.png", second)
    with pytest.raises(AnnotationError, match=rf"2\.png' .*{words}"):
        read_object_files(tmp_path / "a", LABEL_SUFFIXES)


def test_a_folder_without_a_picture_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(AnnotationError, match="holds no picture of an object"):
        read_object_files(tmp_path / "a", LABEL_SUFFIXES)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_each_colour_is_an_object(tmp_path, mode):
    values = np.zeros((20, 30), np.uint8)
    values[:5, :5], values[7:9, 7:9], values[12:, 20:], values[10] = 1, 2, 3, 4
    table = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (1, 128, 0), (224, 224, 192)], np.uint8)
    picture = Image.fromarray(table[values])
    if mode == "P":
        picture = Image.fromarray(values, "P")
        picture.putpalette(table.ravel().tolist())
    picture.save(tmp_path / "a.png")
    ids = read_object_colours(tmp_path / "a.png")
    for value in range(4):
        assert len(np.unique(ids[values == value])) == 1
    assert len(np.unique(ids)) == 5
    assert (ids[values == 0] == 0).all()
    assert (ids[values == 4] == -1).all()  # Pascal VOC's "not labelled"


def test_gray_holds_ids(tmp_path):
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30)
    np.testing.assert_array_equal(read_object_colours(_save(tmp_path / "a.png", ids)), ids)


def test_transparent_pixels_and_lossy_files_of_coloured_objects(tmp_path):
    folder = tmp_path / "SegmentationObject"
    folder.mkdir()
    picture = np.zeros((16, 16, 4), np.uint8)
    picture[2:6, 2:6], picture[9:14, 9:14] = (255, 0, 0, 255), (0, 255, 0, 255)
    picture[0, 0] = (9, 9, 9, 0)  # what nobody sees
    Image.fromarray(picture).save(folder / "a.png")
    ids = read_object_colours(folder / "a.png")
    assert sorted(np.unique(ids, return_counts=True)[1].tolist()) == [16, 25, 215]
    assert ids[0, 0] == ids[8, 8] == 0
    Image.fromarray(picture[..., :3]).save(folder / "b.jpg", quality=100)
    (folder / "b.jpg").rename(folder / "b.png")
    with pytest.raises(ReadError, match="is a JPEG"):
        read_object_colours(folder / "b.png")
