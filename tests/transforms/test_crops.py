"""Crops at marks: weights against a count written out, and what MONAI's crop makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import RandWeightedCropd

from lazylabels_monai.transforms import CENTRES, CropCentresd


def held(marks: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Centres of crops of ``size`` that hold a mark, crop by crop."""
    found = np.zeros(marks.shape, bool)
    for centre in np.ndindex(marks.shape):
        box = tuple(slice(max(0, c - s // 2), max(0, c - s // 2 + s)) for c, s in zip(centre, size, strict=True))
        found[centre] = marks[box].any()
    return found


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (3, 4, 2)])
def test_each_task_counts_alike_and_each_centre_of_a_crop_with_its_marks(size):
    shape = (12, 10, 8)[: len(size)]
    few, many = np.zeros((2, 1, *shape), np.uint8)
    few[(0, *[6] * len(size))] = 1
    many[(0, slice(0, 5))] = 2
    labels = {"few": torch.as_tensor(few), "many": torch.as_tensor(many), "none": torch.zeros(1, *shape)}
    made = CropCentresd(["few", "many", "none"], size, anywhere=0.25)({**labels, "other": 7})
    expected = np.full(shape, 0.25 / np.prod(shape))
    for marks in (few[0] > 0, many[0] > 0):
        centres = held(marks, size)
        expected += 0.75 / 2 * centres / centres.sum()
    assert made[CENTRES].shape == (1, *shape)
    assert made["other"] == 7
    assert np.allclose(made[CENTRES][0].numpy(), expected)
    assert made[CENTRES].sum().item() == pytest.approx(1)


def test_without_marks_crops_lie_anywhere():
    made = CropCentresd(["a", "b"], (4, 4))({"a": torch.zeros(1, 6, 8), "b": torch.zeros(1, 6, 8)})
    assert np.allclose(made[CENTRES].numpy(), 1 / 48)


def test_crops_of_a_large_image_hold_its_only_stroke():
    label = torch.zeros(1, 300, 400)
    label[0, 60:64, 300:330] = 1
    sample = CropCentresd("label", (64, 64), anywhere=0.0)({"label": label})
    crop = RandWeightedCropd("label", CENTRES, (64, 64)).set_random_state(0)
    assert all(crop(sample)[0]["label"].any() for _ in range(50))
    anywhere = CropCentresd("label", (64, 64), anywhere=1.0)({"label": label})
    assert sum(bool(crop(anywhere)[0]["label"].any()) for _ in range(50)) < 10  # a tenth of the places hold it


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_out_of_its_range_is_refused(share):
    with pytest.raises(ValueError, match="anywhere"):
        CropCentresd("label", (4, 4), anywhere=share)
