"""Images that were renamed in a project's folder, known by their pixels: what was drawn on them goes with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.image_records import ImageEntry, ImageRecords
from lazylabels_monai.interactive.project_files import ProjectFiles

__all__ = ["follow_renamed"]


def follow_renamed(
    records: ImageRecords,
    files: ProjectFiles,
    images: list[ImageEntry],
    pictures: Sequence[str],
    note: Callable[[str], None],
) -> None:
    """Where an image that is known is not there, one of the same pixels of which nothing is known is that image, renamed.

    Args:
        records: of the images.
        files: of the project, which know what files about all images are called, those that are gone, too.
        images: entries as they were known; one that was renamed gets its new name, and no other has it.
        pictures: names of those that are in the folder.
        note: takes a sentence about each that was renamed.

    Raises:
        LazyLabelsError: when the disk refuses the new name.
    """
    datalist = records.datalist
    lost = {digest: name for name, digest in records.digests.items() if not datalist.path(name).exists()}
    if not lost:
        return
    named = {os.path.realpath(datalist.path(item["image"])) for _, item in datalist.items()}
    for new in pictures:
        if records.is_known(new) or os.path.realpath(records.folder / new) in named:
            continue
        try:
            old = lost.pop(pixel_digest(read_image(datalist.path(new))), None)
        except LazyLabelsError:  # whoever shows it says so
            continue
        if old is not None:
            _rename(records, files, images, old, new)
            note(f"'{old}' is called '{new}' now: what was drawn on it goes with it.")


def _rename(records: ImageRecords, files: ProjectFiles, images: list[ImageEntry], old: str, new: str) -> None:
    entry = next((entry for entry in images if entry.name == old), None)
    if entry is not None:  # a window goes on with the same entry
        images[:] = [other for other in images if other.name != new]
        entry.name, entry.path = new, records.datalist.path(new)
    records.rename(old, new, files.move(old, new, records.labels))
