"""Which folder ``--overwrite`` may replace: one that a command made and nobody touched since.

A data set is also what a person draws in (:mod:`lazylabels_monai.interactive`), so that a ``datalist.json`` alone says nothing
about who made what lies beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lazylabels_monai.data.datalist import FILE_NAME, LABEL_KEYS, SECTIONS, absolute_path
from lazylabels_monai.errors import LazyLabelsError, some

__all__ = ["WRITTEN", "OutputExistsError", "check_target", "digests_of"]

#: Key of a datalist: digests of the files that a command wrote beside it, by their paths.
WRITTEN = "written"

#: Keys that the commands leave in a datalist that they make.
_MADE = ("build", "simulation", "proposals")
#: Files that a window leaves in its project (:mod:`lazylabels_monai.interactive`), the second while it is open.
_PROJECT, _LOCK = "project.json", ".project.lock"
#: What operating systems leave in folders that were looked at.
_LEFT_BEHIND = frozenset([".DS_Store", "Thumbs.db", "desktop.ini"])
#: What ``grabcut`` wrote before it noted digests.
_GRABCUT_FILES, _GRABCUT_FOLDERS = ("proposals.csv", "proposals.json"), ("proposals", "overlays")


class OutputExistsError(LazyLabelsError, FileExistsError):
    """The folder to be made holds something already."""


def check_target(out: Path, overwrite: bool, marker: str = FILE_NAME) -> None:
    """Refuse a folder that holds something, save a data set that a command made, nobody touched and is to be overwritten.

    Args:
        out: folder to make.
        overwrite: whether an earlier result is to be replaced.
        marker: name of a file that tells an earlier result.

    Raises:
        OutputExistsError: naming the folder and what is in the way.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file: name a folder to make.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(f"{out} is not empty: name another folder, or pass --overwrite.")
    if not (out / marker).is_file():
        raise OutputExistsError(f"{out} holds files but no {marker}, so it is not overwritten: name another folder.")
    if (out / _PROJECT).exists():
        raise OutputExistsError(
            f"'{out}' was opened in a window, which left {_PROJECT}: what was drawn there is not overwritten, so name another "
            "folder, or move this one away."
        )
    if (out / _LOCK).exists():
        raise OutputExistsError(
            f"'{out}' is open in a window, so it is not overwritten: close it, or remove {_LOCK} there if none is open."
        )
    _refuse_touched(out)


def digests_of(folder: Path) -> dict[str, str]:
    """Digest of each file in a folder by its path there, to be noted under :data:`WRITTEN`."""
    return {name: _digest(folder / name) for name in _files(folder)}


def _refuse_touched(out: Path) -> None:
    content = _content(out / FILE_NAME)
    if not any(key in content for key in _MADE):
        raise OutputExistsError(
            f"'{out / FILE_NAME}' does not say which command made it, so '{out}' is not overwritten: name another folder, or "
            "move this one away."
        )
    noted = content.get(WRITTEN)
    written = {str(name): digest for name, digest in noted.items()} if isinstance(noted, dict) else {}
    there, own = _files(out), _own(out, content, written)
    if added := [name for name in there if name not in own and not _is_grabcuts(name, content, written)]:
        raise OutputExistsError(
            f"'{out}' holds {some(added)}, which is no part of the data set, so it is not overwritten: name another folder, "
            f"or move {'that file' if len(added) == 1 else 'those files'} out of it."
        )
    if changed := [name for name in there if name in written and _digest(out / name) != written[name]]:
        raise OutputExistsError(
            f"{some(changed)} in '{out}' changed since a command wrote {'it' if len(changed) == 1 else 'them'}, so the folder "
            "is not overwritten: name another one, or move this one away."
        )


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise OutputExistsError(
            f"'{file}' cannot be read, which says what a command made there, so '{file.parent}' is not overwritten: correct "
            "it, or name another folder."
        ) from error
    return content if isinstance(content, dict) else {}


def _files(folder: Path) -> list[str]:
    """Paths of all files below a folder but those of operating systems; links to folders are not followed."""
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*files, *links):
            if name not in _LEFT_BEHIND and not name.startswith("._"):
                found.append(Path(os.path.relpath(os.path.join(place, name), folder)).as_posix())
    return sorted(found)


def _own(out: Path, content: Mapping[str, Any], written: Collection[str]) -> set[str]:
    """Paths of the files that a command made: those that it noted, and those that its datalist names."""
    named = [
        item[key]
        for section in SECTIONS
        for item in content.get(section) or ()
        if isinstance(item, dict)
        for key in ("image", *LABEL_KEYS)
        if isinstance(item.get(key), str)
    ]
    simulation = content.get("simulation")
    unlabelled = simulation.get("unlabelled") if isinstance(simulation, dict) else None
    named += [name for name in unlabelled if isinstance(name, str)] if isinstance(unlabelled, list) else []
    file = out / FILE_NAME
    paths = (Path(os.path.relpath(absolute_path(file, name), out)).as_posix() for name in named)
    return {FILE_NAME, *written, *paths}


def _is_grabcuts(name: str, content: Mapping[str, Any], written: Collection[str]) -> bool:
    if written or "proposals" not in content:
        return False
    folder, _, file = name.rpartition("/")
    return name in _GRABCUT_FILES or (folder in _GRABCUT_FOLDERS and file.endswith(".png"))


def _digest(path: Path) -> str:
    if path.is_dir():  # a link
        return ""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:  # as good as changed
        return ""
    return digest.hexdigest()
