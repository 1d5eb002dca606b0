"""What a report is made from: label maps, images, measurements, metrics, curves and settings, each where it is there."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from lazylabels_monai.class_names import MEND_IT, read_class_names
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.images.tiff import read_planes
from lazylabels_monai.labels.objects import instances_from_classes
from lazylabels_monai.measure.finding import (
    LabelledImage,
    NoLabelMapError,
    find_labels,
    image_files,
    images_by_name,
    pixel_sizes,
)
from lazylabels_monai.measure.folder import OUTPUTS, measure_folder
from lazylabels_monai.measure.maps import IN_ONE_PIECE
from lazylabels_monai.measure.statistics import STATISTICS
from lazylabels_monai.measure.telling import require_class_maps, tell_erased, tell_pieces, told_rows
from lazylabels_monai.report.own import Verdict, measured_from, newest_own, scored_from
from lazylabels_monai.result_files import CLASSES_ENDING, CLASSES_FILE, OVERLAY_ENDING, probability_ending
from lazylabels_monai.spreadsheets import read_table
from lazylabels_monai.stamps import Records, Stamp, file_digest, require_one_stamp, told_other_images, told_twice
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import WEIGHTS_FILE

__all__ = [
    "Evaluation",
    "Images",
    "Measurements",
    "Note",
    "Predicted",
    "ReportError",
    "find_predictions",
    "read_curves",
    "read_evaluation",
    "read_measurements",
    "read_weights",
    "require_same_weights",
]

#: Takes a sentence about a part that the report lacks, and how to get it.
Note = Callable[[str], None]
#: Where images lie: a folder, a file, a pattern or a datalist; or the path of each by its name.
Images = str | Path | Mapping[str, str | Path] | None


class ReportError(LazyLabelsError):
    """There is nothing to report on, or no place to write to; the message says what to do."""


@dataclass(frozen=True)
class Predicted:
    """The files of one predicted image; None where there is none."""

    name: str
    classes: Path | None = None
    instances: Path | None = None
    image: Path | None = None
    overlay: Path | None = None
    probabilities: Mapping[str, Path] | None = None
    pixel_size: str | float | None = None  # as the item of a datalist states it

    def coarse(self, longest: int) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None, tuple[int, int]] | None:
        """Class map, ids and image of every so many pixels, and (H, W) of the whole; None for an image of usual size.

        Args:
            longest: side that is shown, in pixels; what is given has one to two times as many.

        Raises:
            ReadError: when a file cannot be read in parts.
        """
        sides = None if self.instances is None or self.probabilities else extent(self.instances)
        if sides is None or math.prod(sides) <= IN_ONE_PIECE:
            return None
        step, shape, found = max(1, max(sides) // longest), sides, []
        for path, label in ((self.classes, True), (self.instances, True), (self.image or self.overlay, False)):
            regions = None if path is None else open_regions(path, label)
            # an overlay is small already; a header states the sides before it is turned
            whole = regions is not None and sorted(regions.shape) == sorted(sides)
            found.append(None if regions is None else regions.every(step if whole else 1))
            if regions is not None:
                regions.close()
            if path is self.instances:
                shape = regions.shape
        return found[0], found[1], found[2], shape

    def ids(self) -> np.ndarray | None:
        """(H, W) ids of the objects; connected components of the class map where there are none, as ``measure`` takes them."""
        if self.instances is not None:
            return read_label(self.instances)
        classes = self.class_map()
        return None if classes is None else instances_from_classes(classes)

    def class_map(self) -> np.ndarray | None:
        """(H, W) class values."""
        return None if self.classes is None else read_label(self.classes)

    def probability(self, task: str) -> np.ndarray | None:
        """(classes, H, W) probabilities of a task; None where there is no 2D map of them.

        Raises:
            ReportError: when the file cannot be read.
        """
        path = (self.probabilities or {}).get(task)
        if path is None:
            return None
        try:
            planes = read_planes(path)
        except Exception as error:  # tifffile raises all sorts
            raise ReportError(f"'{path}' cannot be read as probability maps ({error}): predict the image again.") from error
        return planes if planes.ndim == 3 else None


@dataclass(frozen=True)
class Measurements:
    """The three files of ``measure``: ``folder`` is None where they were made for this report."""

    objects: pd.DataFrame
    images: pd.DataFrame
    summary: Mapping[str, Any]
    folder: Path | None


@dataclass(frozen=True)
class Evaluation:
    """``metrics.json`` and the rows of ``metrics.csv``."""

    results: Mapping[str, Any]
    rows: pd.DataFrame
    folder: Path


def find_predictions(
    out: Path, images: Images, note: Note, named: bool = False, doubt: Note | None = None
) -> tuple[list[Predicted], tuple[str, ...] | None]:
    """The predicted images below ``out``, sorted by name, and the names of the classes where a datalist states them.

    Args:
        out: folder of ``<name>_pred.png`` and the files beside it.
        images: the images, which a prediction does not copy: a folder, a file, a pattern or a datalist, matched by name; or
            the path of each that is meant by its name.
        note: is told what is missing.
        named: whether the user named the classes, so that a broken ``classes.json`` does not matter.
        doubt: is told of images that are not those that were predicted; default ``note``.

    Raises:
        DatalistError: for ``images`` that hold no image.
        ReportError: for those that hold none of the predicted ones.
        LazyLabelsError: for label maps that are there and cannot be told apart or named, and when the predictions were not all
            made by the same weights and settings.
    """
    try:
        labelled, names = find_labels(out, named)
    except NoLabelMapError:  # an evaluation alone
        labelled, names = [], None
    if isinstance(images, Mapping) and (left_out := [image.name for image in labelled if image.name not in images]):
        note(
            f"{len(left_out)} of {len(labelled)} predictions, of which '{left_out[0]}' is the first: their images are gone, or "
            "are not to be reported on."
        )
        labelled = [image for image in labelled if image.name in images]
    _, unknown = require_one_stamp(out, [image.name for image in labelled])
    if unknown:
        note(
            f"{len(unknown)} of {len(labelled)} predictions, of which '{unknown[0]}' is the first, do not say what made them, "
            "or were altered since."
        )
    if sentence := told_twice(out, [image.name for image in labelled]):
        note(sentence)
    originals, stated, sizes = _originals(images, {image.name for image in labelled}, Records(out), note)
    if labelled and images is not None and not originals:
        raise ReportError(
            f"'{images}' holds no image of the name '{labelled[0].name}' ({len(labelled)} missing in all): name the folder of "
            "the images that were predicted."
        )
    if sentence := told_other_images(out, originals, file_pixels):
        (doubt or note)(sentence)
    predicted = []
    flat = [files for files in labelled if not any(_is_volume(path) for path in (files.instances, files.classes))]
    volumes = len(labelled) - len(flat) + len(list(out.glob(f"*{CLASSES_ENDING}.nii.gz")))
    if volumes:
        note(f"{volumes} volumes: only 2D images are measured and shown.")
    for files in flat:
        overlay = out / f"{files.name}{OVERLAY_ENDING}.png"
        maps = {task: out / f"{files.name}{probability_ending(task)}.tif" for task in TASKS}
        predicted.append(
            Predicted(
                files.name,
                _path(files.classes),
                _path(files.instances),
                originals.get(files.name) or _path(files.image),
                overlay if overlay.is_file() else None,
                {task: path for task, path in maps.items() if path.is_file()},
                sizes.get(files.name),
            )
        )
    without = [image.name for image in predicted if image.image is None]
    if without and images is None:
        note(
            "The images, for which their overlays stand in where there are any: a prediction does not copy them; name their "
            "folder or datalist by --images."
        )
    elif without:
        note(f"{len(without)} of {len(predicted)} images, of which '{without[0]}' is the first: not found in {images}.")
    return predicted, names or stated


def _originals(
    images: Images, names: Collection[str], records: Records, note: Note
) -> tuple[dict[str, Path], tuple[str, ...] | None, dict[str, str | float]]:
    """Images by stem; of a datalist the names of the classes, and the pixel sizes that its items state, by stem, too.

    Raises:
        MeasureError: for two images of one of the names where no record tells which was predicted.
    """
    if images is None or isinstance(images, Mapping):
        return {name: Path(path) for name, path in (images or {}).items()}, None, {}
    paths, stated, sizes = image_files(images, note)
    files = images_by_name(paths, names, records)
    known = {name: sizes[file] for name, file in files.items() if file in sizes}
    return {name: Path(path) for name, path in files.items()}, stated, known


def read_measurements(
    out: Path,
    predicted: Sequence[Predicted],
    note: Note,
    pixel_size: str | float | None = None,
    classes: Sequence[str] | None = None,
    folder: Path | None = None,
    doubt: Note | None = None,
) -> Measurements | None:
    """What ``measure`` wrote into ``out`` or a folder in it; where it did not, the same measured here and not kept.

    Args:
        out: folder of the prediction.
        predicted: its images.
        note: is told what is missing.
        pixel_size, classes: for measuring here.
        folder: of the measurements; default ``out``, then the newest in it, of those that are of what ``out`` holds.
        doubt: is told of measurements that do not fit the prediction or were changed; default ``note``.
    """
    if folder is None:
        remedy = f"measure {out} into a folder in it"
        folder = newest_own(out, OUTPUTS[-1], _judge(measured_from, out, predicted), "measurements", remedy, note)
    try:
        if folder is not None:
            found = _read_measured(folder, folder)
            _note_mismatch(found, predicted, doubt or note)
            _note_rows(found, doubt or note)
            _note_erased(out, predicted, list(found.summary["classes"]), note)
            return found
        if not predicted:
            return None
        with tempfile.TemporaryDirectory() as made:
            # with the images, where all are there: they may state the size of a pixel
            images = {image.name: image.image for image in predicted}
            images = None if None in images.values() else images
            if pixel_size is None:
                pixel_size = _stated_sizes(predicted, note)
            measure_folder(out, made, images=images, pixel_size=pixel_size, classes=classes, warn=note)
            return _read_measured(Path(made), None)
    except LazyLabelsError as error:
        note(f"Measurements: {error}")
    except (OSError, ValueError, KeyError) as error:
        note(f"Measurements: the files in {folder} cannot be read ({error}); run measure again with --overwrite.")
    return None


def _stated_sizes(predicted: Sequence[Predicted], note: Note) -> dict[str, float | None] | None:
    """Micrometres of each image's pixels, where items of a datalist state some; None where files alone do."""
    if all(image.pixel_size is None for image in predicted):
        return None
    files = [
        LabelledImage(
            image.name,
            *(None if path is None else str(path) for path in (image.instances, image.classes, image.image)),
            pixel_size=image.pixel_size,
        )
        for image in predicted
    ]
    return pixel_sizes(files, None, note)


