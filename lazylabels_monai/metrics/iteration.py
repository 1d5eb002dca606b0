"""The scores as MONAI metrics for an evaluator: one row of numbers per image, aggregated over images and over processes.

Every metric takes the network's probabilities ``y_pred`` (B, sum of classes, spatial...) and the stacked truth ``y``
(B, 4, spatial...), integer: segmentation, detection, separation (255 = not labelled) and instance ids (-1 = unknown), as
:func:`stack_truth` makes it. A number that cannot be known for an image is NaN and takes no part in a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric

from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.labels.interfaces import DEFAULT_GAP, DEFAULT_THICKNESS
from lazylabels_monai.metrics.aji_glas import GlasScores, aji_terms, glas_scores
from lazylabels_monai.metrics.interfaces import interface_scores
from lazylabels_monai.metrics.matching import (
    IOU_THRESHOLDS,
    Matching,
    count_matches,
    object_overlaps,
    ratio,
    same_class_overlaps,
)
from lazylabels_monai.metrics.pixels import class_dice
from lazylabels_monai.tasks import IGNORE, INTERFACE, TASKS, task_slices

__all__ = [
    "INSTANCES",
    "InterfaceMetric",
    "ObjectMetric",
    "SegmentationDiceMetric",
    "stack_truth",
]

#: Key of the instance ids in a sample, and the last channel of the stacked truth.
INSTANCES = "instances"
_CHANNELS = (*TASKS, INSTANCES)


def stack_truth(sample: Mapping[str, torch.Tensor], dim: int = 0) -> torch.Tensor:
    """Stack a sample's filled labels, (1, spatial...) or (B, 1, spatial...) with ``dim=1``, to four int32 channels."""
    return torch.cat([torch.as_tensor(sample[key]).to(torch.int32) for key in _CHANNELS], dim=dim)


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
        return ratio(correct, predicted), ratio(found, touching)

    def aggregate(self) -> torch.Tensor:
        """(precision, recall)."""
        return torch.as_tensor(self.precision_recall())


