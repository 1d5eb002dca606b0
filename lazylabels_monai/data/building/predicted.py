"""What ``predict`` wrote, put back as labels: which of its files are which, and what its classes are called."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from lazylabels_monai.data.building.options import BuildError
from lazylabels_monai.result_files import CLASSES_ENDING, CLASSES_FILE, ENDINGS, INSTANCES_ENDING

__all__ = ["names_beside", "own_files"]

_ENDING = {"masks": INSTANCES_ENDING, "segmentation": CLASSES_ENDING}


def own_files(kind: str, files: Sequence[Path]) -> list[Path]:
    """Of the pictures in a folder of predictions those that hold ``kind``; of another folder all."""
    own = _ENDING.get(kind)
    if own is None or not any(path.stem.endswith(own) for path in files):
        return list(files)
    others = tuple(ending for ending in ENDINGS if ending != own)
    return [path for path in files if not path.stem.endswith(others)]


def names_beside(pictures: Iterable[Path]) -> list[str] | None:
    """Names of the classes in the ``classes.json`` that lies beside label pictures or beside their folder; None without one.

    Raises:
        BuildError: when it holds no names, or two of them hold others.
    """
    found: dict[Path, list[str]] = {}
    for folder in dict.fromkeys(path.absolute().parent for path in pictures):
        file = next((place / CLASSES_FILE for place in (folder, folder.parent) if (place / CLASSES_FILE).is_file()), None)
        if file is not None and file not in found:
            found[file] = _names(file)
    distinct = list(found.items())
    for file, names in distinct[1:]:
        if names != distinct[0][1]:
            raise BuildError(f"'{file}' names other classes than '{distinct[0][0]}': say which there are with --classes.")
    return distinct[0][1] if distinct else None


def _names(file: Path) -> list[str]:
    try:
        names = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BuildError(f"'{file}' is no JSON list of class names ({error}): remove it, or pass --classes.") from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise BuildError(f"'{file}' is no JSON list of class names: remove it, or pass --classes.")
    return names
