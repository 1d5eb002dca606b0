"""Matching of objects against MONAI, scikit-image, SciPy and plain restatements on one mask per object."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from monai.metrics.panoptic_quality import compute_panoptic_quality
from scipy.spatial.distance import cdist
from skimage.metrics import contingency_table

from lazylabels_monai.metrics import (
    IOU_THRESHOLDS,
    Matching,
    ObjectMetric,
    aggregated_jaccard_index,
    glas_scores,
    match_objects,
    match_overlaps,
    matching,
    matching_per_class,
    object_overlaps,
)
from tests.metrics.pairs import PAIRS, plain_matching, random_pair, squares

# ---------------------------------------------------------------------------------------------- overlaps and matching


@pytest.mark.parametrize("pair", PAIRS)
def test_overlaps_equal_scikit_image(pair):
    overlaps = object_overlaps(*pair)
    table = contingency_table(*pair).toarray()
    expected = table[np.ix_(overlaps.predicted_ids, overlaps.truth_ids)]
    found = np.zeros_like(expected)
    found[overlaps.rows, overlaps.columns] = overlaps.intersection
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(overlaps.predicted_sizes, table.sum(1)[overlaps.predicted_ids])
    np.testing.assert_array_equal(overlaps.truth_sizes, table.sum(0)[overlaps.truth_ids])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.8])
def test_matching_equals_all_assignments(pair, threshold):
    found = matching(*pair, threshold)
    counts = (found.true_positives, found.false_positives, found.false_negatives)
    assert (*counts, pytest.approx(found.iou_sum)) == plain_matching(*pair, threshold)
    assert match_objects(*pair, threshold) == counts


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("threshold", [0.53, 0.71])  # no IoU equals them: MONAI asks for more than the threshold
def test_panoptic_quality_equals_monai(pair, threshold):
    tensors = [torch.as_tensor(ids) for ids in pair]
    how = {"match_iou_threshold": threshold, "smooth_numerator": 0.0}
    found = matching(*pair, threshold)
    terms = compute_panoptic_quality(*tensors, **how, output_confusion_matrix=True)
    np.testing.assert_allclose(
        [found.true_positives, found.false_positives, found.false_negatives, found.iou_sum], terms, rtol=1e-6
    )
    expected = {name: float(compute_panoptic_quality(*tensors, metric_name=name, **how)) for name in ("pq", "sq", "rq")}
    assert found.panoptic_quality == pytest.approx(expected["pq"], rel=1e-6)
    assert found.f1 == pytest.approx(expected["rq"], rel=1e-6)
    assert found.mean_matched_iou == pytest.approx(expected["sq"], rel=1e-6, nan_ok=True)
    assert found.panoptic_quality == pytest.approx(np.nan_to_num(found.mean_matched_iou) * found.f1)


def test_more_matches_come_before_more_overlap():
    """The best pair alone (IoU 0.6) would leave both others without a partner; two pairs of less IoU match more objects."""
    truth = np.repeat([1, 2], [8, 4])
    predicted = np.array([1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    overlaps = object_overlaps(predicted, truth)
    assert dict(zip(zip(overlaps.rows, overlaps.columns, strict=True), overlaps.iou, strict=True)) == {
        (0, 0): 2 / 8,
        (1, 0): 6 / 12,
        (1, 1): 4 / 10,
    }
    np.testing.assert_array_equal(match_overlaps(overlaps, 0.25), [0, 2])
    np.testing.assert_array_equal(match_overlaps(overlaps, 0.45), [1])


def test_two_halves_share_one_match():
    """At an IoU of exactly 0.5 two predictions may fit one object: only one of them is right."""
    assert match_objects(np.array([1, 1, 2, 2]), np.array([9, 9, 9, 9])) == (1, 1, 0)
    assert glas_scores(np.array([1, 1, 2, 2]), np.array([9, 9, 9, 9])).f1 == 0.0  # more than half, says the program


@pytest.mark.parametrize("value", IOU_THRESHOLDS)
def test_an_iou_equal_to_the_threshold_matches(value):
    truth = np.ones(20, int)
    predicted = np.arange(20) < round(20 * value)
    assert match_objects(predicted, truth, value) == (1, 0, 0)
    assert match_objects(predicted[1:], truth[1:], value) == (0, 1, 1)


def test_terms_by_hand():
    found = Matching(0.5, true_positives=6, false_positives=2, false_negatives=4, iou_sum=4.5)
    assert (found.n_predicted, found.n_truth) == (8, 10)
    assert (found.precision, found.recall, found.f1) == (0.75, 0.6, pytest.approx(2 / 3))
    assert (found.average_precision, found.mean_matched_iou, found.panoptic_quality) == (0.5, 0.75, 0.5)
    assert found.count_error == pytest.approx(-0.2)
    assert found + found == Matching(0.5, 12, 4, 8, 9.0)
    with pytest.raises(ValueError, match=r"0\.5 and 0\.75 cannot be pooled"):
        _ = found + Matching(0.75, 1, 1, 1, 1.0)


EMPTY, ONE, TWO = np.zeros((6, 7), int), np.pad(np.ones((2, 3), int), 2), np.pad([[4, 4, 9]] * 2, 2)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [  # precision, recall, F1, AP, PQ, count error, AJI, AJI+; F1, Dice and Hausdorff of GlaS
        ("empty", "empty", (None, None, None, None, None, None, None, None, 1.0, 1.0, 0.0)),
        ("empty", "one", (None, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, math.inf)),
        ("one", "empty", (0.0, None, 0.0, 0.0, 0.0, None, 0.0, 0.0, 0.0, 0.0, math.inf)),
        ("one", "one", (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)),
        ("two", "one", (0.5, 1.0, 2 / 3, 0.5, 4 / 9, 1.0, 0.5, 0.5, 2 / 3, (2 / 3 * 0.8 + 1 / 3 * 0.5 + 0.8) / 2, 7 / 6)),
    ],
)
def test_of_nothing_and_of_one_object(predicted, truth, expected):
    maps = {"empty": EMPTY, "one": ONE, "two": TWO}
    pair = maps[predicted], maps[truth]
    found, glas = matching(*pair), glas_scores(*pair)
    scores = [found.precision, found.recall, found.f1, found.average_precision, found.panoptic_quality, found.count_error]
    scores += [aggregated_jaccard_index(*pair), aggregated_jaccard_index(*pair, plus=True)]
    scores += [glas.f1, glas.object_dice, glas.object_hausdorff]
    assert [None if math.isnan(x) else x for x in scores] == [None if x is None else pytest.approx(x) for x in expected]


def test_classes_keep_objects_apart():
    ids = np.array([[1, 1, 0, 2, 2, 2, 0, 3, 3]])
    truth_classes = np.array([[1, 1, 0, 2, 2, 2, 0, 1, 1]])
    predicted_classes = np.array([[1, 1, 0, 2, 2, 1, 0, 2, 2]])  # most of object 2 is right, object 3 is not
    blind = matching(ids, ids)
    aware = matching(ids, ids, 0.5, predicted_classes, truth_classes)
    assert (blind.true_positives, aware.true_positives, aware.false_positives, aware.false_negatives) == (3, 2, 1, 1)
    one, two = matching_per_class(ids, ids, predicted_classes, truth_classes, num_classes=3)
    assert (one.true_positives, one.false_positives, one.false_negatives) == (1, 0, 1)
    assert (two.true_positives, two.false_positives, two.false_negatives) == (1, 1, 0)


@pytest.mark.parametrize("seed", range(4))
def test_classes_equal_a_matching_of_each_class_alone(seed):
    predicted, truth = random_pair(seed)
    predicted_classes, truth_classes = (np.where(ids > 0, 1 + ids % 2, 0) for ids in (predicted, truth))
    parts = [matching(predicted * (predicted_classes == c), truth * (truth_classes == c), 0.3) for c in (1, 2)]
    assert list(matching_per_class(predicted, truth, predicted_classes, truth_classes, 3, 0.3)) == parts
    assert matching(predicted, truth, 0.3, predicted_classes, truth_classes).true_positives == sum(
        part.true_positives for part in parts
    )


def test_five_thousand_objects():
    """5041 squares of side 20 in 2048 x 2048; moved by s, the IoU of a square is (20 - s) / (20 + s)."""
    rng = np.random.default_rng(0)
    shift = rng.integers(0, 9, (71, 71))
    numbers = 1 + rng.permutation(5041).reshape(71, 71)
    lost = rng.random((71, 71)) < 0.1
    truth = squares(20, 28, np.zeros_like(shift), numbers)
    predicted = squares(20, 28, shift, np.where(lost, 0, numbers[::-1]))
    iou = ((20 - shift) / (20 + shift))[~lost]
    for found in matching(predicted, truth, (0.45, *IOU_THRESHOLDS)):
        hits = iou[iou >= found.threshold]
        assert (found.true_positives, found.n_predicted, found.n_truth) == (len(hits), (~lost).sum(), 5041)
        assert found.iou_sum == pytest.approx(hits.sum())
    kept = shift[~lost]
    aji = (20 - kept).sum() / ((20 + kept).sum() + 20 * lost.sum())
    assert aggregated_jaccard_index(predicted, truth) == pytest.approx(aji)
    assert aggregated_jaccard_index(predicted, truth, plus=True) == pytest.approx(aji)
    glas = glas_scores(predicted, truth)
    assert glas.true_positives == len(kept)
    assert glas.object_dice == pytest.approx(((1 - kept / 20).mean() + (1 - kept / 20).sum() / 5041) / 2)
    # the distance of two equal squares is that of their corners
    places = np.argwhere(~lost) * 28 + np.stack([np.zeros_like(kept), kept], axis=1)
    nearest = cdist(np.argwhere(lost) * 28, places).min(axis=1)
    assert glas.object_hausdorff == pytest.approx((kept.mean() + (kept.sum() + nearest.sum()) / 5041) / 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: matching(EMPTY, EMPTY[:3]), r"\(6, 7\) and true ids \(3, 7\) must have the same shape"),
        (lambda: matching(EMPTY.astype(float), EMPTY), "predicted ids must be whole numbers, not float64"),
        (lambda: matching(EMPTY, EMPTY - 1), "true|truth ids must not be negative, but -1"),
        (lambda: matching(ONE, ONE, 0), "threshold 0 must be above 0"),
        (lambda: matching(ONE, ONE, 1.5), r"threshold 1\.5 must be"),
        (lambda: matching(ONE, ONE, 0.5, ONE), "together or not at all"),
        (lambda: ObjectMetric(3, thresholds=()), "there must be one"),
        (lambda: ObjectMetric(3, thresholds=(0.5, 1.5)), "above 0 and at most at 1"),
        (lambda: ObjectMetric(3, thresholds=(0.7, 0.5)), r"thresholds \[0\.7, 0\.5\] must rise"),
    ],
)
def test_mistakes_are_told(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ---------------------------------------------------------------------------------------------- as MONAI metrics


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
