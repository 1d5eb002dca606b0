"""What the options of several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import require_free
from lazylabels_monai.option_text import read_names

__all__ = [
    "CLASSES_HELP",
    "COUNT",
    "LABELLED",
    "end_status_line",
    "failure",
    "give_json",
    "names",
    "require_free_json",
    "status_line",
]

#: Help of ``--classes``.
CLASSES_HELP = "names of the object classes 1, 2, ..., separated by commas, or a JSON list"

#: Help of an option that counts training images.
COUNT = "a count of training images (1 or more), a share (below 1) or 'all'"

#: Help of an option that says how many training images get a label.
LABELLED = f"{COUNT}; or hours of work by the cost model, such as 2.5h"


def names(value: str | None) -> list[str] | None:
    """The names of ``--classes a,b`` or ``--classes '["a", "b, c"]'``; None where the option was not given."""
    return read_names(value) if value else None


def failure(path: str, reason: str) -> str:
    """The line about an image that could not be used, which names it once."""
    return f"error: {reason}" if path in reason else f"error: '{path}': {reason}"


def status_line(line: str) -> None:
    """Show how far a command is in one line of the terminal, over the last one; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def end_status_line() -> None:
    """Wipe the line that :func:`status_line` left."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def require_free_json(file: str | None, overwrite: bool) -> None:
    """Refuse to replace the file of ``--json``; - is standard output."""
    if file not in (None, "-"):
        require_free(Path(file), overwrite)


def give_json(file: str | None, content: Mapping[str, Any]) -> None:
    """What ``--json`` asks for: into a file, on standard output (-), or nothing (None)."""
    if file is None:
        return
    text = json.dumps(content, indent=1)
    if file == "-":
        print(text)
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text + "\n", encoding="utf-8")
