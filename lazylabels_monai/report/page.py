"""Putting the report together: what the template is given, and the file."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import lazylabels_monai
from lazylabels_monai.atomic import write_text
from lazylabels_monai.class_names import require_distinct
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.overrides import expanded
from lazylabels_monai.report.asked import require_asked
from lazylabels_monai.report.figures import curves_plot
from lazylabels_monai.report.gallery import LAYERS, Picture, crop, make_picture, shown_image
from lazylabels_monai.report.numbers import class_css, number, unbroken
from lazylabels_monai.report.probability import highest_probability, object_probability
from lazylabels_monai.report.reading import (
    Evaluation,
    Images,
    Measurements,
    Note,
    Predicted,
    ReportError,
    find_predictions,
    read_curves,
    read_evaluation,
    read_measurements,
    read_weights,
    require_same_weights,
)
from lazylabels_monai.report.sizes import image_rows, length_unit, size_plots, summary_rows, truth_errors, written_length
from lazylabels_monai.trained import of_other_weights
from lazylabels_monai.training_file import noted_beginning

__all__ = ["REPORT_NAME", "make_report"]

#: Name of the file.
REPORT_NAME = "report.html"

_PACKAGES = ("monai", "torch", "pytorch-ignite", "numpy", "scipy", "scikit-image", "pandas")

#: Rows of the table of objects: key in metrics.json, what the page calls it.
_OBJECT_METRICS = {
    "f1@0.5": "F1 at IoU 0.5",
    "f1@0.5:0.95": "F1, mean of IoU 0.5 to 0.95",
    "precision@0.5": "precision at IoU 0.5",
    "recall@0.5": "recall at IoU 0.5",
    "ap@0.5": "AP at IoU 0.5",
    "ap@0.5:0.95": "AP, mean of IoU 0.5 to 0.95",
    "pq": "panoptic quality (PQ)",
    "sq": "segmentation quality (SQ)",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "glas_f1": "GlaS F1",
    "glas_object_dice": "GlaS object Dice",
    "glas_object_hausdorff": "GlaS object Hausdorff (px)",
    "count_error": "relative error of the count",
}
#: Ends of the columns of metrics.csv that the table per image shows, beside those of Dice.
_IMAGE_METRICS = ("interface precision", "interface recall", "objects three maps f1@0.5", "objects three maps pq")


def make_report(
    out: str | Path,
    *,
    images: Images = None,
    training: str | Path | None = None,
    weights: str | Path | None = None,
    pixel_size: str | float | None = None,
    classes: Sequence[str] | None = None,
    measured_in: str | Path | None = None,
    max_images: int = 24,
    max_objects: int = 12,
    longest_side: int = 640,
    overwrite: bool = False,
    command: str = "",
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Write ``report.html`` into the folder of a prediction or an evaluation; what is missing is left out and named at the end.

    Args:
        out: output folder of a prediction, an evaluation or both; it, or a folder in it, may hold what ``measure`` wrote.
        images: the images that were predicted: a folder, a file, a pattern or a datalist, matched by name; or the path of each
            by its name.
        training: output folder of the training; default ``out``, then the folder above that of the weights.
        weights: ``model.pt``, beside which the settings lie.
        pixel_size, classes: for measuring, where ``measure`` was not run; the names also where no file states them.
            Measurements that were made with others are refused.
        measured_in: folder of what ``measure`` wrote; default ``out``, then the newest in it that is of what ``out`` holds.
        max_images: pictures in the gallery; those of the lowest probability come first.
        max_objects: objects in the list of those to check first.
        longest_side: of a picture in pixels.
        overwrite: replace an earlier report.
        command: that made the report, for the reader.
        warn: is told, as the page is, of images or measurements that do not fit the prediction.

    Returns:
        the file.

    Raises:
        ReportError: when there is nothing to report on, an earlier report would be replaced, or a number is out of range.
        LazyLabelsError: for ``images`` or ``weights`` that are not there, a broken ``classes.json``, two classes of one name,
            and for measurements of another pixel size or other names than are given.
    """
    out = expanded(out)
    file = out / REPORT_NAME
    if not out.is_dir():
        raise ReportError(f"'{out}' is no folder: name the output folder of a prediction or an evaluation.")
    if file.exists() and not overwrite:
        raise ReportError(f"{file} is there already: move it, or pass --overwrite.")
    for name, count, lowest in (("max images", max_images, 0), ("max objects", max_objects, 0), ("side", longest_side, 32)):
        if count < lowest:
            raise ReportError(f"{name} {count} must be {lowest} or more.")
    notes: list[str] = []

    def doubt(sentence: str) -> None:
        notes.append(sentence)
        if warn is not None:
            warn(sentence)

    predicted, stated = find_predictions(out, images, notes.append, bool(classes), doubt)
    evaluation = read_evaluation(out, predicted, notes.append)
    if not predicted and evaluation is None:
        raise ReportError(f"'{out}' holds neither a 2D prediction (<name>_pred.png) nor an evaluation (metrics.json).")
    if not predicted:
        notes.append("Summary, sizes and pictures: predict images into this folder.")
    chosen = None if weights is None else expanded(weights)
    require_same_weights(out, predicted, evaluation, chosen)
    settings = read_weights(chosen, notes.append)
    names = tuple(classes or settings.get("classes.json") or stated or ())
    require_distinct(names)
    at = None if measured_in is None else expanded(measured_in)
    measured = read_measurements(out, predicted, notes.append, pixel_size, names or None, at, doubt)
    if measured is not None:
        if measured.folder is not None:
            require_asked(measured.summary, measured.folder, out, images, pixel_size, classes)
        names = tuple(measured.summary["classes"])

    places = [out] if training is None else [expanded(training)]
    if training is None and chosen is not None:
        places.append((chosen if chosen.is_dir() else chosen.parent).parent)
    curves, curves_from = read_curves(places, notes.append)
    if evaluation is not None:
        trainings = dict.fromkeys([*places, *([] if curves_from is None else [curves_from.parent])])
        said = (of_other_weights(evaluation.results, evaluation.folder, place) for place in trainings)
        notes += [sentence for sentence in said if sentence is not None]

    objects, means = _probabilities(predicted, notes.append)
    order = _order(means, evaluation)
    gallery = _gallery(predicted, order, max_images, longest_side, measured, notes.append)
    context = {
        "title": out.resolve().name,
        "package_version": lazylabels_monai.__version__,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "tiles": _tiles(predicted, measured, evaluation),
        "summary": None if measured is None else summary_rows(measured, out),
        "truth_errors": [] if measured is None else truth_errors(measured),
        "truth_left_out": 0 if measured is None else measured.summary.get("truth_left_out_px", 0),
        "measured_images": None if measured is None else image_rows(measured),
        "plots": [] if measured is None else size_plots(measured),
        "evaluation": None if evaluation is None else _evaluation(evaluation, names),
        "objects": _objects_to_check(predicted, objects, measured, gallery, names, max_objects, notes.append),
        "objects_of": sum(map(len, objects.values())),
        "gallery": gallery,
        "legend": [(name, class_css(k)) for k, name in enumerate(names, 1)],
        "layers": {name: text for name, text in LAYERS.items() if any(name in entry["picture"].layers for entry in gallery)},
        "predicted": len(predicted),
        "ordered_by": order.by,
        "curves": _curve_plots(curves),
        "curves_from": curves_from,
        "settings": _settings(out, predicted, chosen, images, command),
        "setting_files": {name: json.dumps(value, indent=1, ensure_ascii=False) for name, value in settings.items()},
        "versions": _versions(),
        "notes": list(dict.fromkeys(notes)),
    }
    write_text(file, _environment().get_template("report.html.j2").render(context))
    return file


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lazylabels_monai.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["unbroken"] = unbroken
    return environment


