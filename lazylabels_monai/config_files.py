"""Config files that a user names (``--config``): read once before MONAI reads them, so that a mistake is one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["check_overlays", "read_overlay"]


def read_overlay(file: str | os.PathLike) -> dict[str, Any]:
    """Ids and values of a YAML or JSON file, as they stand there; no tag of YAML makes an object of Python.

    Raises:
        LazyLabelsError: when the file is missing, cannot be read, or holds no names and values.
    """
    import yaml  # a command without overlays does without

    path = Path(file)
    if not path.is_file():
        raise LazyLabelsError(f"config file '{path}' does not exist: correct the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise LazyLabelsError(
            f"config file '{path}' cannot be read{where} ({reason}): write lines such as 'max_epochs: 50'."
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise LazyLabelsError(f"config file '{path}' holds no names and values: write lines such as 'max_epochs: 50'.")
    return content


def check_overlays(files: Sequence[str | os.PathLike]) -> None:
    """:func:`read_overlay` of each, for what it raises."""
    for file in files:
        read_overlay(file)
