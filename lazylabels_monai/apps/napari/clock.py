"""How long a person draws: the time between two acts, as far as the hand was at work. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["DrawingClock"]

#: Seconds after which a pause is no drawing any more: who looks for the next object needs less.
LONGEST_PAUSE = 20.0


class DrawingClock:
    """Counts the seconds between acts (a stroke, a click, a turn of the wheel); of a pause its first 20 s count.

    Args:
        now: gives seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._last, self._seconds = now, None, 0.0

    def act(self) -> None:
        """A person did something with the picture."""
        now = self._now()
        if self._last is not None:
            self._seconds += min(now - self._last, LONGEST_PAUSE)
        self._last = now

    def take(self) -> float:
        """Seconds since they were last taken; they count anew from here."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def stop(self) -> None:
        """Another picture is looked at: what comes before the next act belongs to nothing."""
        self._last = None
