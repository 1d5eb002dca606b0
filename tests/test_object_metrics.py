"""Scores of objects against MONAI, scikit-image, SciPy and plain restatements on one mask per object."""

from __future__ import annotations

import csv
import doctest
import importlib
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.metrics import HausdorffDistanceMetric
from monai.metrics.panoptic_quality import compute_panoptic_quality
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, directed_hausdorff
from skimage.metrics import contingency_table

from lazylabels_monai.bench.metrics import format_metric_bench, run_metric_bench
from lazylabels_monai.evaluation.results import ResultsWriter, format_results
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.metrics import (
    IOU_THRESHOLDS,
    GlasScores,
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
from lazylabels_monai.tasks import IGNORE

COMPONENTS = InstanceSettings(route="components", min_size=0)


def random_ids(seed: int, shape=(24, 30), count=6, size=12) -> np.ndarray:
    """Boxes on top of each other, their ids in gaps and out of order."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.int32)
    for number in rng.permutation(count) * 3 + 5:
        ids[tuple(slice(low, low + rng.integers(2, size)) for low in (rng.integers(0, n - 2) for n in shape))] = number
    return ids


def random_pair(seed: int, **how) -> tuple[np.ndarray, np.ndarray]:
    """Two maps of partly the same objects: one displaced, cut and joined into the other."""
    rng = np.random.default_rng(1000 + seed)
    truth = random_ids(seed, **how)
    predicted = np.roll(truth, int(rng.integers(0, 3)), axis=int(rng.integers(0, truth.ndim)))
    ids = np.unique(predicted)[1:]
    predicted = np.where(predicted == ids[0], ids[-1] if seed % 2 else 0, predicted)  # joined to another, or lost
    extra = random_ids(seed + 500, count=2, **{k: v for k, v in how.items() if k != "count"})
    return np.where(extra > 0, extra + 100, predicted), truth


PAIRS = [random_pair(seed) for seed in range(12)] + [random_pair(seed, shape=(7, 9, 8), size=6) for seed in range(4)]


def masks(ids: np.ndarray) -> list[np.ndarray]:
    return [ids == value for value in np.unique(ids) if value > 0]


def iou_table(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.array([[(p & t).sum() / (p | t).sum() for t in masks(truth)] for p in masks(predicted)])


def plain_matching(predicted: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[int, int, int, float]:
    """The most matches, then the largest IoU, over all one-to-one assignments."""
    iou = iou_table(predicted, truth)
    iou = iou if iou.shape[0] <= iou.shape[1] else iou.T
    best = (0, 0.0)
    for order in itertools.permutations(range(iou.shape[1]), iou.shape[0]):
        chosen = [iou[row, column] for row, column in enumerate(order) if iou[row, column] >= threshold]
        best = max(best, (len(chosen), sum(chosen)))
    return best[0], len(masks(predicted)) - best[0], len(masks(truth)) - best[0], best[1]


def plain_aji(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Kumar et al. 2017, Algorithm 1, line by line."""
    segmented, used = masks(predicted), set()
    correct = union = 0
    for g in masks(truth):
        best = max(range(len(segmented)), key=lambda k: (g & segmented[k]).sum() / (g | segmented[k]).sum())
        if (g & segmented[best]).any():
            correct += (g & segmented[best]).sum()
            union += (g | segmented[best]).sum()
            used.add(best)
        else:
            union += g.sum()
    union += sum(s.sum() for k, s in enumerate(segmented) if k not in used)
    return correct / union


def plain_aji_plus(predicted: np.ndarray, truth: np.ndarray) -> float:
    """HoVer-Net's pairing on the dense table."""
    segmented, true, iou = masks(predicted), masks(truth), iou_table(predicted, truth)
    pairs = [(p, t) for p, t in zip(*linear_sum_assignment(iou, maximize=True), strict=True) if iou[p, t] > 0]
    correct = sum((segmented[p] & true[t]).sum() for p, t in pairs)
    union = sum((segmented[p] | true[t]).sum() for p, t in pairs)
    union += sum(m.sum() for k, m in enumerate(segmented) if k not in {p for p, _ in pairs})
    union += sum(m.sum() for k, m in enumerate(true) if k not in {t for _, t in pairs})
    return correct / union


def plain_hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.argwhere(a), np.argwhere(b)
    return max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])


