"""Normalising intensities: what the bundle's configs do, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.transforms import NORMALIZATIONS, clips


def test_names():
    assert [clips(name) for name in NORMALIZATIONS] == [True, False]
    with pytest.raises(LazyLabelsError, match="normalization 'percentile' does not exist: use percentiles or mean_std"):
        clips("percentile")


def configured(bundle, name: str):
    """The transforms of inference.yaml that normalise, under a normalization."""
    parser = ConfigParser(ConfigParser.load_config_file(str(bundle.configs / "inference.yaml")))
    parser["normalization"] = name
    steps = [t for t in parser["preprocessing"]["transforms"] if "Intensity" in t["_target_"]]
    parser["steps"] = {"_target_": "Compose", "transforms": steps}
    made = parser.get_parsed_content("steps")
    assert isinstance(made, Compose)
    return lambda image: made({"image": torch.from_numpy(image)})["image"].numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_as_numpy_does(bundle, channels):
    image = np.random.default_rng(0).gamma(2, 30, (channels, 60, 50)).astype(np.float32)
    for name in NORMALIZATIONS:
        expected = image.astype(np.float64)
        if name == "percentiles":
            limits = np.percentile(expected, (0.1, 99.9), axis=(1, 2), keepdims=True)
            expected = np.clip(expected, *limits)
        expected = (expected - expected.mean((1, 2), keepdims=True)) / expected.std((1, 2), keepdims=True)
        np.testing.assert_allclose(configured(bundle, name)(image), expected, atol=1e-4)


@pytest.mark.parametrize("hot", [1, 2, 5])
def test_hot_pixels_do_not_change_what_the_network_sees(bundle, hot):
    """Of 8 bits in a 16-bit file; by mean and deviation alone the others would look flat."""
    rng = np.random.default_rng(1)
    image = rng.integers(20, 230, (1, 128, 160)).astype(np.float32)
    spoilt = image.copy()
    spoilt.reshape(-1)[rng.choice(image.size, hot, replace=False)] = 65535
    same = spoilt == image
    robust, plain = (configured(bundle, name) for name in NORMALIZATIONS)
    np.testing.assert_allclose(robust(spoilt)[same], robust(image)[same], atol=0.05)
    assert np.abs(plain(spoilt)[same]).max() < 0.5 < np.abs(plain(image)[same]).max()
