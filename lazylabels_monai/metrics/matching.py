"""One-to-one matching of predicted and true objects: every term of F1, AP, panoptic quality and the count error.

All of them come from one sparse table of overlaps (:func:`object_overlaps`), whose size is the number of overlapping pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from lazylabels_monai.labels.objects import object_classes

__all__ = [
    "IOU_THRESHOLDS",
    "Matching",
    "ObjectOverlaps",
    "best_assignment",
    "count_matches",
    "match_objects",
    "match_overlaps",
    "matching",
    "matching_per_class",
    "object_overlaps",
    "ratio",
    "same_class_overlaps",
]

#: IoU thresholds 0.5, 0.55, ..., 0.95 of DSB2018 and COCO.
IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class ObjectOverlaps:
    """Objects of two label maps, and the pairs among them that share pixels; made by :func:`object_overlaps`.

    Args:
        predicted_ids, truth_ids: (n,) and (m,) ids in rising order, without 0.
        predicted_sizes, truth_sizes: (n,) and (m,) pixels of each object.
        rows, columns: (k,) positions in ``predicted_ids`` and ``truth_ids`` of each overlapping pair, sorted by row, then
            column.
        intersection: (k,) pixels that the two share, at least 1.
    """

    predicted_ids: np.ndarray
    truth_ids: np.ndarray
    predicted_sizes: np.ndarray
    truth_sizes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    intersection: np.ndarray

    @property
    def union(self) -> np.ndarray:
        """(k,) pixels of the pair together."""
        return self.predicted_sizes[self.rows] + self.truth_sizes[self.columns] - self.intersection

    @property
    def iou(self) -> np.ndarray:
        """(k,) intersection over union of each pair, above 0 and at most 1."""
        return self.intersection / self.union

    def only(self, predicted: np.ndarray, truth: np.ndarray) -> ObjectOverlaps:
        """The objects for which the masks (n,) and (m,) are True, and the pairs among these."""
        keep = predicted[self.rows] & truth[self.columns]
        return ObjectOverlaps(
            self.predicted_ids[predicted],
            self.truth_ids[truth],
            self.predicted_sizes[predicted],
            self.truth_sizes[truth],
            (np.cumsum(predicted) - 1)[self.rows[keep]],
            (np.cumsum(truth) - 1)[self.columns[keep]],
            self.intersection[keep],
        )


def object_overlaps(predicted: np.ndarray, truth: np.ndarray) -> ObjectOverlaps:
    """Sizes and overlaps of the objects in two label maps.

    Args:
        predicted: ids of any shape, whole numbers from 0 on; 0 outside objects. Ids need not be consecutive.
        truth: ids, same shape.

    Returns:
        The objects and their overlapping pairs. Memory grows with objects and pairs, not with their product.

    Raises:
        ValueError: when the shapes differ, and for ids that are not whole numbers or negative.

    Example:
        >>> found = object_overlaps(np.array([0, 7, 7, 7]), np.array([1, 1, 1, 0]))
        >>> found.predicted_sizes, found.truth_sizes, found.intersection, found.iou
        (array([3]), array([3]), array([2]), array([0.5]))
    """
    predicted, truth = _checked_ids(predicted, "predicted"), _checked_ids(truth, "truth")
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted ids {predicted.shape} and true ids {truth.shape} must have the same shape.")
    predicted, truth = predicted.ravel(), truth.ravel()
    # runs of pixels with the same two ids: far fewer than pixels, and all that follows works on them
    change = (predicted[1:] != predicted[:-1]) | (truth[1:] != truth[:-1])
    starts = np.flatnonzero(np.concatenate([np.ones(min(predicted.size, 1), bool), change]))
    lengths = np.diff(starts, append=predicted.size)
    predicted_ids, rows, predicted_sizes = _counted(predicted[starts], lengths)
    truth_ids, columns, truth_sizes = _counted(truth[starts], lengths)
    both = (rows >= 0) & (columns >= 0)
    pairs, _, intersection = _counted(rows[both] * len(truth_ids) + columns[both] + 1, lengths[both])
    rows, columns = np.divmod(pairs - 1, max(len(truth_ids), 1))
    return ObjectOverlaps(predicted_ids, truth_ids, predicted_sizes, truth_sizes, rows, columns, intersection)


def _checked_ids(ids: np.ndarray, name: str) -> np.ndarray:
    ids = np.asarray(ids)
    if not (np.issubdtype(ids.dtype, np.integer) or ids.dtype == bool):
        raise ValueError(f"{name} ids must be whole numbers, not {ids.dtype}.")
    if ids.size and ids.min() < 0:
        raise ValueError(f"{name} ids must not be negative, but {ids.min()} is among them.")
    return ids


def _counted(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct values above 0, the position of each entry among them (-1 for 0), and their summed weights."""
    distinct, inverse = np.unique(values, return_inverse=True)
    zero = int(distinct.size > 0 and distinct[0] == 0)
    total = np.bincount(inverse.ravel(), weights=weights, minlength=distinct.size).astype(np.int64)
    return distinct[zero:], inverse.ravel().astype(np.int64) - zero, total[zero:]