class ObjectMetric(_RowMetric):
    """All scores of objects: F1, AP and panoptic quality of matched objects, AJI, count error; on demand those of GlaS.

    Definitions stand in :mod:`lazylabels_monai.metrics.matching` and :mod:`lazylabels_monai.metrics.aji_glas`.
    :meth:`results` pools the counts of all images before anything is divided; AJI and AJI+ alone are means over the images
    with objects, as Kumar et al. 2017 report them. The IoU threshold of ``pq``, ``sq`` and the counts is the first one.

    Args:
        num_classes: number of classes with background.
        tasks: tasks in the output.
        settings: how objects are made of the maps; default :class:`~lazylabels_monai.instances.InstanceSettings`.
        thresholds: smallest IoU of a match, each in (0, 1], rising.
        class_aware: objects of different classes never match; an image without a mask is unknown then. AJI and the scores
            of GlaS know no classes.
        glas: the scores of the GlaS challenge too; its Hausdorff distance is slow where many objects overlap no other.

    Raises:
        ValueError: for thresholds that do not rise or leave (0, 1].

    Example:
        >>> metric = ObjectMetric(num_classes=2, settings=InstanceSettings(route="components", min_size=0))
        >>> ids = torch.zeros(1, 1, 8, 8)
        >>> ids[..., 2:6, 2:6] = 1
        >>> probabilities = torch.cat([1 - ids, ids, torch.zeros(1, 4, 8, 8)], dim=1)  # three tasks of 2 classes
        >>> unknown = torch.full_like(ids, 255)
        >>> _ = metric(probabilities, torch.cat([ids, unknown, unknown, ids], dim=1).int())
        >>> metric.results()["f1@0.5"], metric.results()["ap@0.5:0.95"], metric.results()["aji"]
        (1.0, 1.0, 1.0)
    """

    def __init__(
        self,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        settings: InstanceSettings | None = None,
        thresholds: Sequence[float] = IOU_THRESHOLDS,
        class_aware: bool = False,
        glas: bool = False,
    ) -> None:
        super().__init__(num_classes, tasks)
        self.settings = settings or InstanceSettings()
        self.thresholds = tuple(float(value) for value in thresholds)
        if not self.thresholds or any(not 0 < value <= 1 for value in self.thresholds):
            raise ValueError(f"thresholds {list(thresholds)} must lie above 0 and at most at 1, and there must be one.")
        if any(a >= b for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise ValueError(f"thresholds {list(thresholds)} must rise.")
        self.class_aware, self.glas = class_aware, glas
        self.columns = (
            *(f"{part}@{value:g}" for value in self.thresholds for part in ("tp", "fp", "fn", "iou_sum")),
            *("aji_intersection", "aji_union", "aji_plus_intersection", "aji_plus_union"),
            *(f"glas_{field.name}" for field in fields(GlasScores) if glas),
        )

    def objects(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Predicted ids (spatial); None where the true ones or a segmentation are not known."""
        if truth[INSTANCES].min() < 0 or "segmentation" not in maps:
            return None
        segmentation = maps["segmentation"].argmax(0)
        return separate_objects(segmentation, maps.get("detection"), maps.get("separation"), self.settings)

    def row(self, maps: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> list[float]:
        """Terms of all scores, as :attr:`columns` names them; NaN where the true objects are not known."""
        objects = self.objects(maps, truth)
        if objects is None or (self.class_aware and (truth["segmentation"] == IGNORE).all()):
            return [float("nan")] * len(self.columns)
        overlaps = allowed = object_overlaps(objects, truth[INSTANCES])
        if self.class_aware:
            classes = maps["segmentation"].argmax(0), truth["segmentation"]
            allowed = same_class_overlaps(overlaps, objects, truth[INSTANCES], *classes)
        row: list[float] = []
        for threshold in self.thresholds:
            found = count_matches(allowed, threshold)
            row += [found.true_positives, found.false_positives, found.false_negatives, found.iou_sum]
        row += [*aji_terms(overlaps), *aji_terms(overlaps, plus=True)]
        return row + (list(astuple(glas_scores(objects, truth[INSTANCES]))) if self.glas else [])

    def _image(self, row: np.ndarray) -> tuple[list[Matching], np.ndarray, GlasScores]:
        """What a row holds: a Matching per threshold, terms of AJI and AJI+, scores of GlaS."""
        end = 4 * len(self.thresholds)
        found = [Matching(value, *row[4 * i : 4 * i + 4]) for i, value in enumerate(self.thresholds)]
        return found, row[end : end + 4], GlasScores(*row[end + 4 :])

    def _scores(self, found: Sequence[Matching], glas: GlasScores) -> dict[str, float]:
        first, span = f"@{self.thresholds[0]:g}", f"@{self.thresholds[0]:g}:{self.thresholds[-1]:g}"
        scores = {f"f1@{one.threshold:g}": one.f1 for one in found}
        scores[f"ap{first}"] = found[0].average_precision
        if len(found) > 1:
            scores[f"f1{span}"] = sum(one.f1 for one in found) / len(found)
            scores[f"ap{span}"] = sum(one.average_precision for one in found) / len(found)
        scores |= {f"precision{first}": found[0].precision, f"recall{first}": found[0].recall}
        scores |= {"pq": found[0].panoptic_quality, "sq": found[0].mean_matched_iou, "count_error": found[0].count_error}
        if self.glas:
            scores |= {"glas_f1": glas.f1, "glas_object_dice": glas.object_dice}
            scores["glas_object_hausdorff"] = glas.object_hausdorff
        return scores

    def _aji(self) -> tuple[list[float], list[float]]:
        """AJI and AJI+ of each image."""
        terms = [self._image(row)[1] for row in self.table()]
        return [ratio(a, b) for a, b, _, _ in terms], [ratio(a, b) for _, _, a, b in terms]

    def results(self) -> dict[str, float]:
        """Each score over all images, by name; NaN where unknown, infinite for a Hausdorff distance to nothing."""
        images = [self._image(row) for row in self.table() if not np.isnan(row).any()]
        aji, aji_plus = (float(_nan_mean(np.array(values))) for values in self._aji())
        if not images:
            unknown = Matching(0.5, *[float("nan")] * 4)
            scores = dict.fromkeys(self._scores([unknown] * len(self.thresholds), GlasScores()), float("nan"))
        else:
            pooled = [reduce(add, matchings) for matchings in zip(*(found for found, _, _ in images), strict=True)]
            scores = self._scores(pooled, reduce(add, (glas for _, _, glas in images)))
        return {**scores, "aji": aji, "aji_plus": aji_plus}

    def per_image(self) -> dict[str, list[float]]:
        """Columns tp, fp and fn at the first threshold, then each score of the image alone."""
        table = [self._image(row) for row in self.table()]
        first = [found[0] for found, _, _ in table]
        columns = {
            "tp": [float(one.true_positives) for one in first],
            "fp": [float(one.false_positives) for one in first],
            "fn": [float(one.false_negatives) for one in first],
        }
        for found, _, glas in table:
            unknown = np.isnan(found[0].true_positives)
            for name, value in self._scores(found, glas).items():
                columns.setdefault(name, []).append(float("nan") if unknown else value)
        aji, aji_plus = self._aji()
        return {**columns, "aji": aji, "aji_plus": aji_plus}

    def aggregate(self) -> torch.Tensor:
        """F1 over all images at the first threshold."""
        return torch.as_tensor(self.results()[f"f1@{self.thresholds[0]:g}"], dtype=torch.float64)


def _nan_mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    known = np.count_nonzero(~np.isnan(values), axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(values, axis=axis) / np.where(known > 0, known, np.nan)
