"""Crops of a training beside a window, and the pictures they are cut from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.interactive.crop_size import crop_size


@pytest.mark.parametrize(
    ("sizes", "side"), [([(128, 160)], 160), ([(100, 20), (30, 97)], 128), ([(40, 40)], 64), ([(900, 40)], 256), ([], 256)]
)
def test_crops_are_no_larger_than_the_largest_picture(tmp_path, sizes, side):
    (tmp_path / "images").mkdir()
    for number, size in enumerate(sizes):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    assert crop_size(tmp_path, 256) == [side, side]


def test_pictures_that_only_the_datalist_names_count(tmp_path):
    for folder, size in (("images", (70, 70)), ("elsewhere", (10, 200))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / folder / "a.png")
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["pore"], "training": [{"image": "elsewhere/a.png"}]}))
    assert load_datalist(tmp_path)["training"]
    assert crop_size(tmp_path, 256) == [224, 224]
    (tmp_path / "datalist.json").unlink()
    assert crop_size(tmp_path, 256) == [96, 96]


def test_a_picture_that_does_not_tell_its_size_may_be_large(tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((70, 70), np.uint8)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    assert crop_size(tmp_path, 256) == [256, 256]
