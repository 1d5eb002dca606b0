"""Lines that tell how far a long piece of work has come. All functions that take long take the same callback."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Progress", "Steps", "clock", "silent"]

#: What is told a line of text; how it is shown is the caller's choice.
Progress = Callable[[str], None]


def silent(line: str) -> None:
    """A :data:`Progress` that shows nothing."""


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


class Steps:
    """Lines ``3/10 a.png, ETA 0:00:07``, one for each finished part of a piece of work.

    Args:
        total: number of parts.
        progress: is told the lines; None tells nobody.
    """

    def __init__(self, total: int, progress: Progress | None = None) -> None:
        self.total, self.done = total, 0
        self._progress, self._start = progress or silent, time.monotonic()

    def step(self, name: str) -> None:
        """Count one more part as finished, and tell."""
        self.done += 1
        eta = (time.monotonic() - self._start) / self.done * (self.total - self.done)
        self._progress(f"{self.done}/{self.total} {name}, ETA {clock(eta)}")
