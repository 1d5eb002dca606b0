"""Batches of predictions for the metrics over images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.metrics import (
    ObjectMetric,
)
from lazylabels_monai.tasks import IGNORE

COMPONENTS = InstanceSettings(route="components", min_size=0)


def batch(predicted: np.ndarray, segmentation: np.ndarray, instances: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of class maps 0 .. 2 and the truth, for a network with all three tasks."""
    one_hot = torch.as_tensor(np.eye(3)[predicted]).permute(2, 0, 1)
    rest = torch.zeros(5, *predicted.shape)
    unknown = np.full(predicted.shape, IGNORE)
    rows = [segmentation, unknown, unknown, np.full(predicted.shape, -1) if instances is None else instances]
    return torch.cat([one_hot, rest])[None], torch.as_tensor(np.stack(rows).astype(np.int32))[None]


def three_images() -> Callable[..., ObjectMetric]:
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
