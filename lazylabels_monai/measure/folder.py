"""Measure a folder of predictions or a data set with exact labels: what the command ``measure`` does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lazylabels_monai.atomic import write_text
from lazylabels_monai.class_names import GIVE_THEM, MEND_IT, read_class_names, require_distinct
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
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import PICTURE_SUFFIXES, file_suffix, read_image, read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.pixel_size import PixelSizeError, agreed_pixel_size, parse_pixel_size, read_pixel_size
from lazylabels_monai.images.tiff import read_planes
from lazylabels_monai.measure.believing import doubtful_maps, require_classes, require_ids
from lazylabels_monai.measure.comparing import cut_alike, said_left_out
from lazylabels_monai.measure.erased import largest_hole, largest_speck, shares, shares_of_files, told_bare, told_erased
from lazylabels_monai.measure.exactness import (
    in_pieces,
    remedy_for_classes,
    remedy_for_pieces,
    said_in_pieces,
    said_without_classes,
    strokes_alone,
    without_classes,
)
from lazylabels_monai.measure.image import ImageMeasurements, MeasureError, measure_image
from lazylabels_monai.measure.matching import reordered, same_classes
from lazylabels_monai.measure.statistics import measurement_error, summarize, summary_dict
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import (
    CLASSES_ENDING,
    CLASSES_FILE,
    FORMER_ENDINGS,
    INSTANCES_ENDING,
    RECORDS_FILE,
    probability_ending,
    uncertainty_ending,
)
from lazylabels_monai.spreadsheets import cells
from lazylabels_monai.stamps import Record, Records, Stamp, from_folder, require_one_stamp, told_twice
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS

__all__ = [
    "IDS",
    "IN_ONE_PIECE",
    "OUTPUTS",
    "LabelledImage",
    "NoLabelMapError",
    "believed",
    "find_labels",
    "format_measurements",
    "image_files",
    "images_by_name",
    "is_large",
    "measure_files",
    "measure_folder",
    "objects_csv",
    "pixel_sizes",
    "read_maps",
    "require_class_maps",
    "tell_erased",
    "tell_pieces",
    "with_images",
]

#: Files that :func:`measure_folder` writes.
OUTPUTS = ("objects.csv", "summary.csv", "summary.json")

#: What a value of an id map may be said to be: one object, or a mark whose connected pieces are the objects.
IDS = ("values", "pieces")

#: Pixels of an image that is measured and shown in one piece, at most; a larger one is read in tiles.
IN_ONE_PIECE = 2**26

_ENDINGS = {
    INSTANCES_ENDING: "instances",
    CLASSES_ENDING: "classes",
    probability_ending("segmentation"): "probability",
    FORMER_ENDINGS[TASKS.index("segmentation")]: "uncertainty",
    uncertainty_ending("segmentation"): "uncertainty",
}
#: Of these, the label maps: the others tell something about them.
_LABELS = {"instances", "classes"}


@dataclass(frozen=True)
class LabelledImage:
    """The files of one image; None where there is none."""

    name: str
    instances: str | None = None
    classes: str | None = None
    image: str | None = None
    probability: str | None = None
    uncertainty: str | None = None
    pixel_size: str | float | None = None  # the item's key in a datalist


class NoLabelMapError(MeasureError):
    """A folder holds no label map."""


def find_labels(
    source: str | Path, named: bool = False, remedy: str = GIVE_THEM
) -> tuple[list[LabelledImage], tuple[str, ...] | None]:
    """The label maps of a folder.

    Args:
        source: a data set (``datalist.json`` or its folder), of which items with ``instances`` or ``segmentation`` count; a
            folder of ``<name>_pred.png|tif`` (classes), ``<name>_instances.png|tif`` (ids) or both, and perhaps
            ``<name>_segmentation_probability.tif`` (a plane per class), ``<name>_segmentation_uncertainty.tif`` and
            ``classes.json``, the names; or a folder with ``classes/`` or ``masks/`` (ids), perhaps ``images/``, and perhaps
            ``classes.json`` in ``classes/`` or beside it.
        named: whether the user named the classes, so that a ``classes.json`` which cannot be read does not matter.
        remedy: for such a file, the end of the sentence.

    Returns:
        images sorted by name; the names of the classes, where the source states them.

    Raises:
        NoLabelMapError: when there is no label map.
        MeasureError: when a name occurs twice, and for a ``classes.json`` that holds no names.
        DatalistError: for a broken datalist.
    """
    source = expanded(source)
    if not source.exists():
        raise MeasureError(f"'{source}' does not exist: name a folder of predictions or a data set.")
    names, names_of = None, _names_of_predictions
    if datalist_file(source).is_file():
        images, names = _of_datalist(datalist_file(source))
    elif (source / "classes").is_dir() or (source / "masks").is_dir():
        images, names_of = _of_exact_folders(source), _names_of_exact_folders
    else:
        images = _of_predictions(source)
    if not images:
        raise NoLabelMapError(
            f"'{source}' holds no label map: give a folder of <name>_pred.png or <name>_instances.tif, or a data set with "
            "exact labels."
        )
    if names is None:
        try:
            names = names_of(source, images, remedy)
        except LazyLabelsError as error:
            if not named:
                raise MeasureError(str(error)) from error
    return sorted(images, key=lambda image: image.name), names


def _names_of_exact_folders(folder: Path, images: Sequence[LabelledImage], remedy: str) -> tuple[str, ...] | None:
    """The names beside class pictures or beside their folder, as ``datalist`` takes them; None where there are none."""
    files = [path for path in (folder / "classes" / CLASSES_FILE, folder / CLASSES_FILE) if path.is_file()]
    found = [tuple(read_class_names(path, remedy)) for path in files]
    if len(set(found)) > 1:
        raise MeasureError(f"'{files[1]}' names other classes than '{files[0]}': remove the one that is wrong.")
    return found[0] if found else None


def _names_of_predictions(folder: Path, images: Sequence[LabelledImage], remedy: str) -> tuple[str, ...] | None:
    """The names that ``predict`` wrote beside its results, or a person over them; None where there are none.

    Where the file is missing, or is that of other weights which began to predict into the folder, the stamp knows the names.
    """
    records, path, found = Records(folder), folder / CLASSES_FILE, None
    known = {name: tuple(map(str, stamp.settings.get("classes", ()))) for name, stamp in records.stamps.items()}
    own = [known[name] for name in records.by_stamp([image.name for image in images]) if name is not None]
    if path.is_file():
        found = tuple(read_class_names(path, remedy))
    if len(own) == 1 and own[0] and (found is None or (found != own[0] and found in known.values())):
        return own[0]
    return found


def _exact(
    source: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None], names: Collection[str] | None = None
) -> list[LabelledImage]:
    """The images without those of a data set that are labelled by strokes alone, which are named; ``names``: that matter.

    Raises:
        MeasureError: when none is left.
    """
    asked = {i.name: i.classes for i in found if i.classes and i.instances is None and (names is None or i.name in names)}
    strokes = sorted(strokes_alone(source, asked))
    left = [image for image in found if image.name not in strokes]
    if not strokes:
        return left
    if not left or (names is not None and not any(image.name in names for image in left)):
        raise MeasureError(
            f"'{source}' holds strokes and no exact mask of its images ('{asked[strokes[0]]}' is one), whose area is that of "
            "the pen: draw exact masks, or measure predictions of the images."
        )
    warn(
        f"{len(strokes)} of {len(found)} images of '{source}' are labelled by strokes and have no exact mask ('{strokes[0]}' "
        "is one), so they are left out: draw their masks, or measure predictions of them."
    )
    return left


def tell_pieces(source: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> None:
    """Name images whose connected pieces stand beside true ids of others."""
    if not (pieces := in_pieces(source, found)):
        return
    remedy = f"name {_made_of(source)} instead"
    if not datalist_file(expanded(source)).is_file():
        remedy = remedy_for_pieces(source, next(image for image in found if image.name == pieces[0]))
    warn(f"{said_in_pieces(source, pieces, len(found))}: {remedy}.")


def require_class_maps(source: str | Path, found: Sequence[LabelledImage], names: Sequence[str], truth: bool = False) -> None:
    """Refuse objects of which nobody knows the class, instead of taking all for the first one.

    Args:
        source: of the maps.
        found: the images.
        names: of the classes.
        truth: whether they are those that predictions are compared with.

    Raises:
        MeasureError: naming images and what to do.
    """
    if missing := without_classes(found, names):
        remedy = "add them, or measure predictions of other images" if truth else remedy_for_classes(source, found, missing)
        raise MeasureError(f"{said_without_classes(source, found, missing, names)}: {remedy}.")


def _made_of(source: str | Path) -> str:
    """The folder that a data set was made of, in words; of another source one with all ids."""
    file = datalist_file(expanded(source))
    said = load_datalist(file).get("build") if file.is_file() else None
    folder = said.get("source") if isinstance(said, Mapping) else None
    known = folder is not None and (expanded(folder) / "masks").is_dir()
    return f"the folder that it was made of, '{folder}'," if known else "a folder of classes/ and masks/ with all ids"


def believed(
    source: str | Path,
    found: Sequence[LabelledImage],
    named: bool,
    warn: Callable[[str], None],
    ids: bool = True,
) -> None:
    """Refuse maps that hardly are the ids or classes that their names say; what ``datalist`` or ``predict`` made is believed.

    Args:
        source: of the maps, as for :func:`find_labels`.
        found: the images.
        named: whether somebody named the classes.
        warn: is told what is doubtful and may be meant.
        ids: whether ids are looked at, too.

    Raises:
        MeasureError: naming a file and what to do.
    """
    doubtful = doubtful_maps(source, [image.name for image in found])
    asked = [image for image in found if image.name in doubtful]
    if ids:
        require_ids([image.instances for image in asked if image.instances is not None], warn)
    require_classes([image.classes for image in asked if image.classes is not None], named, warn)


def _one_stamp(folder: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> Stamp | None:
    """What made the maps of a folder, where it says so; two stamps are refused, and maps of unknown origin beside it named."""
    folder = expanded(folder)
    if not (folder / RECORDS_FILE).is_file():
        return None
    stamp, unknown = require_one_stamp(folder, [image.name for image in found])
    if unknown:
        warn(
            f"of {len(found)} images in '{folder}', {len(unknown)} do not say what made them ('{unknown[0]}' is one): an "
            "earlier version, another program or a hand did, or altered them since."
        )
    return stamp


def tell_erased(found: Sequence[LabelledImage], stamp: Stamp | None, warn: Callable[[str], None]) -> None:
    """Name images of which somebody erased objects in the ids alone, or made them smaller in the class map alone."""
    pieces, of_images = (largest_speck(stamp), largest_hole(stamp)), {}
    for image in found:
        if image.instances is None or image.classes is None:
            continue
        if is_large(image):
            of_images[image.name] = shares_of_files(image.instances, image.classes, *pieces)
        else:
            maps = read_maps(replace(image, image=None, probability=None, uncertainty=None))
            of_images[image.name] = shares(maps["instances"], maps["classes"], *pieces)
    erased, bare = ({name: share[k] for name, share in of_images.items()} for k in range(2))
    for sentence in (
        told_erased(erased, {image.name: image.classes for image in found}, len(found)),
        told_bare(bare, {image.name: image.instances for image in found}, len(found)),
    ):
        if sentence is not None:
            warn(sentence)


def _tell_changed(folder: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> None:
    """Name images that are not those that were predicted."""
    records = Records(expanded(folder)).images
    pairs = [(image, records[image.name]) for image in found if image.image and image.name in records]
    others = [image for image, record in pairs if record.stamp is not None and not record.same_image(image.image, file_pixels)]
    if others:
        warn(
            f"{len(others)} of {len(found)} images are not those that were predicted ('{others[0].image}' is one): predict "
            "them again, unless their intensities alone were changed on purpose."
        )


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
        truth: exact labels of the same images, as for :func:`find_labels`; adds the errors to the summary.
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
    found = _exact(predictions, found, warn)
    stamp = _one_stamp(predictions, found, warn)
    if images is not None:
        found = with_images(found, images, Records(expanded(predictions)))
        _tell_changed(predictions, found, warn)
    tell_pieces(predictions, found, warn)
    if sentence := told_twice(expanded(predictions), [image.name for image in found]):
        warn(sentence)
    names = tuple(classes or stated or _numbered(found))
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
        "ids": ids,  # None: each value is an object, after a look at the maps
        "min_size_px": min_size,
        "gap_px": gap,
        **statistics,
        "made_by": None if stamp is None else {"stamp": stamp.id, "weights": stamp.weights, "version": stamp.version},
        "classes": summary_dict(summary),
    }
    if truth is not None:
        known, exact_names = find_labels(truth, remedy=MEND_IT)  # --classes is of the predictions
        exact = {image.name: image for image in _exact(truth, known, warn, {image.name for image in found})}
        if missing := [image.name for image in found if image.name not in exact]:
            raise MeasureError(
                f"image '{missing[0]}' has no exact label in '{truth}' ({len(missing)} in all): name its data set."
            )
        if pieces := in_pieces(truth, [exact[image.name] for image in found]):
            raise MeasureError(
                f"{said_in_pieces(truth, pieces, len(found))}: name {_made_of(truth)} by --truth instead, or measure "
                "predictions of other images."
            )
        believed(truth, [exact[image.name] for image in found], exact_names is not None, warn, ids=ids is None)
        order = same_classes(predictions, truth, classes, stated, exact_names, warn)
        exact_options = options if order is None else {**options, "class_names": exact_names}
        require_class_maps(truth, [exact[image.name] for image in found], exact_options["class_names"], truth=True)
        pairs = [
            _compared(image, exact[image.name], m, options, exact_options, ids == "pieces")
            for image, m in zip(found, measured, strict=True)
        ]
        compared, exact_measured, left_out = map(list, zip(*pairs, strict=True))
        if sentence := said_left_out(left_out, sum(math.prod(m.shape) for m in measured), str(truth)):
            warn(sentence)
        if order is not None:
            exact_measured = [reordered(m, order, names) for m in exact_measured]
        errors = measurement_error(compared, exact_measured, **statistics).astype(object)
        result["truth"] = str(truth)
        result["truth_left_out_px"] = sum(left_out)
        result["error"] = {}
        for row in errors.where(errors.notna(), None).to_dict("records"):
            result["error"].setdefault(row.pop("class_name"), {})[row.pop("statistic")] = row
    objects = pd.concat([m.objects for m in measured], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("objects.csv", objects_csv(objects)),
        ("summary.csv", objects_csv(summary)),
        ("summary.json", json.dumps(result, indent=2, allow_nan=False) + "\n"),
    ):
        write_text(out / name, text)
    return result


def objects_csv(rows: pd.DataFrame) -> str:
    """Rows of objects, or of statistics, as the text of a CSV file."""
    return cells(rows).to_csv(index=False, float_format="%.8g", lineterminator="\n")


def format_measurements(result: Mapping[str, Any]) -> str:
    """A table of ``summary.json`` for the terminal: a row per class and statistic with its interval."""
    percent = f"{100 * result['confidence']:g} %"
    lines = []
    for name, entry in result["classes"].items():
        over = f"{percent} intervals over {entry['interval_units']} {entry['interval_over']}"
        lines.append(
            f"{name}: {entry['objects']} objects in {entry['images']} images, {entry['objects_used']} used; "
            + (over if entry["interval_over"] else "too small for an interval")
        )
        for key, values in entry.items():
            if isinstance(values, dict):
                lines.append(f"  {key:<24} {_figure(values['value'])}  {_range(values['low'], values['high'])}".rstrip())
        for key, row in result.get("error", {}).get(name, {}).items():
            lines.append(
                f"  error of {key:<24} {_figure(row['error'])}  {_range(row['error_low'], row['error_high'])}".rstrip()
            )
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>10}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _of_datalist(file: Path) -> tuple[list[LabelledImage], tuple[str, ...]]:
    content, images = load_datalist(file), []
    for section in SECTIONS:
        for item in content.get(section, []):
            paths = {
                key: absolute_path(file, item[key]) for key in ("image", "instances", "segmentation") if has_key(item, key)
            }
            if len(content["classes"]) > 1 and "instances" in paths and "segmentation" not in paths:
                raise MeasureError(
                    f"{section} item '{item['image']}' of '{file}' has instances but no segmentation, which tells their "
                    "classes: add it."
                )
            if len(paths) > 1:
                name = Path(paths["image"]).stem
                labels = (paths.get("instances"), paths.get("segmentation"), paths["image"])
                images.append(LabelledImage(name, *labels, pixel_size=item.get("pixel_size")))
    twice = _repeated([image.name for image in images])
    if twice:
        raise MeasureError(f"'{file}' lists two labelled images of the name '{twice}': rename one, names tell the rows apart.")
    return images, tuple(content["classes"])


def _of_exact_folders(folder: Path) -> list[LabelledImage]:
    found: dict[str, dict[str, str]] = {}
    for name, key in (("classes", "classes"), ("masks", "instances"), ("images", "image")):
        for path in _pictures(folder / name):
            files = found.setdefault(path.stem, {})
            if key in files:
                raise MeasureError(f"'{path}' and '{files[key]}' share a name: rename one of them.")
            files[key] = str(path)
    return [LabelledImage(name, **files) for name, files in found.items() if _LABELS & set(files)]


def _of_predictions(folder: Path) -> list[LabelledImage]:
    found: dict[str, dict[str, str]] = {}
    for path in _pictures(folder):
        for ending, key in _ENDINGS.items():
            if path.stem.endswith(ending) and path.stem != ending:
                files = found.setdefault(path.stem.removesuffix(ending), {})
                if key in files:
                    raise MeasureError(f"'{path}' and '{files[key]}' are the same map of one image: remove one of them.")
                files[key] = str(path)
    return [LabelledImage(name, **files) for name, files in found.items() if _LABELS & set(files)]


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and not f.is_dir() and f.name[0] != ".")


def _repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def is_large(files: LabelledImage) -> bool:
    """Whether an image is measured in tiles: its ids are there, nothing but an image beside them, and they are many pixels."""
    if files.instances is None or files.probability is not None or files.uncertainty is not None:
        return False
    sides = extent(files.instances)
    return sides is not None and _is_picture(files.instances) and math.prod(sides) > IN_ONE_PIECE


def image_files(
    given: str | Path, note: Callable[[str], None] | None = None
) -> tuple[list[str], tuple[str, ...] | None, dict[str, str | float]]:
    """The images that ``--images`` names.

    Args:
        given: a file, a folder or a pattern; or a data set (``datalist.json`` or its folder), whose items' images count before
            pictures of the same names beside the file.
        note: see :func:`~lazylabels_monai.data.datalist.find_images`.

    Returns:
        the files; of a data set the names of the classes, and the pixel sizes that its items state by the file.

    Raises:
        DatalistError: when there is no image, or for a broken datalist without images beside it.
    """
    place, file = expanded(given), datalist_file(given)
    if place.suffix.lower() != ".json" and not (place.is_dir() and file.is_file()):
        return find_images(given, note), None, {}
    beside: list[str] = []
    if place.is_dir():
        with suppress(LazyLabelsError):  # its images may all be elsewhere
            beside = find_images(place, note)
    try:
        content = load_datalist(file)
    except LazyLabelsError:
        if beside:  # the file is of another program
            return beside, None, {}
        raise
    items = {absolute_path(file, item["image"]): item for section in SECTIONS for item in content.get(section, [])}
    listed = {Path(path).stem for path in items}
    paths = [*items, *(path for path in beside if Path(path).stem not in listed)]
    sizes = {path: item["pixel_size"] for path, item in items.items() if item.get("pixel_size") is not None}
    return paths, tuple(content["classes"]), sizes


def images_by_name(paths: Iterable[str], names: Collection[str], records: Records | None = None) -> dict[str, str]:
    """The file of each name; of several of one name that which the results' records say they were made of.

    Args:
        paths: image files.
        names: those that matter.
        records: of the results.

    Raises:
        MeasureError: for two files of one name where no record tells which.
    """
    files: dict[str, list[str]] = {}
    for path in paths:
        if Path(path).stem in names:
            files.setdefault(Path(path).stem, []).append(path)
    return {name: _the_one(same, records.images.get(name) if records else None, records) for name, same in files.items()}


def _the_one(files: Sequence[str], record: Record | None, records: Records | None) -> str:
    if len(files) > 1 and record is not None and record.stamp is not None:
        same = [path for path in files if record.same_image(path)]
        files = [path for path in same if record.same_place(path, records.folder)] or same or files
    if len(files) > 1:
        suffix = Path(files[0]).suffix
        raise MeasureError(
            f"'{files[0]}' and '{files[1]}' share a name, so that nobody can tell which of them the results are of: name one "
            f"kind by a pattern in quotes, such as --images '{Path(files[0]).parent / '*'}{suffix}', or rename one."
        )
    return files[0]


def with_images(
    found: Sequence[LabelledImage], folder: str | Path | Mapping[str, str | Path], records: Records | None = None
) -> list[LabelledImage]:
    """The same with the images of a folder, matched by name.

    Args:
        found: the label maps.
        folder: see :func:`image_files`; or the file of each name that is meant, and the others are left out.
        records: of the results; see :func:`images_by_name`.

    Raises:
        MeasureError: when an image is missing, two have the same name, or none is left.
    """
    if isinstance(folder, Mapping):
        left = [replace(image, image=str(folder[image.name])) for image in found if image.name in folder]
        if not left:
            raise MeasureError(f"none of the {len(found)} images with label maps was given: name their files.")
        return left
    paths, _, sizes = image_files(folder)
    by_name = images_by_name(paths, {image.name for image in found}, records)
    missing = [image.name for image in found if image.name not in by_name]
    if missing:
        raise MeasureError(
            f"'{folder}' holds no image of the name '{missing[0]}' ({len(missing)} missing in all): name the folder of the "
            "images that were predicted."
        )
    files = [(image, by_name[image.name]) for image in found]
    return [replace(image, image=file, pixel_size=sizes.get(file, image.pixel_size)) for image, file in files]


def _numbered(found: Sequence[LabelledImage]) -> list[str]:
    """Names for as many classes as the maps hold."""
    top = 1
    for image in found:
        if image.classes is not None:
            classes = read_label(image.classes)
            top = max(top, int(classes[classes != IGNORE].max(initial=0)))
    return [f"class {k}" for k in range(1, top + 1)]


def pixel_sizes(
    found: Sequence[LabelledImage], given: str | float | Mapping[str, float | None] | None, warn: Callable[[str], None]
) -> dict[str, float | None]:
    """Micrometres of each image's pixels by its name, or None: as ``given``, for all or by name, else as files and items state.

    Raises:
        PixelSizeError: when two sources differ.
    """
    if given is None:
        return {image.name: agreed_pixel_size(_stated_sizes(image), image.name) for image in found}
    if isinstance(given, Mapping):
        return {image.name: given.get(image.name) for image in found}
    chosen, overridden = parse_pixel_size(given), 0
    for image in found:
        try:
            overridden += agreed_pixel_size({"": chosen, **_stated_sizes(image)}) is None
        except PixelSizeError:
            overridden += 1
    if overridden:
        warn(f"--pixel-size {given} overrides another size that is stated for {overridden} of {len(found)} images.")
    return {image.name: chosen for image in found}


def _stated_sizes(image: LabelledImage) -> dict[str, float | None]:
    sizes = {f"file '{path}'": read_pixel_size(path) for path in (image.image, image.instances, image.classes) if path}
    if image.pixel_size is not None:
        sizes[f"the key pixel_size in {FILE_NAME}"] = parse_pixel_size(image.pixel_size)
    return sizes


def _is_picture(path: str) -> bool:
    return file_suffix(path) in PICTURE_SUFFIXES


def _frame(files: LabelledImage) -> str:
    """The file whose order of rows and columns the maps of an image have: where pictures and volumes are mixed, a picture."""
    given = [path for path in (files.instances, files.classes, files.image) if path is not None]
    return next(filter(_is_picture, given), files.image or given[0])


def read_maps(files: LabelledImage, frame: str | None = None) -> dict[str, np.ndarray | None]:
    """What the files of an image hold, as :func:`~lazylabels_monai.measure.image.measure_image` takes it.

    Args:
        files: of the image.
        frame: file whose order of rows and columns the maps shall have; default one of these.

    Returns:
        (H, W) ``instances`` and ``classes``, ``image``, (H, W) ``probability`` of the class shown, (2, H, W) ``uncertainty``;
        None for each where there is no file.

    Raises:
        MeasureError: for probabilities or uncertainties of another shape.
        ReadError: for a file that cannot be read.
    """

    def read(path: str | None, reader: Callable[[str], np.ndarray]) -> np.ndarray | None:
        return None if path is None else reader(path)

    first = frame or _frame(files)
    instances, classes = (
        read(path, lambda path: like_image(read_label(path), path, first)) for path in (files.instances, files.classes)
    )
    image, planes, uncertainty = (
        read(files.image, read_image),
        *(read(p, read_planes) for p in (files.probability, files.uncertainty)),
    )
    if image is not None and image.ndim > 1 and _is_picture(files.image) != _is_picture(first):
        image = np.swapaxes(image, 0, 1)  # as like_image does, and of its channels none
    labels = classes if instances is None else instances
    if uncertainty is not None and uncertainty.shape != (2, *labels.shape):
        raise MeasureError(
            f"file '{files.uncertainty}' has planes of shape {uncertainty.shape}, which do not fit the "
            f"labels {labels.shape}: predict the image again with --uncertainty."
        )
    probability = None
    if planes is not None and classes is not None:
        if planes.shape[1:] != classes.shape or len(planes) <= int(classes[classes != IGNORE].max(initial=0)):
            raise MeasureError(
                f"file '{files.probability}' has planes of shape {planes.shape}, which do not fit the classes of "
                f"'{files.classes}': predict the image again."
            )
        shown = np.where(classes == IGNORE, BACKGROUND, classes)
        probability = np.take_along_axis(planes, shown[None].astype(np.int64), axis=0)[0]
    return {
        "instances": instances,
        "classes": classes,
        "image": image,
        "probability": probability,
        "uncertainty": uncertainty,
    }


def measure_files(
    files: LabelledImage, maps: Mapping[str, np.ndarray | None], pixel_size: float | None, **options: Any
) -> ImageMeasurements:
    """:func:`~lazylabels_monai.measure.image.measure_image` of what :func:`read_maps` read.

    Raises:
        MeasureError: as there, with the files that it is about.
    """
    try:
        return measure_image(**maps, pixel_size=pixel_size, name=files.name, **options)
    except MeasureError as error:
        found = dict.fromkeys(path for name in error.maps if (path := getattr(files, name)) is not None)
        if not found:
            raise
        named = "file '" + "', '".join(found) + "'"
        raise MeasureError(f"{str(error).removesuffix('.')} ({named}).", error.maps) from error


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
    return measure_files(files, _in_pieces(read_maps(files), pieces), pixel_size, **options)


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
    frame = _frame(files)  # rows are those of the prediction, also where one is a picture and the other a volume's file
    files, exact = (replace(each, image=None, probability=None, uncertainty=None) for each in (files, exact))
    whole = int(measured.tile_pixels.sum()) == math.prod(measured.shape)
    if whole and is_large(exact):  # measuring refuses such labels where they are not whole
        return measured, _measure(exact, measured.pixel_size, exact_options, pieces), 0
    truth, left_out = read_maps(exact, frame), 0
    if not whole or (truth["classes"] is not None and (truth["classes"] == IGNORE).any()):
        maps, truth, left_out = cut_alike(read_maps(files, frame), truth)
        if left_out:
            measured = measure_files(files, _in_pieces(maps, pieces), measured.pixel_size, **options)
    return measured, measure_files(exact, _in_pieces(truth, pieces), measured.pixel_size, **exact_options), left_out


def _in_pieces(maps: dict[str, np.ndarray | None], pieces: bool) -> dict[str, np.ndarray | None]:
    """The maps with each connected piece of an id as an object of its own, where ``pieces`` says so."""
    from skimage.measure import label as connected

    if not pieces or maps["instances"] is None:
        return maps
    return {**maps, "instances": connected(maps["instances"], background=0, connectivity=1)}  # of each value by itself