@dataclass(frozen=True)
class Matching:
    """Counts of a one-to-one matching and all that follows from them; ``a + b`` pools images.

    Numbers with nothing to divide by are NaN: all of them without any object, precision without predicted and recall and
    count error without true ones, the mean matched IoU without a match.

    Args:
        threshold: smallest IoU of a match.
        true_positives: matched pairs.
        false_positives: predicted objects without a match.
        false_negatives: true objects without a match.
        iou_sum: sum of the IoU over the matched pairs.

    Example:
        >>> one = Matching(0.5, true_positives=3, false_positives=1, false_negatives=0, iou_sum=2.4)
        >>> round(one.f1, 3), one.average_precision, round(one.panoptic_quality, 3), round(one.count_error, 3)
        (0.857, 0.75, 0.686, 0.333)
        >>> (one + one).true_positives
        6
    """

    threshold: float
    true_positives: float
    false_positives: float
    false_negatives: float
    iou_sum: float

    def __add__(self, other: Matching) -> Matching:
        if not isinstance(other, Matching):
            return NotImplemented
        if other.threshold != self.threshold:
            raise ValueError(f"matchings at IoU {self.threshold:g} and {other.threshold:g} cannot be pooled.")
        return Matching(
            self.threshold,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.iou_sum + other.iou_sum,
        )

    @property
    def n_predicted(self) -> float:
        """Number of predicted objects."""
        return self.true_positives + self.false_positives

    @property
    def n_truth(self) -> float:
        """Number of true objects."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]."""
        return ratio(self.true_positives, self.n_predicted)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), in [0, 1]."""
        return ratio(self.true_positives, self.n_truth)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), in [0, 1]; also the recognition quality RQ of Kirillov et al. 2019."""
        return ratio(2 * self.true_positives, self.n_predicted + self.n_truth)

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]: AP as DSB2018 and StarDist define it (no precision-recall curve is involved)."""
        return ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)

    @property
    def mean_matched_iou(self) -> float:
        """Mean IoU of the matched pairs, in [threshold, 1]; also the segmentation quality SQ of Kirillov et al. 2019."""
        return ratio(self.iou_sum, self.true_positives)

    @property
    def panoptic_quality(self) -> float:
        """PQ = SQ x RQ = sum of IoU / (TP + FP / 2 + FN / 2), in [0, 1] (Kirillov et al. 2019, Eq. 1)."""
        return ratio(2 * self.iou_sum, self.n_predicted + self.n_truth)

    @property
    def count_error(self) -> float:
        """(predicted - true) / true number of objects, from -1 on; 0.1 is 10 % too many."""
        return ratio(self.n_predicted - self.n_truth, self.n_truth)


def ratio(part: float, whole: float) -> float:
    """``part / whole``; NaN where ``whole`` is not above 0."""
    return float(part / whole) if whole > 0 else float("nan")


def match_overlaps(overlaps: ObjectOverlaps, threshold: float = 0.5) -> np.ndarray:
    """The largest one-to-one set of pairs with an IoU of at least ``threshold``; among the largest, that of most IoU.

    Above 0.5 no two such pairs share an object, so there is nothing to choose.

    Args:
        overlaps: from :func:`object_overlaps`.
        threshold: smallest IoU of a match, in (0, 1].

    Returns:
        Positions of the chosen pairs in ``overlaps.rows`` and ``overlaps.columns``, in rising order.

    Raises:
        ValueError: for a threshold outside (0, 1].

    Example:
        >>> overlaps = object_overlaps(np.array([1, 1, 2, 2]), np.array([3, 3, 3, 0]))
        >>> overlaps.iou, match_overlaps(overlaps, 0.2)
        (array([0.66666667, 0.25      ]), array([0]))
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold:g} must be above 0 and at most 1.")
    iou = overlaps.iou
    good = np.flatnonzero(iou >= threshold)
    rows, columns = overlaps.rows[good], overlaps.columns[good]
    # one more match outweighs whatever IoU the others could gain by going without it
    score = 1 + iou[good] / (good.size + 1)
    return good[best_assignment(rows, columns, score)]


