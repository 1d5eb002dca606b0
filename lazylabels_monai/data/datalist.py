"""The datalist: which image carries which label. Reading it, checking it before the first epoch, drawing from it.

A data set is a folder with a ``datalist.json``::

    {"classes": ["air bubble", "ice crystal"],
     "training": [{"image": "images/a.png", "detection": "detection/a.png"}, ...],
     "validation": [...],
     "testing": [...]}

``classes`` names the object classes 1, 2, ... without the background, 0. Paths are relative to the file. A label that
was not collected has no key. ``instances`` holds object ids for object metrics. Free keys of an item are ``id``,
``pixel_size`` and ``empty``; ``"empty": true`` says that the image truly shows no object, so that its strong mask may
be all background.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import json
import logging
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike

from lazylabels_monai.data.readers import (
    PICTURE_SUFFIXES,
    VOLUME_SUFFIXES,
    ReadError,
    file_suffix,
    read_image_and_dims,
    read_label,
)
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS, num_task_classes, present_key, validate_tasks

__all__ = [
    "SECTIONS",
    "CheckReport",
    "DatalistError",
    "check_datalist",
    "find_images",
    "load_datalist",
    "read_items",
    "sampling_weights",
    "summary_table",
]

#: The splits of a datalist.
SECTIONS: tuple[str, ...] = ("training", "validation", "testing")

_FILE_NAME = "datalist.json"
_LABEL_KEYS = (*TASKS, "instances")
_FILE_KEYS = ("image", *_LABEL_KEYS)
_ITEM_KEYS = (*_FILE_KEYS, "id", "pixel_size", "empty")
# What other tools call them, so that the hint is right where spelling does not help
_ALIASES = {
    "label": "segmentation",
    "mask": "segmentation",
    "masks": "segmentation",
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "test": "testing",
    "labels": "classes",
}
_MAX_CLASSES = IGNORE - 1


class DatalistError(LazyLabelsError):
    """A data set that cannot be trained on as it is.

    Args:
        errors: one sentence per finding.
        limit: how many of them the message shows.
    """

    def __init__(self, errors: Sequence[str] | str, limit: int = 20) -> None:
        self.errors = [errors] if isinstance(errors, str) else list(errors)
        shown = self.errors[:limit]
        if len(self.errors) > limit:
            shown.append(f"... and {len(self.errors) - limit} more.")
        super().__init__("\n".join(shown))


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


# ---------------------------------------------------------------------------------------------- structure


def load_datalist(path: PathLike) -> dict[str, Any]:
    """Read ``datalist.json`` and check its structure; the files it names are not touched.

    Args:
        path: the file, or the folder it lies in.

    Returns:
        the file's contents, as they are.

    Raises:
        DatalistError: when the file is missing, is no JSON, or breaks the format; every finding is a line.
    """
    file = _datalist_file(path)
    if not file.is_file():
        raise DatalistError(f"file '{file}' does not exist: point dataset_dir to a folder that holds a {_FILE_NAME}.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as e:
        raise DatalistError(
            f"file '{file}' is no valid JSON at line {e.lineno}, column {e.colno} ({e.msg}): correct that line."
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise DatalistError(f"file '{file}' cannot be read ({e}): save it as UTF-8 text that you may read.") from e
    errors = _structure_errors(content, file)
    if errors:
        raise DatalistError(errors)
    return content


def read_items(path: PathLike, section: str, tasks: Sequence[str] = TASKS, labelled_only: bool = False) -> list[dict[str, Any]]:
    """Items of one split, ready for MONAI's datasets.

    Args:
        path: datalist file or its folder.
        section: "training", "validation" or "testing".
        tasks: tasks whose labels are wanted.
        labelled_only: leave out images that carry none of these labels.

    Returns:
        dictionaries with absolute paths under ``image``, ``instances`` and the tasks' keys where the item has them,
        and a flag 0 or 1 under ``<task>_present`` for each task.

    Raises:
        DatalistError: when the file breaks the format, or the split is unknown or without such an item.
    """
    tasks = validate_tasks(tasks)
    if section not in SECTIONS:
        raise DatalistError(f'section "{section}" does not exist: use one of {", ".join(SECTIONS)}.')
    file = _datalist_file(path)
    items = []
    for raw in load_datalist(file).get(section, []):
        item = {k: _absolute(file, raw[k]) for k in ("image", "instances", *tasks) if raw.get(k) is not None}
        item.update({present_key(task): int(task in item) for task in tasks})
        if not labelled_only or any(task in item for task in tasks):
            items.append(item)
    if not items:
        which = f"image with a label for {' or '.join(tasks)}" if labelled_only else "image"
        raise DatalistError(f"\"{section}\" of '{file}' lists no {which}: add items to this split.")
    return items


def summary_table(datalist: PathLike | Mapping[str, Any]) -> str:
    """How many images carry which label, a row per split.

    Args:
        datalist: path of the file or its folder, or what :func:`load_datalist` returned.
    """
    if not isinstance(datalist, Mapping):
        datalist = load_datalist(datalist)
    rows = [["", "images", *_LABEL_KEYS, "no label"]]
    for section in SECTIONS:
        items = datalist.get(section, [])
        counts = [sum(_has(item, key) for item in items) for key in _LABEL_KEYS]
        bare = sum(not any(_has(item, key) for key in _LABEL_KEYS) for item in items)
        rows.append([section, *map(str, [len(items), *counts, bare])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]) for row in rows
    ]
    names = ", ".join(f"{i} {name}" for i, name in enumerate(datalist["classes"], 1))
    return "\n".join([*lines, f"classes: {BACKGROUND} background, {names}"])


def find_images(source: PathLike) -> list[str]:
    """Image files, sorted by name.

    Args:
        source: a file, a folder (without its subfolders) or a glob pattern.

    Raises:
        DatalistError: when there is none.
    """
    path, suffixes = Path(source).expanduser(), (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)
    if path.is_file():
        candidates = [path]
    elif path.is_dir():
        candidates = [file for file in path.iterdir() if not file.name.startswith(".")]
    else:
        candidates = [Path(file) for file in glob.glob(str(path), recursive=True)]
    images = sorted(str(f) for f in candidates if f.is_file() and file_suffix(f) in suffixes)
    if not images:
        raise DatalistError(f"'{source}' holds no image: give a file, a folder or a pattern of {', '.join(suffixes)}.")
    return images


def _datalist_file(path: PathLike) -> Path:
    path = Path(path).expanduser()
    return path / _FILE_NAME if path.is_dir() or path.suffix.lower() != ".json" else path


def _absolute(file: Path, name: str) -> str:
    return os.path.abspath(file.parent / Path(name).expanduser())


def _has(item: Mapping[str, Any], key: str) -> bool:
    return item.get(key) is not None


def _structure_errors(content: Any, file: Path) -> list[str]:
    if not isinstance(content, dict):
        return [f'file \'{file}\' must hold a JSON object with "classes" and "training", not a {_kind(content)}.']
    errors = _class_errors(content, file)
    for key, value in content.items():
        if key not in SECTIONS and key != "classes" and (hint := _meant_section(key, value)):
            errors.append(f"\"{key}\" in '{file}' is no known key: {hint}.")
    for section in SECTIONS:
        items = content.get(section, [])
        if not isinstance(items, list):
            errors.append(f'"{section}" in \'{file}\' is a {_kind(items)}: make it a list of objects with "image".')
            continue
        for i, item in enumerate(items):
            errors += [f"{section}[{i}] in '{file}' {problem}" for problem in _item_problems(item)]
    return errors


def _class_errors(content: dict, file: Path) -> list[str]:
    if "classes" not in content:
        return [f'"classes" is missing in \'{file}\': add the names of the object classes, such as ["particle"].']
    classes = content["classes"]
    if not isinstance(classes, list) or not classes or not all(isinstance(c, str) and c.strip() for c in classes):
        return [f'"classes" in \'{file}\' must be a non-empty list of names, such as ["particle"]: correct it.']
    errors = []
    repeated = sorted(name for name, n in Counter(classes).items() if n > 1)
    if repeated:
        errors.append(f"\"classes\" in '{file}' repeats {repeated}: give every class a name of its own.")
    if "background" in [name.lower() for name in classes]:
        errors.append(f"\"classes\" in '{file}' lists the background, which is always class 0: leave it out.")
    if len(classes) > _MAX_CLASSES:
        errors.append(f"\"classes\" in '{file}' are {len(classes)}: at most {_MAX_CLASSES} fit, 255 means unlabelled.")
    return errors


def _meant_section(key: str, value: Any) -> str | None:
    """Remedy where an unknown top-level key looks like a split or "classes"; other extra keys are free."""
    known = (*SECTIONS, "classes")
    if hint := _closest(key, known):
        return f'did you mean "{hint}"'
    if isinstance(value, list) and any(isinstance(v, dict) and "image" in v for v in value):
        return f"name the split one of {', '.join(SECTIONS)}"
    return None


def _closest(key: str, known: Iterable[str]) -> str | None:
    alias = _ALIASES.get(key.lower())
    if alias in known:
        return alias
    close = difflib.get_close_matches(key.lower(), list(known), n=1, cutoff=0.7)
    return close[0] if close else None


def _item_problems(item: Any) -> list[str]:
    if not isinstance(item, dict):
        return [f'is a {_kind(item)}: make it an object such as {{"image": "images/a.png"}}.']
    problems = []
    if not _has(item, "image"):
        problems.append('has no "image": add the path of the image.')
    for key, value in item.items():
        if key not in _ITEM_KEYS:
            hint = _closest(key, _ITEM_KEYS)
            remedy = f'did you mean "{hint}"' if hint else f"use {', '.join(_ITEM_KEYS)}"
            problems.append(f'has the unknown key "{key}": {remedy}.')
        elif key in _FILE_KEYS and value is not None and not (isinstance(value, str) and value.strip()):
            problems.append(f'has a {_kind(value)} under "{key}": give one path as text.')
        elif key == "empty" and not isinstance(value, bool):
            problems.append(f'has a {_kind(value)} under "empty": write true or false.')
    return problems


def _kind(value: Any) -> str:
    names = {dict: "JSON object", list: "list", str: "text", bool: "true/false value", type(None): "null"}
    return names.get(type(value), "number")


# ---------------------------------------------------------------------------------------------- files


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
    file = _datalist_file(path)
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
        return _absolute(self.file, self.item[key])


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
    strong = any(_has(item, "segmentation") for item in validation)
    if "validation" in sections and "segmentation" in tasks and validation and not strong:
        errors.append(
            f'"validation" of \'{file}\' has no "segmentation" mask, so that the best model cannot be chosen: '
            "draw the exact mask of at least one validation image."
        )
    for i, item in enumerate(datalist.get("training", [])):
        if not any(_has(item, task) for task in TASKS):
            errors.append(
                f"training[{i}] \"image\": '{item['image']}' has no label at all and teaches nothing: "
                f"add one under {', '.join(TASKS)}, or remove the item."
            )
    return errors


def _coverage_warnings(datalist: dict, tasks: Sequence[str]) -> list[str]:
    notes = []
    training = datalist.get("training", [])
    for task in tasks:
        if training and not any(_has(item, task) for item in training):
            notes.append(
                f'0 of {len(training)} training images carry "{task}", so that this task learns nothing: '
                f'add labels under "{task}" or leave it out of tasks.'
            )
    idle = sum(any(_has(i, t) for t in TASKS) and not any(_has(i, t) for t in tasks) for i in training)
    if idle:
        notes.append(
            f"{idle} of {len(training)} training images carry no label for {' or '.join(tasks)} and teach nothing "
            "here: read the items with labelled_only=True."
        )
    validation = datalist.get("validation", [])
    for i, item in enumerate(validation):
        if not any(_has(item, key) for key in _LABEL_KEYS):
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
    for key in _LABEL_KEYS:
        if _has(entry.item, key):
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
        for key in _LABEL_KEYS:
            if not _has(entry.item, key):
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


# ---------------------------------------------------------------------------------------------- drawing


def sampling_weights(items: Sequence[Mapping[str, Any]], shares: Mapping[str, float] | None = None) -> list[float]:
    """Probability of each image to be drawn, so that few strong masks are seen often enough.

    ``{"segmentation": 0.4}`` makes four of ten drawn crops come from images that carry a segmentation mask, however
    few they are. Images that carry the same labels are drawn equally often. Shares for several tasks are met together
    by iterative proportional fitting from the uniform distribution, the closest one to it that has these shares.

    Args:
        items: what :func:`read_items` returns.
        shares: for each task, the expected share in (0, 1] of draws from images that carry its label; tasks that are
            not named are left to chance; ``None`` or empty: uniform.

    Returns:
        weights for ``torch.utils.data.WeightedRandomSampler``, their sum is 1.

    Raises:
        ValueError: when there is no item, a task does not exist or a share lies outside (0, 1].
    """
    if not items:
        raise ValueError("sampling_weights needs at least one item: the list of items is empty.")
    weights = np.full(len(items), 1.0 / len(items))
    groups = []
    for task, share in (shares or {}).items():
        if task not in TASKS:
            raise ValueError(f"sampling share for '{task}' must be for one of {list(TASKS)}.")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise ValueError(f"sampling share of '{task}' must be a number in (0, 1], not {share!r}.")
        carries = np.array([bool(item.get(present_key(task), _has(item, task))) for item in items])
        if not carries.any() or (carries.all() and share < 1):
            who = "no image carries" if not carries.any() else "every image carries"
            warnings.warn(f"sampling share {share} of '{task}' is left out: {who} this label.", stacklevel=2)
            continue
        groups.append((task, carries, float(share)))
    return _rake(weights, groups).tolist()


def _rake(weights: np.ndarray, groups: list[tuple[str, np.ndarray, float]], rounds: int = 1000) -> np.ndarray:
    """Scale ``weights`` until each group's sum is its share."""
    start = weights.copy()
    for _ in range(rounds):
        for _, carries, share in groups:
            for group, target in ((carries, share), (~carries, 1.0 - share)):
                total = weights[group].sum()
                if total > 0:
                    weights[group] *= target / total
        if weights.sum() <= 0:  # such as two tasks at 1.0 that no image carries together
            weights = start
            break
        weights /= weights.sum()
        if all(abs(weights[carries].sum() - share) < 1e-9 for _, carries, share in groups):
            return weights
    if groups:
        got = ", ".join(f"{task} {weights[carries].sum():.3f} for {share}" for task, carries, share in groups)
        warnings.warn(f"the sampling shares cannot be reached together (got {got}): lower one of them.", stacklevel=3)
    return weights
