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
    images: Sequence[ImageEntry],
    pictures: Sequence[str],
    note: Callable[[str], None],
) -> None:
    """Where an image of the datalist is not there, one of the same pixels that no item names is that image, renamed.

    Args:
        records: of the images.
        files: of the project.
        images: entries as they were known; one that was renamed gets its new name.
        pictures: names of those that are in the folder.
        note: takes a sentence about each that was renamed.

    Raises:
        LazyLabelsError: when the disk refuses the new name.
    """
    datalist = records.datalist
    items = [item for _, item in datalist.items()]
    lost = {item["digest"]: item["image"] for item in items if item.get("digest") and not datalist.path(item["image"]).exists()}
    if not lost:
        return
    known = {os.path.realpath(datalist.path(item["image"])) for item in items}
    for new in [name for name in pictures if os.path.realpath(records.folder / name) not in known]:
        try:
            old = lost.pop(pixel_digest(read_image(datalist.path(new))), None)
        except LazyLabelsError:  # whoever shows it says so
            continue
        if old is not None:
            _rename(records, files, images, old, new)
            note(f"'{old}' is called '{new}' now: what was drawn on it goes with it.")


def _rename(records: ImageRecords, files: ProjectFiles, images: Sequence[ImageEntry], old: str, new: str) -> None:
    entry = next((entry for entry in images if entry.name == old), None)
    if entry is not None:  # a window goes on with the same entry
        entry.name, entry.path = new, records.datalist.path(new)
    for file, target in zip(files.unlisted(old), files.unlisted(new), strict=True):
        if file.is_file() and not target.exists():
            file.rename(target)
    records.rename(old, new)