def _read_measured(folder: Path, shown: Path | None) -> Measurements:
    content = json.loads((folder / OUTPUTS[2]).read_text(encoding="utf-8"))
    if missing := {"unit", "classes", "images", "confidence"} - set(content):
        raise ValueError(f"summary.json has no {sorted(missing)[0]}")
    unit, again = content["unit"], "run measure again with --overwrite"
    needed = ("image", "id", "class", f"equivalent_diameter_{unit}", "touches_border", "border_weight")
    objects = read_table(folder / OUTPUTS[0], needed, ["mean_mutual_information"], again=again)
    statistics = [statistic.format(u=unit) for statistic in STATISTICS]
    numbers = [f"{statistic}{end}" for statistic in statistics for end in ("", "_low", "_high")]
    summary = read_table(folder / OUTPUTS[1], ("scope", "class", "class_name", "objects", "objects_used"), numbers, again=again)
    return Measurements(objects, summary[summary["scope"] == "image"], content, shown)


def _note_erased(out: Path, predicted: Sequence[Predicted], classes: Sequence[str], note: Note) -> None:
    """Measurements that are there already were told of when they were made; whoever reads the page is told, too."""
    names = {image.name for image in predicted}
    stamp, _ = require_one_stamp(out, names)
    with suppress(LazyLabelsError):  # a map that cannot be read is told by who shows it
        found = [image for image in find_labels(out, named=True)[0] if image.name in names]
        tell_pieces(out, found, note)
        tell_erased(found, stamp, note)
        try:
            require_class_maps(out, found, classes)
        except LazyLabelsError as error:
            note(f"Measurements: {error}")


