"""Precision and recall of interfaces against plain restatements."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from skimage.draw import disk
from skimage.morphology import skeletonize

from lazylabels_monai.bench.labels import disc_map
from lazylabels_monai.labels.interfaces import interface_labels, interfaces
from lazylabels_monai.metrics import (
    InterfaceMetric,
    interface_scores,
)
from lazylabels_monai.tasks import IGNORE
from tests.metrics.maps import _discs_in_a_row, _probabilities, _truth, _two_discs


@pytest.mark.parametrize(
    ("predict", "expected"),
    [
        ("interface", (1.0, 1.0)),  # precision, recall
        ("nothing", (np.nan, 0.0)),
        ("elsewhere", (0.0, 0.0)),
    ],
)
def test_interface_precision_and_recall(predict, expected):
    ids = _two_discs(0)
    truth = interfaces(ids, gap=3, thickness=3)
    predicted = np.zeros(ids.shape, bool)
    if predict == "interface":
        predicted = truth > 0
    if predict == "elsewhere":
        predicted[5, 2:12] = True
    metric = InterfaceMetric(3, gap=3, thickness=3)
    metric(_probabilities(np.zeros_like(ids), separation=predicted.astype(int)), _truth((ids > 0).astype(int), truth, ids))
    np.testing.assert_equal(metric.precision_recall(), expected)


def test_interface_recall_counts_pairs():
    """Three discs in a row have two interfaces; seeing one of them is a recall of one half."""
    ids = _discs_in_a_row()
    pairs, table = interface_labels(ids, gap=3, thickness=3)
    assert len(table) == 2
    predicted = pairs == 1
    assert interface_scores(predicted, (pairs > 0).astype(int), ids)[2:] == (1.0, 2.0)


@pytest.mark.parametrize(("predicted", "expected"), [(False, (np.nan, np.nan)), (True, (0.0, np.nan))])
@pytest.mark.parametrize("objects", [0, 1])
def test_interfaces_where_nothing_touches(objects, predicted, expected):
    ids = np.zeros((20, 30), np.int32)
    ids[disk((10, 10), 5.0)] = objects
    marked = np.zeros(ids.shape, int)
    marked[10, 15:20] = predicted
    metric = InterfaceMetric(3)
    metric(_probabilities(np.zeros_like(ids), separation=marked), _truth((ids > 0).astype(int), np.zeros_like(ids), ids))
    np.testing.assert_equal(metric.precision_recall(), expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("known", [True, False])
def test_interface_scores_equal_all_distances(seed, known):
    """Pixel by pixel and pair by pair, from the distances of all pixels to all others."""
    rng = np.random.default_rng(seed)
    ids = disc_map((48, 60), 12, seed)
    pairs, table = interface_labels(ids)
    separation = (pairs > 0).astype(int)
    separation[:, :9] = IGNORE
    # strips about some contacts, moved, and one that is false
    predicted = np.roll(np.isin(pairs, rng.permutation(len(table))[: len(table) // 2] + 1), int(rng.integers(0, 4)), axis=1)
    predicted[20:23, rng.integers(10, 40) :][:, :12] = True
    found = interface_scores(predicted, separation, ids if known else None, tolerance=2.0)

    predicted = predicted & (separation != IGNORE)
    marked = np.argwhere(predicted)

    def share_near(pixels, others):
        return float((cdist(pixels, others).min(axis=1) <= 2.0).sum()) if len(pixels) else 0.0

    line, truth = np.argwhere(skeletonize(predicted)), separation == 1
    assert found[:2] == (share_near(line, np.argwhere(truth)), len(line))
    if known:
        strips = [np.argwhere((pairs == number) & truth) for number in range(1, len(table) + 1)]
        strips = [strip for strip in strips if len(strip)]
        assert found[2:] == (sum(share_near(strip, marked) >= len(strip) / 2 for strip in strips), len(strips))
        assert 0 < found[2] < found[3]
    else:
        true_line = np.argwhere(skeletonize(truth))
        assert found[2:] == (share_near(true_line, marked), len(true_line))
    assert 0 < found[0] < found[1]


def test_interfaces_of_5000_objects():
    """71 rows of 71 squares that touch in a row, 70 times; a third of the contacts is seen."""
    ids = np.kron(np.arange(1, 71 * 71 + 1).reshape(71, 71), np.ones((28, 28), np.int32))
    ids[np.arange(len(ids)) % 28 < 6] = 0
    pairs, table = interface_labels(ids)
    assert len(table) == 71 * 70
    seen = np.arange(len(table) + 1) % 3 == 1
    correct, length, found, wanted = interface_scores(seen[pairs], (pairs > 0).astype(int), ids)
    assert correct == length > 15 * seen.sum()
    assert (found, wanted) == (seen.sum(), len(table))
