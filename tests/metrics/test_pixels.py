"""Dice against MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice

from lazylabels_monai.bench.labels import disc_map
from lazylabels_monai.metrics import (
    SegmentationDiceMetric,
    class_dice,
)
from lazylabels_monai.tasks import IGNORE
from tests.metrics.maps import _probabilities, _truth


def test_dice_equals_monai():
    rng = np.random.default_rng(0)
    metric = SegmentationDiceMetric(3)
    expected = []
    for _ in range(4):
        predicted, truth = rng.integers(0, 3, (2, 17, 23))
        metric(_probabilities(predicted), _truth(truth))
        one_hot = [torch.as_tensor(np.eye(3)[m]).permute(2, 0, 1)[None] for m in (predicted, truth)]
        expected.append(compute_dice(*one_hot, include_background=False)[0].numpy())
    np.testing.assert_allclose(metric.per_image(), expected, rtol=1e-6)
    np.testing.assert_allclose(metric.aggregate(), np.mean(expected), rtol=1e-6)


def test_dice_leaves_unlabelled_pixels_out():
    truth = np.array([[1, 1, 0, IGNORE, IGNORE]])
    predicted = np.array([[1, 0, 0, 1, 2]])
    assert class_dice(predicted, truth, 3) == [(2.0, 3.0), (0.0, 0.0)]


def test_images_without_a_mask_are_unknown():
    """A validation image without an exact mask changes nothing; with none at all the mean is NaN, not a crash."""
    metric = SegmentationDiceMetric(3)
    blank = np.full((4, 5), IGNORE)
    metric(_probabilities(np.ones((4, 5), int)), _truth(blank))
    assert np.isnan(metric.aggregate())
    metric(_probabilities(np.ones((4, 5), int)), _truth(np.ones((4, 5), int)))
    assert metric.aggregate() == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        (0, 0, [np.nan, np.nan]),
        (2, 0, [np.nan, 0.0]),  # predicted and not there: 0 (the formula), not unknown
        (0, 2, [np.nan, 0.0]),
        (1, 2, [0.0, 0.0]),
        (2, 2, [np.nan, 1.0]),
    ],
)
def test_dice_of_nothing_and_of_one_object(predicted, truth, expected):
    metric = SegmentationDiceMetric(3)
    metric(_probabilities(np.full((3, 3), predicted)), _truth(np.full((3, 3), truth)))
    np.testing.assert_array_equal(metric.per_image(), [expected])
    np.testing.assert_array_equal(metric.pooled(), expected)


def test_dice_of_an_image_of_5000_objects_equals_monai():
    rng = np.random.default_rng(1)
    predicted, truth = (disc_map((2048, 2048), 5000, seed) for seed in (0, 1))
    assert truth.max() > 5000
    kinds = np.concatenate([[0], rng.integers(1, 3, 6000)])
    predicted, truth = kinds[predicted], kinds[truth]
    metric = SegmentationDiceMetric(3)
    metric(_probabilities(predicted), _truth(truth))
    one_hot = [torch.as_tensor(np.stack([m == k for k in range(3)]))[None].float() for m in (predicted, truth)]
    np.testing.assert_allclose(metric.per_image(), compute_dice(*one_hot, include_background=False).numpy(), rtol=1e-6)
