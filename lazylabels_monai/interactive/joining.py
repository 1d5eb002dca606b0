"""Finished pictures among the results of a prediction of a folder, so that one measurement holds what a person said of some and
what the network said of the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lazylabels_monai.atomic import write_bytes, written_to
from lazylabels_monai.class_names import read_class_names
from lazylabels_monai.errors import LazyLabelsError, in_number, some
from lazylabels_monai.exporting.written import WrittenFiles
from lazylabels_monai.images.digest import file_pixels, is_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.finish import has_masks, read_masks, write_masks
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.project_files import mask_files
from lazylabels_monai.interactive.sizes import class_map
from lazylabels_monai.result_files import CLASSES_FILE, OVERLAY_ENDING
from lazylabels_monai.stamps import Records, file_digest

__all__ = ["Joined", "join_finished"]


@dataclass
class Joined:
    """What became of the finished pictures that a folder of results holds, by their names.

    Args:
        put: their masks took the place of the prediction, or had done so before.
        kept: the results had been changed by hand, and stay.
        left: volumes, and pictures that were predicted in tiles, whose results are of another form.
        other_classes: whether the results are of other classes than the project, so that nothing was done.
    """

    put: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    other_classes: bool = False

    def told(self) -> str:
        """A sentence; empty where no finished picture is concerned."""
        parts = []
        if self.put and self.other_classes:
            parts.append(
                in_number(
                    len(self.put),
                    "the finished [picture|pictures] {names} [is|are] predicted there like the others, as the weights know "
                    "other classes than this project",
                    names=some(self.put),
                )
            )
        elif self.put:
            sentence = "the finished [picture {names} is|pictures {names} are] there as you corrected [it|them]"
            parts.append(in_number(len(self.put), sentence, names=some(self.put)))
        if self.kept:
            sentence = (
                "{names} [was|were] changed there since the prediction, and [stays as it is|stay as they are]: remove "
                "[its|their] _pred and _instances there and predict the folder again to have [it|them] as finished"
            )
            parts.append(in_number(len(self.kept), sentence, names=some(self.kept)))
        if self.left:
            sentence = (
                "the finished {names} [is|are] predicted there like the others, as volumes and pictures that were predicted in "
                "tiles are"
            )
            parts.append(in_number(len(self.left), sentence, names=some(self.left)))
        return "; ".join(parts)


def join_finished(results: str | os.PathLike, project: Project) -> Joined:
    """Put the masks of finished pictures in the place of their predictions, and draw their overlays anew.

    A picture is known by its pixels, whatever it is called; masks of one that was replaced since it was drawn on are left out.
    Where somebody changed a result, it stays; what an earlier call put there follows what the picture was corrected to since.

    Args:
        results: folder that ``lazylabels predict`` wrote.
        project: whose finished pictures have masks.

    Raises:
        LazyLabelsError: when a mask cannot be read, or the disk refuses one.
    """
    results, masks, joined = Path(results), project.files.finished_folder, Joined()
    records, written = Records(results), WrittenFiles(results)
    found: list[tuple[ImageEntry, str, str]] = []
    for entry in project.images:
        if not entry.finished or not entry.path.is_file() or _is_replaced(project, entry):
            continue
        name = project.files.result_name(entry.name)
        if not has_masks(masks, name):
            continue
        same = _results_of(entry.path, records)
        there = [] if volumes.is_volume(entry.name) else [result for result in same if has_masks(results, f"{result}.png")]
        found += [(entry, name, result) for result in there]
        if same and not there:
            joined.left.append(entry.name)
    if not found:
        return joined
    if not _same_classes(results, project.classes):
        return Joined([entry.name for entry, _, _ in found], left=joined.left, other_classes=True)
    for entry, name, result in found:
        record, files = records.images[result], mask_files(results, f"{result}.png")
        there = tuple(file.read_bytes() for file in files)
        wanted = tuple(file.read_bytes() for file in mask_files(masks, name))
        if there != wanted:
            if record.altered(files) is not None and any(written.changed(file.name) for file in files):
                joined.kept.append(entry.name)
                continue
            _put(results, f"{result}.png", masks, name, entry, project.classes)
            for file in files:
                written.wrote(file.name)
        joined.put.append(entry.name)
    return joined


def _is_replaced(project: Project, entry: ImageEntry) -> bool:
    known = project.records.digests.get(entry.name)
    return known is not None and is_digest(known) and project.records.digest_now(entry.name) not in (known, None)


def _results_of(image: Path, records: Records) -> list[str]:
    """Names of the results of a picture, which is read once, however many there are."""
    digest, pixels = file_digest(image), cache(file_pixels)
    return [
        result
        for result, record in records.images.items()
        if record.digest == digest or (record.pixels and record.pixels == pixels(image))
    ]


def _same_classes(results: Path, classes: Sequence[str]) -> bool:
    try:
        return read_class_names(results / CLASSES_FILE) == list(classes)
    except (LazyLabelsError, OSError):
        return False


def _put(results: Path, result: str, masks: Path, name: str, entry: ImageEntry, classes: Sequence[str]) -> None:
    image = read_image(entry.path)
    ids, by_id = read_masks(masks, name, image.shape[:2])
    write_masks(results, result, ids, by_id, classes, entry.path)
    overlay = results / f"{Path(result).stem}{OVERLAY_ENDING}.png"
    if overlay.is_file():
        drawn = BytesIO()
        Image.fromarray(overlay_contours(image, class_map(ids, by_id), np.asarray(ids))).save(drawn, "PNG")
        with written_to(overlay):
            write_bytes(overlay, drawn.getvalue())
