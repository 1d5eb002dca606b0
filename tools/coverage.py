"""How often the intervals of ``measure`` hold the truth, on simulated images whose truth is known.

    .venv/bin/python tools/coverage.py [--images 200] [--data-sets 200] [--seed 0] [--processes 2]

Each image is a window of 256 x 320 pixels in a larger field of the built-in microstructure. The truth comes from the whole
field, where no border cuts an object: the objects with their centroid in the window, at their full size.
For the results and how to read them see docs/measurements.md. Three questions:

- one image: 10 imaging conditions (magnification, mixture, density); the truth of a condition is that of all its windows;
  the intervals are those over tiles.
- a data set of 3, 6 or 12 images: each field has a condition of its own; the fields are the population, whose truth is
  known, and data sets are drawn from it at random with replacement; the intervals are those over images.
- 4 images of few objects whose sizes differ manifold between images, where nothing is painted: diameters are lognormal (0.4)
  times a lognormal factor of the image (0.3, 0.6, 0.9), 1 and Poisson 6 of them an image. ``--factors-alone``: only this.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

from lazylabels_monai.data.simulating import microstructures
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.measure import STATISTICS, ImageMeasurements, measure_image, measure_objects, summarize

SIZE, RADIUS, CONDITIONS, DATA_SET_SIZES = (256, 320), (9.0, 20.0), 10, (3, 6, 12)
FACTORS, IMAGES_OF_FACTORS = (0.3, 0.6, 0.9), 4
NAMES = [name.format(u="px") for name in STATISTICS]
CLASSES = range(1, len(CLASS_NAMES) + 1)
Field = tuple[ImageMeasurements, list[np.ndarray]]


def make_field(seeds: tuple[Sequence[int], Sequence[int]]) -> Field:
    """Measurements of one window, and the true diameters of each class's objects whose centroid it holds."""
    # the labels of make_image, without its grey values, which take most of the time
    condition, rng = microstructures.draw_condition(np.random.default_rng(seeds[0]), RADIUS), np.random.default_rng(seeds[1])
    margin = math.ceil(3 * condition.radius)
    size = tuple(n + 2 * margin for n in SIZE)
    packed = microstructures.pack_objects(size, rng, condition.radius, condition.spread, condition.bubbles, condition.fill)
    instances, classes, _ = microstructures.paint_objects(packed, size)
    whole, diameters = measure_objects(instances, classes), []
    for axis, n in zip(("row", "col"), SIZE, strict=True):
        whole = whole[whole[f"centroid_{axis}_px"].between(margin - 0.5, margin + n - 0.5, inclusive="left")]
    for k in CLASSES:
        diameters.append(whole.loc[whole["class"] == k, "equivalent_diameter_px"].to_numpy())
    window = tuple(slice(margin, margin + n) for n in SIZE)
    return measure_image(instances[window], classes[window], class_names=CLASS_NAMES), diameters


def truth(fields: Sequence[Field]) -> np.ndarray:
    """(classes, statistics) of all objects of the fields."""
    area, rows = len(fields) * math.prod(SIZE), []
    for k in CLASSES:
        diameters = np.concatenate([objects[k - 1] for _, objects in fields])
        phase = sum(measured.tile_class_pixels[k - 1].sum() for measured, _ in fields)
        rows.append([len(diameters) / area, phase / area, diameters.mean(), *np.quantile(diameters, (0.5, 0.1, 0.9))])
    return np.array(rows)


def estimate(task: tuple[list[ImageMeasurements], str, int]) -> np.ndarray:
    """(3, classes, statistics): value, low, high."""
    measured, border, seed = task
    table = summarize(measured, border=border, resamples=400, seed=seed, scopes=("all",))
    return np.stack([table[[f"{name}{end}" for name in NAMES]].to_numpy() for end in ("", "_low", "_high")])


