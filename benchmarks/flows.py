"""What the two versions of Cellpose have in common in ``bench others``.

The network has random weights; objects are made, by Cellpose's own following of flows, of the flows that the exact masks have:
those of random weights would be arbitrary, and so would be the time that they take.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.serving import Clock, Predict, objects_in

__all__ = ["predicting", "write_flows"]

#: What the flows are multiplied by in training, and the score of a pixel for being in an object or not, in logits.
_FLOW, _SURE = 5.0, 6.0


def write_flows(folder: Path, place: str) -> None:
    """For each picture what a network without an error would say, into ``FOLDER/PLACE/NAME.npz``."""
    import torch
    from cellpose.dynamics import labels_to_flows

    for path in sorted((folder / "masks").glob("*.tif")):
        mask = tifffile.imread(path).astype(np.int32)
        # ids, in an object or not, flow along the rows, along the columns
        flows = labels_to_flows([mask], device=torch.device("cpu"))[0]
        cells = np.where(mask > 0, _SURE, -_SURE).astype(np.float32)
        np.savez(folder / place / f"{path.stem}.npz", flow=(_FLOW * flows[2:4]).astype(np.float32), cells=cells)


def predicting(folder: Path, place: str, model: Any, evaluate: Callable[[np.ndarray], object]) -> Predict:
    """How a picture is predicted.

    Args:
        folder, place: where :func:`write_flows` wrote.
        model: a ``CellposeModel``.
        evaluate: runs the network on an image (H, W), with Cellpose's own normalization and tiles, and makes no masks.
    """

    def predict(path: Path, clock: Clock) -> np.ndarray:
        with clock("network"):
            image = tifffile.imread(path)
            evaluate(image)
        exact = objects_in(folder, place, path.stem)
        with clock("objects"):
            shape, flow, cells = (1, *image.shape[:2], 1), exact["flow"][:, None], exact["cells"][None]
            return np.squeeze(model._compute_masks(shape, flow, cells, niter=200, min_size=15))

    return predict
