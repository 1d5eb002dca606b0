"""Channels of images are matched to those of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.transforms import (
    MatchChannelsd,
)


def _image(*shape):
    return MetaTensor(torch.rand(shape), meta={"filename_or_obj": "folder/a.png"})


def test_channels_are_matched():
    colour = torch.rand(3, 4, 5)
    gray = MatchChannelsd("image", 1)({"image": colour})["image"]
    as_pil = Image.fromarray((colour.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).convert("L")
    assert np.abs(gray[0].numpy() * 255 - np.asarray(as_pil)).max() < 1.5
    assert MatchChannelsd("image", 3)({"image": gray})["image"].shape == (3, 4, 5)
    assert MatchChannelsd("image", 3)({"image": colour})["image"] is colour
    with pytest.raises(ValueError, match=r"a\.png' has 2 channels where the network takes 1: save it gray or RGB"):
        MatchChannelsd("image", 1)({"image": _image(2, 4, 5)})


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_line_of_pixels_is_no_picture(shape, channels):
    image = MetaTensor(torch.zeros(channels, *shape), meta={"filename_or_obj": "a.png"})
    with pytest.raises(LazyLabelsError, match=rf"'a\.png' is {shape[0]} x {shape[1]} pixels.*save the whole picture"):
        MatchChannelsd("image", channels=1)({"image": image})


def test_a_volume_of_one_slice_is_an_image():
    image = torch.zeros(1, 5, 4, 1)
    assert MatchChannelsd("image", channels=1)({"image": image})["image"].shape == image.shape


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3.4e38])
@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 5, 6), (1, 4, 5, 6)])
def test_values_that_cannot_be_normalised_are_refused_whatever_read_them(value, shape):
    values = torch.rand(shape)
    values.view(-1)[7] = value
    image = MetaTensor(values, meta={"filename_or_obj": "folder/a.png"})
    with pytest.raises(LazyLabelsError, match=r"image 'folder/a\.png' has 1 (NaN|values such as -3\.4e\+38)"):
        MatchChannelsd("image", channels=1)({"image": image})
