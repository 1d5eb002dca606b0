"""Names of files as the disk spells them: "ü" is one character or two, and disks, shares and archives change that.

A Mac's disks and archives take letters apart (NFD), Windows and Linux leave what was typed, which mostly is composed (NFC).
Both look the same, and what is written down in one form is not found in the other.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

__all__ = ["as_spelled", "composed"]


def composed(text: str) -> str:
    """One form of a name (NFC), by which names that look the same are the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def as_spelled(folder: Path, name: str) -> Path:
    """The file of a name, or the one whose name looks the same where only that is there.

    Args:
        folder: in which it lies.
        name: of the file, perhaps in folders of this one; an absolute path goes before ``folder``.

    Returns:
        the path; as it is written where nothing is there.
    """
    path = folder / name
    if name.isascii() or os.path.exists(path):
        return path
    found = folder
    for part in Path(name).parts:
        forms = dict.fromkeys((part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)))
        there = next((found / form for form in forms if os.path.exists(found / form)), None)
        if there is None:
            return path
        found = there
    return found
