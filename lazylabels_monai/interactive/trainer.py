"""A training in a process of its own, beside a window that asks how it is. No function here waits for it.

The process is that of the bundle's ``train.yaml`` with ``configs/interactive.yaml``. It tells what happens by a file of events
and obeys lines on its standard input; it ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import written_to
from lazylabels_monai.bundle_folder import bundle_config, find_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.events import Event, EventReader
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.volumes import training_settings
from lazylabels_monai.stopping import ends_with_parent
from lazylabels_monai.trained import WEIGHTS_FILE, learnt_images
from lazylabels_monai.warm_start import NOTHING, STARTER, network_of, weights_named

__all__ = ["ANEW", "LAST", "Trainer", "cores", "last_weights", "training_arguments", "with_network"]

#: Go on from the weights that this project's last training left, or from the starter where there are none.
LAST = "last"

#: Begin from the starter and let go of its answers, where it knows nothing of such pictures.
ANEW = "anew"

#: Seconds after which a training that does not stop is stopped by SIGTERM, and after which by SIGKILL.
PATIENCE = (6.0, 16.0)


def last_weights(out: str | os.PathLike) -> Path | None:
    """The weights that a training in the folder ``out`` left; None where there are none."""
    path = Path(out) / "models" / WEIGHTS_FILE
    return path if path.is_file() else None


class Trainer:
    """Trains on a project, as often as one likes, one training at a time.

    Args:
        project: open.
        out: folder of the training; default ``training`` in the project's. The weights are ``models/model.pt`` in it.
        weights: :data:`LAST`, :data:`ANEW`, ``"starter"`` or the path of a ``model.pt``.
        settings: ids of the configs and their values, such as ``max_epochs=20``.

    Attributes:
        python: the program that runs the process.
        state: ``"idle"``, ``"ready"`` (:meth:`prepare`), ``"running"``, ``"paused"`` or ``"stopping"``.
    """

    def __init__(
        self, project: Project, out: str | os.PathLike | None = None, weights: str | os.PathLike = LAST, **settings: Any
    ) -> None:
        self.project = project
        self.out = Path(os.path.abspath(out if out is not None else project.folder / "training"))
        self.weights, self.settings = weights, settings
        self.python = sys.executable
        self.state = "idle"
        self._process: subprocess.Popen[bytes] | None = None
        self._events: EventReader | None = None
        self._waiting: list[Event] = []
        self._last = Event("epoch")
        self._failed = ""
        self._asked = 0.0
        self._signals = 0

    @property
    def running(self) -> bool:
        """Whether a training runs, pauses or is stopping."""
        return self.state in ("running", "paused", "stopping")

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.out / "training.log"

    @property
    def current_weights(self) -> Path | None:
        """The newest weights of this project; None before the first training."""
        return last_weights(self.out)

    def has_learnt_from(self, entry: ImageEntry) -> bool:
        """Whether the weights that a training would go on from have learnt from an image, so that it measures them no more.

        Weights of earlier versions do not say it: of them it is asked whether the image has marks to train on now.

        Raises:
            LazyLabelsError: when the image cannot be read.
        """
        weights, taught = self.current_weights, entry.section == "training" and bool(entry.drawn)
        if self.running and taught:
            return True
        if weights is None:
            return False
        known = learnt_images(weights)
        return taught if known is None else bool(known) and pixel_digest(read_image(entry.path)) in known

    def prepare(self) -> None:
        """Let a process import what takes seconds, so that :meth:`start` begins at once. Call it when a project is opened.

        Where the operating system tells a child of its parent's end by the thread that started it (Linux), that is the thread
        which calls this: the main one, or one that lives as long.

        Raises:
            LazyLabelsError: when the folder of the training cannot be written.
        """
        if self.running or (self._process is not None and self._process.poll() is None):
            return
        with written_to(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            log = self.log.open("ab")
        # half of the cores: a person draws beside, and a prediction runs; threads that wait for a busy core spin
        environment = {"OMP_NUM_THREADS": str(max(1, cores() // 2)), **os.environ}
        folder = Path(__file__).resolve().parents[2]  # where this package lies, installed or not
        paths = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        self._events = EventReader(self.out / "events.jsonl")
        with log:
            self._process = subprocess.Popen(
                [self.python, "-m", "lazylabels_monai.interactive.child", str(self.out / "events.jsonl")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.out,
                preexec_fn=ends_with_parent(),
            )
        self.state = "ready"

    def start(self) -> None:
        """Begin a training; :meth:`poll` says how it goes. Nothing is done where one runs.

        Raises:
            LazyLabelsError: when no image has marks, the weights are not there, or nothing can be written.
        """
        if self.running:
            return
        drawn = [entry for entry in self.project.images if entry.drawn]
        if not any(entry.section == "training" for entry in drawn):
            raise LazyLabelsError("no image for training has marks: draw inner regions on one first.")
        volumes = training_settings(entry.path for entry in drawn)
        weights = self._weights() if not volumes else self.current_weights or NOTHING  # the starter knows pictures only
        overlays = ("volume.yaml",) if volumes else ()
        anew = {"learns_anew": True} if str(self.weights) == ANEW else {}
        settings = {"orders": True, **anew, **volumes, **self.settings}
        arguments = _arguments(self.project.folder, self.out, weights, overlays, **settings)
        self.prepare()
        self._last, self._failed, self._signals = Event("epoch"), "", 0
        self.state = "running"
        self._order(json.dumps(arguments))

    def pause(self) -> None:
        """Let the training wait before its next step."""
        if self.state == "running":
            self.state = "paused"
            self._order("pause")

    def resume(self) -> None:
        """Let it go on."""
        if self.state == "paused":
            self.state = "running"
            self._order("resume")

    def stop(self) -> None:
        """End the training after its step; the weights as they are then are saved. :meth:`poll` tells when it has ended."""
        if self.running and self.state != "stopping":
            self.state, self._asked = "stopping", time.monotonic()
            self._order("stop")

    def close(self) -> None:
        """End whatever runs, for good: its weights are those of its last epoch. To be called when the window closes."""
        process, self._process = self._process, None
        self.state = "idle"
        if process is None:
            return
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def poll(self) -> list[Event]:
        """What has happened since the last call; the last event of a training is ``"ended"``. Call it often."""
        if self._events is None:
            return []
        ended = self._process.poll() if self._process is not None else None  # before the file is read: nothing comes after it
        found, self._waiting = [*self._waiting, *self._events.read()], []
        for event in found:
            if event.kind in ("epoch", "weights", "validated"):
                self._last = event
            elif event.kind == "sentence" and event.error:
                self._failed = event.sentence
        if ended is not None:
            found += self._ended(ended)
        elif self.state == "stopping":
            self._insist()
        return found

    def _weights(self) -> Path:
        if str(self.weights) == LAST:
            return self.current_weights or weights_named(STARTER)
        return weights_named(STARTER if str(self.weights) == ANEW else self.weights)

    def _order(self, line: str) -> None:
        with suppress(OSError):  # where it has ended, poll will tell
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _insist(self) -> None:
        waited = time.monotonic() - self._asked
        if self._signals < len(PATIENCE) and waited > PATIENCE[self._signals]:
            self._signals += 1
            (self._process.terminate if self._signals == 1 else self._process.kill)()

    def _ended(self, code: int) -> list[Event]:
        asked, ready = self.state == "stopping", self.state == "ready"
        with suppress(OSError):
            self._process.stdin.close()
        self._process, self.state = None, "idle"
        events = []
        if code and not asked and not self._failed:
            self._failed = self._why(code)
            events.append(Event("sentence", self._last.epoch, sentence=self._failed, error=True))
        if ready and not code:
            return events  # nobody had asked for anything
        weights = self.current_weights
        told = "" if asked else self._failed
        return [
            *events,
            Event(
                "ended",
                self._last.epoch,
                self._last.epochs,
                weights=None if weights is None else str(weights),
                sentence=told,
                error=bool(told),
                exit_code=code,
            ),
        ]

    def _why(self, code: int) -> str:
        """Of a process that said nothing itself."""
        kept = f"the weights of epoch {self._last.epoch} are kept, and Train goes on from them"
        kept = kept if self._last.epoch else "nothing was changed, and Train begins again"
        if code in (-signal.SIGTERM, 128 + signal.SIGTERM):
            return f"the training was ended by another program: {kept}."
        if code < 0:
            memory = ", as a system does when its memory runs out: close other programs" if code == -9 else ""
            return f"the training was ended by the system (signal {-code}){memory}; {kept}."
        return f"the training ended with code {code} (see {self.log}); {kept}."


def training_arguments(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    weights: str | os.PathLike,
    overlays: Sequence[str] = (),
    **settings: Any,
) -> list[str]:
    """Arguments of ``python -m monai.bundle`` for a training of a project.

    Args:
        folder: of the project.
        out: of the training.
        weights: a ``model.pt`` from which it begins, or "nothing".
        overlays: of ``configs/``, after that of such a training.
        settings: ids of the configs and their values.
    """
    return with_network(_arguments(folder, out, weights, overlays, **settings))


def with_network(arguments: Sequence[str]) -> list[str]:
    """Arguments with the settings of the network of the weights from which they begin, where they give no others.

    That imports the networks, and MONAI with them, which takes seconds: a window leaves it to the process of the training.
    """
    given = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    begun = given["--init_weights"]
    found = {} if begun == NOTHING else network_of(begun)
    return [*arguments, *_options({name: value for name, value in found.items() if f"--{name}" not in given})]


def _arguments(
    folder: str | os.PathLike, out: str | os.PathLike, weights: str | os.PathLike, overlays: Sequence[str] = (), **settings: Any
) -> list[str]:
    """Those that nothing of the weights must be known for."""
    files = [str(bundle_config(None, "train.yaml")), *(str(find_overlay(name)) for name in ("interactive.yaml", *overlays))]
    given = {
        "config_file": repr(files),
        "dataset_dir": os.path.abspath(folder),
        "output_dir": os.path.abspath(out),
        "ckpt_dir": os.path.join(os.path.abspath(out), "models"),
        "init_weights": weights if weights == NOTHING else os.path.abspath(weights),
        **settings,
    }
    return ["run", "training", *_options(given)]


def _options(given: Mapping[str, Any]) -> list[str]:
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
