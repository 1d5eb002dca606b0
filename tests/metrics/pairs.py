"""Random pairs of id maps, and matching restated plainly."""

from __future__ import annotations

import itertools

import numpy as np


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


def squares(side: int, pitch: int, shift: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """A square per grid cell, moved right by ``shift``; number 0 leaves it out."""
    ids = np.zeros((2048, 2048), np.int32)
    for (row, column), number in np.ndenumerate(numbers):
        left = column * pitch + shift[row, column]
        ids[row * pitch : row * pitch + side, left : left + side] = number
    return ids
