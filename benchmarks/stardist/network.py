"""StarDist's network as its trained 2D models have it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.masks import grey

if TYPE_CHECKING:
    from stardist.models import StarDist2D

__all__ = ["RAYS", "normalized", "star_dist_2d"]

#: Directions in which the distance to an object's border is predicted, and pixels between two predictions: those of
#: "2D_versatile_fluo" and of StarDist's examples. Depth, widths and the rest are the program's defaults.
RAYS, GRID = 32, (2, 2)


def star_dist_2d(folder: Path, new: bool = False, **training: Any) -> StarDist2D:
    """The model in a folder.

    Args:
        folder: of the model.
        new: make one with random weights; otherwise weights are read.
        training: settings of the training of a new one, by StarDist's names.
    """
    from stardist.models import Config2D, StarDist2D

    config = Config2D(n_rays=RAYS, grid=GRID, train_tensorboard=False, **training) if new else None
    return StarDist2D(config, name=folder.name, basedir=str(folder.parent))


def normalized(image: np.ndarray) -> np.ndarray:
    """(H, W) float32; percentiles 1 and 99.8 become 0 and 1, as in StarDist's examples. Colours become grey."""
    from csbdeep.utils import normalize

    return normalize(grey(image), 1, 99.8)
