"""The whole picture's normalization from its tiles, against MONAI's transforms on the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import ClipIntensityPercentiles, NormalizeIntensity

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.predicting.large.intensities import Counts, Moments, Normalization, as_network_sees
from lazylabels_monai.transforms.channels import MatchChannelsd

SHARES = (0.1, 99.9)


def streamed(image, side, clipped):
    parts = [
        image[:, r : r + side, c : c + side] for r in range(0, image.shape[1], side) for c in range(0, image.shape[2], side)
    ]
    counts, bounds = Counts.empty(len(image)), None
    if clipped:
        for part in parts:
            counts.add_upper(part)
        wanted = counts.wanted(SHARES)
        for part in parts:
            counts.add_lower(part, wanted)
        bounds = counts.percentiles(SHARES)
    origin = np.zeros(len(image)) if bounds is None else bounds.mean(1)
    total = Moments(0, np.zeros(len(image)), np.zeros(len(image)))
    for part in parts:
        total = total.plus(Moments.of(part, bounds, origin))
    return Normalization.of(total, bounds, origin, False), bounds


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 40), st.sampled_from(["normal", "bytes", "few", "wide"]))
def test_percentiles_are_those_of_numpy(seed, height, width, kind):
    rng = np.random.default_rng(seed)
    shape = (2, height, width)
    made = {
        "normal": rng.normal(size=shape),
        "bytes": rng.integers(0, 256, shape),
        "few": rng.choice([-1.5, 0.0, 3.0], shape),
        "wide": rng.normal(size=shape) * 10.0 ** rng.integers(-20, 18, shape),
    }
    image = made[kind].astype(np.float32)
    _, bounds = streamed(image, 7, clipped=True)
    expected = np.stack([np.percentile(channel, SHARES) for channel in image])
    np.testing.assert_array_equal(bounds, expected.astype(np.float32))


@pytest.mark.parametrize("clipped", [True, False])
@pytest.mark.parametrize("scale", [1, 60000])
def test_normalised_as_by_monai(clipped, scale):
    rng = np.random.default_rng(0)
    image = (rng.gamma(2, 20, (2, 1100, 1000)) + scale).round().astype(np.float32)  # above what MONAI gives torch.quantile
    normalization, _ = streamed(image, 256, clipped)
    expected = torch.from_numpy(image.copy())
    if clipped:
        expected = ClipIntensityPercentiles(*SHARES, channel_wise=True)(expected)
    expected = NormalizeIntensity(channel_wise=True)(expected).numpy()
    np.testing.assert_allclose(normalization(image), expected, atol=2e-5 if scale == 1 else 2e-3)


def test_channels_as_by_the_transform():
    values = np.random.default_rng(0).uniform(0, 255, (20, 30, 3)).astype(np.uint8)
    expected = MatchChannelsd("image", 1)({"image": torch.from_numpy(values).permute(2, 0, 1).float()})["image"].numpy()
    np.testing.assert_array_equal(as_network_sees(values, 1, "a"), expected)
    assert as_network_sees(values[..., 0], 3, "a").shape == (3, 20, 30)
    with pytest.raises(LazyLabelsError, match="has 3 channels where the network takes 2"):
        as_network_sees(values, 2, "a")
    with pytest.raises(LazyLabelsError, match="image 'a' has 1 NaN"):
        as_network_sees(np.array([[1.0, np.nan]]), 1, "a")


def test_a_picture_of_one_value_is_divided_by_one():
    normalization, _ = streamed(np.full((1, 9, 9), 5, np.float32), 4, clipped=False)
    assert (normalization(np.full((1, 2, 2), 5, np.float32)) == 0).all()
