"""Judging one image by its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.judging import data_bar, image_faults
from tests.data.checking.cases import noise


def codes(image: np.ndarray, dims: int = 2) -> list[str]:
    return [fault.code for fault in image_faults(image, dims)]


def test_range_and_depth_are_harmless():
    """Normalised per image, an image is the same at any gain and offset."""
    image = noise().astype(np.uint16)
    for same in (image * 200, image + 40000, image.astype(np.float32) / 1e6, np.stack([image] * 3, -1)):
        assert image_faults(same, 2) == []


def test_crop_size():
    assert image_faults(noise((100, 200)), 2) == []
    (fault,) = image_faults(noise((100, 200)), 2, crop_size=128)
    assert fault.amount == "100 pixels (less than crop_size 128)"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("value", [0, 1, 127])
def test_one_value_or_one_colour_is_constant(dtype, value):
    assert codes(np.full((70, 80), value, dtype)) == ["image-constant"]
    assert codes(np.full((70, 80, 3), (value, 0, 90), dtype)) == ["image-constant"]
    assert codes(np.full((70, 80, 9), value, dtype), dims=3) == ["image-constant"]


@pytest.mark.parametrize("hot", [1, 2, 5, 20])
@pytest.mark.parametrize("level", [65535, 20000])
def test_hot_pixels(hot, level):
    image = noise((128, 160)).astype(np.uint16)
    image.ravel()[np.random.default_rng(0).choice(image.size, hot, replace=False)] = level
    (fault,) = image_faults(image, 2)
    assert (fault.code, fault.pixels) == ("image-outliers", hot)


# ---------------------------------------------------------------------------------------------- data bars


def texture(shape=(320, 400), seed=0) -> np.ndarray:
    rough = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), 3)
    return np.clip(120 + 250 * smooth + 15 * rough, 0, 255).astype(np.uint8)


def with_bar(image: np.ndarray, height: int, ground: int, edge: str) -> np.ndarray:
    bar = np.full((height, *image.shape[1:]), ground, np.uint8)
    colour = (255 - ground,) * 3
    cv2.putText(
        bar, "HV 10.0 kV  mag 5000x  WD 4.1", (5, height - 8), cv2.FONT_HERSHEY_SIMPLEX, height / 60, colour, 1, cv2.LINE_AA
    )
    return np.vstack([image, bar] if edge == "lower" else [bar, image])


@pytest.mark.parametrize("edge", ["lower", "upper"])
@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("height", [24, 60])
@pytest.mark.parametrize("jpeg", [False, True])
def test_a_data_bar_is_seen(edge, ground, height, jpeg):
    image = with_bar(texture(), height, ground, edge)
    if jpeg:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_UNCHANGED)
    found = data_bar(image)
    assert found is not None
    assert found[0] == edge
    assert abs(found[1] - height) <= 4
    assert "image-bar" in codes(image)
    assert data_bar(image.astype(np.uint16) * 200) == found


def test_what_is_no_data_bar():
    plain = texture()
    letters = plain.copy()
    cv2.putText(letters, "100 nm", (20, 300), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    letters[305:312, 20:140] = 255  # a scale bar in the picture
    padded = np.vstack([plain, np.zeros((40, plain.shape[1]), np.uint8)])
    dark = np.where(texture(seed=1) > 170, 200, 0).astype(np.uint8) + np.random.default_rng(0).integers(
        0, 3, plain.shape, np.uint8
    )
    half = plain.copy()
    half[200:] = 0  # a crack
    for image in (plain, letters, padded, dark, half):
        assert data_bar(image) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 120), (120, 3), (20, 20), (41, 41)])
def test_any_size_is_judged(shape):
    assert "image-tiny" in codes(noise(shape))
    assert data_bar(noise(shape)) is None


#: Pictures of emps with a microscope's data bar.
BARS = {
    "07330c8ea1",
    "3027f9ffe7",
    "31f17306c8",
    "37ce835fb2",
    "39dda96b25",
    "406d70e411",
    "427ebc9e15",
    "47286679c2",
    "555eb05b4c",
    "60feb7de8f",
    "8e1269eba3",
    "a492171fa8",
    "af124a45d9",
    "e853d120fa",
    "ea71fe4650",
    "eed04b7d68",
    "ef6bbe7612",
    "f8a1b2bf39",
    "1b3c6536a3",
    "245e1a4826",
    "2e4a3ab627",
    "4628753cd8",
    "8d7fc4c578",
    "a1dada3898",
    "a4027c076c",
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["superalloy", "glas", "powder", "emps"])
def test_data_bars_of_real_images(data_root, name):
    """Scale bars and panel letters are burnt into emps, too; only microscopes' bars are named, all of them looked at."""
    files = sorted(data_root.glob(f"{name}/*/images/*.png"))
    assert files
    checked = [file for n, file in enumerate(files) if n % max(len(files) // 40, 1) == 0 or file.stem in BARS]
    assert {file.stem for file in checked if data_bar(read_image(file)) is not None} == (BARS if name == "emps" else set())
