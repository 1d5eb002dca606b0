"""The names of the files that a prediction writes for each image, ``<image>_<ending>.<suffix>``."""

from __future__ import annotations

import os
from pathlib import Path

from lazylabels_monai.tasks import TASKS

__all__ = [
    "CLASSES_ENDING",
    "CLASSES_FILE",
    "ENDINGS",
    "FORMER_ENDINGS",
    "INSTANCES_ENDING",
    "OVERLAY_ENDING",
    "image_stem",
    "probability_ending",
    "uncertainty_ending",
]

#: The names of the object classes, beside weights and beside what ``predict`` wrote.
CLASSES_FILE = "classes.json"
#: The class map. It is the ``output_postfix`` of ``inference.yaml``, and the file that says that an image is done.
CLASSES_ENDING = "_pred"
#: The ids of the objects.
INSTANCES_ENDING = "_instances"
#: The picture with the outlines drawn.
OVERLAY_ENDING = "_overlay"


def probability_ending(task: str) -> str:
    """The ending of a task's probabilities, a plane per class."""
    return f"_{task}_probability"


def uncertainty_ending(task: str) -> str:
    """The ending of the uncertainty about a task, two planes: entropy and mutual information."""
    return f"_{task}_uncertainty"


#: What the files of uncertainty were called in folders that earlier versions wrote.
FORMER_ENDINGS = tuple(f"_{task}_doubt" for task in TASKS)

#: All of them, the one that says that an image is done first.
ENDINGS = (
    CLASSES_ENDING,
    INSTANCES_ENDING,
    OVERLAY_ENDING,
    *map(probability_ending, TASKS),
    *map(uncertainty_ending, TASKS),
    *FORMER_ENDINGS,
)


def image_stem(path: str | os.PathLike) -> str:
    """The name of an image's file without folder and suffix, ``.nii.gz`` taken as one."""
    name = Path(path).name
    return name[: -len(".nii.gz")] if name.endswith(".nii.gz") else Path(name).stem
