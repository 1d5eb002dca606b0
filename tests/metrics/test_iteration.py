"""Scores over images: pooled, for each image, and of none."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
import torch

from lazylabels_monai.metrics import (
    IOU_THRESHOLDS,
    ObjectMetric,
)
from lazylabels_monai.tasks import IGNORE
from tests.metrics.filled import COMPONENTS, batch, three_images


@pytest.fixture
def filled():
    """A metric that has seen three images: one unknown, one of 8 objects of which 6 are found, one without any object."""
    return three_images()


def test_results_over_images(filled):
    results = filled().results()
    assert list(results)[:10] == [f"f1@{value:g}" for value in IOU_THRESHOLDS]
    f1 = [12 / 14] * 6 + [4 / 14] * 4  # IoU 0.75 four times, 1 twice
    np.testing.assert_allclose([results[f"f1@{value:g}"] for value in IOU_THRESHOLDS], f1)
    assert results["f1@0.5:0.95"] == pytest.approx(np.mean(f1))
    assert results["ap@0.5"] == pytest.approx(6 / 8)
    assert results["ap@0.5:0.95"] == pytest.approx((6 * 6 / 8 + 4 * 2 / 12) / 10)
    assert (results["precision@0.5"], results["recall@0.5"]) == (1.0, 0.75)
    assert results["pq"] == pytest.approx((4 * 0.75 + 2) / 7)
    assert results["sq"] == pytest.approx(5 / 6)
    assert results["count_error"] == -0.25
    assert results["aji"] == results["aji_plus"] == pytest.approx((4 * 90 + 2 * 120) / (8 * 120))
    assert not any(name.startswith("glas") for name in results)
    metric = filled()
    assert metric.per_image()["tp"] == [pytest.approx(math.nan, nan_ok=True), 6.0, 0.0]


def test_each_image_alone(filled):
    metric = filled(glas=True)
    columns = metric.per_image()
    assert columns["tp"][1:] == [6.0, 0.0]
    assert columns["fn"][1:] == [2.0, 0.0]
    assert all(math.isnan(values[0]) for values in columns.values()), "an image without instances is unknown"
    assert columns["f1@0.5"][1] == pytest.approx(12 / 14)
    assert math.isnan(columns["f1@0.5"][2])
    assert math.isnan(columns["aji"][2])
    assert columns["glas_f1"][1:] == [pytest.approx(12 / 14), 1.0]
    assert metric.results()["glas_object_dice"] == columns["glas_object_dice"][1]


def test_pooling_sums_counts_and_averages_aji():
    metric = ObjectMetric(2, tasks=("segmentation",), settings=COMPONENTS)
    maps = [(np.array([[1, 1, 0, 0]]), np.array([[1, 1, 0, 2]])), (np.array([[0, 0, 1, 1]]), np.array([[3, 3, 3, 3]]))]
    for predicted, truth in maps:
        probabilities = torch.as_tensor(np.eye(2)[predicted]).permute(2, 0, 1)[None]
        segmentation = (truth > 0).astype(int)
        metric(probabilities, torch.as_tensor(np.stack([segmentation] * 3 + [truth]).astype(np.int32))[None])
    results = metric.results()
    assert results["f1@0.5"] == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))  # the second image's IoU is 0.5: a match
    assert results["pq"] == pytest.approx(1.5 / 2.5)
    assert results["aji"] == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert float(metric.aggregate()) == results["f1@0.5"]


def test_class_aware_objects():
    truth = np.array([[1, 1, 1, 0, 2, 2, 2]])
    wrong = np.array([[1, 1, 1, 0, 1, 1, 1]])
    for aware, expected in ((False, 1.0), (True, 0.5)):
        metric = ObjectMetric(3, settings=COMPONENTS, class_aware=aware)
        metric(*batch(wrong, truth, truth))
        assert metric.results()["f1@0.5"] == expected
        metric(*batch(wrong, np.full_like(truth, IGNORE), truth))
        assert metric.results()["f1@0.5"] == pytest.approx(expected), "an image without a mask has no classes"


def test_no_image_at_all_is_unknown():
    metric = ObjectMetric(3, settings=COMPONENTS, glas=True)
    assert all(math.isnan(value) for value in metric.results().values())
    metric(*batch(np.ones((4, 5), int), np.ones((4, 5), int), None))
    assert all(math.isnan(value) for value in metric.results().values())


@pytest.mark.parametrize("name", ["pixels", "interfaces", "matching", "aji_glas", "iteration"])
def test_examples_of_the_docstrings_run(name):
    module = importlib.import_module(f"lazylabels_monai.metrics.{name}")
    done = doctest.testmod(module, extraglobs={"np": np, "torch": torch})
    assert done.attempted > 0
    assert done.failed == 0
