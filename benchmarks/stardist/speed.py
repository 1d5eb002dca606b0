"""StarDist's side of ``bench others``: ``python -m benchmarks.stardist.speed``.

Its network with random weights; objects are made, by its own non-maximum suppression, of the probabilities and distances that
the exact masks have: those of random weights would be arbitrary, and so would be the time that they take.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from benchmarks.serving import Clock, Predict, objects_in, serve
from benchmarks.stardist.network import GRID, RAYS, normalized, star_dist_2d

PLACE = "stardist"


def prepare(folder: Path) -> None:
    """Random weights, and for each picture what a network without an error would say."""
    from stardist.geometry import star_dist
    from stardist.utils import edt_prob

    model = star_dist_2d(folder / PLACE / "model", new=True)
    model.keras_model.save_weights(str(folder / PLACE / "model" / "weights_best.h5"))
    for path in sorted((folder / "masks").glob("*.tif")):
        mask = tifffile.imread(path).astype(np.int32)
        there = tuple(slice(None, None, step) for step in GRID)
        probability = edt_prob(mask)[there]
        np.savez(folder / PLACE / f"{path.stem}.npz", prob=probability, dist=star_dist(mask, RAYS, grid=GRID))


def load(folder: Path, variant: str) -> Predict:
    """The model of :func:`prepare`; a picture is predicted as a whole, the program's default."""
    model = star_dist_2d(folder / PLACE / "model")

    def predict(path: Path, clock: Clock) -> np.ndarray:
        with clock("network"):
            image = normalized(tifffile.imread(path))
            model.predict(image)
        exact = objects_in(folder, PLACE, path.stem)
        with clock("objects"):
            distances = np.maximum(exact["dist"], 1e-3)  # as predict() does
            return model._instances_from_prediction(image.shape, exact["prob"], distances, verbose=False)[0]

    return predict


if __name__ == "__main__":
    serve(prepare, load, ("2D_versatile_fluo",))
