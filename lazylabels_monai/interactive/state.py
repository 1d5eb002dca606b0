"""What a window knows of a project's images that has no place in the datalist: ``project.json`` beside it.

::

    {"version": 1,
     "images": {"images/a.png": {"section": "training", "finished": true, "predicted": true, "corrected": ["separation"],
                                 "complete": {"detection": true}, "seconds": {"detection": 41.5},
                                 "stem": "a", "digest": "5f70bf18a0860070"}}}

Every key of an image may be missing. Beside the images, ``"files"`` says of which files it is known that they show the pixels
of their digest: time, size and inode, as :func:`~lazylabels_monai.interactive.file_stamp.file_stamp` gives them. It is data and
nothing else: each value is checked, and an unknown key of an image is refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.data.datalist import SECTIONS
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.result_files import PROJECT_FILE
from lazylabels_monai.tasks import TASKS

__all__ = ["STATE_FILE", "UNASSIGNED", "ImageState", "read_stamps", "read_state", "state_file"]

#: Name of the file in the project's folder.
STATE_FILE = PROJECT_FILE

#: Seconds that were spent on an image and on no task in particular.
UNASSIGNED = "other"

_VERSION = 1

#: Bytes that a change may add to the file.
_SPARE = 1 << 14

#: Time in nanoseconds, size in bytes and inode of a file.
Stamp = tuple[int, ...]


@dataclass
class ImageState:
    """What is known of one image.

    Args:
        section: split that was chosen; an image without any label has no other place for it. None: nobody chose.
        finished: whether the person is done with it.
        predicted: whether a prediction of it was shown.
        corrected: tasks whose labels a correction of a prediction changed.
        complete: by task, whether everything is marked (True) or some objects only (False); as the label says where missing.
        seconds: by task or :data:`UNASSIGNED`, how long the person drew.
        stem: what the files about it are called, from the first of them on; whatever other images come, they stay its own.
        digest: of its pixels, by which it is known when it is renamed.
    """

    section: str | None = None
    finished: bool = False
    predicted: bool = False
    corrected: set[str] = field(default_factory=set)
    complete: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stem: str | None = None
    digest: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """What differs from an image that nobody looked at."""
        values: dict[str, Any] = {
            "section": self.section,
            "finished": self.finished,
            "predicted": self.predicted,
            "corrected": [task for task in TASKS if task in self.corrected],
            "complete": dict(self.complete),
            "seconds": {task: round(seconds, 2) for task, seconds in self.seconds.items()},
            "stem": self.stem,
            "digest": self.digest,
        }
        return {name: value for name, value in values.items() if value}


def read_state(folder: Path) -> dict[str, ImageState]:
    """The states of a project's images by their paths; empty where there is no file.

    Raises:
        LazyLabelsError: naming the file, the key and the remedy.
    """
    file = folder / STATE_FILE
    if not file.exists():
        return {}
    remedy = "correct it, or remove the file: times and ticks are lost then, labels are not"
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise LazyLabelsError(f"file '{file}' cannot be read ({error}): {remedy}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), dict):
        raise LazyLabelsError(f"file '{file}' holds no \"images\" by name: {remedy}.")
    if content.get("version") != _VERSION:
        raise LazyLabelsError(
            f"file '{file}' is of version {content.get('version')!r:.30} where {_VERSION} is known: open the project with the "
            "version of this program that wrote it."
        )
    states = {}
    for name, values in content["images"].items():
        if (wrong := _wrong(values)) is not None:
            raise LazyLabelsError(f"file '{file}': {wrong} of image '{name:.200}': {remedy}.")
        states[name] = ImageState(**{**values, "corrected": set(values.get("corrected", ()))})
    return states


def read_stamps(folder: Path) -> dict[str, Stamp]:
    """Stamps of the image files whose pixels were compared with their digest; empty where nothing of the kind is known."""
    try:
        found = json.loads((folder / STATE_FILE).read_text(encoding="utf-8-sig")).get("files")
    except (OSError, ValueError, RecursionError, AttributeError):  # whoever reads the states says so
        return {}
    return {name: tuple(stamp) for name, stamp in found.items() if isinstance(stamp, list)} if isinstance(found, dict) else {}


@contextmanager
def state_file(folder: Path) -> Iterator[Callable[[Mapping[str, ImageState], Mapping[str, Stamp]], None]]:
    """The file, to be written in one step: it has its room on the disk before the block begins, which does what belongs to the
    same act, and is put in place when that has ended well.

    Args:
        folder: of the project.

    Yields:
        takes the states by image, of which those that nothing is known of are left out, and the stamps of the files whose
        pixels were compared with their digest.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    file = folder / STATE_FILE
    with whole_file(file) as new:
        with written_to(file):
            new.write(b" " * (_SPARE + (file.stat().st_size if file.exists() else 0)))
            new.flush()

        def fill(states: Mapping[str, ImageState], stamps: Mapping[str, Stamp]) -> None:
            images = {name: values for name, state in states.items() if (values := state.as_dict())}
            content = {"version": _VERSION, "images": images} | ({"files": dict(stamps)} if stamps else {})
            text = (json.dumps(content, indent=1) + "\n").replace("\n", os.linesep)
            with written_to(file):
                new.seek(0)
                new.write(text.encode())  # of ASCII alone
                new.truncate()
                new.flush()

        yield fill


def _wrong(values: Any) -> str | None:
    """What is wrong with the entry of an image, in words; None where nothing is."""
    if not isinstance(values, dict):
        return "the entry is no JSON object"
    good = {
        "section": lambda v: v in SECTIONS,
        "finished": lambda v: isinstance(v, bool),
        "predicted": lambda v: isinstance(v, bool),
        "corrected": lambda v: isinstance(v, list) and all(task in TASKS for task in v),
        "complete": lambda v: isinstance(v, dict) and set(v) <= set(TASKS) and all(isinstance(b, bool) for b in v.values()),
        "seconds": lambda v: isinstance(v, dict) and set(v) <= {*TASKS, UNASSIGNED} and all(map(_is_time, v.values())),
        "stem": lambda v: isinstance(v, str) and v not in ("", ".", "..") and not set(v) & {"/", "\\", "\0"},
        "digest": lambda v: isinstance(v, str),
    }
    for key, value in values.items():
        if key not in good:
            return f'the key "{key:.50}" is unknown (there are {", ".join(good)})'
        if not good[key](value):
            return f'"{key}" cannot be {json.dumps(value):.100}'
    return None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
