"""Calls timed in turn, so that whatever else the machine does meets them all alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Times", "describe_machine", "interleaved", "spread"]


@dataclass(frozen=True)
class Times:
    """Seconds of one call, one entry a repeat.

    Attributes:
        wall: seconds that passed.
        cpu: CPU seconds of this process, all its threads together.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def median_wall(self) -> float:
        """Median seconds that passed."""
        return float(np.median(self.wall))

    @property
    def median_cpu(self) -> float:
        """Median CPU seconds."""
        return float(np.median(self.cpu))

    def ratio_to(self, other: Times) -> tuple[float, float, float]:
        """Median, smallest and largest of the ratios of CPU seconds, repeat by repeat, of this call to another one.

        Raises:
            ValueError: for another number of repeats.
        """
        ratios = [mine / theirs for mine, theirs in zip(self.cpu, other.cpu, strict=True)]
        return float(np.median(ratios)), min(ratios), max(ratios)


def interleaved(calls: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, Times]:
    """Time each call ``repeats`` times after one warm-up, in turns: a, b, a, b, ...

    Args:
        calls: by name.
        repeats: at least 1.

    Raises:
        ValueError: for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"{repeats} repeats: give at least 1.")
    for call in calls.values():
        call()
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            taken[name][1].append(time.process_time() - cpu)
            taken[name][0].append(time.perf_counter() - wall)
    return {name: Times(tuple(wall), tuple(cpu)) for name, (wall, cpu) in taken.items()}


def describe_machine() -> str:
    """Cores, threads, load, versions and date, in one line of Markdown that names no machine."""
    import torch

    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads, "
        f"load {load} at the end, Python {platform.python_version()}, torch {torch.__version__}"
    )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the smallest and the largest in brackets."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
