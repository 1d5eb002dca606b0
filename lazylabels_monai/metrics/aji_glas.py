"""Scores of objects that do not match them one to one at a threshold: AJI, AJI+, and those of the GlaS challenge."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.spatial import cKDTree

from lazylabels_monai.metrics.matching import ObjectOverlaps, best_assignment, object_overlaps, ratio

__all__ = ["GlasScores", "aggregated_jaccard_index", "aji_terms", "glas_scores"]


def aggregated_jaccard_index(predicted: np.ndarray, truth: np.ndarray, plus: bool = False) -> float:
    """Aggregated Jaccard Index of one image.

    As Kumar et al. 2017 define it (Algorithm 1; and as their program for MoNuSeg computes it): every true object takes the
    predicted object of largest IoU, whether another one took it or not; AJI is the sum of the intersections over the sum of
    the unions, to which the pixels of all predicted objects that nobody took are added. A true object without any overlap
    adds its own pixels. No order of the objects matters.

    AJI+ (Graham et al. 2019, HoVer-Net) lets no predicted object be taken twice: the one-to-one pairs of largest summed IoU.

    Args:
        predicted: ids of any shape, 0 outside objects.
        truth: ids, same shape.
        plus: AJI+ instead of AJI.

    Returns:
        In [0, 1]; NaN without any object.

    Raises:
        ValueError: for maps of different shapes, and ids that are not whole numbers from 0 on.

    Source:
        Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for Computational Pathology", IEEE TMI
        36(7), 2017; Graham et al., "HoVer-Net", Medical Image Analysis 58, 2019.

    Example:
        >>> truth = np.array([1, 1, 0, 2, 2, 2, 0, 0])
        >>> predicted = np.array([7, 7, 7, 8, 8, 0, 0, 9])
        >>> aggregated_jaccard_index(predicted, truth)  # (2 + 2) / (3 + 3 + 1)
        0.5714285714285714
        >>> two, joined = np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1])  # the one prediction is taken twice, or once
        >>> aggregated_jaccard_index(joined, two), aggregated_jaccard_index(joined, two, plus=True)
        (0.5, 0.3333333333333333)
    """
    return ratio(*aji_terms(object_overlaps(predicted, truth), plus))


def aji_terms(overlaps: ObjectOverlaps, plus: bool = False) -> tuple[int, int]:
    """Intersection and union in pixels, whose ratio is :func:`aggregated_jaccard_index`.

    Args:
        overlaps: from :func:`~lazylabels_monai.metrics.matching.object_overlaps`.
        plus: AJI+ instead of AJI.
    """
    iou = overlaps.iou
    if plus:
        chosen = best_assignment(overlaps.rows, overlaps.columns, iou)
    else:
        chosen = _best_of_each(overlaps.columns, iou, overlaps.rows)
    unused = np.ones(len(overlaps.predicted_ids), bool)
    unused[overlaps.rows[chosen]] = False
    missed = np.ones(len(overlaps.truth_ids), bool)
    missed[overlaps.columns[chosen]] = False
    union = overlaps.union[chosen].sum() + overlaps.predicted_sizes[unused].sum() + overlaps.truth_sizes[missed].sum()
    return int(overlaps.intersection[chosen].sum()), int(union)


def _best_of_each(groups: np.ndarray, score: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Position of the largest score of each group; of equal ones that of the smallest ``tie``."""
    order = np.lexsort((tie, -score, groups))
    first = np.ones(order.size, bool)
    first[1:] = groups[order][1:] != groups[order][:-1]
    return order[first]


