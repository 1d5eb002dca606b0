"""Checking a data set before the first epoch."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import (
    LABEL_KEYS,
    SECTIONS,
    DatalistError,
    absolute_path,
    datalist_file,
    has_key,
    load_datalist,
    summary_table,
)
from lazylabels_monai.data.files import (
    PICTURE_SUFFIXES,
    PathLike,
    ReadError,
    file_suffix,
    read_image_and_dims,
    read_label,
)
from lazylabels_monai.tasks import IGNORE, TASKS, num_task_classes, validate_tasks

__all__ = ["CheckReport", "check_datalist"]


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check_datalist` found.

    Args:
        errors: findings that make training pointless or impossible, a sentence each.
        warnings: findings to look at, a sentence each.
        table: how many images carry which label, for people to read.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    table: str = ""

    def log(self, logger: logging.Logger | None = None) -> CheckReport:
        """Log the table and the warnings; returns itself, so that ``.log().raise_errors()`` can follow."""
        logger = logger or logging.getLogger("lazylabels_monai")
        if self.table:
            logger.info("Data set:\n%s", self.table)
        for warning in self.warnings:
            logger.warning(warning)
        return self

    def raise_errors(self, limit: int = 20) -> CheckReport:
        """Raise when there are errors, otherwise return itself.

        Raises:
            DatalistError: with the first ``limit`` errors, one a line, and how many more there are.
        """
        if self.errors:
            raise DatalistError(self.errors, limit)
        return self


def check_datalist(
    path: PathLike,
    sections: Sequence[str] = ("training", "validation"),
    classes: Sequence[str] | None = None,
    tasks: Sequence[str] = TASKS,
) -> CheckReport:
    """Check a data set, files included, before the first epoch.

    Every image and label in the datalist is read once. Errors are collected, so that one run shows them all.

    Args:
        path: datalist file or its folder.
        sections: splits that must not be empty; the others are checked where they are there.
        classes: names of the object classes that the configuration is set to; ``None``: not compared.
        tasks: tasks that are to be trained.

    Returns:
        findings, each a sentence that names the file, the key and the remedy, and the table of labels.

    Raises:
        ValueError: when ``tasks`` or ``sections`` name something that does not exist.
    """
    tasks = validate_tasks(tasks)
    if unknown := [section for section in sections if section not in SECTIONS]:
        raise ValueError(f"sections {unknown} must be among {list(SECTIONS)}.")
    try:
        datalist = load_datalist(path)
    except DatalistError as e:
        return CheckReport(errors=e.errors)
    file = datalist_file(path)
    errors, notes = _config_errors(datalist, file, sections, classes, tasks), _coverage_warnings(datalist, tasks)
    entries = _inspect_all(datalist, file)
    for entry in entries:
        errors += entry.problems
    more_errors, more_notes = _duplicates(entries)
    notes += more_notes + _class_warnings(entries, datalist["classes"]) + _channel_warnings(entries)
    return CheckReport(errors + more_errors, notes, summary_table(datalist))


@dataclass
class _Entry:
    """An item and what its files hold."""

    section: str
    index: int
    item: dict
    file: Path
    shape: tuple[int, ...] | None = None
    channels: int = 0
    digest: str = ""
    values: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def where(self, key: str) -> str:
        return f'{self.section}[{self.index}] "{key}"'

    def path(self, key: str) -> str:
        return absolute_path(self.file, self.item[key])


def _config_errors(
    datalist: dict, file: Path, sections: Sequence[str], classes: Sequence[str] | None, tasks: Sequence[str]
) -> list[str]:
    errors = []
    if classes is not None and list(classes) != datalist["classes"]:
        errors.append(
            f"\"classes\" of '{file}' are {datalist['classes']} but the configuration says {list(classes)}: "
            f'pass --classes "{datalist["classes"]}" or correct the file.'
        )
    for section in sections:
        if not datalist.get(section):
            errors.append(f"\"{section}\" of '{file}' lists no image: add items, or move some from another split.")
    validation = datalist.get("validation", [])
    strong = any(has_key(item, "segmentation") for item in validation)
    if "validation" in sections and "segmentation" in tasks and validation and not strong:
        errors.append(
            f'"validation" of \'{file}\' has no "segmentation" mask, so that the best model cannot be chosen: '
            "draw the exact mask of at least one validation image."
        )
    for i, item in enumerate(datalist.get("training", [])):
        if not any(has_key(item, task) for task in TASKS):
            errors.append(
                f"training[{i}] \"image\": '{item['image']}' has no label at all and teaches nothing: "
                f"add one under {', '.join(TASKS)}, or remove the item."
            )
    return errors


def _coverage_warnings(datalist: dict, tasks: Sequence[str]) -> list[str]:
    notes = []
    training = datalist.get("training", [])
    for task in tasks:
        if training and not any(has_key(item, task) for item in training):
            notes.append(
                f'0 of {len(training)} training images carry "{task}", so that this task learns nothing: '
                f'add labels under "{task}" or leave it out of tasks.'
            )
    idle = sum(any(has_key(i, t) for t in TASKS) and not any(has_key(i, t) for t in tasks) for i in training)
    if idle:
        notes.append(
            f"{idle} of {len(training)} training images carry no label for {' or '.join(tasks)} and teach nothing "
            "here: read the items with labelled_only=True."
        )
    validation = datalist.get("validation", [])
    for i, item in enumerate(validation):
        if not any(has_key(item, key) for key in LABEL_KEYS):
            notes.append(
                f"validation[{i}] \"image\": '{item['image']}' has no label and is judged by nothing: "
                "add a label, or remove the item."
            )
    return notes


def _inspect_all(datalist: dict, file: Path) -> list[_Entry]:
    entries = [_Entry(s, i, item, file) for s in SECTIONS for i, item in enumerate(datalist.get(s, []))]
    num_classes = len(datalist["classes"]) + 1
    # Decoding runs outside Python's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda entry: _inspect(entry, num_classes), entries))
    return entries


def _inspect(entry: _Entry, num_classes: int) -> None:
    """Read an item's files once and note what is wrong with them."""
    try:
        image, dims = read_image_and_dims(entry.path("image"))
    except ReadError as e:
        entry.problems.append(f"{entry.where('image')}: {e}")
    else:
        entry.shape, entry.channels = image.shape[:dims], int(np.prod(image.shape[dims:]))
        entry.digest = _digest(image)
    for key in LABEL_KEYS:
        if has_key(entry.item, key):
            _inspect_label(entry, key, num_classes)


