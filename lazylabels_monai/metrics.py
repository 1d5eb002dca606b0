"""How good a prediction is. One row of numbers per image, aggregated over images and over distributed processes.

Every metric takes the network's probabilities ``y_pred`` (B, sum of classes, spatial...) and the stacked truth ``y``
(B, 4, spatial...), integer: segmentation, detection, separation (255 = not labelled) and instance ids (-1 = unknown), as
:func:`stack_truth` makes it. A number that cannot be known for an image is NaN and takes no part in a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.morphology import skeletonize

from lazylabels_monai.instances import component_instances, three_map_instances
from lazylabels_monai.labels.lazy import DEFAULT_GAP, DEFAULT_THICKNESS, interface_labels
from lazylabels_monai.tasks import IGNORE, INTERFACE, TASKS, task_slices

__all__ = [
    "INSTANCES",
    "InterfaceMetric",
    "ObjectF1Metric",
    "SegmentationDiceMetric",
    "class_dice",
    "interface_scores",
    "match_objects",
    "stack_truth",
]

#: Key of the instance ids in a sample, and the last channel of the stacked truth.
INSTANCES = "instances"
_CHANNELS = (*TASKS, INSTANCES)


def stack_truth(sample: Mapping[str, torch.Tensor], dim: int = 0) -> torch.Tensor:
    """Stack a sample's filled labels, (1, spatial...) or (B, 1, spatial...) with ``dim=1``, to four int32 channels."""
    return torch.cat([torch.as_tensor(sample[key]).to(torch.int32) for key in _CHANNELS], dim=dim)


