"""Results of an evaluation: ``metrics.json``, ``metrics.csv`` and a table for the terminal."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import ensure_tuple, string_list_all_gather

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import read_image_and_dims, read_label
from lazylabels_monai.images.pictures import lazy_label_panel, overlay_contours, side_by_side, to_uint8_rgb
from lazylabels_monai.metrics import IOU_THRESHOLDS, InterfaceMetric, ObjectMetric, SegmentationDiceMetric
from lazylabels_monai.result_files import CLASSES_ENDING, image_stem
from lazylabels_monai.spreadsheets import cell
from lazylabels_monai.stamps import file_digest, from_folder
from lazylabels_monai.tasks import IGNORE
from lazylabels_monai.trained import require_loaded

__all__ = ["ResultsWriter", "format_results", "number_of", "read_results", "results_picture", "tell_unused"]

logger = logging.getLogger(__name__)

#: In metrics.json, but too many for the table of a terminal.
_NOT_SHOWN = {f"f1@{threshold:g}" for threshold in IOU_THRESHOLDS[1:]}


class ResultsWriter:
    """Write ``metrics.json`` and ``metrics.csv`` (a row per image) at the end of an evaluation, and log a table.

    Args:
        output_dir: folder, made when missing.
        classes: names of the object classes.
        dice, interfaces, objects: the metrics that the evaluator updates; ``objects`` by name of the route, whose results
            are named ``f1@0.5 <route>`` and so on, those of the first one ``f1@0.5`` too. None leaves that part out.
        root: file names are given relative to this folder.
        weights: ``model.pt``, or the digest that a prediction's stamp has of it; a digest is written as ``weights``.
        section, dataset: of the images, written as they are given.
        scored: what the scores are of, written as it is given: whole images or not, in which windows; None leaves it out.
        predictions: folder of the class maps, where they are not those of an evaluation: written as it is given, and from here.
    """

    def __init__(
        self,
        output_dir: str | Path,
        classes: Sequence[str],
        dice: SegmentationDiceMetric | None = None,
        interfaces: InterfaceMetric | None = None,
        objects: dict[str, ObjectMetric] | None = None,
        root: str | Path | None = None,
        weights: str | Path | None = None,
        section: str | None = None,
        dataset: str | Path | None = None,
        scored: Mapping[str, Any] | None = None,
        predictions: str | Path | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.classes = tuple(classes)
        self.dice, self.interfaces, self.objects = dice, interfaces, objects or {}
        self.root = Path(root).resolve() if root is not None else None
        self.weights = weights
        self.images_of = {"section": section, "dataset": None if dataset is None else str(dataset)}
        self.images_of["scored"] = None if scored is None else dict(scored)
        if predictions is not None:  # the path from here holds where both are moved
            self.images_of["predictions"] = str(predictions)
            self.images_of["predictions_from_here"] = from_folder(predictions, output_dir)
        self._names: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.COMPLETED, self._completed)

    def _started(self, engine: Engine) -> None:
        require_loaded(engine.network, self.weights)
        self._names.clear()

    def _iteration(self, engine: Engine) -> None:
        for item in engine.state.batch:
            path = Path(ensure_tuple(item["image"].meta["filename_or_obj"])[0])
            inside = self.root is not None and path.resolve().is_relative_to(self.root)
            self._names.append(path.resolve().relative_to(self.root).as_posix() if inside else path.name)

    def _completed(self, engine: Engine) -> None:
        names = string_list_all_gather(self._names)
        results, rows = self.results(len(names)), self.rows(names)
        if engine.state.rank != 0:
            return
        self._write(results, rows)
        logger.info(f"results of {len(names)} images in {self.output_dir / 'metrics.json'}\n{format_results(results)}")

    def write(self, names: Sequence[str]) -> dict[str, Any]:
        """Write both files for images of these names, in the order that the metrics saw; what ``metrics.json`` holds."""
        results = self.results(len(names))
        self._write(results, self.rows(names))
        return results

    def _write(self, results: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]) if rows else ["image"], lineterminator="\n")
        table.writeheader()
        table.writerows({name: cell(value) for name, value in row.items()} for row in rows)
        write_text(self.output_dir / "metrics.csv", text.getvalue())
        write_text(self.output_dir / "metrics.json", json.dumps(results, indent=2) + "\n")  # last: it says that all is there

    def results(self, images: int) -> dict[str, Any]:
        """The content of ``metrics.json``; numbers that are unknown or infinite are null."""
        results: dict[str, Any] = {"images": images}
        results.update({name: value for name, value in self.images_of.items() if value is not None})
        if self.weights is not None:
            results["weights"] = file_digest(self.weights) if Path(self.weights).is_file() else str(self.weights)
        if self.dice is not None:
            per_class = [_number(x) for x in self.dice.per_class()]
            pooled = [_number(x) for x in self.dice.pooled()]
            results["segmentation"] = {
                "dice": {**dict(zip(self.classes, per_class, strict=True)), "mean": _number(self.dice.aggregate())},
                "dice_pooled": {**dict(zip(self.classes, pooled, strict=True)), "mean": _mean(pooled)},
            }
        if self.interfaces is not None:
            precision, recall = self.interfaces.precision_recall()
            results["separation"] = {"precision": _number(precision), "recall": _number(recall)}
        for position, (route, metric) in enumerate(self.objects.items()):
            part = results.setdefault("objects", {})
            numbers = {key: _number(value) for key, value in metric.results().items()}
            if position == 0:
                part.update(numbers)
            part.update({f"{key} {route}": value for key, value in numbers.items()})
        return results

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of ``metrics.csv``; numbers that are unknown or infinite are empty."""
        rows: list[dict[str, Any]] = [{"image": name} for name in names]
        if self.dice is not None:
            for row, values in zip(rows, self.dice.per_image(), strict=True):
                row.update({f"dice {name}": _number(x) for name, x in zip(self.classes, values, strict=True)})
                row["dice mean"] = _mean(values)
        tables: dict[str, dict[str, Sequence[float]]] = {}
        if self.interfaces is not None:
            tables["interface"] = dict(zip(self.interfaces.columns, self.interfaces.table().T, strict=True))
        tables.update({f"objects {route}": metric.per_image() for route, metric in self.objects.items()})
        for prefix, columns in tables.items():
            for name, values in columns.items():
                for row, value in zip(rows, values, strict=True):
                    row[f"{prefix} {name}"] = _number(value)
        return rows