def _inspect_label(entry: _Entry, key: str, num_classes: int) -> None:
    name, image_name = entry.item[key], entry.item["image"]
    try:
        label = read_label(entry.path(key))
    except ReadError as e:
        remedy = " (or remove the key if this label was not collected)" if not Path(entry.path(key)).exists() else ""
        entry.problems.append(f"{entry.where(key)}: {str(e).rstrip('.')}{remedy}.")
        return
    shape = label.shape
    if _transposed(entry.path(key), entry.path("image")):
        shape = shape[::-1]
    if entry.shape is not None and shape != entry.shape:
        entry.problems.append(
            f"{entry.where(key)}: file '{name}' is {_size(label.shape, name)} but image '{image_name}' is "
            f"{_size(entry.shape, image_name)}: give the label of this image, pixel for pixel."
        )
    values = _values(label)
    entry.values[key] = values
    if key != "instances":
        entry.problems += _value_problems(entry, key, values, num_task_classes(key, num_classes))
    elif values[0] < 0:
        entry.problems.append(f"{entry.where(key)}: file '{name}' has negative ids: number the objects from 1.")


def _value_problems(entry: _Entry, key: str, values: np.ndarray, num_classes: int) -> list[str]:
    name, found = entry.item[key], set(values.tolist())
    wrong = sorted(v for v in found if v != IGNORE and not 0 <= v < num_classes)
    objects = any(0 < v < num_classes for v in found)
    if wrong:
        shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        ids = key == "segmentation" and len(wrong) > 2
        remedy = 'if these are object ids, move the file to "instances"' if ids else 'correct the label or add to "classes"'
        if key == "separation":
            remedy = "mark interfaces with 1 and all else with 0"
        return [
            f"{entry.where(key)}: file '{name}' has the values {shown} where 0 to {num_classes - 1} and {IGNORE} "
            f"(not labelled) are allowed: {remedy}."
        ]
    if found == {IGNORE}:
        return [
            f"{entry.where(key)}: file '{name}' is {IGNORE} (not labelled) everywhere: label some pixels or remove the key."
        ]
    if key != "segmentation":
        return []
    empty = entry.item.get("empty", False)
    if not objects and IGNORE in found and not empty:
        return [
            f"{entry.where(key)}: file '{name}' has only 0 and {IGNORE}, and {IGNORE} means not labelled: "
            "save object pixels with their class, such as 1."
        ]
    if not objects and not empty:
        return [
            f"{entry.where(key)}: file '{name}' is all background: draw the objects, remove the key if the mask "
            'was not made, or add "empty": true to the item if the image shows no object.'
        ]
    if objects and empty:
        return [f"{entry.where(key)}: file '{name}' has objects but the item says \"empty\": remove that flag."]
    return []