def _tiles(
    predicted: Sequence[Predicted], measured: Measurements | None, evaluation: Evaluation | None
) -> list[dict[str, Any]]:
    """The few numbers at the top."""
    tiles = [_tile("images", len(predicted), decimals=0)] if predicted else []
    if measured is not None:
        unit, (shown, scale) = measured.summary["unit"], length_unit(measured)
        tiles.append(_tile("objects", len(measured.objects), decimals=0))
        for k, (name, entry) in enumerate(measured.summary["classes"].items(), 1):
            mean = number(entry[f"mean_diameter_{unit}"]["value"], scale=scale)
            label = Markup("of the area is {}, mean diameter {} {}").format(name, mean, shown)
            tiles.append(_tile(label, entry["area_fraction"]["value"], "%", class_css(k), scale=100))
    results = {} if evaluation is None else evaluation.results
    dice, f1 = results.get("segmentation", {}).get("dice", {}).get("mean"), results.get("objects", {}).get("f1@0.5")
    found = [("mean Dice", dice), ("object F1 at IoU 0.5", f1)]
    return tiles + [_tile(label, value, decimals=3) for label, value in found if value is not None]


def _tile(
    label: str, value: float | None, unit: str = "", colour: str | None = None, *, decimals: int | None = None, scale: float = 1
) -> dict[str, Any]:
    return {"label": label, "value": value, "unit": unit, "colour": colour, "decimals": decimals, "scale": scale}


