"""The items of a datalist with what their files hold, each file read once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.data.checking.findings import CODES, ERROR, Fault, Finding
from lazylabels_monai.data.checking.images import contrast
from lazylabels_monai.data.checking.marks import mark_diameter, mark_extent, mark_faults
from lazylabels_monai.data.datalist import LABEL_KEYS, SECTIONS, absolute_path, has_key
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.digest import is_digest, pixel_digest
from lazylabels_monai.images.files import (
    PICTURE_SUFFIXES,
    ReadError,
    file_suffix,
    read_image_and_dims,
    read_label,
)
from lazylabels_monai.images.judging import image_faults
from lazylabels_monai.images.places import ELSEWHERE, ElsewhereError
from lazylabels_monai.images.span import as_float32
from lazylabels_monai.labels.plausible import Look, look_at
from lazylabels_monai.tasks import IGNORE, num_task_classes

__all__ = ["Entry", "read_entries"]

#: Labels whose pixels say whether they are what their key says.
_LOOKED_AT = ("segmentation", "detection", "instances")


@dataclass
class Entry:
    """An item of a datalist and what its files hold.

    Args:
        section: split of the item.
        index: its position in the split.
        item: the item as the datalist has it.
        file: the datalist.
        shape: of the image, spatial axes only; None where it cannot be read.
        channels: of the image.
        digest: the same for images of the same pixels, "" where the image cannot be read.
        values: sorted distinct values of each label that can be read.
        unlabelled: share of the pixels that are not labelled, of each label that can be read.
        findings: what is wrong with the item's files.
        contrast: how much brighter objects are than the rest, in standard deviations; only with ``marks``.
        diameter: median diameter of its objects in pixels; only with ``marks``.
        extent: how far its marks reach from the first pixel, and how many there are; only with ``marks``.
        looks: what each label map looks like; only with ``marks``.
    """

    section: str
    index: int
    item: dict[str, Any]
    file: Path
    shape: tuple[int, ...] | None = None
    channels: int = 0
    digest: str = ""
    values: dict[str, np.ndarray] = field(default_factory=dict)
    unlabelled: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    contrast: float | None = None
    diameter: float | None = None
    extent: tuple[float, int] | None = None
    looks: dict[str, Look] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """How a sentence begins that is about this item."""
        return f'{self.section}[{self.index}] "{key}"'

    def path(self, key: str) -> str:
        """Absolute path of a file of the item."""
        return absolute_path(self.file, self.item[key])

    def finding(self, level: str, code: str, key: str, message: str) -> Finding:
        """A finding about a file of this item."""
        image = self.item["image"]
        return Finding(level, code, message, self.section, self.index, key, image, self.item.get(key, image))

    def error(self, code: str, key: str, message: str) -> None:
        """Note an error; ``message`` goes on after :meth:`where`."""
        self.findings.append(self.finding(ERROR, code, key, f"{self.where(key)}: {message}"))

    def fault(self, fault: Fault) -> None:
        """Note a fault of the pixels."""
        self.findings.append(Finding.of_fault(fault, self.section, self.index, self.item))


def read_entries(datalist: dict[str, Any], file: Path, marks: bool = False, crop_size: int | None = None) -> list[Entry]:
    """Read every image and label of a datalist once, two to four at a time.

    Args:
        datalist: its contents.
        file: where it lies.
        marks: look at what is drawn, and compare the images, too; a few times slower.
        crop_size: with ``marks``: shorter images are reported.
    """
    entries = [Entry(s, i, item, file) for s in SECTIONS for i, item in enumerate(datalist.get(s, []))]
    num_classes = len(datalist["classes"]) + 1
    # Decoding, and most of what numpy and OpenCV do, runs outside Python's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda entry: _inspect(entry, num_classes, marks, crop_size), entries))
    return entries


def _inspect(entry: Entry, num_classes: int, marks: bool, crop_size: int | None) -> None:
    """Read an item's files once and note what is wrong with them."""
    image, dims = None, 0
    try:
        image, dims = read_image_and_dims(entry.path("image"))
    except ReadError as e:
        entry.error("unreadable", "image", str(e))
    else:
        entry.shape, entry.channels = image.shape[:dims], int(np.prod(image.shape[dims:]))
        entry.digest = pixel_digest(image)
        recorded = entry.item.get("digest") or ""
        if is_digest(recorded) and recorded != entry.digest:
            entry.fault(Fault("image-replaced", "image", amount=CODES["image-replaced"].many))
    labels = {key: _inspect_label(entry, key, num_classes) for key in LABEL_KEYS if has_key(entry.item, key)}
    if image is None or not image.size:
        return
    for fault in image_faults(as_float32(image), dims, crop_size if marks else None):
        entry.fault(fault)
    if marks:
        # A label that is broken as a whole is reported above; its marks say nothing.
        labels = {key: label for key, label in labels.items() if label is not None and label.shape == entry.shape}
        entry.looks = {key: look_at(labels[key]) for key in _LOOKED_AT if key in labels}
        for fault in mark_faults(labels):
            entry.fault(fault)
        entry.extent = mark_extent(labels)
        entry.contrast, entry.diameter = contrast(image, dims, labels), mark_diameter(labels)


