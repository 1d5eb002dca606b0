"""Whether an image looks like those of a training."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from lazylabels_monai.images.appearance import Seen, appearance, object_size_fault, sum_up, unlike
from lazylabels_monai.images.files import read_image


def discs(seed: int, shape=(160, 192), bright: bool = True) -> np.ndarray:
    """Bright discs on a dark ground, blurred a little, with noise."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, 70, np.float32)
    for y, x, r in zip(rng.integers(0, shape[0], 25), rng.integers(0, shape[1], 25), rng.integers(5, 9, 25), strict=True):
        cv2.circle(image, (int(x), int(y)), int(r), 170.0, -1)
    image = cv2.GaussianBlur(image, (0, 0), 1) + rng.normal(0, 8, shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return image if bright else 255 - image


def codes(image: np.ndarray, seen: Seen) -> set[str]:
    return {fault.code for fault in unlike(appearance(image, 2), seen)}


@pytest.fixture(scope="module")
def seen() -> Seen:
    found = sum_up([appearance(discs(i), 2) for i in range(12)], contrast={"brighter": 12, "darker": 0})
    return Seen.from_dict(json.loads(json.dumps(found.as_dict())))  # as it lies beside the weights


def zoomed(image: np.ndarray, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    return cv2.resize(image, None, fx=3, fy=3, interpolation=interpolation)


def test_images_like_those_of_the_training_are_no_finding(seen):
    assert [codes(discs(i), seen) for i in range(100, 140)] == [set()] * 40


@pytest.mark.parametrize(("gain", "offset", "dtype"), [(200, 0, np.uint16), (1, 40000, np.uint16), (1e-6, 0, np.float32)])
def test_gain_and_offset_are_no_finding(seen, gain, offset, dtype):
    image = discs(100).astype(np.float64) * gain + offset
    assert codes(image.astype(dtype), seen) == set()


@pytest.mark.parametrize("seed", range(100, 110))
def test_what_is_unlike_is_named(seen, seed):
    image = discs(seed)
    assert "image-inverted" in codes(255 - image, seen)
    assert "image-inverted" in codes(discs(seed, bright=False), seen)
    for method in (cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4):
        assert "image-detail" in codes(zoomed(image, method), seen)
    assert "image-detail" in codes(cv2.GaussianBlur(image, (0, 0), 3), seen)
    noisy = image + np.random.default_rng(0).normal(0, 60, image.shape)
    assert "image-detail" in codes(noisy.clip(0, 255).astype(np.uint8), seen)


def test_the_sentences_have_numbers(seen):
    (fault,) = [f for f in unlike(appearance(255 - discs(100), 2), seen) if f.code == "image-inverted"]
    assert "exchanged against the 12 images of the training, 12 of which have objects brighter" in fault.amount
    (fault,) = [f for f in unlike(appearance(zoomed(discs(100)), 2), seen) if f.code == "image-detail"]
    assert fault.amount.endswith("it is blurred, or magnified more")
    assert "in the 12 images of the training" in fault.amount


def test_a_mixed_collection_has_no_side():
    mixed = sum_up([appearance(discs(i, bright=i % 2 == 0), 2) for i in range(20)])
    assert [codes(discs(i, bright=i % 2 == 0), mixed) for i in range(100, 110)] == [set()] * 10


def test_one_training_image_gives_no_false_alarm():
    one = sum_up([appearance(discs(0), 2)])
    assert [codes(discs(i), one) for i in range(100, 110)] == [set()] * 10


def test_channels(seen):
    coloured = np.stack([discs(100)] * 3, -1)
    assert "image-channels" in codes(coloured, seen)
    assert unlike(appearance(coloured, 2), seen)[0].amount == "3 channels where the images of the training had 1"


def test_colours_swapped():
    """An inverted stain has the order of its channels reversed."""
    stains = [np.stack([discs(i), discs(i) // 2, discs(i) // 4 + 60], -1) for i in range(12)]
    colour = sum_up([appearance(image, 2) for image in stains[:10]])
    assert codes(stains[10], colour) == set()
    assert "image-inverted" in codes(255 - stains[10], colour)


@pytest.mark.parametrize(("size", "named"), [(0.5, False), (0.7, False), (1.6, True), (0.1, True), (None, False)])
def test_pixel_size(size, named):
    known = Seen(images=3, pixel_size=(0.5, 0.5))
    assert [f.code for f in unlike(None, known, size)] == ["pixel-size-differs"] * named


@pytest.mark.parametrize(("diameter", "named"), [(10, False), (28, False), (60, True), (3, True), (None, False)])
def test_object_size(diameter, named):
    fault = object_size_fault(diameter, Seen(images=3, diameter=(8.0, 20.0)))
    assert (fault is not None) == named
    assert object_size_fault(diameter, Seen(images=3)) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 120), (20, 20), (40, 40), (64, 300), (64, 64, 3)])
def test_any_size_is_measured_or_left_out(seen, shape):
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    found = appearance(image, 2)
    assert (found is None) == (min(shape[:2]) < 16)
    unlike(found, seen)
    assert appearance(np.full(shape, 7), 2) is None
    assert sum_up([a for a in [found] if a is not None]).images == int(found is not None)


def test_volumes():
    rng = np.random.default_rng(0)
    blocks = [cv2.GaussianBlur(rng.normal(0, 1, (64, 72, 8)).astype(np.float32), (0, 0), 2) for _ in range(6)]
    known = sum_up([appearance(block, 3) for block in blocks[:5]])
    assert unlike(appearance(blocks[5], 3), known) == []


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["superalloy"])
def test_on_real_images(data_root, name):
    """tools/unlike_training.py counts on all sets."""
    files = {part: sorted((data_root / name / part / "images").glob("*.png")) for part in ("train", "val", "test")}
    known = sum_up([appearance(read_image(file), 2) for file in files["train"]])
    for file in files["val"] + files["test"]:
        image = read_image(file)
        assert codes(image, known) == set()
        assert codes(255 - image, known) == {"image-inverted"}
        assert "image-detail" in codes(zoomed(image), known)
