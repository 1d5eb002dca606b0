"""What the options of several commands share."""

from __future__ import annotations

import sys

from lazylabels_monai.option_text import read_names

__all__ = ["CLASSES_HELP", "COUNT", "LABELLED", "end_status_line", "failure", "names", "status_line"]

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
