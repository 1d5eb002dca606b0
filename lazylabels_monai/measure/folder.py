"""Measure a folder of predictions or a data set with exact labels: what the command ``measure`` does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lazylabels_monai.atomic import write_text
from lazylabels_monai.class_names import MEND_IT, require_distinct
from lazylabels_monai.measure.comparing import cut_alike, said_left_out
from lazylabels_monai.measure.finding import LabelledImage, find_labels, pixel_sizes, with_images
from lazylabels_monai.measure.image import ImageMeasurements, MeasureError
from lazylabels_monai.measure.maps import frame_of, is_large, measure_files, numbered, pieces_apart, read_maps
from lazylabels_monai.measure.matching import reordered, same_classes
from lazylabels_monai.measure.statistics import measurement_error, summarize, summary_dict
from lazylabels_monai.measure.telling import (
    believed,
    exactly_labelled,
    one_stamp,
    require_class_maps,
    tell_changed,
    tell_corrected,
    tell_erased,
    tell_pieces,
    without_strokes,
)
from lazylabels_monai.overrides import expanded
from lazylabels_monai.spreadsheets import cells
from lazylabels_monai.stamps import Records, from_folder, told_twice
from lazylabels_monai.tasks import IGNORE

__all__ = ["IDS", "OUTPUTS", "format_measurements", "measure_folder", "objects_csv"]

#: Files that :func:`measure_folder` writes.
OUTPUTS = ("objects.csv", "summary.csv", "summary.json")

#: What a value of an id map may be said to be: one object, or a mark whose connected pieces are the objects.
IDS = ("values", "pieces")


def measure_folder(
    predictions: str | Path,
    out: str | Path,
    *,
    images: str | Path | Mapping[str, str | Path] | None = None,
    pixel_size: str | float | Mapping[str, float | None] | None = None,
    classes: Sequence[str] | None = None,
    min_size: int = 1,
    border: str = "ml",
    gap: int = 2,
    truth: str | Path | None = None,
    ids: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
    warn: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Measure every image of a folder and write ``objects.csv``, ``summary.csv`` and ``summary.json``.

    Each file appears only when it is complete, ``summary.json`` last.

    Args:
        predictions: see :func:`find_labels`.
        out: folder of the files, made when missing.
        images: folder of the images, a pattern or a datalist, matched by name, or the file of each name that is meant: gives
            the intensities and pixel sizes. Default: those that the data set names.
        pixel_size: side of a pixel in micrometres or as text ("120 nm"), for all images; overrides what files and items state.
            Or that of each image by its name, None where nobody knows it.
        classes: names of the classes; default those of the data set, or "class 1", ...
        min_size: objects of fewer pixels are left out.
        border: "ml" or "none"; see :func:`~lazylabels_monai.measure.statistics.summarize`.
        gap: pixels between two objects that still count as in contact.
        truth: exact labels of some or all of the images, as for :func:`find_labels`; adds the errors on these to the summary.
        ids: "values": every value of an id map is one object, whatever it looks like; "pieces": each of its connected pieces is
            one, as in a binary mask. Default: values, and maps that hardly are ids are refused.
        confidence, resamples, seed: of the intervals.
        overwrite: replace the three files of an earlier run; other files in ``out`` are left alone.
        dry_run: write nothing, and read no pixels but the labels' classes.
        warn: is given a sentence about what was decided for the user.

    Returns:
        what ``summary.json`` holds; with ``dry_run`` the keys ``images`` (a list of names with their files) and ``writes``.

    Raises:
        LazyLabelsError: with one sentence about what to mend.
    """
    out = expanded(out)
    if out.exists() and not out.is_dir():
        raise MeasureError(f"'{out}' is a file: name a folder for the measurements.")
    there = [name for name in OUTPUTS if (out / name).exists()]
    if there and not overwrite:
        raise MeasureError(f"'{out}' holds {there[0]} already: name another folder, or pass --overwrite.")
    if min_size < 1:
        raise MeasureError(f"min size {min_size} must be 1 pixel or more.")
    if ids is not None and ids not in IDS:
        raise MeasureError(
            f"--ids {ids}: write values (one value is one object) or pieces (each connected piece is an object)."
        )
    found, stated = find_labels(predictions, bool(classes))
    found = without_strokes(predictions, found, warn)
    stamp = one_stamp(predictions, found, warn)
    if images is not None:
        found = with_images(found, images, Records(expanded(predictions)))
        tell_changed(predictions, found, warn)
    tell_pieces(predictions, found, warn)
    if sentence := told_twice(expanded(predictions), [image.name for image in found]):
        warn(sentence)
    names = tuple(classes or stated or numbered(found))
    require_distinct(names)
    require_class_maps(predictions, found, names)
    sizes = pixel_sizes(found, pixel_size, warn)
    if dry_run:
        rows = [{**vars(image), "pixel_size": sizes[image.name]} for image in found]
        return {"images": rows, "classes": list(names), "writes": [str(out / name) for name in OUTPUTS]}

    _require_one_unit(found, sizes)
    believed(predictions, found, bool(classes or stated), warn, ids=ids is None)
    options = {"gap": gap, "min_size": min_size, "class_names": names}
    statistics = {"border": border, "confidence": confidence, "resamples": resamples, "seed": seed}
    measured = [_measure(image, sizes[image.name], options, ids == "pieces") for image in found]
    tell_erased(found, stamp, warn)
    summary = summarize(measured, **statistics)
    distinct = sorted({size for size in sizes.values() if size is not None})
    result: dict[str, Any] = {
        "source": str(predictions),
        "source_from_here": from_folder(expanded(predictions), out),  # which holds where both are moved
        "images": len(measured),
        "unit": measured[0].unit,
        "pixel_size_um": distinct[0] if len(distinct) == 1 else distinct or None,
        "images_in": str(images) if isinstance(images, (str, Path)) else None,
        "images_from_here": from_folder(expanded(images), out) if isinstance(images, (str, Path)) else None,
        "ids": ids,  # None: each value is an object, after a look at the maps
        "min_size_px": min_size,
        "gap_px": gap,
        **statistics,
        "made_by": None if stamp is None else {"stamp": stamp.id, "weights": stamp.weights, "version": stamp.version},
        "classes": summary_dict(summary),
    }
    if truth is not None:
        named = (classes, stated)
        result |= _against(truth, predictions, found, measured, named, ids, options, statistics, warn)
    objects = pd.concat([m.objects for m in measured], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("objects.csv", objects_csv(objects)),
        ("summary.csv", objects_csv(summary)),
        ("summary.json", json.dumps(result, indent=2, allow_nan=False) + "\n"),
    ):
        write_text(out / name, text)
    return result


