"""Objects that a person corrected or accepted: they stay as they are when the network answers anew, and come back with the
project, from ``corrected/``.

Of a picture that is not finished only the corrected objects are kept, and the places of those that were erased; all others are
the network's newest. Of a finished one all are, and nothing else is shown.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.label_files import REPLACED, keep_copy

__all__ = [
    "CORRECTED",
    "GONE",
    "Kept",
    "accepted",
    "kept_after",
    "nothing_kept",
    "over",
    "read_kept",
    "taken_back",
    "write_kept",
]

#: Folder of a project with what is kept of each picture.
CORRECTED = "corrected"
#: "No object here" in :attr:`Kept.ids`.
GONE = -1


@dataclass(frozen=True)
class Kept:
    """What is kept of a picture.

    Args:
        ids: (H, W) int32 ids of the kept objects, 0 where the network decides, :data:`GONE` where there is no object.
        classes: class by id, (highest id + 1,).
    """

    ids: np.ndarray
    classes: np.ndarray

    @property
    def nothing(self) -> bool:
        """Whether the network decides everywhere."""
        return not self.ids.any()

    @property
    def everything(self) -> bool:
        """Whether the network decides nowhere."""
        return bool(self.ids.all())


def nothing_kept(shape: tuple[int, ...]) -> Kept:
    """Of a picture that nobody corrected, (H, W)."""
    return Kept(np.zeros(shape, np.int32), np.zeros(1, np.int64))


def accepted(objects: np.ndarray, classes: np.ndarray) -> Kept:
    """All objects (ids (H, W); classes by id) are as they should be, and there are no others."""
    return Kept(np.where(objects > 0, objects, GONE).astype(np.int32), np.asarray(classes, np.int64))


def kept_after(kept: Kept, before: np.ndarray, now: np.ndarray, classes: np.ndarray, made: Iterable[int]) -> Kept:
    """What is kept once a person has corrected the objects.

    Args:
        kept: what was before, with the ids of ``before``.
        before: (H, W) ids that were shown.
        now: (H, W) ids after the correction.
        classes: class by id, of ``now``.
        made: ids of ``now`` that are as the person said.
    """
    if kept.everything:
        return accepted(now, classes)
    there = np.zeros(max(int(now.max(initial=0)), int(before.max(initial=0)), int(kept.ids.max(initial=0))) + 1, bool)
    there[now.ravel()] = True
    wanted = np.zeros(len(there), bool)
    wanted[np.unique(kept.ids[kept.ids > 0])] = True
    wanted[[number for number in made if number < len(there)]] = True
    wanted &= there
    wanted[0] = False
    erased = (now == 0) & ((kept.ids == GONE) | (before > 0))
    ids = np.where(wanted[now], now, np.where(erased, GONE, 0)).astype(np.int32)
    known = np.zeros(len(there), np.int64)
    known[: len(classes)] = classes[: len(there)]
    return Kept(ids, np.where(wanted, known, 0)[: int(ids.max(initial=0)) + 1])


def over(kept: Kept, objects: np.ndarray, classes: np.ndarray) -> tuple[Kept, np.ndarray, np.ndarray]:
    """The kept objects among those that the network answers.

    An object of the network that lies by more than half where something is kept is that thing seen anew, and left out; of the
    others what reaches into kept objects is cut off.

    Args:
        kept: of the picture.
        objects: (H, W) ids of the network.
        classes: class by id of the network.

    Returns:
        what is kept with the ids that are shown, the ids that are shown (H, W) int32 and their classes.
    """
    if kept.nothing:
        return kept, objects, classes
    highest = int(kept.ids.max(initial=0))
    numbers = np.flatnonzero(np.bincount(kept.ids[kept.ids > 0], minlength=1))
    renamed = np.zeros(highest + 1, np.int32)
    renamed[numbers] = np.arange(1, len(numbers) + 1)
    ids = np.where(kept.ids > 0, renamed[np.maximum(kept.ids, 0)], kept.ids).astype(np.int32)
    own = np.zeros(len(numbers) + 1, np.int64)
    own[1:] = [kept.classes[number] if number < len(kept.classes) else 1 for number in numbers]

    size = np.bincount(objects.ravel(), minlength=1)
    inside = np.bincount(objects[ids != 0], minlength=len(size))
    free = (size > 0) & (2 * inside <= size)
    free[0] = False
    new = np.where(free, len(numbers) + np.cumsum(free), 0).astype(np.int32)
    shown = np.where(ids > 0, ids, new[objects]).astype(np.int32)
    theirs = np.array([classes[number] if number < len(classes) else 1 for number in np.flatnonzero(free)], np.int64)
    return Kept(ids, own), shown, np.r_[own, theirs]


def taken_back(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Take a correction back among objects that have other ids by now, and change no others.

    Args:
        before: what was shown before the correction, ids (H, W) and class by id.
        after: what was shown after it.
        now: what is shown now.

    Returns:
        what is to be shown: the objects that the correction changed as they were before, all others as they are now.
    """
    changed = (before[0] != after[0]) | (_classes_of(*before) != _classes_of(*after))
    made = _whole(after[0], changed)
    old = _whole(before[0], changed | made)
    patch = Kept(np.where(old, before[0], np.where(made, GONE, 0)).astype(np.int32), before[1])
    _, objects, classes = over(patch, *now)
    return objects, classes


