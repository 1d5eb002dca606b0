"""A program that stays loaded and predicts a picture whenever it is asked: the side of a program in ``bench others``.

Needs numpy, pillow and tifffile alone, so that it runs in the environment of every program. ``python -m
benchmarks.PROGRAM.speed FOLDER --variant NAME`` reads paths of pictures from the standard input, a line each, and answers each
with a line of JSON: seconds by stage (``[wall, CPU of all threads]``), objects found, and the largest resident memory so far.
With ``--prepare`` it writes what the program needs into ``FOLDER/PROGRAM`` (weights, and maps made of exact masks) and ends.

``FOLDER`` holds ``pictures/NAME.tif``, ``masks/NAME.tif`` (ids of objects, 0 outside) and ``exported``, a data set as
``python -m lazylabels_monai export`` writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

__all__ = ["Clock", "Predict", "objects_in", "peak_memory", "serve"]


class Clock:
    """Seconds of the stages of one prediction.

    Attributes:
        stages: wall seconds and CPU seconds of all threads, by name.
    """

    def __init__(self) -> None:
        self.stages: dict[str, tuple[float, float]] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add what the block takes to a stage."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        before = self.stages.get(stage, (0.0, 0.0))
        self.stages[stage] = (before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu)


#: Predicts the picture of a path under a clock; answers with a map of ids or classes (H, W).
Predict = Callable[[Path, Clock], np.ndarray]


def serve(prepare: Callable[[Path], None], load: Callable[[Path, str], Predict], variants: tuple[str, ...]) -> None:
    """The command line of a program.

    Args:
        prepare: writes what the program needs below a folder; not timed.
        load: gets the folder and the variant, answers with how a picture is predicted. Imports belong into it.
        variants: names, the default first.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with pictures, masks and exported")
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--prepare", action="store_true", help="write what the program needs, predict nothing")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.folder)
        return
    # libraries print what they like: to the standard error
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    predict = load(options.folder, options.variant)
    for line in sys.stdin:
        clock = Clock()
        found = predict(Path(line.rstrip("\n")), clock)
        answer = {"stages": clock.stages, "found": len(np.unique(found)) - 1, "shape": found.shape, "peak": peak_memory()}
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> float:
    """MiB that this process had resident at most."""
    try:  # the other way counts the process that started this one, too
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def objects_in(folder: Path, program: str, stem: str) -> dict[str, np.ndarray]:
    """Arrays that ``--prepare`` made of a picture's exact mask, ``FOLDER/PROGRAM/NAME.npz``."""
    with np.load(folder / program / f"{stem}.npz") as stored:
        return {name: stored[name] for name in stored.files}
