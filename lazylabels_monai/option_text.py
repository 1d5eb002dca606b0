"""How names are written on the command line: separated by commas, or as JSON where a name holds a comma or the like.

And how whole commands are, in a sentence that says what to do next: so that a shell takes what is copied from there.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence

__all__ = ["command", "naming", "quoted", "read_names", "read_pairs", "written_names"]


def quoted(word: str | os.PathLike) -> str:
    """A word for a shell; one with single quotes in double ones where it can be, which a person reads more easily.

    A path that begins with a dash, and would be taken for an option, begins with ``./``.
    """
    text = os.fspath(word)
    if isinstance(word, os.PathLike) and text.startswith("-"):
        text = f"./{text}"
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def command(*words: str | os.PathLike) -> str:
    """A command of ``lazylabels`` for people to copy.

    Example:
        >>> from pathlib import Path
        >>> command("check", Path("my data"))
        "lazylabels check 'my data'"
    """
    return " ".join(map(quoted, ("lazylabels", *words)))


def read_names(text: str) -> list[str]:
    """Names of ``a,b`` or ``["a", "b, c"]``."""
    if text.lstrip().startswith("["):
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if isinstance(content, list) and all(isinstance(name, str) for name in content):
            return [name.strip() for name in content if name.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]


def written_names(names: Sequence[str]) -> str:
    """The text that :func:`read_names` reads as these names."""
    text = ",".join(names)
    # a word that begins with a dash is an option to the shell's programs
    if read_names(text) == list(names) and text.isprintable() and not text.startswith("-"):
        return text
    return json.dumps(list(names), ensure_ascii=False)


def read_pairs(text: str) -> list[tuple[str, str]] | None:
    """Pairs of ``OLD=NEW,...`` or ``{"OLD": "NEW", ...}``; None where the text is neither."""
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if isinstance(content, dict):
            pairs = [(old.strip(), new.strip()) for old, new in content.items() if isinstance(new, str) and new.strip()]
            return pairs if len(pairs) == len(content) else None
    pairs = []
    for pair in text.split(","):
        old, equals, new = pair.rpartition("=")
        if not equals or not new.strip():
            return None
        pairs.append((old.strip(), new.strip()))
    return pairs


def naming(old: str, new: str) -> str:
    """``--names 'OLD=NEW'`` for people to copy, quoted for a shell."""
    text = f"{old}={new}"
    if read_pairs(text) != [(old, new)] or ":" in old or not text.isprintable():
        text = json.dumps({old: new}, ensure_ascii=False)
    return "--names '" + text.replace("'", "'\"'\"'") + "'"
