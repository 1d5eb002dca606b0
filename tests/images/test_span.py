"""What may be shown to a network: the rule against the normalization that the bundle's configs do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import ClipIntensityPercentilesd, Compose, NormalizeIntensityd

from lazylabels_monai.images.span import LARGEST, as_float32, unusable_values
from lazylabels_monai.transforms import CLIPPED

NORMALIZE = NormalizeIntensityd("image", channel_wise=True)
PERCENTILES = Compose([ClipIntensityPercentilesd("image", lower=CLIPPED[0], upper=CLIPPED[1], channel_wise=True), NORMALIZE])


def normalised(image: np.ndarray) -> list[torch.Tensor]:
    tensor = torch.from_numpy(image.astype(np.float32))[None]
    return [way({"image": tensor.clone()})["image"] for way in (NORMALIZE, PERCENTILES)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4028235e38, -3.4028235e38, 1e25, 1e300, -1.7976931348623157e308])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_what_normalization_turns_into_nan_is_unusable(value, share):
    image = np.random.default_rng(0).random((40, 50))
    image.flat[: int(share * image.size)] = value
    with np.errstate(over="ignore"):
        result = normalised(image)[0].numpy().ravel()[int(share * image.size) :]
        # the reference: either NaN, or nothing is left of the other pixels
        assert not np.isfinite(result).all() or np.ptp(result) == 0
    said = unusable_values(image)
    assert said.startswith(f"{int(share * image.size)} ")
    assert ("NaN or infinite" in said) == (not np.isfinite(value))


@settings(max_examples=200, deadline=None)
@given(
    level=st.floats(-LARGEST, LARGEST, width=32),
    other=st.floats(-LARGEST, LARGEST, width=32),
    share=st.floats(0, 1),
    spread=st.floats(0, LARGEST / 4, width=32),
)
def test_what_is_usable_is_finite_after_normalization(level, other, share, spread):
    image = np.random.default_rng(0).normal(0, 1, (20, 30)) * spread
    image[: int(share * 20)] += level
    image[int(share * 20) :] += other
    image = np.clip(image, -LARGEST, LARGEST).astype(np.float32)
    assert unusable_values(image) is None
    assert all(torch.isfinite(result).all() for result in normalised(image))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_every_integer_is_usable(kind):
    image = np.array([[np.iinfo(kind).min, np.iinfo(kind).max] * 10] * 20, kind)
    assert unusable_values(image) is None
    assert all(torch.isfinite(result).all() for result in normalised(image))


def test_types_that_float32_holds_stay_as_they_are():
    for kind in (np.uint8, np.uint16, np.float32):
        image = np.ones((3, 4), kind)
        assert as_float32(image) is image
    # of one value in float32, though not in the file
    assert np.ptp(as_float32(1e10 + np.arange(12.0).reshape(3, 4))) == 0
    assert np.ptp(as_float32(2**40 + np.arange(12).reshape(3, 4))) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["e", "f", "d"])
def test_usual_values_of_any_floating_type_pass_without_a_warning(kind):
    assert unusable_values(np.linspace(-1000, 1000, 9).astype(kind)) is None
