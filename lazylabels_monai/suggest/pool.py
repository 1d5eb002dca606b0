"""Which images lack which labels, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lazylabels_monai.data.budget import drawn_labels
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    SECTIONS,
    absolute_path,
    datalist_file,
    find_images,
    has_key,
    load_datalist,
)
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PathLike, file_suffix
from lazylabels_monai.tasks import TASKS, validate_tasks

__all__ = ["PoolImage", "find_pool", "image_name"]


@dataclass(frozen=True)
class PoolImage:
    """An image that labels could be drawn for.

    Args:
        path: of the image.
        missing: tasks that it has no label for. Ids of objects (``instances``) count as an exact mask.
        known: by task, how many objects there are to draw and how many classes are not there, where other labels of the image
            tell.
    """

    path: str
    missing: tuple[str, ...]
    known: dict[str, tuple[int, int]] = field(default_factory=dict)


def find_pool(
    images: PathLike, data: PathLike | None = None, tasks: Sequence[str] = TASKS, classes: int | None = None
) -> tuple[list[PoolImage], dict[str, float]]:
    """Images that lack labels, and how much there is to draw in an image on average.

    Args:
        images: a data set (its folder or ``datalist.json``), whose training images are the pool; or a file, a folder or a
            pattern.
        data: data set of which such files may be part already, told by their names without suffix: a training image lacks what
            it has no label for, and images of validation and testing are left out, as they judge the training.
        tasks: labels that are wanted.
        classes: object classes of the network, which those of the data set must match; None: not checked.

    Returns:
        the images that lack one of ``tasks``, and by task the mean number of objects (scribbles) in labelled training images,
        without the tasks that nothing is known of.

    Raises:
        LazyLabelsError: when a data set cannot be used, or no image lacks a label.
    """
    tasks = validate_tasks(tasks)
    is_set = file_suffix(images) == ".json" or (Path(images) / FILE_NAME).is_file()
    if is_set and data is not None:
        raise LazyLabelsError(f"'{images}' is a data set itself: leave --data out.")
    source = images if is_set else data
    if source is None:
        return [PoolImage(path, tasks) for path in find_images(images)], {}
    content, file = load_datalist(source), datalist_file(source)
    if classes is not None and len(content["classes"]) != classes:
        raise LazyLabelsError(
            f"'{file}' names {len(content['classes'])} object classes, the network knows {classes}: use weights trained on it."
        )
    training = []
    objects: list[int] = []
    strokes: list[int] = []
    for item in content.get("training", []):
        counts = drawn_labels(item, file, len(content["classes"]))
        # marks and masks have the same objects
        if same := counts.get("segmentation", counts.get("detection")):
            objects.append(same[0])
        if "separation" in counts:
            strokes.append(counts["separation"][0])
        missing = tuple(task for task in tasks if not has_key(item, task) and task not in counts)
        other = {"segmentation": counts.get("detection"), "detection": counts.get("segmentation")}
        known = {task: value for task, value in other.items() if task in missing and value is not None}
        training.append(PoolImage(absolute_path(file, item["image"]), missing, known))
    drawn = {"segmentation": objects, "detection": objects, "separation": strokes}
    average = {task: float(np.mean(numbers)) for task, numbers in drawn.items() if numbers}
    pool = training
    if not is_set:
        by_name = {image_name(image.path): image for image in training}
        judges = {image_name(item["image"]) for section in SECTIONS[1:] for item in content.get(section, [])}
        paths = [path for path in find_images(images) if image_name(path) not in judges]
        pool = [PoolImage(path, *_missing_and_known(by_name.get(image_name(path)), tasks)) for path in paths]
    pool = [image for image in pool if image.missing]
    if not pool:
        raise LazyLabelsError(f"'{images}': no image lacks a label for {' or '.join(tasks)}; add images to annotate.")
    return pool, average


def _missing_and_known(item: PoolImage | None, tasks: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
    return (tasks, {}) if item is None else (item.missing, item.known)


def image_name(path: PathLike) -> str:
    name = Path(path).name
    return name[: len(name) - len(file_suffix(path))]
