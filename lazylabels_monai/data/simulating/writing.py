"""Writing a lazy data set: images, the labels each of them keeps, and ``datalist.json``, all or nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import filled
from lazylabels_monai.data.carrying import carry_on
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import FILE_NAME, SECTIONS
from lazylabels_monai.data.replacing import WRITTEN, check_target, digests_of
from lazylabels_monai.data.simulating.items import LazyItem, SimulationError
from lazylabels_monai.data.simulating.selection import fitting, hours_of_work, image_count, shuffled
from lazylabels_monai.labels.inner import dice_of_inner_regions, shares_kept
from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.labels.marking import Marking
from lazylabels_monai.labels.objects import distinct_values
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS

__all__ = ["format_summary", "write_dataset"]


def _save_png(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


def _fits_png(array: np.ndarray) -> bool:
    if array.ndim == 2:
        return array.dtype in (np.uint8, np.uint16)
    return array.dtype == np.uint8 and array.shape[-1] == 3


def write_dataset(
    out: str | os.PathLike,
    items: Sequence[LazyItem],
    class_names: Sequence[str],
    *,
    strong: int | float | str = 0.1,
    detection: int | float | str = 0.75,
    separation: int | float | str = "all",
    seed: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
    suffix: str = ".png",
    save: Callable[[Path, np.ndarray], None] = _save_png,
    parameters: Mapping[str, object] | None = None,
    **marks: object,
) -> dict:
    """Write images, labels and ``datalist.json``; the folder appears only when it is complete.

    Which training images keep which label is drawn for each task by itself, so that an image may carry any subset of
    the labels, and in nested order: with the same seed, ``strong=2`` keeps the image of ``strong=1`` and one more.
    Images without any object are not drawn for masks and inner regions. Validation and test images keep everything,
    and the scribbles of all of their interfaces without wobble.

    Args:
        out: folder to make.
        items: the images; names must differ.
        class_names: names of the object classes 1, 2, ...
        strong: training images that keep their exact mask; see
            :func:`~lazylabels_monai.data.simulating.selection.image_count`. Or ``"2.5h"``: as many as that
            time is enough for by :class:`~lazylabels_monai.data.costs.AnnotationCosts`.
        detection: training images with inner regions.
        separation: training images with scribbles on interfaces.
        seed: of the draws and of the marks.
        overwrite: replace a data set that a command made there and nobody touched.
        dry_run: write nothing and draw no marks; the summary says what would be written.
        suffix: of the label files and of images given as arrays (``.tif`` for arrays that a PNG does not hold).
        save: writes an array to a path of that suffix.
        parameters: recorded in the datalist's ``simulation`` entry beside those above.
        marks: arguments of :class:`~lazylabels_monai.labels.marking.Marking`: style, gap, thickness, ...

    Returns:
        The summary that :func:`format_summary` prints: ``datalist`` (path), ``classes``, ``images`` (``{section:
        {"images": n, task: n}}``), ``files`` (number), ``unlabelled`` (training images left out as no label was drawn
        for them), ``notes`` (what to say about what people wrote into the datalist that is replaced), ``dry_run``, and
        unless that is set ``objects``, ``interfaces`` (pairs that touch, in the images with scribbles), ``scribbles``
        (those with one), ``inner_region_dice`` (inner regions taken for masks, mean over the images that have them) and
        ``share_kept`` (share of an object's area in its inner region, mean over objects).

    Raises:
        OutputExistsError: when ``out`` holds something already.
        SimulationError: for names that clash, classes without a name, or counts that cannot be met.
        LazyLabelsError: for marks out of range.
    """
    out = Path(out).absolute()
    marking = Marking(**marks)
    check_target(out, overwrite)
    _check_names([item.name for item in items])
    wanted = {"segmentation": strong, "detection": detection, "separation": separation}
    drawn = _draw_tasks(items, wanted, seed, lambda item, task: _seconds(item, task, len(class_names), marking.gap))
    kept = {item.name: [t for t in TASKS if item.section != "training" or item.name in drawn[t]] for item in items}
    labelled = [item for item in items if kept[item.name]]
    summary = {
        "datalist": str(out / FILE_NAME),
        "classes": list(class_names),
        "images": {section: _counts([kept[i.name] for i in labelled if i.section == section]) for section in SECTIONS},
        "files": 1 + len(items) + sum(len(kept[i.name]) + (i.section != "training") for i in items),
        "unlabelled": [],
        "notes": [],
        "dry_run": dry_run,
    }
    if dry_run:
        summary["unlabelled"] = [item.name for item in items if not kept[item.name]]
        return summary

    with filled(out, overwrite, partial(check_target, out, overwrite)) as temporary:
        for folder in ("images", *TASKS, "instances"):
            (temporary / folder).mkdir()
        statistics = _Statistics()
        sections: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
        ndim = None
        for item in items:
            classes, instances = item.load()
            _check_classes(item, classes, class_names)
            ndim = instances.ndim
            entry: dict[str, Any] = {"image": _write_image(temporary, item, suffix, save)}
            labels = _labels(item, kept[item.name], classes, instances, marking, seed, statistics)
            if "instances" in labels and not instances.any():
                entry["empty"] = True
            for key, label in labels.items():
                entry[key] = f"{key}/{item.name}{suffix}"
                save(temporary / entry[key], label)
            if labels:
                sections[item.section].append(entry)
            else:
                summary["unlabelled"].append(entry["image"])
        entries = [(Path(entry["image"]).stem, entry) for entries in sections.values() for entry in entries]
        summary["notes"] = carry_on(out / FILE_NAME if overwrite else None, entries, made=temporary / FILE_NAME)
        simulation = {
            **(parameters or {}),
            "strong": len(drawn["segmentation"]),
            "detection": len(drawn["detection"]),
            "separation": len(drawn["separation"]),
            "seed": seed,
            **marking.record(ndim),
            "unlabelled": summary["unlabelled"],
        }
        made = {"simulation": simulation, WRITTEN: digests_of(temporary)}
        datalist = {"classes": list(class_names), **sections, **made}
        (temporary / FILE_NAME).write_text(json.dumps(datalist, indent=2) + "\n", encoding="utf-8")
    return {**summary, **statistics.result()}


def _check_names(names: Sequence[str]) -> None:
    if len({name.lower() for name in names}) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1}) or names
        raise SimulationError(f"image name '{twice[0]}' occurs more than once: rename one of the files.")
    if "/" in "".join(names):
        raise SimulationError("image names must not contain '/': give the file's name without its folder.")


def _draw_tasks(
    items: Sequence[LazyItem],
    wanted: Mapping[str, int | float | str],
    seed: int,
    seconds: Callable[[LazyItem, str], float],
) -> dict[str, set[str]]:
    """Names of the training images that get a label for each task; ``seconds(item, task)`` is asked where hours are wanted."""
    training = {item.name: item for item in items if item.section == "training"}
    flags = {"segmentation": "strong", "detection": "detection", "separation": "separation"}
    drawn = {}
    for k, task in enumerate(TASKS):
        order = shuffled(list(training), seed, 1 + k)
        able = (name for name in order if task == "separation" or _has_objects(training[name]))
        hours = hours_of_work(wanted[task])
        if hours is None:
            drawn[task] = set(itertools.islice(able, image_count(wanted[task], len(training), flags[task])))
        else:
            drawn[task] = set(fitting(list(able), lambda name, task=task: seconds(training[name], task), 3600 * hours))
    return drawn


def _seconds(item: LazyItem, task: str, num_classes: int, gap: int) -> float:
    """What a person spends on a label of an image, by the cost model."""
    classes, instances = item.load()
    if task == "separation":
        count = len(touching_pairs(instances, gap))
        absent = int(count == 0)
    else:
        count = np.count_nonzero(distinct_values(instances))
        absent = num_classes - np.setdiff1d(classes, (BACKGROUND, IGNORE)).size
    return AnnotationCosts().seconds(task, count, absent)


def _has_objects(item: LazyItem) -> bool:
    return bool(item.load()[1].any()) if item.has_objects is None else item.has_objects


def _counts(kept: Sequence[Sequence[str]]) -> dict[str, int]:
    return {"images": len(kept), **{task: sum(task in tasks for tasks in kept) for task in TASKS}}


class _Statistics:
    """What the marks of all images are like."""

    def __init__(self) -> None:
        self.objects = self.interfaces = self.scribbles = 0
        self.dices: list[float] = []
        self.kept: list[np.ndarray] = []

    def result(self) -> dict[str, float]:
        dices = [d for d in self.dices if not np.isnan(d)]
        kept = np.concatenate(self.kept) if self.kept else np.zeros(0)
        return {
            "objects": self.objects,
            "interfaces": self.interfaces,
            "scribbles": self.scribbles,
            "inner_region_dice": float(np.mean(dices)) if dices else float("nan"),
            "share_kept": float(kept.mean()) if kept.size else float("nan"),
        }


def _labels(
    item: LazyItem,
    tasks: Sequence[str],
    classes: np.ndarray,
    instances: np.ndarray,
    marking: Marking,
    seed: int,
    statistics: _Statistics,
) -> dict[str, np.ndarray]:
    """Label maps of one image."""
    labels: dict[str, np.ndarray] = {}
    ids = distinct_values(instances)
    statistics.objects += np.count_nonzero(ids)
    if "segmentation" in tasks:
        labels["segmentation"] = classes.astype(np.uint8)
    if "detection" in tasks:
        labels["detection"] = marking.detection(instances, classes, seed, item.name)
        statistics.dices.append(dice_of_inner_regions(labels["detection"], classes))
        statistics.kept.append(shares_kept(labels["detection"], instances))
    if "separation" in tasks:
        exact = item.section != "training"
        made = marking.separation(instances, seed, item.name, exact, None if exact else labels.get("detection"))
        labels["separation"] = made.label
        statistics.interfaces += len(made.pairs)
        statistics.scribbles += int(made.drawn.sum())
    if item.section != "training":
        labels["instances"] = _as_16_bit(item, instances, ids)
    return labels


def _check_classes(item: LazyItem, classes: np.ndarray, class_names: Sequence[str]) -> None:
    top = int(np.where(classes == IGNORE, 0, classes).max(initial=0))
    if top > len(class_names):
        raise SimulationError(
            f"'{item.name}' has class {top}, but only {len(class_names)} classes are named ({', '.join(class_names)}): "
            "name as many classes as the masks hold."
        )


def _as_16_bit(item: LazyItem, instances: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Ids as they are where 16 bits hold them, else numbered anew."""
    if np.count_nonzero(ids) > 65535:
        raise SimulationError(
            f"'{item.name}' has {ids.size} objects, more than a 16-bit label holds: cut the image into tiles."
        )
    if ids.max(initial=0) > 65535:
        instances = np.searchsorted(np.union1d([0], ids), instances)
    return instances.astype(np.uint16)


def _write_image(folder: Path, item: LazyItem, suffix: str, save: Callable[[Path, np.ndarray], None]) -> str:
    if isinstance(item.image, Path):
        name = f"images/{item.name}{item.image.suffix.lower()}"
        shutil.copyfile(item.image, folder / name)
        return name
    array = item.image()
    if suffix == ".png" and not _fits_png(array):
        name = f"images/{item.name}.tif"
        photometric = "rgb" if array.ndim == 3 and array.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(folder / name, array, photometric=photometric, planarconfig="contig" if array.ndim == 3 else None)
    else:
        name = f"images/{item.name}{suffix}"
        save(folder / name, array)
    return name


def format_summary(summary: Mapping) -> str:
    """The summary of :func:`write_dataset` as a table to print."""
    width = 13
    lines = ["".join(f"{c:>{width}}" for c in ("", "images", *TASKS))]
    for section, row in summary["images"].items():
        lines.append(f"{section:>{width}}" + "".join(f"{row[key]:>{width}}" for key in ("images", *TASKS)))
    lines.append(f"classes: {', '.join(summary['classes'])}")
    if not summary["dry_run"]:
        lines.append(f"objects: {summary['objects']}")
        lines.append(f"interfaces: {summary['interfaces']} found, {summary['scribbles']} scribbled")
        lines.append(f"Dice of the inner regions taken for masks: {summary['inner_region_dice']:.3f}")
        lines.append(f"share of an object's area kept in its inner region: {summary['share_kept']:.3f}, mean over the objects")
    if summary["unlabelled"]:
        lines.append(f"left out of training, as no label was drawn for them: {len(summary['unlabelled'])} images")
    lines += [f"note: {note}" for note in summary["notes"]]
    where = f"{summary['files']} files, {summary['datalist']}"
    lines.append(f"dry run, nothing is written; would be written: {where}" if summary["dry_run"] else f"written: {where}")
    return "\n".join(lines)