def _evaluation(evaluation: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    results = evaluation.results
    dice = results.get("segmentation", {}).get("dice", {})
    pooled = results.get("segmentation", {}).get("dice_pooled", {})
    colours = {name: class_css(k) for k, name in enumerate(names or [n for n in dice if n != "mean"], 1)}
    objects = results.get("objects", {})
    routes = list(dict.fromkeys(key.partition(" ")[2] for key in objects if " " in key)) or ([""] if objects else [])
    keys = [key for key in _OBJECT_METRICS if any(f"{key} {route}".strip() in objects for route in routes)]
    columns = [c for c in evaluation.rows.columns if c.startswith("dice ") or c in _IMAGE_METRICS]
    return {
        "images": results.get("images"),
        "section": results.get("section"),
        "dataset": results.get("dataset"),
        "dice": [
            {"name": name, "value": value, "pooled": pooled.get(name), "colour": colours.get(name)}
            for name, value in dice.items()
        ],
        "separation": results.get("separation", {}),
        "routes": [route or "objects" for route in routes],
        "objects": [
            {"name": _OBJECT_METRICS[key], "values": [objects.get(f"{key} {route}".strip()) for route in routes]}
            for key in keys
        ],
        "columns": [c.removeprefix("objects three maps ").removeprefix("interface ") for c in columns],
        "rows": [
            {"image": row["image"], "values": [_known(row[c]) for c in columns]} for row in evaluation.rows.to_dict("records")
        ],
    }


def _known(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


@dataclass(frozen=True)
class _Order:
    """What the pictures are sorted by: images that are not in ``scores`` come last, by name."""

    by: str = "name"
    scores: Mapping[str, float] = field(default_factory=dict)


def _probabilities(predicted: Sequence[Predicted], note: Note) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Probability by image: of each object, and the mean over the pixels."""
    tables: dict[str, pd.DataFrame] = {}
    means: dict[str, float] = {}
    for image in predicted:
        try:
            segmentation, ids = image.probability("segmentation"), image.ids()
            if segmentation is None:
                continue
            means[image.name] = float(highest_probability(segmentation).mean())
            if ids is not None and segmentation.shape[1:] == ids.shape:
                tables[image.name] = object_probability(ids, segmentation, image.probability("separation"))
        except LazyLabelsError as error:
            note(f"Probability of the objects of '{image.name}': {error}")
    if predicted and not means:
        note(
            "The objects to check first, and the layers of detection, separation and probability: predict again "
            "with --probabilities."
        )
    return tables, means


def _order(means: Mapping[str, float], evaluation: Evaluation | None) -> _Order:
    """Lowest mean probability first; where that is not known, lowest Dice first."""
    if means:
        return _Order("probability", dict(sorted(means.items(), key=lambda item: item[1])))
    if evaluation is None or "dice mean" not in evaluation.rows:
        return _Order()
    rows = evaluation.rows.dropna(subset=["image", "dice mean"]).sort_values("dice mean", kind="stable")
    return _Order("dice", {Path(row["image"]).stem: row["dice mean"] for row in rows.to_dict("records")})


def _gallery(
    predicted: Sequence[Predicted], order: _Order, limit: int, longest: int, measured: Measurements | None, note: Note
) -> list[dict[str, Any]]:
    """Pictures, first those that come first in ``order``."""
    ranks = {name: rank for rank, name in enumerate(order.scores)}
    counts = {} if measured is None else measured.objects["image"].value_counts().to_dict()
    size = None if measured is None else measured.summary.get("pixel_size_um")
    entries: list[dict[str, Any]] = []
    for image in sorted(predicted, key=lambda image: ranks.get(image.name, len(ranks))):
        if len(entries) == limit:
            break
        picture = make_picture(image, longest, note)
        if picture is None:
            continue
        entries.append(
            {
                "picture": picture,
                "objects": counts.get(image.name),
                "score": order.scores.get(image.name),
                "bar": _scale_bar(picture, size) if isinstance(size, (int, float)) and image.image is not None else None,
            }
        )
    return entries


def _scale_bar(picture: Picture, pixel_size: float) -> dict[str, Any]:
    """A length of 1, 2 or 5 times a power of ten of at most a quarter of the width."""
    quarter = picture.shape[1] * pixel_size / 4
    base = 10.0 ** math.floor(math.log10(quarter))
    length = base * max(step for step in (1, 2, 5) if step * base <= quarter)
    return {"percent": 100 * length / (picture.shape[1] * pixel_size), "text": written_length(length)}


def _objects_to_check(
    predicted: Sequence[Predicted],
    objects: Mapping[str, pd.DataFrame],
    measured: Measurements | None,
    gallery: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    limit: int,
    note: Note,
) -> list[dict[str, Any]]:
    """The objects of the lowest probability, each with a crop."""
    if not objects or limit == 0:
        return []
    table = pd.concat([rows.assign(image=name) for name, rows in objects.items()], ignore_index=True)
    table = table.sort_values(["mean_probability", "image", "id"], kind="stable").head(limit)
    files = {image.name: image for image in predicted}
    places = {entry["picture"].name: k for k, entry in enumerate(gallery, 1)}
    columns = None if measured is None else measured.objects.set_index(["image", "id"])
    read: dict[str, tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]] = {}
    entries = []
    for row in table.to_dict("records"):
        name, identity = row["image"], int(row["id"])
        if name not in read:
            read[name] = (shown_image(files[name], note), files[name].ids(), files[name].class_map())
        pixels, ids, classes = read[name]
        if pixels is not None and pixels.shape[:2] != ids.shape:
            pixels = None
        own = ids == identity
        unknown = classes is None and len(names) > 1
        value = 1 if classes is None else int(np.bincount(classes[own], minlength=2)[1:].argmax()) + 1
        known = columns.loc[(name, identity)] if columns is not None and (name, identity) in columns.index else None
        unit = None if measured is None else measured.summary["unit"]
        entries.append(
            {
                "image": name,
                "id": identity,
                "place": places.get(name),
                "class_name": "class unknown" if unknown else names[value - 1] if value <= len(names) else f"class {value}",
                "colour": None if unknown else class_css(value),
                "diameter": None if known is None else float(known[f"equivalent_diameter_{unit}"]),
                "mean_probability": row["mean_probability"],
                "margin": row["margin"],
                "uncertainty": None if known is None else known.get("mean_mutual_information"),
                "at_border": bool(known["touches_border"]) if known is not None else None,
                "crop": crop(pixels, ids, identity, (row["row_min"], row["row_max"], row["col_min"], row["col_max"]), value),
            }
        )
    return entries


def _curve_plots(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[Markup]:
    losses = {tag.removeprefix("loss/"): points for tag, points in curves.items() if tag.startswith("loss/")}
    dice = {tag: points for tag, points in curves.items() if "dice" in tag.lower()}
    plots = []
    if losses:
        # the total first, it stands above the others
        ordered = dict(sorted(losses.items(), key=lambda item: (item[0] != "total", item[0])))
        plots.append(curves_plot(ordered, "Training loss", "cross entropy, weighted"))
    if dice:
        shown = {_curve_name(tag): points for tag, points in dice.items()}
        plots.append(curves_plot(shown, "Validation Dice", "Dice"))
    if losses := {tag: points for tag, points in curves.items() if tag.startswith("val_loss")}:
        # of the marks, where no validation image has an exact mask
        shown = {_curve_name(tag): points for tag, points in losses.items()}
        plots.append(curves_plot(shown, "Validation loss", "cross entropy, weighted"))
    return plots


def _curve_name(tag: str) -> str:
    """Of a validation: what is measured, and on what where that is not whole images."""
    name, _, of = tag.replace("val_mean_dice", "mean Dice").replace("val_loss", "marks").partition("_")
    return f"{name}, {of.replace('_', ' ')}" if of else name


def _settings(out: Path, predicted: Sequence[Predicted], weights: Path | None, images: Images, command: str) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = {
        "folder": str(out.resolve()),
        "images": f"{len(predicted)}" + (f", from {images}" if isinstance(images, (str, Path)) else ""),
        "weights": "" if weights is None else _said_of(weights),
        "command": command,
        "machine": f"{platform.system()} {platform.machine()}, {cores} cores",
    }
    return {name: value for name, value in rows.items() if value}


def _said_of(weights: Path) -> str:
    """Where weights lie; and, where they are not those of the last training alone, what they are."""
    beginning = noted_beginning(weights if weights.is_dir() else weights.parent)
    share = beginning.get("share")
    if not isinstance(share, int | float) or not 0 <= share < 1:
        return str(weights)
    begun = beginning.get("began_from")
    if share == 0:
        return f"{weights}: those of {begun}, from which the training began and which it made no better"
    return f"{weights}: {share:.0%} of the way from {begun}, from which the training began, to its own"


def _versions() -> dict[str, str]:
    versions = {"lazylabels-monai": lazylabels_monai.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)  # without importing them: torch alone takes seconds
        except metadata.PackageNotFoundError:
            continue
    return versions
