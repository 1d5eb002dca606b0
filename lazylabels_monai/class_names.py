"""Names of object classes: those that a ``classes.json`` holds, and that no two classes share one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["GIVE_THEM", "MEND_IT", "read_class_names", "require_distinct"]

#: What to do about a file that holds no names: where a command can be given them, and where it cannot.
GIVE_THEM = "remove it, or pass --classes"
MEND_IT = 'write them as a JSON list, such as ["pore", "grain"], or remove it'


def read_class_names(file: Path, remedy: str = GIVE_THEM) -> list[str]:
    """The names in a ``classes.json``, which an editor may have saved with a byte order mark.

    Args:
        file: that is there.
        remedy: ends the sentence.

    Raises:
        LazyLabelsError: when it holds no list of names.
    """
    try:
        names = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise LazyLabelsError(f"'{file}' is no JSON list of class names ({error}): {remedy}.") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise LazyLabelsError(f"'{file}' is no JSON list of class names: {remedy}.")
    return names


def require_distinct(names: Sequence[str]) -> None:
    """Refuse two classes of one name, of which tables by name would show one alone.

    Raises:
        LazyLabelsError: naming it.
    """
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise LazyLabelsError(
            f"two classes are called '{repeated[0]}', and classes of one name are not added up: give each a name of its own "
            "with --classes, or both one number in the class maps."
        )
