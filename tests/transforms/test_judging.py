"""What is said about an image that is predicted, and about its objects."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged

from lazylabels_monai.images.appearance import Seen, appearance, sum_up
from lazylabels_monai.images.readers import MicroscopyReader
from lazylabels_monai.transforms import JudgeImaged, JudgeObjectsd
from tests.data.checking.cases import IMAGES
from tests.images.test_appearance import discs


@pytest.fixture
def judged(tmp_path, caplog):
    """``judged(array, seen)``: the sentences about a file that holds it."""

    def judge(array: np.ndarray, seen: Seen | None = None, **metadata) -> list[str]:
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb" if array.shape[-1] == 3 else "minisblack", **metadata)
        load = LoadImaged("image", reader=MicroscopyReader(), ensure_channel_first=True)
        sample = load({"image": str(tmp_path / "a.tif")})
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            after = JudgeImaged("image", None if seen is None else seen.as_dict())(sample)
        assert after["image"] is sample["image"]
        return [record.getMessage() for record in caplog.records]

    return judge


@pytest.fixture(scope="module")
def seen() -> Seen:
    return sum_up([appearance(discs(i), 2) for i in range(12)], pixel_size=(0.5, 0.5), diameter=(10.0, 16.0))


@pytest.mark.parametrize("code", IMAGES)
def test_whatever_the_check_finds_in_an_image_is_said_before_a_prediction(judged, code):
    (sentence,) = judged(IMAGES[code][0])
    assert sentence.startswith("image 'a.tif' has ")
    assert IMAGES[code][1].removeprefix("has ").partition(":")[0] in sentence


def test_a_sound_image_is_silent(judged, seen):
    assert judged(discs(100), seen) == judged(discs(100)) == []


def test_places_are_those_of_the_picture(judged):
    image = discs(100).astype(np.uint16)
    image[5, 90] = 65535
    assert "has 1 pixels so far from the others" in judged(image)[0]
    assert "first at y=5, x=90" in judged(image)[0]


def test_an_image_unlike_those_of_the_training_is_named(judged, seen):
    assert "bright and dark exchanged" in judged(255 - discs(100), seen)[0]
    assert judged(255 - discs(100)) == []  # weights without the file: as before
    assert "3 channels where the images of the training had 1" in judged(np.stack([discs(100)] * 3, -1), seen)[0]
    size = {"resolution": (1e4 / 2, 1e4 / 2), "resolutionunit": "CENTIMETER"}
    assert "a pixel size of 2 um where that of the training's images was 0.5 um" in judged(discs(100), seen, **size)[0]
    assert judged(np.full((96, 120), 7, np.uint8), seen) == judged(np.full((96, 120), 7, np.uint8))


def test_objects_of_another_size_are_named(caplog, seen):
    ids = torch.zeros(1, 90, 80, dtype=torch.int32)
    image = MetaTensor(torch.zeros(1, 90, 80), meta={"filename_or_obj": "folder/a.png"})
    for side, expected in ((12, 0), (40, 1)):
        ids[0, 10 : 10 + side, 10 : 10 + side] = 1
        caplog.clear()
        JudgeObjectsd("instances", seen.as_dict())({"image": image, "instances": ids})
        assert len(caplog.records) == expected
    assert "image 'a.png' has objects of 45 pixels median diameter where those of" in caplog.text
    caplog.clear()
    JudgeObjectsd("instances", None)({"image": image, "instances": ids})
    JudgeObjectsd("instances", seen.as_dict())({"image": image})  # MONAI Label separates no objects for maps
    assert caplog.records == []


def test_volumes(caplog):
    volume = torch.from_numpy(np.random.default_rng(0).integers(0, 200, (1, 20, 24, 8)).astype(np.float32))
    JudgeImaged("image", Seen(images=0).as_dict())({"image": volume})
    assert caplog.records == []
    JudgeImaged("image")({"image": torch.ones(1, 20, 24, 8)})
    assert "image 'this image' has 3840 pixels, all of one value: it is answered as background" in caplog.text
