"""A data set, or a window's project, that another is made of: what its ``datalist.json`` names, and marks laid over that.

Folders of such a source also hold what does not count any more, such as the ids that somebody gave before objects were
corrected, so that their names alone say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.options import KINDS, BuildError, Vocabulary
from lazylabels_monai.data.building.painting import ImageLabels, Painter
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    LABEL_KEYS,
    SECTIONS,
    DatalistError,
    absolute_path,
    has_key,
    is_predicted,
    load_datalist,
)
from lazylabels_monai.data.replacing import WRITTEN
from lazylabels_monai.errors import some
from lazylabels_monai.images.digest import is_digest
from lazylabels_monai.images.files import VOLUME_SUFFIXES, file_suffix, read_label
from lazylabels_monai.labels.interfaces import interfaces_where_known
from lazylabels_monai.labels.objects import compact_instances, instances_from_classes
from lazylabels_monai.option_text import naming
from lazylabels_monai.result_files import PROJECT_FILE
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, TASKS, is_marked

__all__ = ["GivenDataset", "GivenItem", "GivenPainter", "given_dataset"]

#: Keys by which a ``datalist.json`` is one of ours; other programs have files of that name, too.
_OURS = frozenset(["classes", "build", "simulation", "proposals"])
#: Share of an object from which one drawn over it is that object, drawn anew.
_ANEW = 0.5


@dataclass(frozen=True)
class GivenItem:
    """An image of a data set of which another is made.

    Args:
        image: its file.
        labels: files of its labels, by their keys.
        item: as the datalist has it.
        predicted: whether its exact mask is one of predictions that nobody has changed.
    """

    image: Path
    labels: Mapping[str, Path]
    item: Mapping[str, Any]
    predicted: bool = False


def given_dataset(src: Path) -> GivenDataset | None:
    """The data set that a source folder is; None where it is a folder of images and labels alone.

    Raises:
        DatalistError: when its datalist cannot be read.
        BuildError: when it is gone from a window's project, or lists volumes.
    """
    file = src / FILE_NAME
    if not file.is_file():
        if _is_project(src):
            raise BuildError(
                f"'{src}' was opened in a window, which left {PROJECT_FILE}, but {FILE_NAME}, which says what was drawn on "
                "which image, is gone: put it back, or name another folder that holds your images."
            )
        return None
    try:
        content = load_datalist(file)
    except DatalistError:
        if _is_anothers(file) and not _is_project(src):
            return None
        raise
    items = []
    for section in SECTIONS:
        for item in content.get(section, []):
            image = Path(absolute_path(file, item["image"]))
            if file_suffix(image) in VOLUME_SUFFIXES:
                raise BuildError(
                    f"'{file}' lists '{item['image']}', a volume, which this command does not build from: train the data set "
                    "as it is, or copy it and correct the copy by hand."
                )
            labels = {key: Path(absolute_path(file, item[key])) for key in LABEL_KEYS if has_key(item, key)}
            items.append(GivenItem(image, labels, item, is_predicted(item, file)))
    written = content.get(WRITTEN)
    return GivenDataset(
        file, list(content["classes"]), items, [src / name for name in written] if isinstance(written, dict) else []
    )


def _is_project(folder: Path) -> bool:
    try:
        content = json.loads((folder / PROJECT_FILE).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("images"), dict)


def _is_anothers(file: Path) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return not (isinstance(content, dict) and _OURS & set(content))


@dataclass
class GivenDataset:
    """A data set that another is made of.

    Args:
        file: its ``datalist.json``.
        classes: its object classes 1, 2, ...
        items: its images.
        written: files that the command wrote that made it.
        anew: how many of its objects were drawn anew, by image.
    """

    file: Path
    classes: Sequence[str]
    items: Sequence[GivenItem]
    written: Sequence[Path] = ()
    anew: dict[str, int] = field(default_factory=dict)

    @cached_property
    def files(self) -> frozenset[Path]:
        """All files that it names."""
        return frozenset(path for item in self.items for path in (item.image, *item.labels.values()))

    def require_same_pixels(self, source: Source, digest: str) -> None:
        """Refuse an image that is another one than was labelled.

        Raises:
            BuildError: naming it.
        """
        before = source.item.get("digest") or ""
        if is_digest(before) and before != digest:
            raise BuildError(
                f"'{source.path}' shows other pixels than the image that was labelled in '{self.file}': put that one back, "
                "open the folder in the window if images were renamed there, or remove the item's key digest if its labels are "
                "right for this image."
            )

    def notes(self) -> list[str]:
        """What to look at, a sentence each."""
        if not self.anew:
            return []
        return [
            f"{sum(self.anew.values())} objects of '{self.file}' are drawn anew by other marks, which count, and those of "
            f"before do not: {some(list(self.anew))}."
        ]


class GivenPainter:
    """Makes the label maps of images that a data set has labels of: as they are, with other marks laid over them.

    Objects and interfaces that were marked elsewhere go over those of the data set; background and the lack of interfaces fill
    only what it leaves open, and what neither says stays open, unless the user says in so many words that it is background.
    What was marked as not labelled is open in all.

    Args:
        given: the data set.
        painter: of the other marks.
    """

    def __init__(self, given: GivenDataset, painter: Painter) -> None:
        self.given, self.options, self.painter = given, painter.options, painter
        said = self.options.unlabelled
        self._painters = [
            _unlabelled(painter, {kind: said.get(kind, said.get("", "ignore")) for kind in KINDS}),
            _unlabelled(painter, dict.fromkeys(KINDS, "ignore")),
        ]
        self._table = _class_table(given, painter.vocabulary)

    def labels(self, source: Source, shape: tuple[int, ...], digest: str) -> ImageLabels:
        """Label maps of an image of ``shape`` (H, W) that the data set labels.

        Raises:
            BuildError: for an image or a label that is another one now, or a value without a meaning.
        """
        self.given.require_same_pixels(source, digest)
        own = self._own(source, shape)
        if not source.pictures and not source.annotations:
            return own
        marks = self._painters[bool(_open_regions(own.maps).any())].labels(source, shape)
        return self._laid_over(source.path.name, own, marks)

    def _own(self, source: Source, shape: tuple[int, ...]) -> ImageLabels:
        """What the data set says of an image."""
        maps: dict[str, np.ndarray] = {}
        for key, path in source.given.items():
            label = read_label(path)
            if tuple(label.shape) != tuple(shape):
                raise BuildError(
                    f"'{path}' is {label.shape[1]} x {label.shape[0]} pixels but its image '{source.path}' is {shape[1]} x "
                    f"{shape[0]}: give the label of this image, pixel for pixel."
                )
            maps[key] = label if key == "instances" else self._values(label, key, path)
        ids = maps.pop("instances", None)
        mask = maps.get("segmentation")
        known = mask is not None and (mask != IGNORE).any()
        return ImageLabels(
            maps,
            None if ids is None else compact_instances(np.maximum(ids, 0))[0].astype(np.int32),
            exact=bool(known),
            complete=mask is not None and bool((mask != IGNORE).all()),
            background=any((maps[task] == BACKGROUND).any() for task in ("segmentation", "detection") if task in maps),
        )

    def _values(self, label: np.ndarray, task: str, path: Path) -> np.ndarray:
        """A label with the numbers that its classes have here."""
        table = {BACKGROUND: BACKGROUND, IGNORE: IGNORE} | ({INTERFACE: INTERFACE} if task == "separation" else self._table)
        values = np.full(label.shape, IGNORE, np.uint8)
        for value in np.unique(label).tolist():
            if value not in table:
                raise BuildError(
                    f"'{path}' has the value {value}, which means nothing in '{self.given.file}': correct it there."
                )
            meaning = table[value]
            if isinstance(meaning, str):
                raise BuildError(
                    f"'{path}' has pixels of class '{meaning}' of '{self.given.file}', which is none of the classes "
                    f"{', '.join(self.painter.vocabulary.classes)}: add it to --classes, or say what it is with "
                    f"{naming(meaning, self.painter.vocabulary.classes[0])}."
                )
            values[label == value] = meaning
        return values

    def _laid_over(self, name: str, own: ImageLabels, marks: ImageLabels) -> ImageLabels:
        objects = marks.objects
        new = objects > 0
        mask = own.maps.get("segmentation")
        ids = _ids_of(own)
        old, anew = _without_covered(ids, new)
        if anew:
            self.given.anew[name] = anew
        below = {task: label.copy() for task, label in own.maps.items()}
        if mask is not None:
            below["segmentation"][(ids > 0) & (old == 0) & ~new] = IGNORE
        above = dict(marks.maps)
        if new.any() and (old > 0).any() and self.options.derive:
            above["separation"] = _with_seams(above.get("separation"), new, old > 0, self.options.gap)
        spared = {"segmentation": _open_regions(below)}
        maps = {
            task: _over(below.get(task), above.get(task), spared.get(task)) for task in TASKS if task in below or task in above
        }
        maps = {task: np.where(marks.opened, IGNORE, label) for task, label in maps.items()}
        label = maps.get("segmentation")
        known = label is not None and (label != IGNORE).any()
        complete = label is not None and bool((label != IGNORE).all())
        return replace(
            marks,
            maps={task: label for task, label in maps.items() if task in own.maps or (label != IGNORE).any()},
            instances=self._instances(own, marks, old, objects, complete),
            exact=own.exact or (marks.exact and bool(known)),
            complete=complete,
            background=own.background or marks.background,
        )

    def _instances(
        self, own: ImageLabels, marks: ImageLabels, old: np.ndarray, objects: np.ndarray, complete: bool
    ) -> np.ndarray | None:
        """Ids of all objects, where all are known."""
        label = marks.maps.get("segmentation")
        loose = label is not None and bool((is_marked(label) & (objects == 0)).any())
        if loose or marks.opened.any() or (own.instances is None and (old.any() or not complete)):
            return None
        found = np.where(objects > 0, objects + int(old.max(initial=0)), old)
        return compact_instances(found)[0].astype(np.int32) if found.any() else None


def _unlabelled(painter: Painter, unlabelled: Mapping[str, str]) -> Painter:
    """The painter, but for what pixels are that nobody marked."""
    options = replace(painter.options, unlabelled=dict(unlabelled))
    known = painter.vocabulary
    return Painter(options, Vocabulary(options, known.classes, known.legend, known.beside), painter.marked, painter.read)


def _class_table(given: GivenDataset, vocabulary: Vocabulary) -> dict[int, int | str]:
    """What each value of the data set is here: a value, or the name of a class that is none."""
    lower = [name.lower() for name in vocabulary.classes]
    found: dict[int, int | str] = {}
    for value, name in enumerate(given.classes, 1):
        new = vocabulary.renamed(vocabulary.options, "segmentation", name) or name
        special = {"background": BACKGROUND, "ignore": IGNORE}.get(str(Vocabulary.reserved(vocabulary.options, new)))
        found[value] = lower.index(new.lower()) + 1 if new.lower() in lower else name if special is None else special
    return found


def _open_regions(maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pixels of inner regions where the exact mask is not known."""
    inner, mask = maps.get("detection"), maps.get("segmentation")
    if inner is None:
        return np.zeros((), bool)
    inside = is_marked(inner)
    return inside if mask is None else inside & (mask == IGNORE)


