"""Metrics against plain restatements and other libraries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from scipy.spatial.distance import cdist
from skimage.draw import disk
from skimage.morphology import skeletonize

from lazylabels_monai.bench.labels import disc_map
from lazylabels_monai.instances import InstanceSettings, component_instances, three_map_instances
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interface_labels, interfaces
from lazylabels_monai.metrics import (
    InterfaceMetric,
    ObjectMetric,
    SegmentationDiceMetric,
    class_dice,
    interface_scores,
    match_objects,
)
from lazylabels_monai.tasks import IGNORE


def _probabilities(segmentation, detection=None, separation=None, num_classes=3):
    """One-hot network output (1, 8, H, W) of given class maps."""
    zeros = np.zeros_like(segmentation)
    maps = [(segmentation, num_classes), (detection, num_classes), (separation, 2)]
    parts = [np.eye(n)[zeros if m is None else m] for m, n in maps]
    return torch.as_tensor(np.concatenate(parts, axis=-1)).permute(2, 0, 1)[None]


def _truth(segmentation, separation=None, instances=None):
    shape = segmentation.shape
    rows = [
        segmentation,
        np.full(shape, IGNORE),
        np.full(shape, IGNORE) if separation is None else separation,
        np.full(shape, -1) if instances is None else instances,
    ]
    return torch.as_tensor(np.stack(rows).astype(np.int32))[None]


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


def _discs_in_a_row():
    """Three discs of radius 10 that touch: their common component is no match for any of them."""
    ids = np.zeros((40, 80), np.int32)
    for number, column in enumerate((15, 34, 53), start=1):
        ids[disk((20, column), 10.0)] = number
    return ids


def _two_discs(gap):
    """Two discs of radius 10 side by side, ``gap`` background pixels apart."""
    ids = np.zeros((40, 60), np.int32)
    ids[disk((20, 19), 10.0)] = 1
    ids[disk((20, 38 + gap), 10.0)] = 2
    return ids


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


def _match_by_brute_force(predicted, truth, threshold):
    """Largest one-to-one set of pairs with IoU >= threshold, by trying all assignments (few objects)."""
    p_ids, t_ids = [i for i in np.unique(predicted) if i], [i for i in np.unique(truth) if i]
    good = {
        (p, t)
        for p in p_ids
        for t in t_ids
        if np.sum((predicted == p) & (truth == t)) / np.sum((predicted == p) | (truth == t)) >= threshold
    }
    padded = t_ids + [None] * len(p_ids)
    best = max(
        (
            sum((p, t) in good for p, t in zip(p_ids, order, strict=False))
            for order in itertools.permutations(padded, len(p_ids))
        ),
        default=0,
    )
    return best, len(p_ids) - best, len(t_ids) - best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_matching_equals_brute_force(seed, threshold):
    rng = np.random.default_rng(seed)
    truth = np.zeros((12, 14), int)
    predicted = np.zeros_like(truth)
    for array in (truth, predicted):
        for number in range(1, 4):
            y, x = rng.integers(0, 9, 2)
            array[y : y + rng.integers(2, 6), x : x + rng.integers(2, 6)] = number
    assert match_objects(predicted, truth, threshold) == _match_by_brute_force(predicted, truth, threshold)


def test_matching_of_nothing():
    empty, one = np.zeros((5, 5), int), np.eye(5, dtype=int)
    assert match_objects(empty, empty) == (0, 0, 0)
    assert match_objects(empty, one) == (0, 0, 1)
    assert match_objects(one, empty) == (0, 1, 0)
    assert match_objects(one * 7, one * 3) == (1, 0, 0)
    full = np.ones((5, 5), int)
    assert match_objects(full, full) == (1, 0, 0), "an image without background"


def test_three_maps_part_what_components_join():
    ids = _discs_in_a_row()
    segmentation = (ids > 0).astype(int)
    detection = inner_regions(ids).astype(int)
    separation = interfaces(ids).astype(int)
    maps = _probabilities(segmentation, detection, separation)
    truth = _truth(segmentation, separation, ids)
    three, components = ObjectMetric(3), ObjectMetric(3, settings=InstanceSettings(route="components"))
    for metric in (three, components):
        metric(maps, truth)
    assert three.aggregate() == 1.0
    assert components.aggregate() == pytest.approx(0.0)
    assert component_instances(segmentation).max() == 1


def test_objects_without_a_marker_are_kept():
    segmentation = np.zeros((20, 20), int)
    segmentation[2:8, 2:8] = 1
    segmentation[12:18, 12:18] = 2
    detection = np.zeros((3, 20, 20))
    detection[0] = 1.0
    separation = np.stack([np.ones((20, 20)), np.zeros((20, 20))])
    objects = three_map_instances(segmentation, detection, separation)
    assert sorted(np.unique(objects)) == [0, 1, 2]
    assert ((objects > 0) == (segmentation > 0)).all()
