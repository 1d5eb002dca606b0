"""The aggregated Jaccard index and the scores of the GlaS challenge against their algorithms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import HausdorffDistanceMetric
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import directed_hausdorff

from lazylabels_monai.metrics import (
    GlasScores,
    aggregated_jaccard_index,
    glas_scores,
)
from tests.metrics.pairs import PAIRS, iou_table, masks


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