def _against(
    truth: str | Path,
    predictions: str | Path,
    found: Sequence[LabelledImage],
    measured: Sequence[ImageMeasurements],
    class_names: tuple[Sequence[str] | None, Sequence[str] | None],
    ids: str | None,
    options: Mapping[str, Any],
    statistics: Mapping[str, Any],
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """What the summary says of measurements against exact labels of the same images, or of some of them.

    Args:
        truth, predictions, ids, warn: those of :func:`measure_folder`.
        found, measured: files and measurements of each prediction.
        class_names: those that the user gave, and those that the predictions state.
        options, statistics: that were measured with.
    """
    known, exact_names = find_labels(truth, remedy=MEND_IT)  # --classes is of the predictions
    by_name = {m.name: m for m in measured}
    pairs = exactly_labelled(truth, found, known, warn)
    tell_corrected(predictions, [image for image, _ in pairs], warn)
    exact = [exactly for _, exactly in pairs]
    seen = {image.image for image in found}  # and told of, where need be
    tell_changed(predictions, [image for image in exact if image.image not in seen], warn)
    believed(truth, exact, exact_names is not None, warn, ids=ids is None)
    order = same_classes(predictions, truth, *class_names, exact_names, warn)
    exact_options = options if order is None else {**options, "class_names": exact_names}
    require_class_maps(truth, exact, exact_options["class_names"], truth=True)
    both = [_compared(image, exactly, by_name[image.name], options, exact_options, ids == "pieces") for image, exactly in pairs]
    compared, exact_measured, left_out = map(list, zip(*both, strict=True))
    if sentence := said_left_out(left_out, sum(math.prod(m.shape) for m in compared), str(truth)):
        warn(sentence)
    if order is not None:
        exact_measured = [reordered(m, order, options["class_names"]) for m in exact_measured]
    errors = measurement_error(compared, exact_measured, **statistics).astype(object)
    error: dict[str, Any] = {}
    for row in errors.where(errors.notna(), None).to_dict("records"):
        error.setdefault(row.pop("class_name"), {})[row.pop("statistic")] = row
    return {"truth": str(truth), "truth_images": len(pairs), "truth_left_out_px": sum(left_out), "error": error}


def objects_csv(rows: pd.DataFrame) -> str:
    """Rows of objects, or of statistics, as the text of a CSV file."""
    return cells(rows).to_csv(index=False, float_format="%.8g", lineterminator="\n")


def format_measurements(result: Mapping[str, Any]) -> str:
    """A table of ``summary.json`` for the terminal: a row per class and statistic with its interval."""
    percent = f"{100 * result['confidence']:g} %"
    lines, of = [], result.get("truth_images", result["images"])
    on = f" on {of} of {result['images']} images" if of < result["images"] else ""
    for name, entry in result["classes"].items():
        over = f"{percent} intervals over {entry['interval_units']} {entry['interval_over']}"
        lines.append(
            f"{name}: {entry['objects']} objects in {entry['images']} images, {entry['objects_used']} used; "
            + (over if entry["interval_over"] else f"too few {'tiles' if entry['images'] == 1 else 'images'} for an interval")
        )
        for key, values in entry.items():
            if isinstance(values, dict):
                lines.append(f"  {key:<24} {_figure(values['value'])}  {_range(values['low'], values['high'])}".rstrip())
        for key, row in result.get("error", {}).get(name, {}).items():
            lines.append(
                f"  error of {key:<24} {_figure(row['error'])}  {_range(row['error_low'], row['error_high'])}".rstrip() + on
            )
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>10}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _require_one_unit(found: Sequence[LabelledImage], sizes: Mapping[str, float | None]) -> None:
    """Refuse images with a pixel size beside images without: said of the files, and before anything is measured."""
    known, unknown = ([i for i in found if (sizes[i.name] is None) is missing] for missing in (False, True))
    if known and unknown:
        without, other = (image.image or image.instances or image.classes for image in (unknown[0], known[0]))
        raise MeasureError(
            f"file '{without}' states no pixel size while '{other}' does: add it (key pixel_size of the item, or --pixel-size "
            "for all images)."
        )