def _classes_of(ids: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """By pixel; 1 for an id without a class, as in :func:`over`."""
    known = np.ones(max(int(ids.max(initial=0)) + 1, len(classes)), np.int64)
    known[: len(classes)] = classes
    return known[ids]


def _whole(ids: np.ndarray, where: np.ndarray) -> np.ndarray:
    """All of the objects that are in some places, (H, W) bool."""
    touched = np.zeros(int(ids.max(initial=0)) + 1, bool)
    touched[ids[where]] = True
    touched[0] = False
    return touched[ids]


def write_kept(file: Path, kept: Kept, project: Path) -> None:
    """Write what is kept in one step; without anything to keep there is no file.

    Args:
        file: an ``.npz`` of ``ids`` (int32) and ``classes`` (int64).
        kept: what to keep.
        project: folder of the project, in whose ``replaced/`` goes what cannot be read or is of another picture.

    Raises:
        LazyLabelsError: when the disk refuses it; what was there stays.
    """
    with written_to(file):
        if file.exists() and ((there := _read(file)) is None or there.ids.shape != kept.ids.shape):
            keep_copy(file, project / REPLACED / CORRECTED)
        if kept.nothing:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            np.savez_compressed(stream, ids=kept.ids.astype(np.int32), classes=kept.classes.astype(np.int64))


def read_kept(file: Path, shape: tuple[int, ...]) -> Kept:
    """What :func:`write_kept` wrote; nothing where there is no file.

    Args:
        file: of the picture.
        shape: (H, W) of the picture.

    Raises:
        LazyLabelsError: when the file cannot be read, or is of a picture of another size.
    """
    if not file.exists():
        return nothing_kept(shape)
    found = _read(file)
    if found is None or found.ids.shape != tuple(shape):
        why = "cannot be read" if found is None else f"are of {found.ids.shape} pixels and the picture of {tuple(shape)}"
        raise LazyLabelsError(
            f"the corrected objects in '{file}' {why}: the prediction is shown; put back the file of before, or correct "
            f"anew: this one is then kept in {REPLACED}/."
        )
    return found


def _read(file: Path) -> Kept | None:
    """None where the file is not what it should be."""
    try:
        with np.load(file, allow_pickle=False) as content:
            ids, classes = content["ids"], content["classes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error):
        return None
    good = ids.dtype == np.int32 and classes.dtype == np.int64 and classes.ndim == 1 and len(classes)
    return Kept(ids, classes) if good and ids.min(initial=0) >= GONE and classes.min() >= 0 else None
