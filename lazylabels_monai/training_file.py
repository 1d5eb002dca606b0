"""The file beside the checkpoints of a training that says what it is, what it began from and what its end made of that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import write_text

__all__ = ["TRAINING_FILE", "note_beginning", "noted_beginning", "training_facts"]

#: What a resumed training compares itself with; it lies beside the checkpoints and belongs to them, not to the weights.
TRAINING_FILE = "training.json"
#: Its key for :func:`note_beginning`.
_BEGINNING = "beginning"


def note_beginning(folder: str | Path, **facts: Any) -> None:
    """Write down beside the checkpoints what a training began from, and what its end made of that.

    Args:
        folder: of the checkpoints.
        facts: plain data, for :func:`noted_beginning`, until a training begins or goes on there.
    """
    write_text(Path(folder) / TRAINING_FILE, json.dumps({**training_facts(folder), _BEGINNING: facts}, indent=1) + "\n")


def noted_beginning(folder: str | Path) -> dict[str, Any]:
    """What :func:`note_beginning` wrote; empty of a training from nothing, and of those of earlier versions."""
    found = training_facts(folder).get(_BEGINNING)
    return found if isinstance(found, dict) else {}


def training_facts(folder: str | Path) -> dict[str, Any]:
    """What :data:`TRAINING_FILE` of a folder says; empty where there is none, or none that can be read."""
    try:
        found = json.loads((Path(folder) / TRAINING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
