"""Probabilities and truth of drawn objects."""

from __future__ import annotations

import numpy as np
import torch
from skimage.draw import disk

from lazylabels_monai.tasks import IGNORE


def _probabilities(segmentation, detection=None, separation=None, num_classes=3):
    """One-hot network output (1, 8, H, W) of given class maps."""
    zeros = np.zeros_like(segmentation)
    maps = [(segmentation, num_classes), (detection, num_classes), (separation, 2)]
    parts = [np.eye(n)[zeros if m is None else m] for m, n in maps]
    return torch.as_tensor(np.concatenate(parts, axis=-1)).permute(2, 0, 1)[None]


def _truth(segmentation, separation=None, instances=None):
    shape = segmentation.shape
    rows = [
        segmentation,
        np.full(shape, IGNORE),
        np.full(shape, IGNORE) if separation is None else separation,
        np.full(shape, -1) if instances is None else instances,
    ]
    return torch.as_tensor(np.stack(rows).astype(np.int32))[None]


def _discs_in_a_row():
    """Three discs of radius 10 that touch: their common component is no match for any of them."""
    ids = np.zeros((40, 80), np.int32)
    for number, column in enumerate((15, 34, 53), start=1):
        ids[disk((20, column), 10.0)] = number
    return ids


def _two_discs(gap):
    """Two discs of radius 10 side by side, ``gap`` background pixels apart."""
    ids = np.zeros((40, 60), np.int32)
    ids[disk((20, 19), 10.0)] = 1
    ids[disk((20, 38 + gap), 10.0)] = 2
    return ids
