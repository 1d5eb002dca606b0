"""The datalist: which image carries which label. :mod:`~lazylabels_monai.data.checking` looks into the files it names.

A data set is a folder with a ``datalist.json``::

    {"classes": ["air bubble", "ice crystal"],
     "training": [{"image": "images/a.png", "detection": "detection/a.png"}, ...],
     "validation": [...],
     "testing": [...]}

``classes`` names the object classes 1, 2, ... without the background, 0. Paths are relative to the file. A label that
was not collected has no key. ``instances`` holds object ids for object metrics. Free keys of an item are ``id``,
``pixel_size``, ``digest``, ``predicted`` and ``empty``; ``"empty": true`` says that the image truly shows no object, so that
its strong mask may be all background. ``digest`` says what the image shows, whatever its name is
(:func:`~lazylabels_monai.images.digest.pixel_digest`), so that it keeps its split when the data set is made again.
``predicted`` says of an exact mask that it is a prediction that nobody has changed (:func:`is_predicted`).
"""

from __future__ import annotations

import difflib
import glob
import json
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES, PathLike, file_suffix, is_zarr
from lazylabels_monai.option_text import command
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress
from lazylabels_monai.regular import odd_name, why_no_file
from lazylabels_monai.result_files import without_results
from lazylabels_monai.spelling import as_spelled
from lazylabels_monai.stamps import file_digest
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS, present_key, validate_tasks

__all__ = [
    "FILE_NAME",
    "HAND_KEYS",
    "LABEL_KEYS",
    "PREDICTED",
    "SECTIONS",
    "SECTION_FOLDERS",
    "DatalistError",
    "absolute_path",
    "aligned",
    "datalist_file",
    "find_images",
    "folders_passed_over",
    "has_key",
    "is_predicted",
    "load_datalist",
    "mask_digest",
    "new_dataset",
    "read_items",
    "require_datalist",
    "summary_table",
]

logger = logging.getLogger(__name__)

#: The splits of a datalist, and what their folder is called where images lie in folders by split.
SECTION_FOLDERS = {"training": "train", "validation": "val", "testing": "test"}
#: The splits of a datalist.
SECTIONS: tuple[str, ...] = tuple(SECTION_FOLDERS)

#: Name of the file in a data set's folder.
FILE_NAME = "datalist.json"
#: Keys of an item that name a label file.
LABEL_KEYS = (*TASKS, "instances")
_FILE_KEYS = ("image", *LABEL_KEYS)
#: Key of an item with :func:`mask_digest`, where its exact mask was made of a prediction that nobody had changed.
PREDICTED = "predicted"
#: Keys of an item that people write of the picture, and that no command can find out again.
HAND_KEYS = ("id", "pixel_size")
_ITEM_KEYS = (*_FILE_KEYS, *HAND_KEYS, "empty", "digest", PREDICTED)
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


