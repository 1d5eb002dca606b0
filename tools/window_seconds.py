#!/usr/bin/env python
"""Seconds that the window itself takes to show another picture, from one without and from one with its prediction.

    xvfb-run --auto-servernum --server-args "-screen 0 1920x1200x24" python tools/window_seconds.py [--size 512] [--repeats 5]

Built-in images and the starter's predictions, which are there before the clock starts: what is timed is done by the window's
own process alone. Median and range on the clock, and the seconds of CPU that this process took.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "0")  # OpenGL in software by the thread that asks

from qtpy.QtWidgets import QApplication

from lazylabels_monai.apps.napari.opening import open_window
from lazylabels_monai.data.simulating.synthetic import make_dataset

#: Pixels of the window.
WINDOW = (1280, 800)


def spin(seconds: float, until: Callable[[], bool]) -> None:
    """Let the window live until something is true."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError
        QApplication.processEvents()
        time.sleep(0.01)


def measured(size: int, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds on the clock and of CPU, by what was done."""
    taken: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        QApplication.processEvents()
        clock, cpu = time.perf_counter(), time.process_time()
        act()
        QApplication.processEvents()
        taken.setdefault(name, []).append((time.perf_counter() - clock, time.process_time() - cpu))

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        make_dataset(project, num_train=4, num_validation=1, num_test=1, size=(size, size), strong=0, detection=0, separation=0)
        viewer, dock = open_window()
        viewer.window._qt_window.resize(*WINDOW)
        session = dock.session
        session.predictions.ahead = False
        dock.open(project)
        images = [entry for entry in session.current.project.images if entry.section == "training"]
        session.show(images[-1])
        for turn in range(repeats):
            timed("another picture, nothing predicted yet", lambda turn=turn: session.show(images[turn % len(images)]))
        for turn in range(repeats):
            session.predictions.predict()
            spin(120, lambda: session.current.seen is not None and session.current.seen.whole)
            timed(
                "another picture, from one with its prediction",
                lambda turn=turn: session.show(images[(turn + 1) % len(images)]),
            )
        viewer.close()
    return taken


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the images in pixels")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print("| | on the clock | CPU |\n|---|---|---|")
    for name, rows in measured(given.size, given.repeats).items():
        clocks, cpus = zip(*rows, strict=True)
        spread = f"{statistics.median(clocks):.2f} ({min(clocks):.2f} to {max(clocks):.2f})"
        print(f"| {name} | {spread} | {statistics.median(cpus):.2f} |", flush=True)
    os._exit(0)  # nothing waits for what OpenGL leaves


if __name__ == "__main__":
    main()
