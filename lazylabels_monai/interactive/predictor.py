"""Predictions that come while one works: a process that keeps a network loaded, asked without waiting."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.interactive.answering import PICTURES, Load, Prediction, Region, Request
from lazylabels_monai.interactive.trainer import cores
from lazylabels_monai.stopping import ends_with_parent

__all__ = ["Prediction", "WarmPredictor"]


class WarmPredictor:
    """Answers for pictures in a process of its own; no function waits for it. The newest request wins.

    Like a trainer it is to be made by the main thread, or one that lives as long. A process that has ended, as when the memory
    was too little, is started again by the next request, and :meth:`poll` says so.

    Attributes:
        python: the program that runs the process.
    """

    def __init__(self) -> None:
        self.python = sys.executable
        self._weights: Path | None = None
        self._sent: dict[str, np.ndarray] = {}
        self._found: queue.SimpleQueue[Prediction] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, which takes seconds to import; requests do it, too."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        # all cores, as somebody waits
        environment = {"OMP_NUM_THREADS": str(cores()), **os.environ}
        folder = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, environment.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [self.python, "-m", "lazylabels_monai.interactive.answering"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            preexec_fn=ends_with_parent(),
        )
        self._out = queue.SimpleQueue()
        self._sent = {}
        threading.Thread(target=_sending, args=(self._out, self._process), daemon=True).start()
        threading.Thread(target=_receiving, args=(self._found, self._process), daemon=True).start()
        if self._weights is not None:
            self._out.put(Load(str(self._weights)))

    def load(self, weights: str | os.PathLike) -> None:
        """Take these weights from the next answer on. To be called again when the file was replaced.

        What is wrong with them is the ``sentence`` of a :class:`Prediction`.
        """
        self._weights = Path(os.path.abspath(weights))
        if self._process is None or self._process.poll() is not None:
            self.start()
        else:
            self._out.put(Load(str(self._weights)))

    def request(
        self,
        entry_name: str,
        picture: np.ndarray,
        view: Region | None = None,
        token: Any = None,
        volume: bool = False,
    ) -> None:
        """Ask for a picture; what was asked before and is not answered yet is dropped. Only the last answer for a picture, once
        it is being computed, is dropped for no other request than one for another picture, of the same name too. That answer is
        of the whole picture, exactly that of ``lazylabels predict``.

        Args:
            entry_name: of the picture.
            picture: (H, W[, C]) as :func:`~lazylabels_monai.interactive.image_files.read_picture` gives it. The same array as
                before is not sent again.
            view: rows and columns on the screen, which are answered first; None: the picture as a whole.
            token: comes back with the answers: plain data.
            volume: the picture is a volume (Z, Y, X), of which that answer is the only one.
        """
        self.start()
        known = self._sent.get(entry_name) is picture
        if not known:
            self._sent.pop(entry_name, None)
            while len(self._sent) >= PICTURES - 1:  # fewer than the process keeps
                del self._sent[next(iter(self._sent))]
            self._sent[entry_name] = picture
        self._out.put(Request(entry_name, None if known else picture, view, token, volume))

    def poll(self) -> list[Prediction]:
        """Answers since the last call, in the order in which they were made."""
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self._found.get_nowait())
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process = None
            memory = (
                ", as when the memory is too little: close other programs, or show a part of the picture" if code == -9 else ""
            )
            sentence = f"the prediction was ended (code {code}){memory}; the next request starts it again."
            found.append(Prediction(None, "", last=True, sentence=sentence))
        return found

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._out.put(None)
        if process is not None:
            process.kill()
            process.wait()


def _sending(messages: queue.SimpleQueue[Any], process: subprocess.Popen[bytes]) -> None:
    """Hand messages on: a picture may be larger than what a pipe takes at once."""
    while (message := messages.get()) is not None:
        try:
            pickle.dump(message, process.stdin, protocol=5)
            process.stdin.flush()
        except (OSError, ValueError):
            return


def _receiving(found: queue.SimpleQueue[Prediction], process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            found.put(pickle.load(process.stdout))  # of our own process
        except Exception:  # it has ended, as poll tells
            return