def load_datalist(path: PathLike) -> dict[str, Any]:
    """Read ``datalist.json`` and check its structure; the files it names are not touched.

    Args:
        path: the file, or the folder it lies in.

    Returns:
        the file's contents, as they are.

    Raises:
        DatalistError: when the file is missing, is no JSON, or breaks the format; every finding is a line.
    """
    file = require_datalist(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as e:
        raise DatalistError(
            f"file '{file}' is no valid JSON at line {e.lineno}, column {e.colno} ({e.msg}): correct that line."
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise DatalistError(f"file '{file}' cannot be read ({e}): save it as UTF-8 text that you may read.") from e
    except (RecursionError, ValueError) as e:  # lists in lists in lists; a number of thousands of digits
        why = "too many lists in each other" if isinstance(e, RecursionError) else e
        raise DatalistError(f"file '{file}' is no datalist ({why}): make it anew by lazylabels datalist.") from e
    errors = _structure_errors(content, file)
    if errors:
        raise DatalistError(errors)
    return content


def read_items(
    path: PathLike,
    section: str,
    tasks: Sequence[str] = TASKS,
    labelled_only: bool = False,
    labels: Mapping[str, str] | None = None,
    may_be_empty: bool = False,
) -> list[dict[str, Any]]:
    """Items of one split, ready for MONAI's datasets.

    Args:
        path: datalist file or its folder.
        section: "training", "validation" or "testing".
        tasks: tasks whose labels are wanted.
        labelled_only: leave out images that carry none of these labels.
        labels: for a task, the key whose file is taken for its label instead of its own, such as ``{"segmentation":
            "detection"}`` to train on inner regions as if they were masks.
        may_be_empty: whether no item at all is fine.

    Returns:
        dictionaries with absolute paths under ``image``, ``instances`` and the tasks' keys where the item has them,
        and a flag 0 or 1 under ``<task>_present`` for each task.

    Raises:
        DatalistError: when the file breaks the format, or the split is unknown or without such an item.
        ValueError: when ``tasks`` or ``labels`` names a task that does not exist.
    """
    tasks = validate_tasks(tasks)
    labels = dict(labels or {})
    if not {*labels, *labels.values()} <= set(TASKS):
        raise ValueError(f"labels {labels} must name tasks of {list(TASKS)} only.")
    sources = {task: labels.get(task, task) for task in tasks}
    if section not in SECTIONS:
        raise DatalistError(f'section "{section}" does not exist: use one of {", ".join(SECTIONS)}.')
    file = datalist_file(path)
    items = []
    for raw in load_datalist(file).get(section, []):
        keys = {"image": "image", "instances": "instances", **sources}
        item = {key: absolute_path(file, raw[source]) for key, source in keys.items() if has_key(raw, source)}
        item.update({present_key(task): int(task in item) for task in tasks})
        if not labelled_only or any(task in item for task in tasks):
            items.append(item)
    if not items and not may_be_empty:
        which = f"image with a label for {' or '.join(sources.values())}" if labelled_only else "image"
        raise DatalistError(f"\"{section}\" of '{file}' lists no {which}: add items to this split.")
    return items


def summary_table(datalist: PathLike | Mapping[str, Any]) -> str:
    """How many images carry which label, a row per split.

    Args:
        datalist: path of the file or its folder, or what :func:`load_datalist` returned.
    """
    if not isinstance(datalist, Mapping):
        datalist = load_datalist(datalist)
    rows = [["", "images", *LABEL_KEYS, "no label"]]
    for section in SECTIONS:
        items = datalist.get(section, [])
        counts = [sum(has_key(item, key) for item in items) for key in LABEL_KEYS]
        bare = sum(not any(has_key(item, key) for key in LABEL_KEYS) for item in items)
        rows.append([section, *map(str, [len(items), *counts, bare])])
    names = ", ".join(f"{i} {name}" for i, name in enumerate(datalist["classes"], 1))
    return "\n".join([*aligned(rows), f"classes: {BACKGROUND} background, {names}"])


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Rows of text as lines for a terminal, column below column; those of ``left`` begin alike, the others end alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]


def find_images(source: PathLike, note: Progress | None = None, zarr: bool = False) -> list[str]:
    """Image files, sorted by name; the results of a prediction are no images, unless one is named itself.

    Args:
        source: a file, a folder (without its subfolders) or a glob pattern.
        note: is told what was passed over, in a sentence; None: the log is.
        zarr: the folders of OME-Zarr pictures are images, too, for callers that read them.

    Raises:
        DatalistError: when there is none.
    """
    path, suffixes = expanded(source), (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)
    if path.is_file() or (zarr and is_zarr(path)):
        candidates = [path]
    elif path.is_dir():
        candidates = [file for file in path.iterdir() if not file.name.startswith(".")]
    else:
        candidates = [Path(file) for file in glob.glob(str(path), recursive=True)]
    # what only looks like a file, such as a link that leads nowhere, is named by who reads it
    folders = {f for f in candidates if zarr and is_zarr(f)}
    folders -= {f for f in folders if not folders.isdisjoint(f.parents)}  # levels in a picture, by a pattern such as im/**
    named = [f for f in candidates if file_suffix(f) in suffixes and f not in folders]
    found = [f for f in named if not os.path.isdir(f)] + list(folders)
    images = sorted(map(str, found if found == [path] else without_results(found)))
    if found and not images:
        raise DatalistError(
            f"'{source}' holds results of a prediction and no image: name the folder of the images, or a file itself."
        )
    said = folders_passed_over(set(named) - set(found))
    if not images:
        why = f"'{source}' holds no image: give a file, a folder or a pattern of {', '.join((*suffixes, *['.zarr'] * zarr))}."
        raise DatalistError(f"{why} {said}" if said else why)
    if said:
        (note or logger.warning)(said)
    return images


def folders_passed_over(folders: Iterable[Path]) -> str | None:
    """The sentence about folders that are named like images among images, such as ``x.png/``; None without any."""
    names = sorted(str(folder) for folder in folders)
    if not names:
        return None
    others = f" and {len(names) - 1} more are folders" if len(names) > 1 else " is a folder"
    return f"'{names[0]}'{others} named like an image, and passed over: if there are images inside, put them beside the others."


def datalist_file(path: PathLike) -> Path:
    """The datalist of a data set that is named by its folder or by the file itself."""
    path = expanded(path)
    return path / FILE_NAME if path.is_dir() or path.suffix.lower() != ".json" else path


def require_datalist(path: PathLike) -> Path:
    """:func:`datalist_file`, which must be there.

    Raises:
        DatalistError: where it is not; of a folder of images with the command that makes a data set of them.
    """
    file = datalist_file(path)
    if (why := why_no_file(file)) is None:
        return file
    if why == "does not exist" and file.name == FILE_NAME and file.parent.is_dir():
        made = command("datalist", file.parent, new_dataset(file.parent))
        raise DatalistError(
            f"'{file.parent}' holds no {FILE_NAME}: name a data set (in configs dataset_dir), as datalist makes them, or "
            f"make one of images and their labels by `{made}`."
        )
    raise DatalistError(f"file '{file}' {why}: name a folder that holds a {FILE_NAME} (in configs dataset_dir).")


def new_dataset(folder: PathLike) -> Path:
    """A folder beside another one that is not there yet, for a data set that is made of it."""
    folder = Path(folder)
    folder = folder if folder.name not in ("", os.pardir) else folder.resolve()
    names = (f"{folder.name}_dataset{n}" for n in ("", *range(2, 1000)))
    return next(place for name in names if not os.path.lexists(place := folder.parent / name))


def absolute_path(file: Path, name: str) -> str:
    """A path of the datalist ``file`` as an absolute one, in the Unicode form in which the file is there."""
    return os.path.abspath(as_spelled(file.parent, str(expanded(name))))


def has_key(item: Mapping[str, Any], key: str) -> bool:
    """Whether an item names something under ``key``."""
    return item.get(key) is not None


def mask_digest(item: Mapping[str, Any], file: Path) -> str:
    """Of the files of an item's exact mask: the classes and, where there are some, the ids.

    Raises:
        OSError: when one cannot be read.
    """
    return " ".join(file_digest(absolute_path(file, item[key])) for key in ("segmentation", "instances") if has_key(item, key))


def is_predicted(item: Mapping[str, Any], file: Path) -> bool:
    """Whether an item's exact mask was made of a prediction that nobody had changed, and is as it was written then."""
    try:
        return has_key(item, PREDICTED) and item[PREDICTED] == mask_digest(item, file)
    except OSError:
        return False


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
    for name in classes:
        if name.lstrip()[0] in "$@%":  # MONAI's configs would run or resolve it
            errors.append(f"\"classes\" in '{file}' holds '{name}': let no name begin with {name.lstrip()[0]}.")
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
    if not has_key(item, "image"):
        problems.append('has no "image": add the path of the image.')
    for key, value in item.items():
        if key not in _ITEM_KEYS:
            hint = _closest(key, _ITEM_KEYS)
            remedy = f'did you mean "{hint}"' if hint else f"use {', '.join(_ITEM_KEYS)}"
            problems.append(f'has the unknown key "{key}": {remedy}.')
        elif key in _FILE_KEYS and value is not None and not (isinstance(value, str) and value.strip()):
            problems.append(f'has a {_kind(value)} under "{key}": give one path as text.')
        elif key in _FILE_KEYS and value is not None and (why := odd_name(value)):
            problems.append(f'names {value!r:.300} under "{key}", which {why}: correct the path.')
        elif key == "digest" and value is not None and not isinstance(value, str):
            problems.append(f'has a {_kind(value)} under "digest": give it as text, or remove the key.')
        elif key == "empty" and not isinstance(value, bool):
            problems.append(f'has a {_kind(value)} under "empty": write true or false.')
    return problems


def _kind(value: Any) -> str:
    names = {dict: "JSON object", list: "list", str: "text", bool: "true/false value", type(None): "null"}
    return names.get(type(value), "number")