def _duplicates(entries: list[_Entry]) -> tuple[list[str], list[str]]:
    """The same image twice: an error by file or over splits, a warning by content within one split."""
    errors, notes = [], []
    by_file, by_digest, labels = {}, {}, {}
    for entry in entries:
        here, name = entry.where("image"), entry.item["image"]
        real = os.path.realpath(entry.path("image"))
        if first := by_file.get(real):
            where = "twice" if first.section == entry.section else "in two splits"
            errors.append(f"{here}: '{name}' is listed {where}, also as {first.where('image')}: remove one of them.")
            continue
        by_file[real] = entry
        if entry.digest and (first := by_digest.get(entry.digest)):
            text = f"{here}: '{name}' has the same pixels as '{first.item['image']}' ({first.where('image')})"
            if first.section == entry.section:
                notes.append(f"{text}: remove one of them if that is not meant.")
            else:
                errors.append(f"{text}, so that the splits overlap: remove one of them.")
        elif entry.digest:
            by_digest[entry.digest] = entry
        for key in LABEL_KEYS:
            if not has_key(entry.item, key):
                continue
            first = labels.setdefault((key, os.path.realpath(entry.path(key))), entry)
            if first is not entry:
                notes.append(
                    f"{entry.where(key)}: file '{entry.item[key]}' also labels '{first.item['image']}' "
                    f"({first.where(key)}): give each image its own label."
                )
    return errors, notes


def _class_warnings(entries: list[_Entry], classes: Sequence[str]) -> list[str]:
    """Classes that no label of a split shows: they cannot be learnt, or not be judged."""
    notes = []
    for section, keys, consequence in (
        ("training", ("segmentation", "detection"), "cannot be learnt"),
        ("validation", ("segmentation",), "is not judged"),
    ):
        labels = [e.values[k] for e in entries if e.section == section for k in keys if k in e.values]
        seen = set(np.unique(np.concatenate(labels)).tolist()) if labels else set(range(len(classes) + 1))
        for i, name in enumerate(classes, 1):
            if i not in seen:
                notes.append(
                    f'class {i} "{name}" occurs in no "{section}" label under {" or ".join(keys)} and {consequence}: '
                    'label some or take it out of "classes".'
                )
    return notes


def _channel_warnings(entries: list[_Entry]) -> list[str]:
    kinds = defaultdict(list)
    for entry in entries:
        if entry.shape is not None:
            kinds[(len(entry.shape), entry.channels)].append(entry)
    if len(kinds) < 2:
        return []
    shown = ", ".join(
        f"{len(found)} with {dims} axes and {channels} channels (such as '{found[0].item['image']}')"
        for (dims, channels), found in sorted(kinds.items())
    )
    return [f'the files under "image" differ in kind, {shown}: convert them to one kind.']


def _transposed(label: str, image: str) -> bool:
    """Whether the two readers give their axes in opposite order: pictures (H, W), volumes (X, Y)."""
    return (file_suffix(label) in PICTURE_SUFFIXES) != (file_suffix(image) in PICTURE_SUFFIXES)


def _size(shape: Sequence[int], name: str) -> str:
    """Width x height [x depth]."""
    order = shape[::-1] if file_suffix(name) in PICTURE_SUFFIXES else shape
    return " x ".join(map(str, order))


def _digest(array: np.ndarray) -> str:
    content = hashlib.blake2b(f"{array.shape}{array.dtype}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(array))
    return content.hexdigest()


def _values(label: np.ndarray) -> np.ndarray:
    """Sorted distinct values; counting beats np.unique's sort for the usual small ones."""
    if label.size and label.min() >= 0 and label.max() < 2**16:
        return np.flatnonzero(np.bincount(label.ravel().astype(np.intp, copy=False)))
    return np.unique(label)
