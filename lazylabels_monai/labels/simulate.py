"""Turn exactly labelled images into a lazy data set: a few exact masks, inner regions and scribbles for the others.

It answers "what would I lose if I had only marked these images roughly?" on data whose truth is known. The writing of
labels and ``datalist.json`` is shared with the built-in data.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import LazyLabelsError
from ..tasks import IGNORE, TASKS
from .lazy import (
    DEFAULT_GAP,
    DEFAULT_THICKNESS,
    default_share,
    dice_of_inner_regions,
    inner_regions,
    instances_from_classes,
    interface_labels,
)

__all__ = [
    "LazyItem",
    "MissingInputError",
    "OutputExistsError",
    "SimulationError",
    "format_summary",
    "image_count",
    "simulate",
    "write_dataset",
]

#: Sections of a datalist, and what their folder is called in a source.
SECTIONS = {"training": "train", "validation": "val", "testing": "test"}

_IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")

#: Share of the training images that become validation images where a source has none.
_VALIDATION_SHARE = 0.2


class SimulationError(LazyLabelsError):
    """What a user can mend about a source, its labels or the numbers asked for."""


class MissingInputError(SimulationError, FileNotFoundError):
    """A source folder or a label that is not there."""


class OutputExistsError(SimulationError, FileExistsError):
    """The folder to be made holds something already."""


@dataclass(frozen=True)
class LazyItem:
    """One image and where its truth comes from.

    Args:
        name: file name in the output without its suffix.
        section: ``training``, ``validation`` or ``testing``.
        load: gives ``(classes, instances)``, two integer arrays of the image's shape.
        image: gives the image as an array, or the path of a file that is copied as it is.
        has_objects: True spares a look whether there is any object.
    """

    name: str
    section: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    image: Callable[[], np.ndarray] | Path
    has_objects: bool | None = None


def image_count(value: int | float | str, total: int, what: str) -> int:
    """Number of images that ``value`` asks for.

    Args:
        value: a whole number of 1 or more is a count (so ``1``, ``1.0`` and ``"1"`` are one image); a number between 0
            and 1 is a share, rounded, of at least one image; ``"all"`` is every image; 0 is none.
        total: images there are.
        what: name of the parameter, for the error.

    Raises:
        SimulationError: when ``value`` is neither, or more than there is.
    """
    if isinstance(value, str) and value.strip().lower() == "all":
        return total
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not number >= 0 or (number >= 1 and number != int(number)):
        raise SimulationError(f"{what} {value!r} must be a whole number of images, a share between 0 and 1, or 'all'.")
    if number >= 1 and number > total:
        raise SimulationError(f"{what} {value} is more than the {total} training images there are: ask for fewer or for 'all'.")
    if number >= 1:
        return int(number)
    return min(total, max(1, int(number * total + 0.5))) if number > 0 else 0


def _shuffled(names: Sequence[str], *seeds: int) -> list[str]:
    """The names in a random order that depends on nothing but the names and the seeds."""
    ordered = sorted(names)
    return [ordered[k] for k in np.random.default_rng(list(seeds)).permutation(len(ordered))]


def _save_png(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


def _temporary_sibling(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    temporary.mkdir()
    return temporary


def _check_target(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file: name a folder for the data set.")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise OutputExistsError(f"{out} is not empty: name another folder, or overwrite it on purpose (overwrite=True).")
        if not (out / "datalist.json").is_file():
            raise OutputExistsError(f"{out} holds files but no datalist.json, so it is not overwritten: name another folder.")


def _move_in(temporary: Path, out: Path, overwrite: bool) -> None:
    """Put the finished folder in place in one step; another process may have been faster."""
    old = None
    if overwrite and out.is_dir() and any(out.iterdir()):
        old = out.parent / f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.old"
        os.rename(out, old)
    try:
        os.rename(temporary, out)
    except OSError as error:
        if old is not None:
            os.rename(old, out)
        if out.is_dir() and any(out.iterdir()):
            raise OutputExistsError(f"{out} was filled by another process meanwhile: name another folder.") from error
        raise
    if old is not None:
        shutil.rmtree(old)


def write_dataset(
    out: str | os.PathLike,
    items: Sequence[LazyItem],
    class_names: Sequence[str],
    *,
    strong: int | float | str = 0.1,
    detection: int | float | str = 0.75,
    separation: int | float | str = "all",
    seed: int = 0,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
    share: float | None = None,
    overwrite: bool = False,
    suffix: str = ".png",
    save: Callable[[Path, np.ndarray], None] = _save_png,
    parameters: Mapping[str, object] | None = None,
) -> dict:
    """Write images, labels and ``datalist.json``; the folder appears only when it is complete.

    Which training images keep which label is drawn for each task by itself, so that an image may carry any subset of
    the labels, and in nested order: with the same seed, ``strong=2`` keeps the image of ``strong=1`` and one more.
    Images without any object are not drawn for masks and inner regions. Validation and test images keep everything.

    Args:
        out: folder to make.
        items: the images; names must differ.
        class_names: names of the object classes 1, 2, ...
        strong: training images that keep their exact mask; see :func:`image_count`.
        detection: training images with inner regions.
        separation: training images with scribbles on interfaces.
        seed: of the draws and of the inner regions' shapes.
        gap: pixels between two objects that still count as touching.
        thickness: of the scribbles, in pixels.
        share: mean cut-off of the inner regions; see :func:`~lazylabels_monai.labels.lazy.inner_regions`.
        overwrite: replace a data set that is already there (a folder with a datalist.json, nothing else).
        suffix: of the label files and of images given as arrays.
        save: writes an array to a path of that suffix.
        parameters: recorded in the datalist's ``simulation`` entry beside those above.

    Returns:
        The summary that :func:`format_summary` prints: ``datalist`` (path), ``classes``, ``images`` (``{section:
        {"images": n, task: n}}``), ``objects``, ``interfaces`` (pairs with a scribble), ``inner_region_dice`` (inner
        regions taken for masks, mean over the images that have them), ``unlabelled`` (training images left out as no
        label was drawn for them).

    Raises:
        OutputExistsError: when ``out`` holds something already.
        SimulationError: for names that clash, classes without a name, or counts that cannot be met.
    """
    out = Path(out).absolute()
    _check_target(out, overwrite)
    names = [item.name for item in items]
    if len({name.lower() for name in names}) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1}) or names
        raise SimulationError(f"image name '{twice[0]}' occurs more than once: rename one of the files.")
    if "/" in "".join(names):
        raise SimulationError("image names must not contain '/': give the file's name without its folder.")
    training = [item.name for item in items if item.section == "training"]
    wanted = {"segmentation": strong, "detection": detection, "separation": separation}
    flags = {"segmentation": "strong", "detection": "detection", "separation": "separation"}
    counts = {task: image_count(wanted[task], len(training), flags[task]) for task in TASKS}
    orders = {task: _shuffled(training, seed, 1 + k) for k, task in enumerate(TASKS)}

    temporary = _temporary_sibling(out)
    try:
        for folder in ("images", *TASKS, "instances"):
            (temporary / folder).mkdir()
        by_name = {item.name: item for item in items}
        drawn = {}
        for task in TASKS:
            able = (n for n in orders[task] if task == "separation" or _has_objects(by_name[n]))
            drawn[task] = set(itertools.islice(able, counts[task]))
        summary = {
            "datalist": str(out / "datalist.json"),
            "classes": list(class_names),
            "images": {section: dict.fromkeys(("images", *TASKS), 0) for section in SECTIONS},
            "objects": 0,
            "interfaces": 0,
            "inner_region_dice": float("nan"),
            "unlabelled": [],
        }
        sections: dict[str, list[dict[str, str | bool]]] = {section: [] for section in SECTIONS}
        dices = []
        for item in items:
            classes, instances = _truth(item, class_names)
            summary["objects"] += int(np.count_nonzero(np.bincount(instances.ravel())[1:]))
            entry: dict[str, str | bool] = {"image": _write_image(temporary, item, suffix, save)}
            labels: dict[str, np.ndarray] = {}
            keeps = [t for t in TASKS if item.section != "training" or item.name in drawn[t]]
            if "segmentation" in keeps:
                labels["segmentation"] = classes
            if "detection" in keeps:
                rng = np.random.default_rng([seed, zlib.crc32(item.name.encode())])
                labels["detection"] = inner_regions(instances, classes, share=share, rng=rng)
                dices.append(dice_of_inner_regions(labels["detection"], classes))
            if "separation" in keeps:
                lines, pairs = interface_labels(instances, gap, thickness)
                labels["separation"] = (lines > 0).astype(np.uint8)
                summary["interfaces"] += len(pairs)
            if item.section != "training":
                labels["instances"] = instances
                if not instances.any():
                    entry["empty"] = True
            for key, label in labels.items():
                entry[key] = f"{key}/{item.name}{suffix}"
                save(temporary / entry[key], label)
            if not labels:
                summary["unlabelled"].append(entry["image"])
                continue
            sections[item.section].append(entry)
            summary["images"][item.section]["images"] += 1
            for task in keeps:
                summary["images"][item.section][task] += 1
        dices = [d for d in dices if not np.isnan(d)]
        if dices:
            summary["inner_region_dice"] = float(np.mean(dices))
        simulation = {
            **(parameters or {}),
            "strong": len(drawn["segmentation"]),
            "detection": len(drawn["detection"]),
            "separation": len(drawn["separation"]),
            "seed": seed,
            "gap": gap,
            "thickness": thickness,
            "share": share if share is not None or not items else default_share(instances.ndim),
            "unlabelled": summary["unlabelled"],
        }
        datalist = {"classes": list(class_names), **sections, "simulation": simulation}
        (temporary / "datalist.json").write_text(json.dumps(datalist, indent=2) + "\n", encoding="utf-8")
        _move_in(temporary, out, overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return summary


def _has_objects(item: LazyItem) -> bool:
    return bool(item.load()[1].any()) if item.has_objects is None else item.has_objects


def _truth(item: LazyItem, class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    classes, instances = item.load()
    top = int(np.where(classes == IGNORE, 0, classes).max()) if classes.size else 0
    if top > len(class_names):
        raise SimulationError(
            f"'{item.name}' has class {top}, but only {len(class_names)} classes are named ({', '.join(class_names)}): "
            "name as many classes as the masks hold."
        )
    ids, numbered = np.unique(instances, return_inverse=True)
    if ids.size > 65535:
        raise SimulationError(
            f"'{item.name}' has {ids.size} objects, more than a 16-bit label holds: cut the image into tiles."
        )
    if ids.max() > 65535:
        first = 0 if ids[0] == 0 else 1
        instances = (numbered + first).reshape(instances.shape)
    return classes.astype(np.uint8), instances.astype(np.uint16)


def _write_image(folder: Path, item: LazyItem, suffix: str, save: Callable[[Path, np.ndarray], None]) -> str:
    if isinstance(item.image, Path):
        name = f"images/{item.name}{item.image.suffix.lower()}"
        shutil.copyfile(item.image, folder / name)
    else:
        name = f"images/{item.name}{suffix}"
        save(folder / name, item.image())
    return name


def format_summary(summary: Mapping) -> str:
    """The summary of :func:`simulate` as a table to print."""
    width = 13
    lines = ["".join(f"{c:>{width}}" for c in ("", "images", *TASKS))]
    for section, row in summary["images"].items():
        lines.append(f"{section:>{width}}" + "".join(f"{row[key]:>{width}}" for key in ("images", *TASKS)))
    lines.append(f"objects {summary['objects']}, interfaces {summary['interfaces']}, classes {', '.join(summary['classes'])}")
    lines.append(f"Dice of the inner regions taken for masks: {summary['inner_region_dice']:.3f}")
    if summary["unlabelled"]:
        lines.append(f"left out of training, as no label was drawn for them: {len(summary['unlabelled'])} images")
    lines.append(f"written: {summary['datalist']}")
    return "\n".join(lines)


def _files(folder: Path) -> dict[str, Path]:
    """Image files of a folder by the name without its suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise SimulationError(f"{path} and {found[path.stem].name} share a name: rename one of them.")
            found[path.stem] = path
    return found