def class_dice(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> list[tuple[float, float]]:
    """Terms of Dice per object class, ``(2 sum(x y), sum x + sum y)`` (Ke et al. 2020, Sec. 5), over labelled pixels.

    Args:
        predicted: class values, any shape.
        truth: class values, same shape; 255 pixels are left out.
        num_classes: number of classes with background.
    """
    labelled = truth != IGNORE
    predicted, truth = predicted[labelled], truth[labelled]
    terms = []
    for value in range(1, num_classes):
        x, y = predicted == value, truth == value
        terms.append((2.0 * np.count_nonzero(x & y), float(np.count_nonzero(x) + np.count_nonzero(y))))
    return terms


def interface_scores(
    predicted: np.ndarray,
    separation: np.ndarray,
    instances: np.ndarray | None = None,
    tolerance: float = 3.0,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
) -> tuple[float, float, float, float]:
    """Counts behind precision and recall of interfaces between touching objects.

    Precision looks at length: of the predicted interfaces' centre lines, the pixels that lie within ``tolerance`` of a true
    interface. Recall looks at objects: of all pairs of touching objects, those for whom at least half of their common
    interface lies within ``tolerance`` of a predicted one. Without instance ids a pair cannot be told from its
    neighbours; recall then counts the centre line's pixels of the true interfaces.

    Args:
        predicted: True where an interface is predicted.
        separation: true separation label; 0 other, 1 interface, 255 not labelled (left out).
        instances: ids of the objects, or None.
        tolerance: in pixels.
        gap: objects at most this many pixels apart touch (see :func:`lazylabels_monai.labels.lazy.touching_pairs`).
        thickness: thickness of the true interfaces in pixels.

    Returns:
        ``(correct length, predicted length, found, to be found)``.
    """
    labelled = separation != IGNORE
    predicted = predicted & labelled
    pairs = None
    if instances is not None:
        interface, pairs = interface_labels(instances, gap=gap, thickness=thickness)
        truth = (interface > 0) & labelled
    else:
        truth = separation == INTERFACE
    line = skeletonize(predicted)
    correct = float(np.count_nonzero(line & (_distance_to(truth) <= tolerance)))
    near = _distance_to(predicted) <= tolerance
    if pairs is None:
        true_line = skeletonize(truth)
        found, wanted = np.count_nonzero(true_line & near), np.count_nonzero(true_line)
    else:
        size = np.bincount(interface[truth], minlength=len(pairs) + 1)[1:]
        hit = np.bincount(interface[truth & near], minlength=len(pairs) + 1)[1:]
        found, wanted = np.count_nonzero((2 * hit >= size) & (size > 0)), np.count_nonzero(size)
    return correct, float(np.count_nonzero(line)), float(found), float(wanted)


def match_objects(predicted: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> tuple[int, int, int]:
    """One-to-one matching of objects by intersection over union.

    Args:
        predicted: ids, 0 outside objects.
        truth: ids, same shape.
        threshold: smallest IoU of a match, above 0.

    Returns:
        ``(true positives, false positives, false negatives)``.
    """
    predicted_ids, p = np.unique(predicted, return_inverse=True)
    truth_ids, t = np.unique(truth, return_inverse=True)
    p, t = p.ravel(), t.ravel()
    pairs, overlap = np.unique(np.stack([p, t]), axis=1, return_counts=True)
    both = (predicted_ids[pairs[0]] > 0) & (truth_ids[pairs[1]] > 0)
    pairs, overlap = pairs[:, both], overlap[both]
    p_size, t_size = np.bincount(p), np.bincount(t)
    iou = overlap / (p_size[pairs[0]] + t_size[pairs[1]] - overlap)
    keep = iou >= threshold
    pairs, iou = pairs[:, keep], iou[keep]
    rows, columns = np.unique(pairs[0], return_inverse=True), np.unique(pairs[1], return_inverse=True)
    true_positives = 0
    if iou.size:
        # candidates are few (above 0.5 they are unique), so the dense matrix over them stays small
        cost = np.zeros((len(rows[0]), len(columns[0])))
        cost[rows[1], columns[1]] = iou
        chosen = linear_sum_assignment(cost, maximize=True)
        true_positives = int(np.count_nonzero(cost[chosen] >= threshold))
    n_predicted = int(np.count_nonzero(predicted_ids > 0))
    n_truth = int(np.count_nonzero(truth_ids > 0))
    return true_positives, n_predicted - true_positives, n_truth - true_positives


class _RowMetric(CumulativeIterationMetric):
    """A metric that turns one image into one row of numbers."""

    columns: tuple[str, ...] = ()

    def __init__(self, num_classes: int, tasks: Sequence[str] = TASKS) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.slices = task_slices(num_classes, tasks)

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise ValueError("y must be the stacked truth (B, 4, spatial...); see stack_truth.")
        rows = []
        for probabilities, truth in zip(y_pred, y, strict=True):
            maps = {task: probabilities[channels].cpu().float().numpy() for task, channels in self.slices.items()}
            truths = dict(zip(_CHANNELS, truth.cpu().numpy(), strict=True))
            rows.append(self.row(maps, truths))
        return torch.as_tensor(rows, dtype=torch.float64)

    def row(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> list[float]:
        """Numbers of one image from its probability maps (classes, spatial) and its truths (spatial)."""
        raise NotImplementedError

    def table(self) -> np.ndarray:
        """(images, columns) of all processes."""
        rows = self.get_buffer()
        return np.zeros((0, len(self.columns))) if rows is None else np.atleast_2d(rows.cpu().numpy())


class SegmentationDiceMetric(_RowMetric):
    """Dice of each object class per image, averaged over images, then over classes (paper's formula per image).

    A class that an image neither shows nor is given counts as unknown there; an image without an exact mask is unknown
    as a whole. :meth:`pooled` sums the terms over all images first.
    """

    def __init__(self, num_classes: int, tasks: Sequence[str] = TASKS) -> None:
        super().__init__(num_classes, tasks)
        if "segmentation" not in self.slices:
            raise ValueError(f"tasks {list(tasks)} must hold 'segmentation' for its Dice to be known.")
        self.columns = tuple(f"{part}_{c}" for c in range(1, num_classes) for part in ("overlap", "total"))

    def row(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> list[float]:
        """Terms of Dice: overlap and total per object class."""
        terms = class_dice(maps["segmentation"].argmax(0), truth["segmentation"], self.num_classes)
        return [float(value) for pair in terms for value in pair]

    def per_image(self) -> np.ndarray:
        """Dice (images, object classes); NaN where unknown."""
        table = self.table()
        with np.errstate(invalid="ignore", divide="ignore"):
            return table[:, 0::2] / np.where(table[:, 1::2] > 0, table[:, 1::2], np.nan)

    def per_class(self) -> np.ndarray:
        """Mean Dice over images of each object class; NaN where no image knows it."""
        return _nan_mean(self.per_image(), axis=0)

    def pooled(self) -> np.ndarray:
        """Dice of each object class over the pixels of all images together."""
        table = self.table().sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return table[0::2] / np.where(table[1::2] > 0, table[1::2], np.nan)

    def aggregate(self) -> torch.Tensor:
        """Mean over the object classes: the number that picks the best model."""
        return torch.as_tensor(_nan_mean(self.per_class()))


class InterfaceMetric(_RowMetric):
    """Precision and recall of interfaces between touching objects; see :func:`interface_scores`.

    Args:
        num_classes: number of classes with background.
        tasks: tasks in the output; without "separation" all is unknown.
        tolerance, gap, thickness: in pixels, as in :func:`interface_scores`.
    """

    columns = ("correct", "predicted", "found", "touching")

    def __init__(
        self,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        tolerance: float = 3.0,
        gap: int = DEFAULT_GAP,
        thickness: int = DEFAULT_THICKNESS,
    ) -> None:
        super().__init__(num_classes, tasks)
        self.settings = {"tolerance": tolerance, "gap": gap, "thickness": thickness}

    def row(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> list[float]:
        """Counts of :func:`interface_scores`; NaN without the task or without its label."""
        separation, instances = truth["separation"], truth[INSTANCES]
        if "separation" not in maps or (separation == IGNORE).all():
            return [float("nan")] * 4
        known = None if instances.min() < 0 else instances
        predicted = maps["separation"].argmax(0) == INTERFACE
        return list(interface_scores(predicted, separation, known, **self.settings))

    def precision_recall(self) -> tuple[float, float]:
        """Over all images together: lengths for precision, pairs of objects for recall."""
        correct, predicted, found, touching = np.nansum(self.table(), axis=0)
        return _ratio(correct, predicted), _ratio(found, touching)

    def aggregate(self) -> torch.Tensor:
        """(precision, recall)."""
        return torch.as_tensor(self.precision_recall())


class ObjectF1Metric(_RowMetric):
    """F1 of objects matched one to one at an IoU threshold, over all images together: 2 TP / (2 TP + FP + FN).

    Args:
        num_classes: number of classes with background.
        tasks: tasks in the output.
        method: "three_map" (detection, separation and segmentation; falls back to components where the network does not
            have the three tasks) or "components" (connected components of the segmentation).
        threshold: smallest IoU of a match.
        min_size: predicted objects of at most this many pixels are dropped.
        min_marker: see :func:`lazylabels_monai.instances.three_map_instances`.
    """

    columns = ("tp", "fp", "fn")

    def __init__(
        self,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        method: str = "three_map",
        threshold: float = 0.5,
        min_size: int = 16,
        min_marker: int = 16,
    ) -> None:
        super().__init__(num_classes, tasks)
        if method not in ("three_map", "components"):
            raise ValueError(f"method '{method}' must be 'three_map' or 'components'.")
        self.method, self.threshold = method, threshold
        self.min_size, self.min_marker = min_size, min_marker

    def row(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> list[float]:
        """True positives, false positives, false negatives; NaN without instance ids."""
        if truth[INSTANCES].min() < 0 or "segmentation" not in maps:
            return [float("nan")] * 3
        segmentation = maps["segmentation"].argmax(0)
        if self.method == "three_map" and set(TASKS) <= set(maps):
            objects = three_map_instances(
                segmentation, maps["detection"], maps["separation"], min_marker=self.min_marker, min_size=self.min_size
            )
        else:
            objects = component_instances(segmentation, min_size=self.min_size)
        return [float(n) for n in match_objects(objects, truth[INSTANCES], self.threshold)]

    def aggregate(self) -> torch.Tensor:
        """F1 over all images."""
        tp, fp, fn = np.nansum(self.table(), axis=0)
        unknown = np.isnan(self.table()).all()
        return torch.as_tensor(float("nan") if unknown else _ratio(2 * tp, 2 * tp + fp + fn))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _nan_mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    known = np.count_nonzero(~np.isnan(values), axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(values, axis=axis) / np.where(known > 0, known, np.nan)


def _distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels of every pixel to the nearest True pixel of ``mask``; infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask)
