"""How the window does what may go wrong: in place, or in a thread of its own; errors become sentences."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["Work"]


class Work:
    """Does what it is given.

    Args:
        say: takes a sentence, and whether it tells of something that went wrong.
    """

    def __init__(self, say: Callable[[str, bool], None]) -> None:
        self.say = say
        self._workers: list[Any] = []

    def attempt(self, act: Callable[[], Any]) -> bool:
        """Do something; what a person can mend is said in the window, and False comes back."""
        try:
            act()
        except (LazyLabelsError, OSError) as error:
            self.say(str(error), True)
            return False
        return True

    def behind(self, act: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something in a thread of its own and hand its result to ``then`` in this one; errors are said as sentences."""

        def failed(error: Exception) -> None:
            if isinstance(error, LazyLabelsError | OSError):
                self.say(str(error), True)
                return
            traceback.print_exception(error)  # a fault of ours
            self.say(f"this is a fault of the program ({type(error).__name__}: {error}); the terminal says more.", True)

        worker = create_worker(act, _start_thread=False, _ignore_errors=True)  # napari would show a traceback, too
        worker.returned.connect(then)
        worker.errored.connect(failed)
        worker.finished.connect(lambda: self._workers.remove(worker))
        self._workers.append(worker)
        worker.start()