def tell_unused(
    overlap: float | Sequence[float], val_share: float | None = None, val_overlap: float | Sequence[float] | None = None
) -> None:
    """Say that what a training validates on is not what is scored, where its config or its options are given here, too.

    Args:
        overlap: of the windows in which whole images are predicted.
        val_share, val_overlap: those of the training; None and the same overlap say nothing else.
    """
    given = {"val_share": val_share, "val_overlap": None if val_overlap == overlap else val_overlap}
    if found := [f"{name} {value}" for name, value in given.items() if value is not None]:
        logger.warning(
            f"{', '.join(found)}: of a training, and not used here: whole images are scored, in windows that overlap by "
            f"{overlap} (overlap)."
        )


def results_picture(dataset_dir: str | Path, predictions: str | Path, images: Sequence[int] | None = None) -> np.ndarray:
    """Rows "image | lazy labels | exact mask | prediction" of test images; a label that there is not stays empty.

    Args:
        dataset_dir: folder with ``datalist.json``.
        predictions: ``output_dir`` of a prediction of its test images.
        images: which test images; default the first two.

    Returns:
        (H, W, 3) uint8.

    Raises:
        LazyLabelsError: when an image has no prediction, or a label is of another size.
    """
    items = read_items(dataset_dir, "testing")
    chosen = range(min(2, len(items))) if images is None else images
    if not items or not len(chosen):
        raise LazyLabelsError(f"'{dataset_dir}' has no test image to draw: name a data set with some.")
    rows = []
    for index in chosen:
        if not 0 <= index < len(items):
            raise LazyLabelsError(f"test image {index} is none of '{dataset_dir}': it has 0 to {len(items) - 1}.")
        rows.append(_row(items[index], Path(predictions)))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows])


def _row(item: dict[str, Any], predictions: Path) -> np.ndarray:
    predicted = predictions / f"{image_stem(item['image'])}{CLASSES_ENDING}.png"
    if not predicted.is_file():
        raise LazyLabelsError(f"{predicted} is not there: predict {item['image']} into that folder first.")
    image, dims = read_image_and_dims(item["image"])
    if dims != 2 or min(image.shape[:2]) < 2:
        raise LazyLabelsError(f"'{item['image']}' of shape {image.shape} is no picture to draw: name other test images.")

    def label(path: str | Path | None, task: str) -> np.ndarray:
        if path is None:
            return np.full(image.shape[:2], IGNORE)
        found = like_image(read_label(path), path, item["image"])
        if found.shape != image.shape[:2]:
            raise LazyLabelsError(
                f"'{path}' has the shape {found.shape} and '{item['image']}' {image.shape[:2]}: give the {task} of that image."
            )
        return found

    return side_by_side(
        [
            to_uint8_rgb(image),
            lazy_label_panel(image, *(label(item.get(task), task) for task in ("detection", "separation"))),
            overlay_contours(image, label(item.get("segmentation"), "segmentation")),
            overlay_contours(image, label(predicted, "prediction")),
        ]
    )


def read_results(path: Path) -> dict[str, Any]:
    """``metrics.json`` as :class:`ResultsWriter` wrote it.

    Raises:
        LazyLabelsError: when the file is none.
    """
    try:
        content = json.loads(path.read_bytes())
        format_results(content)
    except OSError as error:
        raise LazyLabelsError(
            f"{path} cannot be read ({error.strerror}): run evaluating with that output_dir first."
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LazyLabelsError(f"{path} is no metrics.json of an evaluation ({error}): run evaluating again.") from error
    return content


def number_of(results: Mapping[str, Any]) -> str:
    """How many images of which section: "4 images of the section testing"; earlier versions did not write the section."""
    count = f"{results.get('images')} image{'' if results.get('images') == 1 else 's'}"
    return f"{count} of the section {results['section']}" if "section" in results else count


def format_results(results: dict[str, Any]) -> str:
    """A plain table of ``metrics.json`` for a terminal."""
    lines = [f"{number_of(results)} of '{results.get('dataset', 'unknown')}'"] if "section" in results else []
    lines += [f"{'Dice':<32}{'per image':>10}{'pooled':>10}"]
    dice = results.get("segmentation", {}).get("dice", {})
    pooled = results.get("segmentation", {}).get("dice_pooled", {})
    lines += [f"  {name:<30}{_shown(value):>10}{_shown(pooled.get(name)):>10}" for name, value in dice.items()]
    if "separation" in results:
        lines.append("Interfaces of touching objects")
        lines += [f"  {name:<30}{_shown(value):>10}" for name, value in results["separation"].items()]
    if "objects" in results:
        lines.append("Objects")
        shown = {name: value for name, value in results["objects"].items() if " " in name}
        shown = {name: value for name, value in shown.items() if name.split(" ")[0] not in _NOT_SHOWN}
        lines += [f"  {name:<34}{_shown(value):>6}" for name, value in shown.items()]
    return "\n".join(lines)


def _number(value: Any) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None  # JSON knows neither NaN nor infinity


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(x) for x in values if x is not None and not math.isnan(x)]
    return sum(known) / len(known) if known else None


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