def report(title: str, estimates: np.ndarray, true: np.ndarray) -> None:
    """Print bias, coverage and width: ``estimates`` (N, 3, classes, statistics), ``true`` broadcasts to (N, classes, ...)."""
    value, low, high = np.moveaxis(estimates, 1, 0)
    known = np.isfinite(low)
    covered = np.where(known, (low <= true) & (true <= high), np.nan)
    print(f"\n{title}: {len(value)} x {len(CLASSES)} classes")
    print(f"{'':<26}{'error of mean':>15}{'coverage':>10}{'half width':>12}")
    for s, name in enumerate(NAMES):
        bias = np.nanmean(value[..., s] / np.broadcast_to(true, value.shape)[..., s]) - 1
        width = np.nanmedian(((high - low) / 2 / true)[..., s])
        print(f"{name:<26}{bias:>+14.1%} {np.nanmean(covered[..., s]):>9.1%}{width:>12.1%}")


def sizes_by_factor(factor: float, data_sets: int, seed: int) -> None:
    """Print the coverage of the statistics of sizes where images differ by a lognormal factor."""
    rng, names = np.random.default_rng((seed, 4, round(100 * factor))), NAMES[2:]
    painted = np.zeros((20, 20), np.int32)
    painted[8:13, 8:13] = 1
    empty = measure_image(painted)

    def summary(count: int) -> dict[str, float]:
        images = []
        for number in range(count):
            sizes = 20 * np.exp(rng.normal(0, factor) + rng.normal(0, 0.4, 1 + rng.poisson(6)))
            objects = empty.objects.iloc[[0] * len(sizes)].reset_index(drop=True)
            images.append(replace(empty, name=str(number), objects=objects.assign(equivalent_diameter_px=sizes)))
        return summarize(images, border="none", resamples=400, seed=seed, scopes=("all",)).iloc[0].to_dict()

    true = summary(2000)
    rows = [summary(IMAGES_OF_FACTORS) for _ in range(data_sets)]
    held = [np.mean([row[f"{name}_low"] <= true[name] <= row[f"{name}_high"] for row in rows]) for name in names]
    words = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, held, strict=True))
    print(f"{IMAGES_OF_FACTORS} images that differ by a lognormal factor of {factor}: coverage {words}")


def main() -> None:
    """Simulate, estimate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="single images, a multiple of 10")
    parser.add_argument("--data-sets", type=int, default=200, help="data sets of each size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--factors-alone", action="store_true", help="only images that differ by a factor")
    options = parser.parse_args()
    for factor in FACTORS:
        sizes_by_factor(factor, options.data_sets, options.seed)
    if options.factors_alone:
        return
    each, population, start = max(options.images // CONDITIONS, 1), max(options.images * 3 // 2, 12), time.monotonic()
    seed, rng = options.seed, np.random.default_rng((options.seed, 9))
    single = [((seed, 0, c), (seed, 1, c, i)) for c in range(CONDITIONS) for i in range(each * 3 // 2)]
    varied = [((seed, 2, i), (seed, 3, i)) for i in range(population)]
    with get_context("spawn").Pool(options.processes) as pool:
        fields = pool.map(make_field, single + varied, chunksize=4)
        by_condition = [fields[i : i + each * 3 // 2] for i in range(0, len(single), each * 3 // 2)]
        fields = fields[len(single) :]
        print(f"seed {seed}; {len(single) + population} fields in {time.monotonic() - start:.0f} s")
        observed = [measured for group in by_condition for measured, _ in group[:each]]
        true = np.repeat([truth(group) for group in by_condition], each, axis=0)
        for border in ("ml", "none"):
            found = pool.map(estimate, [([m], border, seed) for m in observed], chunksize=8)
            report(f"one image, border {border}, intervals over tiles", np.array(found), true)
        for count in DATA_SET_SIZES:
            draws = rng.integers(0, population, (options.data_sets, count))
            for border in ("ml", "none"):
                if border == "ml" or count == DATA_SET_SIZES[-1]:
                    tasks = [([fields[i][0] for i in draw], border, seed) for draw in draws]
                    title = f"data sets of {count} images, border {border}, intervals over images"
                    report(title, np.array(pool.map(estimate, tasks, chunksize=8)), truth(fields))
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