def _note_mismatch(found: Measurements, predicted: Sequence[Predicted], note: Note) -> None:
    """Measurements that are older than the prediction, or of other images, are shown, but not in silence."""
    measured, names = set(found.images["image"]), {image.name for image in predicted}
    if names and measured != names:
        note(
            f"The measurements in {found.folder} are of {len(measured)} images and {len(measured & names)} of them are among "
            f"the {len(names)} predicted ones: run measure again with --overwrite."
        )
        return
    if _renamed_since(found, predicted):
        note(f"The measurements in {found.folder} go by the classes' names of before: run measure again with --overwrite.")
    made_by = found.summary.get("made_by")
    stamp = None
    if predicted and (folder := (predicted[0].classes or predicted[0].instances).parent).is_dir():
        stamp, _ = require_one_stamp(folder, names)
    if made_by is not None and stamp is not None and made_by.get("stamp") != stamp.id:
        note(f"The measurements in {found.folder} are of other predictions than these: run measure again with --overwrite.")
        return
    when = (found.folder / OUTPUTS[-1]).stat().st_mtime
    files = [path for image in predicted for path in (image.classes, image.instances) if path is not None]
    if any(path.stat().st_mtime > when for path in files):
        note(f"The measurements in {found.folder} are older than the prediction: run measure again with --overwrite.")


