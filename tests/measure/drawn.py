"""Drawn objects, and predictions that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image


def discs(shape, centres, radii) -> np.ndarray:
    """Label map of discs, later ones on top."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.int32)
    for k, ((r, c), radius) in enumerate(zip(centres, radii, strict=True), 1):
        out[(rows - r) ** 2 + (cols - c) ** 2 <= radius**2] = k
    return out


def rectangles(shape, boxes) -> np.ndarray:
    out = np.zeros(shape, np.int32)
    for k, (top, left, height, width) in enumerate(boxes, 1):
        out[top : top + height, left : left + width] = k
    return out


def predictions(folder: Path, count=3, instances=True, seed=1) -> Path:
    folder.mkdir()
    for k in range(count):
        made = make_image((64, 80), seed=(seed, k), radius=(5, 7))
        Image.fromarray(made["classes"]).save(folder / f"s{k}_pred.png")
        if instances:
            tifffile.imwrite(folder / f"s{k}_instances.tif", made["instances"])
    return folder