def _inspect_label(entry: Entry, key: str, num_classes: int) -> np.ndarray | None:
    """A label in the image's order of axes; None where it cannot be used."""
    name, image_name = entry.item[key], entry.item["image"]
    try:
        label = read_label(entry.path(key))
    except ReadError as e:
        remedy = " (or remove the key if this label was not collected)" if not Path(entry.path(key)).exists() else ""
        entry.error("unreadable", key, f"{str(e).rstrip('.')}{remedy}.")
        return None
    size = label.shape
    try:
        label = like_image(label, entry.path(key), entry.path("image"))
    except ElsewhereError as e:
        entry.fault(Fault("label-elsewhere", key, amount=f"{ELSEWHERE} ({e.amount})"))
        return None
    before = len(entry.findings)
    if entry.shape is not None and label.shape != entry.shape:
        entry.error(
            "size-differs",
            key,
            f"file '{name}' is {_size(size, name)} but image '{image_name}' is "
            f"{_size(entry.shape, image_name)}: give the label of this image, pixel for pixel.",
        )
    values = _values(label)
    entry.values[key] = values
    entry.unlabelled[key] = float(np.mean(label == IGNORE)) if IGNORE in values else 0.0
    if key != "instances":
        _check_values(entry, key, values, num_task_classes(key, num_classes))
    elif values[0] < 0:
        entry.error("values", key, f"file '{name}' has negative ids: number the objects from 1.")
    return label if len(entry.findings) == before else None


def _check_values(entry: Entry, key: str, values: np.ndarray, num_classes: int) -> None:
    name, found = entry.item[key], set(values.tolist())
    wrong = sorted(v for v in found if v != IGNORE and not 0 <= v < num_classes)
    objects = any(0 < v < num_classes for v in found)
    if wrong:
        shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        ids = key == "segmentation" and len(wrong) > 2
        remedy = 'if these are object ids, move the file to "instances"' if ids else 'correct the label or add to "classes"'
        if key == "separation":
            remedy = "mark interfaces with 1 and all else with 0"
        entry.error(
            "values",
            key,
            f"file '{name}' has the values {shown} where 0 to {num_classes - 1} and {IGNORE} "
            f"(not labelled) are allowed: {remedy}.",
        )
    elif found == {IGNORE}:
        entry.error(
            "nothing-labelled",
            key,
            f"file '{name}' is {IGNORE} (not labelled) everywhere: label some pixels or remove the key.",
        )
    elif key == "segmentation":
        _check_emptiness(entry, key, objects, IGNORE in found)


def _check_emptiness(entry: Entry, key: str, objects: bool, partial: bool) -> None:
    name, empty = entry.item[key], entry.item.get("empty", False)
    if objects and empty:
        entry.error("empty-flag", key, f"file '{name}' has objects but the item says \"empty\": remove that flag.")
    elif objects or empty:
        return
    elif partial:
        entry.error(
            "mask-empty",
            key,
            f"file '{name}' has only 0 and {IGNORE}, and {IGNORE} means not labelled: "
            "save object pixels with their class, such as 1.",
        )
    else:
        entry.error(
            "mask-empty",
            key,
            f"file '{name}' is all background: draw the objects, remove the key if the mask "
            'was not made, or add "empty": true to the item if the image shows no object.',
        )


def _size(shape: Sequence[int], name: str) -> str:
    """Width x height [x depth]."""
    order = shape[::-1] if file_suffix(name) in PICTURE_SUFFIXES else shape
    return " x ".join(map(str, order))


def _values(label: np.ndarray) -> np.ndarray:
    """Sorted distinct values; counting beats np.unique's sort for the usual small ones."""
    if label.size and label.min() >= 0 and label.max() < 2**16:
        return np.flatnonzero(np.bincount(label.ravel().astype(np.intp, copy=False)))
    return np.unique(label)
