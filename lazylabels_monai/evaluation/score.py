"""Scores of another program's class maps, by the same metrics as an evaluation of the bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from lazylabels_monai.data.datalist import load_datalist, read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.evaluation.results import ResultsWriter
from lazylabels_monai.evaluation.tune import Case, tune_settings
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import PICTURE_SUFFIXES, PathLike, read_label
from lazylabels_monai.instances import ROUTES, InstanceSettings
from lazylabels_monai.metrics import InterfaceMetric, ObjectMetric, SegmentationDiceMetric
from lazylabels_monai.metrics.iteration import INSTANCES
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.result_files import CLASSES_ENDING, image_stem
from lazylabels_monai.stamps import Stamp, require_one_stamp, told_other_images
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, TASKS, num_task_classes
from lazylabels_monai.trained import SETTINGS_FILE, WEIGHTS_FILE, require_same_classes, write_settings

__all__ = ["maps_of_classes", "score_predictions"]


def maps_of_classes(classes: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """The three maps that a class map with an interface class stands for, as probabilities of 0 and 1.

    A pixel of the value ``num_classes``, one above the last class, is an interface between touching objects. In the
    segmentation it belongs to the class of the nearest pixel that is none; detection sees an object wherever the class map
    has one; separation sees the interfaces.

    Args:
        classes: (H, W) integers from 0, background, to ``num_classes``.
        num_classes: classes with background.

    Returns:
        (task's classes, H, W) float32 by task.

    Raises:
        ValueError: for another value.
    """
    if classes.min() < 0 or classes.max() > num_classes:
        raise ValueError(f"values from {classes.min()} to {classes.max()}: 0 to {num_classes} are known.")
    lines = classes == num_classes
    filled = classes
    if lines.any():
        if lines.all():
            raise ValueError("nothing but interfaces.")
        nearest = ndimage.distance_transform_edt(lines, return_distances=False, return_indices=True)
        filled = classes[tuple(nearest)]
    maps = {"segmentation": filled, "detection": np.where(lines, BACKGROUND, classes), "separation": lines * INTERFACE}
    return {
        task: (np.arange(num_task_classes(task, num_classes))[:, None, None] == values).astype(np.float32)
        for task, values in maps.items()
    }


def score_predictions(
    dataset_dir: PathLike,
    predictions: PathLike,
    out: PathLike,
    section: str = "testing",
    tune_on: PathLike | None = None,
    interfaces: bool = False,
    gap: int = 2,
    glas: bool = False,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write ``metrics.json`` and ``metrics.csv`` for class maps that any program made.

    Args:
        dataset_dir: the data set, whose images carry exact masks and ids.
        predictions: folder of ``<image>.png|tif`` or ``<image>_pred.png|tif``: 0 background, 1.. the data set's classes, and
            with ``interfaces`` one more.
        out: folder of the results.
        section: whose images.
        tune_on: folder of the class maps of the validation images; they pick the settings of each way to objects, which are
            written as ``instances.json`` into ``out``. None takes the defaults.
        interfaces: the value above the last class is an interface: interfaces are scored, and objects are made of three maps.
        gap: objects at most this many pixels apart touch.
        glas: the scores of the GlaS challenge too.
        progress: called with lines of text.
        overwrite: settings that an earlier run picked are removed, or replaced, once all is computed.

    Returns:
        what ``metrics.json`` holds.

    Raises:
        LazyLabelsError: when ``classes.json`` beside the class maps names others than the data set, or in another order.
        LazyLabelsError: when ``out`` holds settings that no earlier run picked, such as those of weights.
        LazyLabelsError: when an image has no class map, or one of another size or with other values; when the maps say that
            not all of them were made by the same weights and settings.
    """
    say = progress or silent
    out = Path(out)
    classes = list(load_datalist(dataset_dir)["classes"])
    num_classes = len(classes) + 1
    tasks: Sequence[str] = TASKS if interfaces else ("segmentation",)
    routes = ROUTES if interfaces else [route for route in ROUTES if route != "three maps"]
    settings = {route: InstanceSettings(route=route) for route in routes}
    ranked: list[InstanceSettings] = []
    former = _former_settings(out)
    for folder in filter(None, (predictions, tune_on)):
        require_same_classes(Path(folder) / WEIGHTS_FILE, classes)  # the names lie beside the predictions
    made_by = _one_stamp(predictions, dataset_dir, section, say)
    if tune_on is not None:
        tuned = _one_stamp(tune_on, dataset_dir, "validation", say)
        if made_by is not None and tuned is not None and made_by.weights != tuned.weights:
            raise LazyLabelsError(
                f"'{tune_on}' and '{predictions}' were made by different weights ({tuned.weights[:6]}, {made_by.weights[:6]}): "
                "predict both with the same ones."
            )
        cases = []
        for item in read_items(dataset_dir, "validation"):
            if "instances" in item:
                maps = _maps(item, Path(tune_on), num_classes, interfaces)
                truth = _truth(item, maps["segmentation"].shape[1:])[-1]
                cases.append(Case(maps["segmentation"].argmax(0).astype(np.uint8), maps, truth))
        if not cases:
            raise LazyLabelsError(
                f"'{dataset_dir}': no validation image has \"instances\", the ids of its true objects: add them."
            )
        found = {route: tune_settings(cases, route, progress=say) for route in routes}
        settings = {route: pair[0] for route, pair in found.items()}
        ranked = [settings[route] for route in sorted(found, key=lambda route: -np.nan_to_num(found[route][1]))]
    elif former is not None and not overwrite:
        raise LazyLabelsError(f"{former} is of an earlier run: name --tune again, or pass --overwrite.")
    dice = SegmentationDiceMetric(num_classes, tasks)
    lines = InterfaceMetric(num_classes, tasks, gap=gap)
    objects = {name: ObjectMetric(num_classes, tasks, settings[name], glas=glas) for name in routes}
    items = read_items(dataset_dir, section)
    for number, item in enumerate(items, 1):
        maps = _maps(item, Path(predictions), num_classes, interfaces)
        predicted = torch.from_numpy(np.concatenate([maps[task] for task in tasks]))[None]
        truth = torch.from_numpy(_truth(item, predicted.shape[2:]))[None]
        for metric in (dice, lines, *objects.values()):
            metric(predicted, truth)
        say(f"{number}/{len(items)} {Path(item['image']).name}")
    if ranked:
        out.mkdir(parents=True, exist_ok=True)
        write_settings(out / WEIGHTS_FILE, ranked, section="validation", images=len(cases))  # beside weights that are not there
    elif former is not None:
        former.unlink()
    about = {"weights": None if made_by is None else made_by.weights, "section": section, "dataset": str(dataset_dir)}
    writer = ResultsWriter(out, classes, dice, lines, objects, **about, predictions=predictions)
    return writer.write([Path(item["image"]).name for item in items])


def _former_settings(out: Path) -> Path | None:
    """The settings that an earlier run picked; None where there are none.

    Raises:
        LazyLabelsError: for settings of weights or a file of another kind, which are no scores.
    """
    file = out / SETTINGS_FILE
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        content = None
    # those that ``tune`` picked name their data set
    if (out / WEIGHTS_FILE).exists() or not isinstance(content, dict) or "best" not in content or "dataset" in content:
        raise LazyLabelsError(f"'{file}' is not of earlier scores, but of weights or of another program: name another folder.")
    return file


def _one_stamp(predictions: PathLike, dataset_dir: PathLike, section: str, say: Progress) -> Stamp | None:
    images = {image_stem(item["image"]): item["image"] for item in read_items(dataset_dir, section)}
    if sentence := told_other_images(predictions, images, file_pixels):
        say(f"note: {sentence}")
    return require_one_stamp(predictions, images)[0]


def _maps(item: dict[str, Any], folder: Path, num_classes: int, interfaces: bool) -> dict[str, np.ndarray]:
    """The maps of one image; without ``interfaces`` the segmentation alone."""
    stem = image_stem(item["image"])
    names = [f"{stem}{ending}{suffix}" for ending in (CLASSES_ENDING, "") for suffix in PICTURE_SUFFIXES]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise LazyLabelsError(f"'{folder}' has no class map of '{stem}': write {stem}{CLASSES_ENDING}.png there.")
    classes = read_label(path)
    try:
        maps = maps_of_classes(classes, num_classes)
    except ValueError as error:
        raise LazyLabelsError(f"'{path}' is no class map: {error}") from error
    if not interfaces:
        if classes.max() == num_classes:
            raise LazyLabelsError(f"'{path}' has the value {num_classes}, which is no class: for interfaces pass --interfaces.")
        return {"segmentation": maps["segmentation"]}
    return maps


def _truth(item: dict[str, Any], shape: Sequence[int]) -> np.ndarray:
    """The stacked truth of one image, (4, H, W) int32; see :func:`lazylabels_monai.metrics.iteration.stack_truth`."""
    truth = []
    for key in (*TASKS, INSTANCES):
        if key in item:
            label = like_image(read_label(item[key]), item[key], "a.png")  # the class maps are pictures
        else:
            label = np.full(shape, -1 if key == INSTANCES else IGNORE)
        if label.shape != tuple(shape):
            raise LazyLabelsError(
                f"'{item[key]}' has the shape {label.shape} and the class map of '{item['image']}' {tuple(shape)}: give labels "
                "and class maps of that image."
            )
        truth.append(label.astype(np.int32))
    return np.stack(truth)
