"""``python -m benchmarks.random_forest LABELS OUT``: train on the exported labels, write class maps."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from benchmarks.exported import TRAINED, Exported, arguments, main, read_exported, read_image, write_about, write_predictions


def features(image: np.ndarray, sigma_max: float) -> np.ndarray:
    """Smoothed intensity, gradient and Hessian eigenvalues at scales from 1 pixel, doubling, up to ``sigma_max``.

    Args:
        image: (H, W) or (H, W, channels); each channel is brought to mean 0 and deviation 1, as training here does.
        sigma_max: pixels.

    Returns:
        (H, W, features) float32.
    """
    image = image.astype(np.float32)
    image = (image - image.mean((0, 1))) / np.maximum(image.std((0, 1)), 1e-6)
    return multiscale_basic_features(
        image, sigma_min=1, sigma_max=sigma_max, workers=1, channel_axis=-1 if image.ndim == 3 else None
    )


def marked_pixels(exported: Exported, sigma_max: float, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` pixels of each value of each training image: (pixels, features) and their values (pixels,)."""
    rows, values = [], []
    for image, label, _ in exported.training():
        found = features(image, sigma_max)
        for value in np.unique(label[label != exported.unknown]):
            places = np.flatnonzero(label == value)
            places = rng.choice(places, most, replace=False) if len(places) > most else places
            rows.append(found.reshape(-1, found.shape[-1])[places])
            values.append(np.full(len(places), value))
    return np.concatenate(rows), np.concatenate(values)


def run(options: argparse.Namespace) -> None:
    """Train and predict."""
    exported = read_exported(options.labels)
    rows, values = marked_pixels(exported, options.sigma_max, options.pixels, np.random.default_rng(options.seed))
    names = dict(enumerate(("background", *exported.classes, "interface")))
    counts = {names[value]: int((values == value).sum()) for value in np.unique(values)}
    print(f"{len(values)} pixels of {rows.shape[1]} features: {counts}", flush=True)
    forest = forest_of(options).fit(rows, values)
    trained = time.process_time() / 60
    write_predictions(exported, options.out, partial(classify, forest, options.sigma_max), partial(print, flush=True))
    settings = {name: getattr(options, name) for name in ("trees", "pixels", "leaf", "sigma_max")}
    settings[TRAINED] = round(trained, 2)
    write_about(options.out, ("scikit-learn", "scikit-image"), settings)


def forest_of(options: argparse.Namespace) -> RandomForestClassifier:
    """One that has not learnt yet."""
    return RandomForestClassifier(
        options.trees, min_samples_leaf=options.leaf, class_weight="balanced", n_jobs=1, random_state=options.seed
    )


def classify(forest: RandomForestClassifier, sigma_max: float, path: Path) -> np.ndarray:
    """The most probable value of each pixel of an image's file, (H, W)."""
    found = features(read_image(path), sigma_max)
    return forest.predict(found.reshape(-1, found.shape[-1])).reshape(found.shape[:2])


def parse() -> argparse.ArgumentParser:
    """The command line."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--pixels", type=int, default=500, help="at most so many pixels of a value of an image")
    parser.add_argument("--leaf", type=int, default=5, help="pixels in a leaf, at least")
    parser.add_argument("--sigma-max", type=float, default=16, help="largest scale of the filters, pixels")
    return parser


if __name__ == "__main__":
    main(run, parse())
