"""Images that were renamed in a project's folder, and names that another image has now: what was drawn goes with the pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lazylabels_monai.data.datalist import has_key
from lazylabels_monai.images.digest import is_digest
from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive.image_records import ImageEntry, ImageRecords
from lazylabels_monai.interactive.label_files import is_ours
from lazylabels_monai.interactive.project_files import ProjectFiles
from lazylabels_monai.spelling import composed
from lazylabels_monai.tasks import TASKS

__all__ = ["as_known", "follow_renamed"]

#: Keys of an item that come back from what a project knows of an image.
_KNOWN_OTHERWISE = {"image", "digest", "empty", *TASKS}


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
    aside = {_set_aside(records, files, images, name): name for name in _replaced(records)}
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
    entry = next((entry for entry in images if entry.name == old), None)
    records.rename(old, new, lambda: files.move(old, new, records.labels))
    if entry is not None:  # a window goes on with the same entry
        images[:] = [other for other in images if other.name != new]
        entry.name, entry.path = new, records.datalist.path(new)
