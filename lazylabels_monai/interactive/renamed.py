"""Images that were renamed in a project's folder, and names that another image has now: what was drawn goes with the pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lazylabels_monai.atomic import write_text, written_to
from lazylabels_monai.data.datalist import PREDICTED, has_key
from lazylabels_monai.images.digest import is_digest
from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive.image_records import ImageEntry, ImageRecords
from lazylabels_monai.interactive.label_files import is_ours
from lazylabels_monai.interactive.project_files import ProjectFiles
from lazylabels_monai.spelling import composed
from lazylabels_monai.tasks import TASKS

__all__ = ["as_known", "follow_renamed"]

#: File of a project that says which image is being renamed, while files follow it.
_RENAMING = ".renaming.json"
#: Keys of an item that come back from what a project knows of an image.
_KNOWN_OTHERWISE = {"image", "digest", "empty", PREDICTED, *TASKS}


def as_known(records: ImageRecords, pictures: Sequence[str]) -> list[str]:
    """Names of pictures as they are written down, where the disk spells them in another Unicode form.

    Args:
        records: of the images.
        pictures: names of those that are in the folder.
    """
    if all(name.isascii() for name in pictures):
        return list(pictures)
    there = set(pictures)
    known = {composed(name): name for name in records.names if name not in there}
    written = {name for name in records.names if name in there}
    return [name if name in written else known.get(composed(name), name) for name in pictures]


def follow_renamed(
    records: ImageRecords,
    files: ProjectFiles,
    images: list[ImageEntry],
    pictures: Sequence[str],
    note: Callable[[str], None],
) -> set[str]:
    """Let what was drawn go with the pixels on which it was drawn, whatever their file is called now.

    An image that is known and is not there is one of the same pixels of which nothing is known, renamed. One that is known and
    shows other pixels than those that were drawn on is another image, put under that name: nothing is known of it, and what was
    drawn waits for the image of before, as that of one which is gone.

    Args:
        records: of the images.
        files: of the project, which know what files about all images are called, those that are gone, too.
        images: entries as they were known; one that was renamed gets its new name, and no other has it.
        pictures: names of those that are in the folder.
        note: takes a sentence about each that was renamed or replaced.

    Returns:
        names of the images that what was drawn went to.

    Raises:
        LazyLabelsError: when the disk refuses a new name.
    """
    aside = _go_on(records, files, images, note)
    aside |= {_set_aside(records, files, images, name): name for name in _replaced(records)}
    followed = _follow_lost(records, files, images, dict.fromkeys([*pictures, *aside.values()]), aside, note)
    for name, before in aside.items():
        if name in records.digests:
            _put_masks_away(records, files, name)
            what = "not there any more" if before in followed else "another picture now, and nothing is marked on that one"
            note(
                f"the picture that was '{before}' is {what}: what was drawn on it is kept (as of '{name}'), and used again "
                "when it is back in the folder, under any name."
            )
    return followed


def _go_on(records: ImageRecords, files: ProjectFiles, images: list[ImageEntry], note: Callable[[str], None]) -> dict[str, str]:
    """End what a stop left half done; returns the name that was being given, and that of before, of an image set aside."""
    file = records.folder / _RENAMING
    if (said := _read_renaming(file)) is None:
        return {}
    old, new, stem, digest = said
    aside: dict[str, str] = {}
    if records.digests.get(old) == digest:
        _follow(records, files, images, old, new, stem)
        if records.datalist.path(new).exists():
            note(f"'{old}' is called '{new}' now: what was drawn on it goes with it.")
        else:
            aside[new] = old
    elif new in records.stems:  # all is done, and known here: the disk may have refused to write it down
        known = records.stems[new]
        records.rename(new, new, lambda: known)
    with written_to(file):
        file.unlink(missing_ok=True)
    return aside


def _read_renaming(file: Path) -> tuple[str, str, str, str] | None:
    """Name of before, name now, stem of the files now and digest; None where nothing was being renamed."""
    try:
        old, new, stem, digest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    good = all(isinstance(value, str) for value in (old, new, stem, digest)) and stem == Path(stem).name
    return (old, new, stem, digest) if good else None


def _replaced(records: ImageRecords) -> list[str]:
    """Names whose file shows other pixels than those that were drawn on."""
    known = {name: digest for name, digest in records.digests.items() if is_digest(digest) and not records.is_as_compared(name)}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        shown = dict(zip(known, pool.map(records.digest_now, known), strict=True))
    records.note_compared(name for name, digest in known.items() if shown[name] == digest)
    return [name for name, digest in known.items() if shown[name] not in (None, digest)]


def _set_aside(records: ImageRecords, files: ProjectFiles, images: list[ImageEntry], name: str) -> str:
    """Let what is known of an image be of one that is gone; returns what that is called."""
    digest = records.digests[name]
    ending = file_suffix(name)
    gone = f"{name[: -len(ending) or None]}.{digest[:8]}"
    while records.is_known(gone + ending) or records.datalist.path(gone + ending).exists():
        gone += "_"
    _, item = records.datalist.find(name) or ("", {})
    labels = {task: records.datalist.path(item[task]) for task in TASKS if has_key(item, task)}
    ours = all(file == files.label(name, task) and is_ours(file) for task, file in labels.items())
    # an item of an image that is not there stops a training: it stays only where it says what nothing else knows
    records.remember(name, digest, files.stem(name), forget_item=ours and set(item) <= _KNOWN_OTHERWISE)
    _rename(records, files, images, name, gone + ending)
    return gone + ending


def _follow_lost(
    records: ImageRecords,
    files: ProjectFiles,
    images: list[ImageEntry],
    pictures: Sequence[str] | dict[str, None],
    aside: dict[str, str],
    note: Callable[[str], None],
) -> set[str]:
    datalist, followed = records.datalist, set()
    lost = {digest: name for name, digest in records.digests.items() if not datalist.path(name).exists()}
    if not lost:
        return followed
    named = {os.path.realpath(datalist.path(item["image"])) for _, item in datalist.items()}
    for new in pictures:
        if records.is_known(new) or os.path.realpath(datalist.path(new)) in named:
            continue
        old = lost.pop(records.digest_now(new), None)
        if old is not None:
            _rename(records, files, images, old, new)
            followed.add(new)
            note(f"'{aside.get(old, old)}' is called '{new}' now: what was drawn on it goes with it.")
    return followed


def _put_masks_away(records: ImageRecords, files: ProjectFiles, name: str) -> None:
    """A picture that is not there has no result; its objects stay among those that were accepted."""
    files.put_masks_away(name)
    records.forget_finished(name)


def _rename(records: ImageRecords, files: ProjectFiles, images: list[ImageEntry], old: str, new: str) -> None:
    stem, file = files.stem_after(old, new), records.folder / _RENAMING
    with written_to(file):  # before the first file has its new name: it would be nobody's after a stop
        write_text(file, json.dumps([old, new, stem, records.digests.get(old)]) + "\n")
        _follow(records, files, images, old, new, stem)
        file.unlink()


def _follow(records: ImageRecords, files: ProjectFiles, images: list[ImageEntry], old: str, new: str, stem: str) -> None:
    """All files about an image, and all that is known of it, go with its new name: also what a stop left of them."""
    entry = next((entry for entry in images if entry.name == old), None)
    records.rename(old, new, lambda: files.move(old, new, stem, records.labels))
    if entry is not None:  # a window goes on with the same entry
        images[:] = [other for other in images if other.name != new]
        entry.name, entry.path = new, records.datalist.path(new)