@dataclass(frozen=True)
class _Source:
    """Files of one source image."""

    folder: str
    image: Path
    mask: Path | None
    classes: Path | None


def _source_files(split: Path) -> list[_Source]:
    if not (split / "images").is_dir():
        raise MissingInputError(f"{split / 'images'} is missing: put the images of this split there.")
    labels = {kind: _files(split / kind) for kind in ("masks", "classes") if (split / kind).is_dir()}
    if not labels:
        raise MissingInputError(f"{split} has neither masks/ (instance ids) nor classes/: add one of them.")
    images = _files(split / "images")
    if not images:
        raise MissingInputError(f"{split / 'images'} holds no image: put PNG, TIFF, JPEG or BMP files there.")
    for kind, files in labels.items():
        lacking = sorted(set(images) - set(files))
        if lacking:
            raise MissingInputError(
                f"{split / kind} has no label for {images[lacking[0]].name} ({len(lacking)} such images): add it, or remove "
                "the image."
            )
    return [
        _Source(split.name, image, labels.get("masks", {}).get(stem), labels.get("classes", {}).get(stem))
        for stem, image in images.items()
    ]


def _read_label(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            mode, array = opened.mode, np.array(opened)
    except OSError as error:
        raise SimulationError(f"{path} cannot be read as an image: save it as PNG.") from error
    if array.ndim != 2 or mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
        raise SimulationError(
            f"{path} has mode {mode}, a label has one channel of whole numbers: save it as 8- or 16-bit gray PNG."
        )
    return array.astype(np.int32)


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            return np.array(opened.convert("RGB") if opened.mode == "P" else opened)
    except OSError as error:
        raise SimulationError(f"{path} cannot be read as an image: save it as PNG.") from error


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as opened:
            return opened.size[1], opened.size[0]
    except OSError as error:
        raise SimulationError(f"{path} cannot be read as an image: save it as PNG.") from error


def _scaled_label(label: np.ndarray, scale: float) -> np.ndarray:
    """Nearest neighbour, sampled at pixel centres."""
    if scale == 1:
        return label
    picks = []
    for n in label.shape:
        count = max(1, round(n * scale))
        picks.append(np.minimum(((np.arange(count) + 0.5) * n / count).astype(int), n - 1))
    return label[np.ix_(*picks)]


def _scaled_image(path: Path, scale: float) -> np.ndarray:
    """Resized with the blur that keeps fine texture from turning into moire."""
    from skimage.transform import resize

    image = _read_image(path)
    size = tuple(max(1, round(n * scale)) for n in image.shape[:2])
    resized = resize(image.astype(np.float64), size + image.shape[2:], order=1, anti_aliasing=scale < 1, mode="reflect")
    if np.issubdtype(image.dtype, np.floating):
        return resized.astype(image.dtype)
    kind = np.uint16 if image.dtype.itemsize > 1 else np.uint8
    return np.clip(np.round(resized), 0, np.iinfo(kind).max).astype(kind)


def _loader(source: _Source, scale: float) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def load() -> tuple[np.ndarray, np.ndarray]:
        size = _image_size(source.image)
        classes = None if source.classes is None else _read_label(source.classes)
        instances = None if source.mask is None else _read_label(source.mask)
        for path, label in ((source.classes, classes), (source.mask, instances)):
            if label is not None and label.shape != size:
                raise SimulationError(
                    f"{path} is {label.shape[1]} x {label.shape[0]} pixels, its image {source.image.name} is {size[1]} x "
                    f"{size[0]}: use the label that belongs to the image."
                )
        if classes is not None and classes.max(initial=0) > IGNORE:
            raise SimulationError(
                f"{source.classes} holds the class {classes.max()}: class masks go up to 254, ids belong in masks/."
            )
        if instances is None:
            instances = instances_from_classes(classes)
        if classes is None:
            classes = (instances > 0).astype(np.int32)
        return _scaled_label(classes, scale), _scaled_label(instances, scale)

    return load


def _splits(src: Path) -> dict[str, list[_Source]]:
    """Images of a source by section, before anything is moved."""
    folders: dict[str, list[Path]] = {section: [] for section in SECTIONS}
    for path in sorted(src.iterdir()):
        name = path.name.lower()
        if not path.is_dir():
            continue
        if name in ("train", "training"):
            folders["training"].append(path)
        elif name in ("val", "valid", "validation"):
            folders["validation"].append(path)
        elif name.startswith("test"):
            folders["testing"].append(path)
    return {section: [s for path in paths for s in _source_files(path)] for section, paths in folders.items()}


def simulate(
    src: str | os.PathLike,
    out: str | os.PathLike,
    strong: int | float | str = 0.1,
    detection: int | float | str = 0.75,
    separation: int | float | str = "all",
    seed: int = 0,
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
    classes: Sequence[str] | None = None,
    subset: Mapping[str, int] | None = None,
    scale: float = 1.0,
    overwrite: bool = False,
    validation: int | float | str | None = None,
    share: float | None = None,
) -> dict:
    """Make a lazy data set out of an exactly labelled one.

    ``src`` holds ``train/``, ``val/`` and folders that start with ``test``, any of them, each with ``images/`` and
    ``masks/`` (instance ids, up to 16 bit) or ``classes/`` (class masks; instances are then the connected components of
    each class) or both, matched by file name. ``out`` gets ``images/``, ``segmentation/``, ``detection/``,
    ``separation/``, ``instances/`` and ``datalist.json``, where a missing key means that this label was not collected.
    Names that occur in two splits get the split's name in front.

    Where ``src`` has no test images its ``val/`` is used for testing, and validation images are taken out of
    ``train/``, as they are where there is no ``val/``: images that chose a model must not judge it.

    Args:
        src: folder of exact labels.
        out: folder to make.
        strong: training images that keep their exact mask. A whole number from 1 on is a count (``1`` and ``1.0`` are
            one image), a number below 1 a share, ``"all"`` is every image. The defaults are the paper's shares.
        detection: training images with inner regions.
        separation: training images with scribbles on the interfaces.
        seed: of every draw.
        gap: pixels between two objects that still count as touching.
        thickness: of the scribbles, in pixels.
        classes: names of the object classes; default ``object1``, ``object2``, ...
        subset: use only this many images, drawn by ``seed``, of the finished sections: keys ``train``, ``val``,
            ``test``.
        scale: resize images (anti-aliased) and labels (nearest) by this factor.
        overwrite: replace an earlier result.
        validation: how many training images become validation images where ``src`` leaves none; count, share or
            ``"all"``. Default 0.2, or what ``subset`` asks for.
        share: mean cut-off of the inner regions.

    Returns:
        A summary; see :func:`write_dataset`, and :func:`format_summary` to print it.

    Raises:
        MissingInputError: when ``src``, a split's folder or a label is missing.
        OutputExistsError: when ``out`` holds something already.
        SimulationError: for labels that do not fit their image, unknown subsets, and counts that cannot be met.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise MissingInputError(f"{src} is not a folder: name one that holds train/, val/ or test/.")
    if out.absolute().resolve() == src.resolve() or src.resolve() in out.absolute().resolve().parents:
        raise SimulationError(f"{out} lies in the source folder {src}: name a folder outside of it.")
    if not 0 < scale <= 8:
        raise SimulationError(f"scale {scale} must be above 0 and at most 8.")
    _check_target(out, overwrite)
    wanted = _wanted(subset)
    splits = _splits(src)
    if not any(splits.values()):
        raise MissingInputError(f"{src} holds no train/, val/ or test/: name the folder above these.")
    moved = _sections(splits, validation, wanted, seed)

    # A name that occurs twice in the source, in whatever split, gets its split's name in front.
    seen = [s.image.stem.lower() for sources in splits.values() for s in sources]
    scaled = scale != 1
    items = []
    for section, sources in moved.items():
        for source in sources:
            stem = source.image.stem
            name = f"{source.folder}_{stem}" if seen.count(stem.lower()) > 1 else stem
            image = (lambda path=source.image: _scaled_image(path, scale)) if scaled else source.image
            items.append(LazyItem(name, section, _loader(source, scale), image))
    if classes is None:
        classes = [f"object{k + 1}" for k in range(_class_count(moved))]
    parameters = {"source": str(src), "scale": scale, "subset": dict(subset or {})}
    return write_dataset(
        out,
        items,
        list(classes),
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        gap=gap,
        thickness=thickness,
        share=share,
        overwrite=overwrite,
        parameters=parameters,
    )


def _wanted(subset: Mapping[str, int] | None) -> dict[str, int]:
    keys = {**{short: section for section, short in SECTIONS.items()}, **{section: section for section in SECTIONS}}
    wanted = {}
    for key, count in (subset or {}).items():
        if key not in keys:
            raise SimulationError(f"subset has the key '{key}': use {', '.join(SECTIONS.values())}.")
        if int(count) != count or count < 0:
            raise SimulationError(f"subset {key}={count} must be a whole number of images, 0 or more.")
        wanted[keys[key]] = int(count)
    return wanted


def _sections(
    splits: dict[str, list[_Source]], validation: int | float | str | None, wanted: dict[str, int], seed: int
) -> dict[str, list[_Source]]:
    """Give the images of a source to the datalist's sections, and pick the subset."""
    training, held, testing = (list(splits[section]) for section in SECTIONS)
    if not testing and held:
        testing, held = held, []
    if held and validation is not None:
        raise SimulationError("validation is given, but the source has its own val/ and test/: leave the argument away.")

    def by_seed(sources: list[_Source], key: int) -> list[_Source]:
        table = {f"{s.folder}/{s.image.name}": s for s in sources}
        return [table[name] for name in _shuffled(list(table), seed, 10 + key)]

    training, testing = by_seed(training, 0), by_seed(testing, 2)
    if not held and training:
        if validation is None and "validation" in wanted:
            count = min(wanted["validation"], len(training) - 1)
        else:
            base = min(len(training), wanted.get("training", len(training)))
            count = image_count(_VALIDATION_SHARE if validation is None else validation, base, "validation")
            count = min(count, len(training) - 1) if validation is None else count
        # From the end, so that a larger subset of training images holds the smaller one.
        held, training = training[len(training) - count :], training[: len(training) - count]
    else:
        held = by_seed(held, 1)
    chosen = {"training": training, "validation": held, "testing": testing}
    for section, count in wanted.items():
        if count > len(chosen[section]):
            raise SimulationError(
                f"subset {SECTIONS[section]}={count} is more than the {len(chosen[section])} images there are: ask for fewer."
            )
        chosen[section] = chosen[section][:count]
    return {section: sorted(sources, key=lambda s: (s.folder, s.image.name)) for section, sources in chosen.items()}


def _class_count(sections: dict[str, list[_Source]]) -> int:
    top = 1
    for sources in sections.values():
        for source in sources:
            if source.classes is not None:
                label = _read_label(source.classes)
                top = max(top, int(np.where(label == IGNORE, 0, label).max(initial=0)))
    return top
