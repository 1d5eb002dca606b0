"""How fast this machine scores objects: ``python -m lazylabels_monai.bench.metrics``. Nothing is asserted on the figures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from lazylabels_monai.bench.labels import disc_map
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.metrics.aji_glas import aggregated_jaccard_index, glas_scores
from lazylabels_monai.metrics.interfaces import interface_scores
from lazylabels_monai.metrics.matching import IOU_THRESHOLDS, matching

__all__ = ["format_metric_bench", "run_metric_bench"]


def run_metric_bench(size: tuple[int, int] = (2048, 2048), objects: int = 5000, repeats: int = 3) -> dict[str, object]:
    """Time each score of objects on two maps of discs about the same grid, displaced and of other radii.

    CPU time, which other jobs of the machine change little; all scores run in one thread.

    Args:
        size: (H, W) of the maps in pixels.
        objects: about how many discs in each.
        repeats: timed calls of each; the median counts.

    Returns:
        ``size``, ``predicted`` and ``true`` (numbers of objects), ``matched`` (pairs at IoU 0.5), and CPU seconds by score.

    Raises:
        ValueError: for fewer than one object or repeat, and sizes below 8 pixels.
    """
    if min(size) < 8 or objects < 1 or repeats < 1:
        raise ValueError(f"{repeats} repeats on {size[0]} x {size[1]} pixels with {objects} objects: give more of them.")
    predicted, truth = disc_map(size, objects, seed=1), disc_map(size, objects, seed=0)
    separation, marked = interfaces(truth), interfaces(predicted) > 0
    calls: dict[str, Callable[[], object]] = {
        "matching at one IoU": lambda: matching(predicted, truth),
        "matching at ten IoUs": lambda: matching(predicted, truth, IOU_THRESHOLDS),
        "AJI": lambda: aggregated_jaccard_index(predicted, truth),
        "AJI+": lambda: aggregated_jaccard_index(predicted, truth, plus=True),
        "GlaS F1 and Dice": lambda: glas_scores(predicted, truth, hausdorff=False),
        "GlaS with Hausdorff": lambda: glas_scores(predicted, truth),
        "interfaces": lambda: interface_scores(marked, separation, truth),
    }
    found = matching(predicted, truth)
    result: dict[str, object] = {
        "size": tuple(size),
        "predicted": found.n_predicted,
        "true": found.n_truth,
        "matched": found.true_positives,
    }
    return result | {name: _median_seconds(call, repeats) for name, call in calls.items()}


def _median_seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times))


def format_metric_bench(result: dict[str, object]) -> str:
    """A line for the maps and one for each score."""
    height, width = result["size"]
    counts = f"{result['predicted']} predicted and {result['true']} true objects, {result['matched']} matched"
    times = [f"{name:<22}{value:.3f} CPU s" for name, value in result.items() if isinstance(value, float)]
    return "\n".join([f"maps of {height} x {width} pixels, {counts}", *times])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the scores of objects on two maps of discs.")
    parser.add_argument("--height", type=int, default=2048, help="rows of the maps")
    parser.add_argument("--width", type=int, default=2048, help="columns of the maps")
    parser.add_argument("--objects", type=int, default=5000, help="discs in each map, about")
    given = parser.parse_args()
    print(format_metric_bench(run_metric_bench((given.height, given.width), given.objects)))
