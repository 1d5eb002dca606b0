"""Files and folders that appear whole or not at all, so that a kill or a full disk leaves what was there."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

__all__ = ["move_in", "temporary_sibling", "write_bytes", "write_text"]


def _hidden(path: Path, suffix: str) -> Path:
    """A name beside ``path`` that nobody else uses; on the same disk, so that renaming is one step."""
    return path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.{suffix}"


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one step, replacing one that is there."""
    temporary = _hidden(path, "tmp")
    try:
        # a file's name may hold bytes that are no text
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step, replacing one that is there."""
    temporary = _hidden(path, "tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_sibling(out: Path) -> Path:
    """Make an empty hidden folder beside ``out`` to fill; :func:`move_in` makes it ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = _hidden(out, "tmp")
    temporary.mkdir()
    return temporary


def move_in(temporary: Path, out: Path, overwrite: bool = False) -> None:
    """Put a finished folder in place in one step; with ``overwrite`` what it replaces is deleted only then.

    Raises:
        OSError: when ``out`` holds something and ``overwrite`` is not given, such as what another process was faster
            to write; everything is as before then.
    """
    old = None
    if overwrite and out.is_dir() and any(out.iterdir()):
        old = _hidden(out, "old")
        os.rename(out, old)
    try:
        os.rename(temporary, out)
    except OSError:
        if old is not None:
            os.rename(old, out)
        raise
    if old is not None:
        shutil.rmtree(old)
