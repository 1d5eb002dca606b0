"""How fast this machine makes lazy labels, and in how much memory. Figures for people; nothing is asserted on them."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.inner import STYLES, inner_regions
from lazylabels_monai.labels.interfaces import interface_labels

__all__ = ["disc_map", "format_label_bench", "run_label_bench"]


def disc_map(size: tuple[int, int], objects: int, seed: int = 0) -> np.ndarray:
    """Discs about a grid, most of which touch their neighbours.

    Args:
        size: (H, W) in pixels.
        objects: about how many discs, 1 or more.
        seed: of their places and radii.

    Returns:
        (H, W) int32 ids 1..n, 0 between the discs.
    """
    rng = np.random.default_rng(seed)
    spacing = (size[0] * size[1] / objects) ** 0.5
    out = np.zeros(size, np.int32)
    index = 0
    for row in np.arange(spacing / 2, size[0], spacing):
        for column in np.arange(spacing / 2, size[1], spacing):
            index += 1
            y, x = np.array([row, column]) + rng.uniform(-0.1, 0.1, 2) * spacing
            radius = spacing * rng.uniform(0.42, 0.55)
            box = tuple(slice(max(int(c - radius), 0), int(c + radius) + 2) for c in (y, x))
            part = out[box]
            rows, columns = np.ogrid[tuple(slice(s.start, s.start + n) for s, n in zip(box, part.shape, strict=True))]
            part[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = index
    return out


def _peak() -> float:
    """Most memory that this process has held, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _measure(task: tuple[str, tuple[int, int], int]) -> dict[str, float]:
    """One step in its own process; see :func:`run_label_bench`."""
    what, size, objects = task
    instances = disc_map(size, objects)
    if what == "stroke":
        inner_regions(instances[:50, :50], style=what)  # imports
    before, start, cpu = _peak(), time.perf_counter(), time.process_time()
    if what == "interfaces":
        found = len(interface_labels(instances)[1])
    else:
        inner_regions(instances, style=what)
        found = int(instances.max())
    return {
        "seconds": time.perf_counter() - start,
        "CPU seconds": time.process_time() - cpu,
        "peak MiB": _peak(),
        "before MiB": before,
        "found": found,
    }


def run_label_bench(
    size: tuple[int, int] = (2000, 2000), objects: int = 1200, steps: Sequence[str] = (*STYLES, "interfaces")
) -> dict[str, object]:
    """Time and memory of inner regions in each style, and of interfaces, on a map of discs.

    Every step runs in a process of its own, since a process never forgets its peak.

    Args:
        size: (H, W) of the map in pixels.
        objects: about how many discs.
        steps: styles, or ``"interfaces"``.

    Returns:
        ``size``, and per step ``{"seconds", "CPU seconds", "peak MiB" (of the process, map and libraries included),
        "before MiB", "found" (objects or touching pairs)}``.

    Raises:
        LazyLabelsError: for sizes below 8 pixels and fewer than one object.
    """
    if min(size) < 8 or objects < 1:
        raise LazyLabelsError(f"a map of {size[0]} x {size[1]} pixels with {objects} objects is too small: give more of them.")
    result: dict[str, object] = {"size": tuple(size)}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for step in steps:
            result[step] = pool.apply(_measure, ((step, tuple(size), objects),))
    return result


def format_label_bench(result: dict[str, object]) -> str:
    """A line for each step."""
    height, width = result["size"]
    lines = [f"labels of a map of {height} x {width} pixels"]
    for step, row in result.items():
        if step != "size":
            if len(lines) == 1:
                lines.append(f"{'':<12}" + "".join(f"{key:>13}" for key in row))
            lines.append(f"{step:<12}" + "".join(f"{v:>13.2f}" if "sec" in k else f"{v:>13.0f}" for k, v in row.items()))
    return "\n".join(lines)
