"""What the options of several commands share."""

from __future__ import annotations

__all__ = ["COUNT", "LABELLED", "failure", "names"]

#: Help of an option that counts training images.
COUNT = "a count of training images (1 or more), a share (below 1) or 'all'"

#: Help of an option that says how many training images get a label.
LABELLED = f"{COUNT}; or hours of work by the cost model, such as 2.5h"


def names(value: str | None) -> list[str] | None:
    """The names of ``--classes a,b``; None where the option was not given."""
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


def failure(path: str, reason: str) -> str:
    """The line about an image that could not be used, which names it once."""
    return f"error: {reason}" if path in reason else f"error: '{path}': {reason}"
