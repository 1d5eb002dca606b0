"""Orders that a window gives a training through its standard input: pause, resume, stop."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from typing import Any

from ignite.engine import Engine, Events

__all__ = ["Obey", "Orders"]


class Orders:
    """Lines that come in: ``pause``, ``resume``, ``stop``; at their end, as when the window was killed, the program ends.

    Args:
        stream: of bytes; default the standard input, read without a buffer: the interpreter aborts where it ends while a thread
            holds the lock of one.
    """

    def __init__(self, stream: Any = None) -> None:
        self.paused, self.stopped = threading.Event(), threading.Event()
        self.obeyed = False
        self._stream = io.FileIO(0, closefd=False) if stream is None else stream
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        for line in self._stream:
            order = line.strip()
            if order == b"pause":
                self.paused.set()
            elif order in (b"resume", b"stop"):
                if order == b"stop":
                    self.stopped.set()
                self.paused.clear()
                if self.stopped.is_set() and not self.obeyed:  # nothing is trained yet
                    os.kill(os.getpid(), signal.SIGTERM)
        if not self.stopped.is_set():  # nobody is there any more
            self.paused.clear()
            os.kill(os.getpid(), signal.SIGTERM)


class Obey:
    """Waits while the training is to pause, and ends it after the step in which it is to stop.

    Args:
        orders: None: there are none.
    """

    def __init__(self, orders: Orders | None) -> None:
        self.orders = orders

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        if self.orders is not None:
            engine.add_event_handler(Events.STARTED, self._begin)
            engine.add_event_handler(Events.ITERATION_STARTED, self._wait)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._stop)

    def _begin(self, engine: Engine) -> None:
        self.orders.obeyed = True

    def _wait(self, engine: Engine) -> None:
        while self.orders.paused.is_set():
            time.sleep(0.05)

    def _stop(self, engine: Engine) -> None:
        if self.orders.stopped.is_set():
            engine.terminate()