def best_assignment(rows: np.ndarray, columns: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The one-to-one subset of pairs with the largest sum of scores.

    Args:
        rows, columns: (k,) the pairs, sorted by row, then column; each pair once.
        score: (k,) above 0.

    Returns:
        Positions of the chosen pairs, in rising order.
    """
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    rest = np.flatnonzero(~alone)
    if rest.size == 0:
        return np.flatnonzero(alone)
    _, r = np.unique(rows[rest], return_inverse=True)
    _, c = np.unique(columns[rest], return_inverse=True)
    n, m = r.max() + 1, c.max() + 1
    # a column of its own lets each row go without a match; 1 is added to all, since a stored zero would be no edge
    weights = np.concatenate([1 + score[rest], np.ones(n)])
    graph = coo_array((weights, (np.concatenate([r, np.arange(n)]), np.concatenate([c, m + np.arange(n)]))), shape=(n, m + n))
    chosen_r, chosen_c = min_weight_full_bipartite_matching(graph.tocsr(), maximize=True)
    real = chosen_c < m
    position = np.searchsorted(r * m + c, chosen_r[real].astype(np.int64) * m + chosen_c[real])
    return np.sort(np.concatenate([np.flatnonzero(alone), rest[position]]))


def matching(
    predicted: np.ndarray,
    truth: np.ndarray,
    threshold: float | Sequence[float] = 0.5,
    predicted_classes: np.ndarray | None = None,
    truth_classes: np.ndarray | None = None,
) -> Matching | tuple[Matching, ...]:
    """Match the objects of two label maps one to one by IoU (after StarDist's ``matching``).

    Pairs count from an IoU equal to the threshold on. DSB2018 and Kirillov et al. 2019 write "greater than": the results
    differ only for a pair whose IoU is the threshold exactly.

    Args:
        predicted: ids of any shape, 0 outside objects.
        truth: ids, same shape.
        threshold: smallest IoU of a match, in (0, 1]; several give a Matching each.
        predicted_classes, truth_classes: class maps (H, W) or (D, H, W) of the same shape, both or none. With them an object
            has the class of most of its pixels (background and 255 aside), and objects of different classes never match.

    Returns:
        The counts at the threshold, or a tuple of them.

    Raises:
        ValueError: for maps of different shapes, ids that are not whole numbers from 0 on, a threshold outside (0, 1], and
            classes of only one of the maps.

    Source:
        Weigert et al., "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy", WACV 2020;
        Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature Methods 2019.

    Example:
        >>> truth = np.array([[1, 1, 1, 1, 0, 2, 2]])
        >>> predicted = np.array([[5, 5, 5, 0, 0, 0, 6]])
        >>> result = matching(predicted, truth)
        >>> result.true_positives, result.f1, result.average_precision, result.panoptic_quality
        (2, 1.0, 1.0, 0.625)
        >>> [m.f1 for m in matching(predicted, truth, (0.5, 0.75, 0.8))]
        [1.0, 0.5, 0.0]
    """
    if (predicted_classes is None) != (truth_classes is None):
        raise ValueError("predicted_classes and truth_classes must be given together or not at all.")
    thresholds = (threshold,) if np.isscalar(threshold) else tuple(threshold)
    overlaps = object_overlaps(predicted, truth)
    if predicted_classes is not None:
        overlaps = same_class_overlaps(overlaps, predicted, truth, predicted_classes, truth_classes)
    found = tuple(count_matches(overlaps, value) for value in thresholds)
    return found[0] if np.isscalar(threshold) else found


def matching_per_class(
    predicted: np.ndarray,
    truth: np.ndarray,
    predicted_classes: np.ndarray,
    truth_classes: np.ndarray,
    num_classes: int,
    threshold: float = 0.5,
) -> tuple[Matching, ...]:
    """:func:`matching` of the objects of each class alone.

    Args:
        predicted, truth: ids (H, W) or (D, H, W), 0 outside objects.
        predicted_classes, truth_classes: class maps of the same shape; an object has the class of most of its pixels
            (background and 255 aside).
        num_classes: number of classes with background.
        threshold: smallest IoU of a match, in (0, 1].

    Returns:
        A Matching for each of the classes 1 .. ``num_classes`` - 1. Objects without any pixel of an object class are in none.

    Raises:
        ValueError: as :func:`matching`.

    Example:
        >>> ids = np.array([[1, 1, 0, 2, 2]])
        >>> classes = np.array([[1, 1, 0, 2, 2]])
        >>> [(m.true_positives, m.n_truth) for m in matching_per_class(ids, ids, classes, classes, num_classes=3)]
        [(1, 1), (1, 1)]
    """
    overlaps = object_overlaps(predicted, truth)
    p, t = _classes(overlaps, predicted, truth, predicted_classes, truth_classes)
    return tuple(count_matches(overlaps.only(p == value, t == value), threshold) for value in range(1, num_classes))


def count_matches(overlaps: ObjectOverlaps, threshold: float) -> Matching:
    """Counts of :func:`match_overlaps`; raises what that raises."""
    pairs = match_overlaps(overlaps, threshold)
    found = len(pairs)
    return Matching(
        float(threshold),
        found,
        len(overlaps.predicted_ids) - found,
        len(overlaps.truth_ids) - found,
        float(overlaps.iou[pairs].sum()),
    )


def _classes(
    overlaps: ObjectOverlaps,
    predicted: np.ndarray,
    truth: np.ndarray,
    predicted_classes: np.ndarray,
    truth_classes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Class of each object, in the order of ``overlaps``."""
    p, t = object_classes(predicted, predicted_classes), object_classes(truth, truth_classes)
    return (
        np.array([p[int(value)] for value in overlaps.predicted_ids], dtype=np.int64),
        np.array([t[int(value)] for value in overlaps.truth_ids], dtype=np.int64),
    )


def same_class_overlaps(
    overlaps: ObjectOverlaps,
    predicted: np.ndarray,
    truth: np.ndarray,
    predicted_classes: np.ndarray,
    truth_classes: np.ndarray,
) -> ObjectOverlaps:
    """All objects, but only the pairs of one class; the maps are those of :func:`matching`."""
    p, t = _classes(overlaps, predicted, truth, predicted_classes, truth_classes)
    same = p[overlaps.rows] == t[overlaps.columns]
    return replace(overlaps, rows=overlaps.rows[same], columns=overlaps.columns[same], intersection=overlaps.intersection[same])


def match_objects(predicted: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> tuple[int, int, int]:
    """The counts of :func:`matching` alone.

    Args:
        predicted: ids of any shape, 0 outside objects.
        truth: ids, same shape.
        threshold: smallest IoU of a match, in (0, 1].

    Returns:
        ``(true positives, false positives, false negatives)``.

    Raises:
        ValueError: as :func:`matching`.

    Example:
        >>> match_objects(np.array([1, 1, 2]), np.array([4, 4, 0]))
        (1, 1, 0)
    """
    found = matching(predicted, truth, float(threshold))
    return found.true_positives, found.false_positives, found.false_negatives