def _note_rows(found: Measurements, note: Note) -> None:
    """Rows of objects that somebody took away or added are told of: the numbers of the summary are of those before."""
    if sentence := told_rows(found.folder / OUTPUTS[0], found.objects, found.images):
        note(
            f"{sentence}: summary and intervals are those of all {found.images['objects'].sum()} objects, the plots of sizes "
            f"and the counts beside the pictures of the {len(found.objects)} rows; to leave objects out of all, erase them in "
            "the label maps, and run measure again with --overwrite."
        )


def _renamed_since(found: Measurements, predicted: Sequence[Predicted]) -> bool:
    """Whether ``classes.json`` beside the maps is newer than the measurements and calls the classes otherwise."""
    files = [path for image in predicted[:1] for path in (image.classes, image.instances) if path is not None]
    names = files[0].with_name(CLASSES_FILE) if files else None
    if names is None or not names.is_file() or names.stat().st_mtime <= (found.folder / OUTPUTS[-1]).stat().st_mtime:
        return False
    with suppress(LazyLabelsError):  # who looks for names tells of a broken file
        return read_class_names(names) != list(found.summary["classes"])
    return False


def read_evaluation(out: Path, predicted: Sequence[Predicted], note: Note) -> Evaluation | None:
    """``metrics.json`` and ``metrics.csv`` of ``out`` or of a folder in it, of those that are of the predictions in ``out``."""
    remedy = "run score with the predictions there"
    folder = newest_own(out, "metrics.json", _judge(scored_from, out, predicted), "scores", remedy, note)
    if folder is None:
        note("Metrics (Dice, interfaces, objects): run evaluating on images with exact masks, with the same --output_dir.")
        return None
    try:
        results = dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
        table = folder / "metrics.csv"
        rows = read_table(table, ["image"], again="evaluate again") if table.is_file() else pd.DataFrame({"image": []})
    except LazyLabelsError as error:
        note(f"Metrics: {error}")
        return None
    except (OSError, ValueError, TypeError) as error:
        note(f"Metrics: the files in {folder} cannot be read ({error}); evaluate again.")
        return None
    return Evaluation(results, rows, folder)


