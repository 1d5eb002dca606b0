"""A part of a stage that takes a moment, light enough for workers that start anew."""

from __future__ import annotations

import os
import time
from pathlib import Path


def slow_part(folder: str, index: int) -> None:
    """As ``work`` does: nothing when it is done, else the result in one step, and a line that says who did it."""
    done = Path(folder) / f"{index}.done"
    if done.exists():
        return
    time.sleep(0.05)
    with open(Path(folder) / "log", "a") as file:
        file.write(f"{index}\n")
    unfinished = done.with_suffix(f".{os.getpid()}")
    unfinished.write_text(str(os.getpid()))
    os.replace(unfinished, done)


def failing_part(folder: str, index: int) -> None:
    """Raise at one of them."""
    if index == 3:
        raise ValueError("part 3 is broken")
    slow_part(folder, index)
