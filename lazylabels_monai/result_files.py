"""The names of the files that a prediction writes for each image, ``<image>_<ending>.<suffix>``, and which files are such."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from lazylabels_monai.tasks import TASKS

__all__ = [
    "CLASSES_ENDING",
    "CLASSES_FILE",
    "ENDINGS",
    "EXPORTED_FILE",
    "FORMER_ENDINGS",
    "INSTANCES_ENDING",
    "OBJECTS_ENDING",
    "OVERLAY_ENDING",
    "OWN_FILES",
    "PROJECT_FILE",
    "RECORDS_FILE",
    "image_stem",
    "predicted_files",
    "predicted_stems",
    "probability_ending",
    "uncertainty_ending",
    "without_results",
]

#: The names of the object classes, beside weights and beside what ``predict`` wrote.
CLASSES_FILE = "classes.json"
#: What made the results that lie beside it (:mod:`lazylabels_monai.stamps`).
RECORDS_FILE = "predicted.jsonl"
#: Which files that lie beside it an export wrote (:mod:`lazylabels_monai.export_records`).
EXPORTED_FILE = "exported.jsonl"
#: What a window knows of the images of its folder (:mod:`lazylabels_monai.interactive.state`).
PROJECT_FILE = "project.json"
#: Tables and texts that commands write into folders of results: no marks that a person drew.
OWN_FILES = frozenset(
    [
        CLASSES_FILE,
        RECORDS_FILE,
        EXPORTED_FILE,
        "objects.csv",
        "summary.csv",
        "summary.json",
        "metrics.csv",
        "metrics.json",
    ]
)
#: The class map. It is the ``output_postfix`` of ``inference.yaml``, and the file that says that an image is done.
CLASSES_ENDING = "_pred"
#: The ids of the objects.
INSTANCES_ENDING = "_instances"
#: The table of the objects, of pictures that were predicted in tiles.
OBJECTS_ENDING = "_objects"
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


def predicted_files(folder: str | os.PathLike) -> dict[str, Path]:
    """The class maps in a folder by the name of their image."""
    if not Path(folder).is_dir():
        return {}
    files = sorted(path for path in Path(folder).iterdir() if path.name[0] != "." and image_stem(path).endswith(CLASSES_ENDING))
    by_name = {image_stem(path).removesuffix(CLASSES_ENDING): path for path in files if path.is_file()}
    return {name: path for name, path in by_name.items() if name}


def predicted_stems(folder: str | os.PathLike) -> list[str]:
    """Names of the images that have a class map in a folder, sorted."""
    return sorted(predicted_files(folder))


def without_results(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """The files that are no result of a prediction, in their order.

    A result is ``<image><ending>.<suffix>`` beside a ``predicted.jsonl`` that tells of the image; or, as folders of earlier
    versions have none, beside a class map ``<image>_pred`` and either the image itself or its objects ``<image>_instances``.
    So are the pictures of ``suggest`` beside their images.

    Args:
        paths: files of any folders.
    """
    kept, known = [], {}
    for path in map(Path, paths):
        if path.parent not in known:
            known[path.parent] = _known_stems(path.parent)
        stem = image_stem(path)
        stems, there = known[path.parent]
        of = [stem.removesuffix(ending) for ending in ENDINGS if stem.endswith(ending)]
        shown = _RANKED.fullmatch(path.name)  # a picture of ``suggest``
        if not any(name in stems for name in of) and not (shown and shown[1] in there):
            kept.append(path)
    return kept


#: What ``suggest`` calls its pictures of an image.
_RANKED = re.compile(rf"\d{{3,}}_(.+)_(?:{'|'.join(TASKS)})_uncertainty\.png")


def _known_stems(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the images whose results lie in a folder, and of all files there."""
    there = {image_stem(name) for name in os.listdir(folder)}
    mapped = {stem.removesuffix(CLASSES_ENDING) for stem in there if stem.endswith(CLASSES_ENDING)}
    stems = {stem for stem in mapped if stem in there or f"{stem}{INSTANCES_ENDING}" in there}
    if (records := folder / RECORDS_FILE).is_file():
        for line in records.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                stems.add(json.loads(line)["result"])
            except (ValueError, TypeError, KeyError):  # a stamp, or cut short by a kill
                continue
    return stems, there