@dataclass(frozen=True)
class GlasScores:
    """Terms of the GlaS challenge's three scores; ``a + b`` pools images as the challenge does. See :func:`glas_scores`.

    Args:
        true_positives, false_positives, false_negatives: counts of objects.
        predicted_area, truth_area: pixels of all predicted and of all true objects.
        predicted_dice, truth_dice: Dice of each object and its counterpart, summed with the object's pixels as weight.
        predicted_hausdorff, truth_hausdorff: likewise of the Hausdorff distance in pixels; infinite where an image has
            objects on one side only, 0 where they were not asked for.
    """

    true_positives: float = 0
    false_positives: float = 0
    false_negatives: float = 0
    predicted_area: float = 0
    truth_area: float = 0
    predicted_dice: float = 0.0
    truth_dice: float = 0.0
    predicted_hausdorff: float = 0.0
    truth_hausdorff: float = 0.0

    def __add__(self, other: GlasScores) -> GlasScores:
        if not isinstance(other, GlasScores):
            return NotImplemented
        return GlasScores(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def f1(self) -> float:
        """Object F1, in [0, 1]; 1 without any object."""
        both = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / both if both else 1.0

    @property
    def object_dice(self) -> float:
        """Object Dice, in [0, 1]; 1 without any object, 0 without predicted or without true ones."""
        if not self.predicted_area and not self.truth_area:
            return 1.0
        if not self.predicted_area or not self.truth_area:
            return 0.0
        return float(self.predicted_dice / self.predicted_area + self.truth_dice / self.truth_area) / 2

    @property
    def object_hausdorff(self) -> float:
        """Object Hausdorff distance in pixels, from 0 on; 0 without any object, infinite with objects on one side only."""
        if not self.predicted_area and not self.truth_area:
            return 0.0
        if not self.predicted_area or not self.truth_area:
            return float("inf")
        return float(self.predicted_hausdorff / self.predicted_area + self.truth_hausdorff / self.truth_area) / 2


def glas_scores(predicted: np.ndarray, truth: np.ndarray, hausdorff: bool = True) -> GlasScores:
    """Object F1, object Dice and object Hausdorff distance as the GlaS challenge defines them.

    The counterpart of an object is the object of the other map that shares most pixels with it (of equal ones that of the
    smallest id).

    * **Object F1**: a predicted object is a true positive when it covers more than half of its counterpart's pixels, else a
      false positive; the false negatives are the true objects less the true positives. The paper says "at least 50 %", the
      organisers' program tests "> 0.5"; this follows the program, which never counts two halves of a gland as two
      true positives. The two differ only at exactly one half.
    * **Object Dice**: ``1/2 [sum_i w_i Dice(G_i, S_i) + sum_j v_j Dice(G_j, S_j)]``, over the predicted objects S_i with
      their counterparts G_i, then over the true objects G_j with their counterparts S_j; the weights w_i = |S_i| / sum |S|
      and v_j = |G_j| / sum |G| are the objects' shares of the area. Without a counterpart Dice is 0.
    * **Object Hausdorff**: the same with the Hausdorff distance between the two pixel sets in place of Dice. The counterpart of
      an object that overlaps none is the one at the smallest Hausdorff distance.

    Args:
        predicted: ids of any shape, 0 outside objects.
        truth: ids, same shape.
        hausdorff: False leaves the Hausdorff distance, the slow part, out.

    Returns:
        Terms of one image; add them up over images.

    Raises:
        ValueError: for maps of different shapes, and ids that are not whole numbers from 0 on.

    Source:
        Sirinukunwattana et al., "Gland segmentation in colon histology images: The GlaS challenge contest", Medical Image
        Analysis 35, 2017, Sec. 4; and the organisers' programs F1score.m, ObjectDice.m and ObjectHausdorff.m.

    Example:
        >>> truth = np.zeros((6, 12), int)
        >>> truth[1:5, 1:5], truth[1:5, 7:11] = 1, 2
        >>> predicted = np.where(truth == 1, 1, 0)  # the second gland is missed
        >>> scores = glas_scores(predicted, truth)
        >>> round(scores.f1, 3), scores.object_dice, scores.object_hausdorff
        (0.667, 0.75, 1.5)
    """
    overlaps = object_overlaps(predicted, truth)
    of_predicted = _best_of_each(overlaps.rows, overlaps.intersection, overlaps.columns)
    of_truth = _best_of_each(overlaps.columns, overlaps.intersection, overlaps.rows)
    covered = overlaps.intersection[of_predicted] / overlaps.truth_sizes[overlaps.columns[of_predicted]]
    found = int(np.count_nonzero(covered > 0.5))
    total = overlaps.predicted_sizes[overlaps.rows] + overlaps.truth_sizes[overlaps.columns]
    dice = 2 * overlaps.intersection / total
    distances = (0.0, 0.0)
    if hausdorff:
        shapes, others = _Shapes(predicted, overlaps.predicted_ids), _Shapes(truth, overlaps.truth_ids)
        known = {pair: shapes.hausdorff(pair[0], others, pair[1]) for pair in _pairs(overlaps, of_predicted, of_truth)}
        distances = (
            _weighted_hausdorff(shapes, others, {p: known[p, t] for p, t in _pairs(overlaps, of_predicted)}),
            _weighted_hausdorff(others, shapes, {t: known[p, t] for p, t in _pairs(overlaps, of_truth)}),
        )
    return GlasScores(
        found,
        len(overlaps.predicted_ids) - found,
        len(overlaps.truth_ids) - found,
        int(overlaps.predicted_sizes.sum()),
        int(overlaps.truth_sizes.sum()),
        float((overlaps.predicted_sizes[overlaps.rows[of_predicted]] * dice[of_predicted]).sum()),
        float((overlaps.truth_sizes[overlaps.columns[of_truth]] * dice[of_truth]).sum()),
        *distances,
    )


class _Shapes:
    """Pixels of each object of a map, and search trees of their borders."""

    def __init__(self, ids: np.ndarray, distinct: np.ndarray) -> None:
        ids = np.asarray(ids)
        flat = np.flatnonzero(ids)
        index = np.searchsorted(distinct, ids.ravel()[flat])
        flat = flat[np.argsort(index, kind="stable")]
        sizes = np.bincount(index, minlength=len(distinct))
        self.ids, self.distinct, self.sizes, self.flat = ids.ravel(), distinct, sizes, flat
        self.points = np.stack(np.unravel_index(flat, ids.shape), axis=-1)
        # the pixel of an object that is nearest to a pixel elsewhere has a face neighbour outside the object
        self.border = _border(ids).ravel()[flat]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        if len(distinct):
            self.low = np.minimum.reduceat(self.points, self.starts[:-1])
            self.high = np.maximum.reduceat(self.points, self.starts[:-1])
        self._trees: dict[int, cKDTree] = {}

    def __len__(self) -> int:
        return len(self.distinct)

    def tree(self, index: int) -> cKDTree:
        """Of the object's border pixels."""
        if index not in self._trees:
            own = slice(self.starts[index], self.starts[index + 1])
            self._trees[index] = cKDTree(self.points[own][self.border[own]])
        return self._trees[index]

    def farthest(self, index: int, other: _Shapes, counterpart: int) -> float:
        """Directed Hausdorff distance: how far the object's farthest pixel is from its counterpart in the other map."""
        own = slice(self.starts[index], self.starts[index + 1])
        outside = self.points[own][other.ids[self.flat[own]] != other.distinct[counterpart]]
        return float(other.tree(counterpart).query(outside)[0].max()) if len(outside) else 0.0

    def hausdorff(self, index: int, other: _Shapes, counterpart: int) -> float:
        """Hausdorff distance in pixels."""
        return max(self.farthest(index, other, counterpart), other.farthest(counterpart, self, index))

    def nearest(self, index: int, other: _Shapes) -> float:
        """Smallest Hausdorff distance to any object of the other map; infinite where there is none."""
        best = float("inf")
        if len(other) == 0:
            return best
        # sets whose bounding boxes end d pixels apart on any side are at least d apart: most pairs need no closer look
        least = np.maximum(np.abs(other.low - self.low[index]), np.abs(other.high - self.high[index])).max(axis=1)
        for counterpart in np.argsort(least, kind="stable"):
            if least[counterpart] >= best:
                break
            best = min(best, self.hausdorff(index, other, int(counterpart)))
        return best


def _border(ids: np.ndarray) -> np.ndarray:
    """True where a face neighbour has another value."""
    border = np.zeros(ids.shape, bool)
    for axis in range(ids.ndim):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(ids.ndim))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(ids.ndim))
        differ = ids[low] != ids[high]
        border[low] |= differ
        border[high] |= differ
    return border


def _pairs(overlaps: ObjectOverlaps, *positions: np.ndarray) -> set[tuple[int, int]]:
    """(predicted, true) of the overlapping pairs at these positions, each once."""
    chosen = np.concatenate(positions)
    return set(zip(overlaps.rows[chosen].tolist(), overlaps.columns[chosen].tolist(), strict=True))


def _weighted_hausdorff(shapes: _Shapes, others: _Shapes, known: dict[int, float]) -> float:
    """Sum over the objects of pixels times Hausdorff distance to the counterpart; known of those that overlap one."""
    distances = (known[index] if index in known else shapes.nearest(index, others) for index in range(len(shapes)))
    return float(sum(int(size) * distance for size, distance in zip(shapes.sizes, distances, strict=True)))
