"""Colours as eyes see them that lack red or green cones."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

__all__ = ["EYES", "seen_by"]

#: What an eye without red or green cones sees, on linear RGB (Machado et al. 2009, severity 1).
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen_by(eye, colours) -> np.ndarray:
    """CIE Lab of colours (N, 3) from 0 to 255."""
    values = np.asarray(colours, float).reshape(-1, 3) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(EYES[eye]), 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)[None])[0]
