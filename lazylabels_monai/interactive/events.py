"""What a training tells a window, as lines of JSON in a file: the training appends each in one step, the window reads on.

Nothing is read out of what a training prints for people.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Event", "EventReader", "EventWriter"]

#: Kinds of events.
KINDS = ("epoch", "validated", "weights", "sentence", "ended")


@dataclass(frozen=True)
class Event:
    """Something that happened in a training.

    Args:
        kind: ``"epoch"`` an epoch was trained; ``"validated"`` it was scored; ``"weights"`` new ones are there; ``"sentence"``
            something to tell the person; ``"ended"`` the process has ended.
        epoch: how many were trained so far.
        epochs: how many there will be.
        seconds: since the training began; of the epoch or the validation with ``kind`` of these.
        losses: mean of the epoch by task.
        dice: mean Dice of the validation images with an exact mask, 0 to 1; None where none has one.
        loss: on the marks of the validation images; None where there are none.
        images: that were trained on, or that validated.
        learnt: names of those that validated though the weights have learnt from them.
        eta: seconds until all epochs are done.
        weights: path of the file.
        sentence: for the person.
        error: whether the sentence says what ended the training.
        exit_code: of the process; negative: the signal that ended it.
    """

    kind: str
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    dice: float | None = None
    loss: float | None = None
    images: int = 0
    learnt: list[str] = field(default_factory=list)
    eta: float | None = None
    weights: str | None = None
    sentence: str = ""
    error: bool = False
    exit_code: int | None = None


_NAMES = {one.name for one in fields(Event)}


class EventWriter:
    """Appends events to a file.

    Args:
        file: made where missing.
    """

    def __init__(self, file: str | os.PathLike) -> None:
        self.file = Path(file)

    def write(self, event: Event) -> None:
        """Append one line, whole: a kill leaves none that is half there among others."""
        plain = asdict(Event(event.kind))
        values = {name: _plain(value) for name, value in asdict(event).items() if name == "kind" or value != plain[name]}
        line = json.dumps(values, allow_nan=False).encode() + b"\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


class EventReader:
    """Reads the events that come.

    Args:
        file: need not be there yet. What is in it already is not read.
    """

    def __init__(self, file: str | os.PathLike) -> None:
        self.file = Path(file)
        self.position = self.file.stat().st_size if self.file.is_file() else 0

    def read(self) -> list[Event]:
        """Events since the last call; a line that is not whole yet waits, one that means nothing is passed over."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.position)
                content = stream.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.position += len(whole)
        return [event for line in whole.splitlines() if (event := _parsed(line)) is not None]


def _parsed(line: bytes) -> Event | None:
    try:
        values = json.loads(line)
        if isinstance(values, Mapping) and values.get("kind") in KINDS:
            return Event(**{name: value for name, value in values.items() if name in _NAMES})
    except (ValueError, TypeError, RecursionError):
        pass
    return None


def _plain(value: Any) -> Any:
    """Numbers that JSON has; what is no number says nothing."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
