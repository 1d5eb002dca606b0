"""Values of configs and settings as JSON has them, to be compared and to be shown."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["as_json", "shown"]

#: Characters of a value in a sentence.
_LONGEST = 100


def as_json(value: Any) -> Any:
    """A value as it comes back from a file: lists for tuples, and text for what JSON does not know.

    Example:
        >>> as_json({"betas": (0.9, 0.99)})
        {'betas': [0.9, 0.99]}
    """
    return json.loads(json.dumps(value, default=str))


def shown(value: Any) -> str:
    """A value in a sentence, at most 100 characters of it."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