def _measure(
    files: LabelledImage, pixel_size: float | None, options: Mapping[str, Any], pieces: bool = False
) -> ImageMeasurements:
    if is_large(files):
        if pieces:
            raise MeasureError(f"'{files.instances}' is too large for --ids pieces: cut it into smaller images.")
        from lazylabels_monai.measure.large import measure_large

        return measure_large(files.instances, files.classes, files.image, pixel_size=pixel_size, name=files.name, **options)
    return measure_files(files, pieces_apart(read_maps(files), pieces), pixel_size, **options)


def _compared(
    files: LabelledImage,
    exact: LabelledImage,
    measured: ImageMeasurements,
    options: Mapping[str, Any],
    exact_options: Mapping[str, Any],
    pieces: bool,
) -> tuple[ImageMeasurements, ImageMeasurements, int]:
    """A prediction and its exact labels measured on the pixels that both label, and how many others are left out.

    Args:
        files: of the prediction, ``measured`` as a whole.
        exact: files of the exact labels.
        measured: of the prediction.
        options, exact_options: of measuring either.
        pieces: whether each connected piece of an id is an object.
    """
    frame = frame_of(files)  # rows are those of the prediction, also where one is a picture and the other a volume's file
    files, exact = (replace(one, image=None, probability=None, uncertainty=None, name=files.name) for one in (files, exact))
    whole = int(measured.tile_pixels.sum()) == math.prod(measured.shape)
    if whole and is_large(exact):  # measuring refuses such labels where they are not whole
        return measured, _measure(exact, measured.pixel_size, exact_options, pieces), 0
    truth, left_out = read_maps(exact, frame), 0
    if not whole or (truth["classes"] is not None and (truth["classes"] == IGNORE).any()):
        maps, truth, left_out = cut_alike(read_maps(files, frame), truth)
        if left_out:
            measured = measure_files(files, pieces_apart(maps, pieces), measured.pixel_size, **options)
    return measured, measure_files(exact, pieces_apart(truth, pieces), measured.pixel_size, **exact_options), left_out