def read_curves(folders: Sequence[Path], note: Note) -> tuple[dict[str, list[tuple[int, float]]], Path | None]:
    """Scalars that a training wrote for TensorBoard, by tag, and their folder.

    Args:
        folders: where to look, in this order: a training's ``output_dir`` or the folder of its events itself.
        note: is told when there is none.

    Returns:
        per tag (epoch, value) pairs; of an epoch that was trained twice, after a resumption, the last.
    """
    for folder in folders:
        for place in (folder / "tensorboard", folder):
            if not any(place.glob("events.out.tfevents.*")):
                continue
            from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

            events = EventAccumulator(str(place), size_guidance={SCALARS: 0})
            events.Reload()
            curves = {}
            for tag in sorted(events.Tags()["scalars"]):
                values = {event.step: float(event.value) for event in events.Scalars(tag)}
                curves[tag] = [(step, values[step]) for step in sorted(values) if np.isfinite(values[step])]
            if any(curves.values()):
                return {tag: points for tag, points in curves.items() if points}, place
    note("Training curves: name the training's output_dir by --training.")
    return {}, None


def require_same_weights(
    out: Path, predicted: Sequence[Predicted], evaluation: Evaluation | None, weights: Path | None
) -> None:
    """Refuse to show predictions, metrics and settings of different weights on one page, where they say whose they are.

    Args:
        out: folder of the predictions.
        predicted: its images.
        evaluation: the metrics.
        weights: ``model.pt`` or its folder, beside which the settings lie.

    Raises:
        ReportError: naming the two that differ.
    """
    file = weights / WEIGHTS_FILE if weights is not None and weights.is_dir() else weights
    stamp, _ = require_one_stamp(out, [image.name for image in predicted])
    parts = {}
    if stamp is not None:
        parts[f"the predictions in '{out}'"] = stamp.weights
    if evaluation is not None and isinstance(evaluation.results.get("weights"), str):
        parts[f"the metrics in '{evaluation.folder}'"] = evaluation.results["weights"]
    if parts and file is not None and file.is_file():
        parts[f"'{file}'"] = file_digest(file)
    (one, digest), *others = parts.items() if parts else [("", "")]
    for other, found in others:
        if found != digest:
            raise ReportError(
                f"{one} and {other} are of different weights ({digest[:6]}, {found[:6]}): predict and evaluate with the same "
                "ones, name these by --weights, or give each a folder of its own."
            )


def read_weights(weights: Path | None, note: Note) -> dict[str, Any]:
    """The settings that a training and ``tune`` left beside the weights, by file name.

    Raises:
        ReportError: when ``weights`` is given and not there.
    """
    if weights is None:
        note("Settings of the network: name the weights by --weights.")
        return {}
    if not weights.exists():
        raise ReportError(f"{weights} is not there: name the model.pt of the training, or leave --weights out.")
    folder, found = weights if weights.is_dir() else weights.parent, {}
    for name in (CLASSES_FILE, "network.json", "instances.json"):
        try:
            if (folder / name).is_file() and name == CLASSES_FILE:
                found[name] = read_class_names(folder / name, MEND_IT)
            elif (folder / name).is_file():
                found[name] = json.loads((folder / name).read_text(encoding="utf-8-sig"))
        except LazyLabelsError as error:
            note(f"Settings of the network: {error}")
        except (OSError, ValueError) as error:
            note(f"Settings of the network: {folder / name} cannot be read ({error}).")
    return found


def _is_volume(path: str | None) -> bool:
    """Whether a TIFF has several pages; a broken file is told by who reads it."""
    if path is None or not path.lower().endswith((".tif", ".tiff")):
        return False
    try:
        with tifffile.TiffFile(path) as file:
            return len(file.pages) > 1 or len(file.series[0].shape) > 2
    except Exception:  # tifffile raises all sorts
        return False


def _judge(
    rule: Callable[[Mapping[str, Any], Path, Path, Callable[[], Stamp | None]], Verdict],
    out: Path,
    predicted: Sequence[Predicted],
) -> Callable[[Mapping[str, Any], Path], Verdict]:
    """What tells whether a file is of ``out``; where nothing is predicted there, every file is what there is."""
    made = cache(lambda: require_one_stamp(out, [image.name for image in predicted])[0])
    return lambda content, folder: rule(content, folder, out, made) if predicted else Verdict(None)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
