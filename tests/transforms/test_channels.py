"""Channels of images are matched to those of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

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
    with pytest.raises(ValueError, match=r"a\.png: key 'image' has 2 channels.*--in_channels 2"):
        MatchChannelsd("image", 1)({"image": _image(2, 4, 5)})
