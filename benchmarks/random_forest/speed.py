"""The random forest's side of ``bench others``: ``python -m benchmarks.random_forest.speed``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.serving import Clock, Predict, serve


def prepare(folder: Path) -> None:
    """Learn from the exported set with the settings of the comparison: how deep the trees grow decides how fast they are."""
    import pickle

    from benchmarks.exported import read_exported
    from benchmarks.random_forest.__main__ import forest_of, marked_pixels, parse

    options = parse().parse_args(["", ""])
    marked = marked_pixels(
        read_exported(folder / "exported"), options.sigma_max, options.pixels, np.random.default_rng(options.seed)
    )
    place = folder / "random_forest"
    place.mkdir(exist_ok=True)
    (place / "forest.pickle").write_bytes(pickle.dumps((forest_of(options).fit(*marked), options.sigma_max)))


def load(folder: Path, variant: str) -> Predict:
    """The forest that :func:`prepare` left; its own file, so that unpickling it runs nobody else's code."""
    import pickle

    from benchmarks.random_forest.__main__ import classify

    forest, sigma_max = pickle.loads((folder / "random_forest" / "forest.pickle").read_bytes())

    def predict(path: Path, clock: Clock) -> np.ndarray:
        with clock("network"):
            return classify(forest, sigma_max, path)

    return predict


if __name__ == "__main__":
    serve(prepare, load, ("forest",))