def _ids_of(own: ImageLabels) -> np.ndarray:
    """Ids of the objects of the exact mask: as they are given, else its pieces between interfaces."""
    if own.instances is not None:
        return own.instances
    mask = own.maps.get("segmentation")
    if mask is None:
        return np.zeros((), np.int32)
    mask = np.where(mask == IGNORE, BACKGROUND, mask)
    whole, separation = instances_from_classes(mask), own.maps.get("separation")
    between = (whole > 0) & (separation == INTERFACE) if separation is not None else np.zeros(mask.shape, bool)
    pieces = instances_from_classes(np.where(between, BACKGROUND, mask))
    if not (between.any() and pieces.any()):
        return whole
    # a scribble is wider than the border: its pixels are of the piece beside them, or are an object that lies in it altogether
    nearest = tuple(ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True))
    within = np.where(whole[nearest] == whole, pieces[nearest], whole + int(pieces.max()))
    return np.where(between, within, pieces)


def _without_covered(ids: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, int]:
    """Ids without the pixels of new objects, and without objects most of which lie under one; how many these are."""
    left = np.where(new, 0, ids)
    if not left.shape or not ids.any():
        return np.zeros(new.shape, np.int32), 0
    sizes, rest = (np.bincount(array.ravel(), minlength=int(ids.max()) + 1) for array in (ids, left))
    gone = (rest < (1 - _ANEW) * sizes) & (np.arange(sizes.size) > 0)
    return np.where(gone[left], 0, left).astype(np.int32), int(np.count_nonzero(gone))


def _with_seams(separation: np.ndarray | None, new: np.ndarray, old: np.ndarray, gap: int) -> np.ndarray:
    """The separation with the interfaces of new objects and those of before."""
    sides = new + 2 * (old & ~new).astype(np.int32)
    seams = interfaces_where_known(sides.astype(np.int32), np.ones(new.shape, bool), gap) == INTERFACE
    label = np.full(new.shape, IGNORE, np.uint8) if separation is None else separation.copy()
    label[seams] = INTERFACE
    return label


def _over(below: Any, above: Any, spared: np.ndarray | None) -> np.ndarray:
    """One label over another: what it marks counts; its background fills only what the other leaves open."""
    if above is None:
        return below
    label = np.full(above.shape, IGNORE, np.uint8) if below is None else below
    marked = is_marked(above)
    fills = (above == BACKGROUND) & (label == IGNORE)
    if spared is not None:
        fills &= ~spared
    label[fills] = BACKGROUND
    label[marked] = above[marked]
    return label
