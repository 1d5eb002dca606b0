"""How good a prediction is.

| module | holds |
|---|---|
| ``pixels`` | Dice per class |
| ``interfaces`` | precision and recall of the interfaces between touching objects |
| ``matching`` | one-to-one matching of objects: F1, AP, panoptic quality, count error; from one table of overlaps |
| ``objects`` | scores that match objects otherwise: AJI, AJI+, and the three of the GlaS challenge |
| ``iteration`` | all of them as MONAI metrics for an evaluator: one row of numbers per image, gathered over processes |

Definitions with formulae and examples stand in ``docs/metrics.md``. Label maps may have any number of axes.
"""

from __future__ import annotations

from lazylabels_monai.metrics.aji_glas import GlasScores, aggregated_jaccard_index, aji_terms, glas_scores
from lazylabels_monai.metrics.interfaces import interface_scores
from lazylabels_monai.metrics.iteration import (
    INSTANCES,
    InterfaceMetric,
    ObjectMetric,
    SegmentationDiceMetric,
    stack_truth,
)
from lazylabels_monai.metrics.matching import (
    IOU_THRESHOLDS,
    Matching,
    ObjectOverlaps,
    match_objects,
    match_overlaps,
    matching,
    matching_per_class,
    object_overlaps,
)
from lazylabels_monai.metrics.pixels import class_dice

__all__ = [
    "INSTANCES",
    "IOU_THRESHOLDS",
    "GlasScores",
    "InterfaceMetric",
    "Matching",
    "ObjectMetric",
    "ObjectOverlaps",
    "SegmentationDiceMetric",
    "aggregated_jaccard_index",
    "aji_terms",
    "class_dice",
    "glas_scores",
    "interface_scores",
    "match_objects",
    "match_overlaps",
    "matching",
    "matching_per_class",
    "object_overlaps",
    "stack_truth",
]
