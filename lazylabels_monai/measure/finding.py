"""Which files a folder of predictions or a data set holds of each image, with names of classes and pixel sizes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lazylabels_monai.class_names import GIVE_THEM, read_class_names
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    SECTIONS,
    absolute_path,
    datalist_file,
    find_images,
    has_key,
    is_predicted,
    load_datalist,
)
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PICTURE_SUFFIXES
from lazylabels_monai.images.pixel_size import PixelSizeError, agreed_pixel_size, parse_pixel_size, read_pixel_size
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.option_text import quoted
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import (
    CLASSES_ENDING,
    CLASSES_FILE,
    FORMER_ENDINGS,
    INSTANCES_ENDING,
    probability_ending,
    uncertainty_ending,
)
from lazylabels_monai.stamps import Record, Records
from lazylabels_monai.tasks import TASKS

__all__ = [
    "LabelledImage",
    "NoLabelMapError",
    "find_labels",
    "image_files",
    "images_by_name",
    "pictures_in",
    "pixel_sizes",
    "with_images",
]

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
    predicted: bool = False  # whether a datalist says that it is a prediction that nobody has changed


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
                own = {"pixel_size": item.get("pixel_size"), "predicted": is_predicted(item, file)}
                images.append(LabelledImage(name, *labels, **own))
    twice = _repeated([image.name for image in images])
    if twice:
        raise MeasureError(f"'{file}' lists two labelled images of the name '{twice}': rename one, names tell the rows apart.")
    return images, tuple(content["classes"])


def _of_exact_folders(folder: Path) -> list[LabelledImage]:
    found: dict[str, dict[str, str]] = {}
    for name, key in (("classes", "classes"), ("masks", "instances"), ("images", "image")):
        for path in pictures_in(folder / name):
            files = found.setdefault(path.stem, {})
            if key in files:
                raise MeasureError(f"'{path}' and '{files[key]}' share a name: rename one of them.")
            files[key] = str(path)
    return [LabelledImage(name, **files) for name, files in found.items() if _LABELS & set(files)]


def _of_predictions(folder: Path) -> list[LabelledImage]:
    found: dict[str, dict[str, str]] = {}
    for path in pictures_in(folder):
        for ending, key in _ENDINGS.items():
            if path.stem.endswith(ending) and path.stem != ending:
                files = found.setdefault(path.stem.removesuffix(ending), {})
                if key in files:
                    raise MeasureError(f"'{path}' and '{files[key]}' are the same map of one image: remove one of them.")
                files[key] = str(path)
    return [LabelledImage(name, **files) for name, files in found.items() if _LABELS & set(files)]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, hidden ones left out, sorted; none where it is not there."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and not f.is_dir() and f.name[0] != ".")


def _repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def image_files(
    given: str | Path, note: Callable[[str], None] | None = None
) -> tuple[list[str], tuple[str, ...] | None, dict[str, str | float]]:
    """The images that ``--images`` names.

    Args:
        given: a file, a folder or a pattern, OME-Zarr pictures among them; or a data set (``datalist.json`` or its folder),
            whose items' images count, and pictures beside the file, too.
        note: see :func:`~lazylabels_monai.data.datalist.find_images`.

    Returns:
        the files; of a data set the names of the classes, and the pixel sizes that its items state by the file.

    Raises:
        DatalistError: when there is no image, or for a broken datalist without images beside it.
    """
    place, file = expanded(given), datalist_file(given)
    if place.suffix.lower() != ".json" and not (place.is_dir() and file.is_file()):
        return find_images(given, note, zarr=True), None, {}
    beside: list[str] = []
    if place.is_dir():
        with suppress(LazyLabelsError):  # its images may all be elsewhere
            beside = find_images(place, note, zarr=True)
    try:
        content = load_datalist(file)
    except LazyLabelsError:
        if beside:  # the file is of another program
            return beside, None, {}
        raise
    items = {absolute_path(file, item["image"]): item for section in SECTIONS for item in content.get(section, [])}
    stems, listed = {Path(path).stem for path in beside}, {os.path.realpath(path) for path in items}
    # an item whose picture is gone says nothing against one of its name that was put there
    paths = [path for path in items if os.path.lexists(path) or Path(path).stem not in stems]
    paths += [path for path in beside if os.path.realpath(path) not in listed]
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
        pattern = f"{Path(files[0]).parent / '*'}{Path(files[0]).suffix}"
        raise MeasureError(
            f"'{files[0]}' and '{files[1]}' share a name, so that nobody can tell which of them the results are of: name one "
            f"kind by a pattern in quotes, such as --images {quoted(pattern)}, or rename one."
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
