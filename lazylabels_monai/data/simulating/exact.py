"""The layout of an exactly labelled image set: folders by split, images and their masks matched by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import SECTION_FOLDERS, SECTIONS
from lazylabels_monai.data.simulating.items import MissingInputError, SimulationError
from lazylabels_monai.data.simulating.selection import image_count, shuffled
from lazylabels_monai.images.files import PICTURE_SUFFIXES, read_image, read_label
from lazylabels_monai.labels.objects import instances_from_classes
from lazylabels_monai.result_files import without_results
from lazylabels_monai.tasks import IGNORE

__all__ = ["ExactImage", "assign_sections", "class_count", "find_exact_images", "loader", "scaled_image", "scaled_label"]

#: Share of the training images that become validation images where a source has none.
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class ExactImage:
    """Files of one exactly labelled image; ``folder`` is the name of its split."""

    folder: str
    image: Path
    mask: Path | None
    classes: Path | None


def _files(folder: Path) -> dict[str, Path]:
    """Image files of a folder by the name without its suffix."""
    found: dict[str, Path] = {}
    for path in without_results(sorted(folder.iterdir())):
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise SimulationError(f"{path} and {found[path.stem].name} share a name: rename one of them.")
            found[path.stem] = path
    return found


def _split_files(split: Path) -> list[ExactImage]:
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
        ExactImage(split.absolute().name, image, labels.get("masks", {}).get(stem), labels.get("classes", {}).get(stem))
        for stem, image in images.items()
    ]


def find_exact_images(src: Path) -> dict[str, list[ExactImage]]:
    """Images of an image set by section, as its owner laid them out.

    Args:
        src: folder that holds ``train/``, ``val/`` and folders that start with ``test``, any of them, each with
            ``images/`` and ``masks/`` (instance ids) or ``classes/`` (class masks) or both; or a folder that holds
            ``images/`` and these itself, which is then the training split.

    Raises:
        MissingInputError: when a folder or a label is missing.
        SimulationError: when two files share a name.
    """
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
    if not any(folders.values()):
        if not (src / "images").is_dir():
            raise MissingInputError(f"{src} holds no train/, val/ or test/ and no images/: name the folder above these.")
        folders["training"].append(src)
    return {section: [s for path in paths for s in _split_files(path)] for section, paths in folders.items()}


def assign_sections(
    splits: Mapping[str, list[ExactImage]],
    validation: int | float | str | None,
    test: int | float | str | None,
    wanted: Mapping[str, int],
    seed: int,
) -> dict[str, list[ExactImage]]:
    """Give the images of a source to the datalist's sections, and pick a subset.

    Where there are no test images, and ``test`` asks for none, the validation images are used for testing. Validation
    images that are then missing are taken out of the training images: images that chose a model must not judge it.

    Args:
        splits: what :func:`find_exact_images` gave.
        validation: training images that become validation images; count, share or ``"all"``. Default 0.2, or what
            ``wanted`` asks for.
        test: training images that become test images; count or share. Default none.
        wanted: number of images of the finished sections, drawn by ``seed``.
        seed: of the draws. A larger subset of training images holds the smaller one.

    Raises:
        SimulationError: when the source has its own images for what is asked to be taken, or too few.
    """
    training, held, testing = (list(splits[section]) for section in SECTIONS)
    if testing and test is not None:
        raise SimulationError("test is given, but the source has its own test/: leave the argument away.")
    if not testing and held and test is None:
        testing, held = held, []
    if held and validation is not None:
        raise SimulationError("validation is given, but the source has its own val/ and test/: leave the argument away.")

    def by_seed(sources: list[ExactImage], key: int) -> list[ExactImage]:
        table = {f"{s.folder}/{s.image.name}": s for s in sources}
        return [table[name] for name in shuffled(list(table), seed, 10 + key)]

    def cut(count: int) -> tuple[list[ExactImage], list[ExactImage]]:
        # From the end, so that a larger subset of training images holds the smaller one.
        return training[: len(training) - count], training[len(training) - count :]

    training, testing = by_seed(training, 0), by_seed(testing, 2)
    if test is not None:
        training, testing = cut(image_count(test, len(training), "test"))
    if not held and training:
        if validation is None and "validation" in wanted:
            count = min(wanted["validation"], len(training) - 1)
        else:
            base = min(len(training), wanted.get("training", len(training)))
            asked = _VALIDATION_SHARE if validation is None else validation
            count = image_count(asked, base, "validation", most=len(training))  # they come beside the subset
            count = min(count, len(training) - 1) if validation is None else count
        training, held = cut(count)
    else:
        held = by_seed(held, 1)
    chosen = {"training": training, "validation": held, "testing": testing}
    for section, count in wanted.items():
        if count > len(chosen[section]):
            raise SimulationError(
                f"subset {SECTION_FOLDERS[section]}={count} is more than the {len(chosen[section])} images there are: "
                "ask for fewer."
            )
        chosen[section] = chosen[section][:count]
    return {section: sorted(sources, key=lambda s: (s.folder, s.image.name)) for section, sources in chosen.items()}


def class_count(sources: list[ExactImage]) -> int:
    """Highest class in the class masks of some images, at least 1."""
    top = 1
    for source in sources:
        if source.classes is not None:
            label = _label(source.classes)
            top = max(top, int(np.where(label == IGNORE, 0, label).max(initial=0)))
    return top


def _label(path: Path) -> np.ndarray:
    label = read_label(path)
    if label.size and (label.min() < 0 or label.max() > np.iinfo(np.int32).max):
        raise SimulationError(f"{path} holds values from {label.min()} to {label.max()}: number classes and ids from 0.")
    return label.astype(np.int32)


def scaled_label(label: np.ndarray, scale: float) -> np.ndarray:
    """A label map (H, W) resized by a factor: nearest neighbour, sampled at pixel centres."""
    if scale == 1:
        return label
    picks = []
    for n in label.shape:
        count = max(1, round(n * scale))
        picks.append(np.minimum(((np.arange(count) + 0.5) * n / count).astype(int), n - 1))
    return label[np.ix_(*picks)]


def scaled_image(path: Path, scale: float) -> np.ndarray:
    """An image resized with the blur that keeps fine texture from turning into moire.

    Args:
        path: picture.
        scale: factor on height and width.

    Returns:
        (H, W[, C]) in the type stored (integers of more than 8 bits as uint16).

    Raises:
        ReadError: when the file cannot be read as one image.
    """
    from skimage.transform import resize

    image = read_image(path)
    size = tuple(max(1, round(n * scale)) for n in image.shape[:2])
    resized = resize(image.astype(np.float64), size + image.shape[2:], order=1, anti_aliasing=scale < 1, mode="reflect")
    if np.issubdtype(image.dtype, np.floating):
        return resized.astype(image.dtype)
    kind = np.uint16 if image.dtype.itemsize > 1 else np.uint8
    return np.clip(np.round(resized), 0, np.iinfo(kind).max).astype(kind)


def loader(source: ExactImage, scale: float) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Gives the classes and instances of an image, (H, W) int32 each, at a scale.

    What it returns raises :class:`SimulationError`, or :class:`~lazylabels_monai.images.files.ReadError`, for a label that
    cannot be read or does not fit its image.
    """

    def load() -> tuple[np.ndarray, np.ndarray]:
        size = read_image(source.image).shape[:2]
        classes = None if source.classes is None else _label(source.classes)
        instances = None if source.mask is None else _label(source.mask)
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
        return scaled_label(classes, scale), scaled_label(instances, scale)

    return load
