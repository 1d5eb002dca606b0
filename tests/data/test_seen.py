"""What a training writes down about its images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from lazylabels_monai.data.seen import seen_images
from tests.data.checking.cases import DataSet, sound


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


def test_the_training_images_are_summed_up(data):
    seen = seen_images(data.save())
    assert (seen.images, seen.channels, seen.types) == (4, (1,), ("uint8",))
    assert seen.contrast == {"brighter": 4, "darker": 0}
    assert seen.pixel_size is None
    # squares of 20 x 20 pixels
    assert seen.diameter == pytest.approx((20 / (np.pi / 4) ** 0.5,) * 2)
    assert json.loads(json.dumps(seen.as_dict()))["images"] == 4


def test_validation_and_unlabelled_images_do_not_count(data):
    image, _ = sound(9)
    data.content["training"].append({"image": data.write("images/bare.png", image)})
    assert seen_images(data.save()).images == 4


def test_pixel_sizes_of_the_datalist_and_of_files(data):
    data.content["training"][0]["pixel_size"] = 0.4
    data.content["training"][1]["pixel_size"] = [0.5, 0.5]
    image, labels = sound(9)
    tifffile.imwrite(data.root / "a.ome.tif", image, metadata={"axes": "YX", "PhysicalSizeX": 0.8, "PhysicalSizeY": 0.8})
    data.content["training"].append({"image": "a.ome.tif", "detection": data.write("detection/a.png", labels["detection"])})
    assert seen_images(data.save()).pixel_size == pytest.approx((0.4, 0.8))


def test_what_cannot_be_read_is_left_out(data):
    (data.root / "images" / "0.png").write_bytes(b"no image")
    (data.root / "instances" / "1.png").write_bytes(b"no label")
    assert seen_images(data.save()).images == 3


def test_rough_marks_alone_say_nothing_about_sizes(data):
    for item in data.content["training"]:
        del item["segmentation"], item["instances"]
    assert seen_images(data.save()).diameter is None