def plain_glas(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """F1score.m, ObjectDice.m and ObjectHausdorff.m of the organisers, for maps with objects."""
    segmented, true = masks(predicted), masks(truth)

    def counterpart(mask: np.ndarray, others: list[np.ndarray]) -> np.ndarray | None:
        shared = [(mask & other).sum() for other in others]
        return others[int(np.argmax(shared))] if max(shared) > 0 else None

    def dice(mask: np.ndarray, other: np.ndarray | None) -> float:
        return 0.0 if other is None else 2 * (mask & other).sum() / (mask.sum() + other.sum())

    def distance(mask: np.ndarray, others: list[np.ndarray]) -> float:
        other = counterpart(mask, others)
        return min(plain_hausdorff(mask, o) for o in others) if other is None else plain_hausdorff(mask, other)

    tp = 0
    for s in segmented:
        g = counterpart(s, true)
        tp += g is not None and (s & g).sum() / g.sum() > 0.5
    precision, recall = tp / len(segmented), tp / len(true)
    sides = [(segmented, true), (true, segmented)]
    area = [sum(m.sum() for m in side) for side, _ in sides]
    object_dice = sum(m.sum() / a * dice(m, counterpart(m, o)) for (side, o), a in zip(sides, area, strict=True) for m in side)
    hausdorff = sum(m.sum() / a * distance(m, o) for (side, o), a in zip(sides, area, strict=True) for m in side)
    return (2 * precision * recall / (precision + recall) if tp else 0.0), object_dice / 2, hausdorff / 2


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


def squares(side: int, pitch: int, shift: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """A square per grid cell, moved right by ``shift``; number 0 leaves it out."""
    ids = np.zeros((2048, 2048), np.int32)
    for (row, column), number in np.ndenumerate(numbers):
        left = column * pitch + shift[row, column]
        ids[row * pitch : row * pitch + side, left : left + side] = number
    return ids


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


# ---------------------------------------------------------------------------------------------- AJI and GlaS


@pytest.mark.parametrize("pair", PAIRS)
def test_aji_equals_the_algorithm(pair):
    assert aggregated_jaccard_index(*pair) == pytest.approx(plain_aji(*pair))
    assert aggregated_jaccard_index(*pair, plus=True) == pytest.approx(plain_aji_plus(*pair))


@pytest.mark.parametrize("pair", PAIRS)
def test_glas_scores_equal_the_organisers_programs(pair):
    found = glas_scores(*pair)
    assert (found.f1, found.object_dice, found.object_hausdorff) == pytest.approx(plain_glas(*pair))
    assert glas_scores(*pair, hausdorff=False).object_dice == found.object_dice


def test_a_gland_that_overlaps_none_is_compared_to_the_nearest():
    truth, predicted = np.zeros((20, 60), int), np.zeros((20, 60), int)
    truth[2:8, 2:8], truth[2:18, 30:58], truth[12:16, 3:9] = 1, 2, 3
    predicted[2:8, 10:16], predicted[2:18, 31:58] = 1, 2  # object 1 lies beside truth 1 and 3, and overlaps neither
    np.testing.assert_allclose(glas_scores(predicted, truth).object_hausdorff, plain_glas(predicted, truth)[2])


def test_hausdorff_distance_equals_monai():
    y, x = np.mgrid[:40, :50]
    truth = ((y - 18) ** 2 + (x - 20) ** 2 < 150).astype(int)
    predicted = ((y - 20) ** 2 + ((x - 27) / 1.4) ** 2 < 120).astype(int)
    metric = HausdorffDistanceMetric(include_background=True)
    metric(torch.as_tensor(predicted)[None, None], torch.as_tensor(truth)[None, None])
    assert glas_scores(predicted, truth).object_hausdorff == pytest.approx(float(metric.aggregate()))


def test_glas_scores_pool_like_one_large_image():
    (p1, t1), (p2, t2) = PAIRS[0], PAIRS[1]
    wide = [
        np.concatenate([a, np.zeros((24, 200), int), np.where(b > 0, b + 1000, 0)], axis=1) for a, b in ((p1, p2), (t1, t2))
    ]
    pooled, one = glas_scores(p1, t1) + glas_scores(p2, t2), glas_scores(*wide)
    assert (pooled.f1, pooled.object_dice) == pytest.approx((one.f1, one.object_dice))
    assert pooled.object_hausdorff == pytest.approx(one.object_hausdorff)
    assert GlasScores() + pooled == pooled


# ---------------------------------------------------------------------------------------------- as MONAI metrics


def batch(predicted: np.ndarray, segmentation: np.ndarray, instances: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of class maps 0 .. 2 and the truth, for a network with all three tasks."""
    one_hot = torch.as_tensor(np.eye(3)[predicted]).permute(2, 0, 1)
    rest = torch.zeros(5, *predicted.shape)
    unknown = np.full(predicted.shape, IGNORE)
    rows = [segmentation, unknown, unknown, np.full(predicted.shape, -1) if instances is None else instances]
    return torch.cat([one_hot, rest])[None], torch.as_tensor(np.stack(rows).astype(np.int32))[None]


@pytest.fixture
def filled():
    """A metric that has seen three images: one unknown, one of 8 objects of which 6 are found, one without any object."""
    segmentation = np.zeros((40, 50), int)
    for number in range(8):
        row, column = divmod(number, 4)
        segmentation[row * 20 + 2 : row * 20 + 14, column * 12 + 1 : column * 12 + 11] = 1 + number % 2
    instances = np.where(segmentation > 0, 1 + np.arange(50)[None] // 12 + 4 * (np.arange(40)[:, None] // 20), 0)
    predicted = np.where(instances < 7, segmentation, 0)
    predicted[2:5] = 0  # 3 of the 12 rows of the first four
    images = [
        batch(predicted, segmentation, None),
        batch(predicted, segmentation, instances),
        batch(np.zeros_like(predicted), np.zeros_like(predicted), np.zeros_like(instances)),
    ]

    def fill(**how):
        metric = ObjectMetric(3, settings=COMPONENTS, **how)
        for image in images:
            metric(*image)
        return metric

    return fill


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


def test_written_results(filled, tmp_path):
    """metrics.json and metrics.csv hold every score of every method; infinity and NaN become null, as JSON has neither."""
    objects = {"three maps": filled(glas=True), "components": filled(glas=True)}
    nothing = batch(np.zeros((40, 50), int), np.ones((40, 50), int), np.ones((40, 50), int))
    objects["components"](*nothing)
    objects["three maps"](*nothing)
    writer = ResultsWriter(tmp_path, ["a", "b"], objects=objects)
    writer._names = [f"{number}.png" for number in range(4)]
    writer._completed(SimpleNamespace(state=SimpleNamespace(rank=0)))
    text = (tmp_path / "metrics.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    part = json.loads(text)["objects"]
    assert next(iter(part)) == "f1@0.5"
    for name in ("f1@0.5", "f1@0.95", "ap@0.5", "ap@0.5:0.95", "pq", "aji", "count_error", "glas_f1", "glas_object_dice"):
        assert part[name] == part[f"{name} three maps"] == part[f"{name} components"]
        assert isinstance(part[name], float)
    assert part["count_error"] == pytest.approx((6 - 9) / 9)
    assert part["glas_object_hausdorff"] is None
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["objects three maps tp"] for row in rows] == ["", "6.0", "0.0", "0.0"]
    assert [row["objects components ap@0.5"] for row in rows] == ["", "0.75", "", "0.0"]
    assert rows[3]["objects components glas_object_hausdorff"] == ""
    table = format_results(json.loads(text))
    assert "f1@0.5 three maps" in table
    assert "f1@0.55" not in table


def test_bench_times_each_score():
    result = run_metric_bench((64, 64), objects=9, repeats=1)
    assert (result["predicted"], result["true"], result["matched"]) == (9, 9, 9)
    text = format_metric_bench(result)
    assert text.startswith("maps of 64 x 64 pixels, 9 predicted and 9 true objects, 9 matched\nmatching at one IoU ")
    assert len(text.splitlines()) == 8
    with pytest.raises(ValueError, match="give more of them"):
        run_metric_bench(objects=0)


@pytest.mark.parametrize("name", ["pixels", "interfaces", "matching", "objects", "iteration"])
def test_examples_of_the_docstrings_run(name):
    module = importlib.import_module(f"lazylabels_monai.metrics.{name}")
    done = doctest.testmod(module, extraglobs={"np": np, "torch": torch})
    assert done.attempted > 0
    assert done.failed == 0


def test_switches_of_the_evaluation_reach_every_method(bundle, tiny_data, tmp_path):
    files = bundle.files("train.yaml", "evaluate.yaml")
    for wanted in (False, True):
        more = bundle.overrides(tiny_data, tmp_path, **({"glas_metrics": True, "class_aware_objects": True} if wanted else {}))
        with bundle.workflow(files, "train", init_id="nothing", **more) as workflow:
            metrics = [
                workflow.parser.get_parsed_content(f"validate#{name}") for name in ("three_map", "components", "distance")
            ]
        assert [metric.settings.route for metric in metrics] == ["three maps", "components", "distance"]
        assert [(metric.glas, metric.class_aware) for metric in metrics] == [(wanted, wanted)] * 3
        assert all(metric.thresholds == IOU_THRESHOLDS for metric in metrics)
