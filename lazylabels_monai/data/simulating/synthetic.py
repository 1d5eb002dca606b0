"""Built-in data sets: drawn microstructure with lazy labels, written as images or volumes and ``datalist.json``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import FILE_NAME, SECTION_FOLDERS, SECTIONS
from lazylabels_monai.data.replacing import OutputExistsError
from lazylabels_monai.data.simulating.items import LazyItem, SimulationError
from lazylabels_monai.data.simulating.microstructures import make_image, make_volume
from lazylabels_monai.data.simulating.writing import write_dataset
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.interfaces import DEFAULT_GAP, DEFAULT_THICKNESS

__all__ = ["CLASS_NAMES", "ensure_dataset", "make_dataset", "make_volume_dataset"]

#: Names of the object classes 1 and 2.
CLASS_NAMES = ("air bubble", "ice crystal")


def _items(
    counts: Sequence[int], make: Callable[[tuple[int, ...]], dict[str, np.ndarray]], seed: int, prefix: str
) -> list[LazyItem]:
    # The image and its labels are asked for one after the other: the last result is all that needs keeping.
    cached = functools.lru_cache(maxsize=1)(make)
    items = []
    for section, (name, count) in enumerate(zip(SECTIONS, counts, strict=True)):
        if int(count) != count or count < 0:
            raise SimulationError(f"the number of {name} images must be a whole number, 0 or more, not {count}.")
        for index in range(int(count)):
            # The seed holds the place, not the number of images: more images leave the first ones as they are.
            once = functools.partial(cached, (seed, section, index))
            items.append(
                LazyItem(
                    f"{prefix}_{SECTION_FOLDERS[name]}_{index:03d}",
                    name,
                    lambda once=once: (once()["classes"], once()["instances"]),
                    lambda once=once: once()["image"],
                    has_objects=True,
                )
            )
    return items


def make_dataset(
    root: str | os.PathLike,
    num_train: int = 20,
    num_validation: int = 6,
    num_test: int = 12,
    size: tuple[int, int] = (256, 320),
    strong: int = 2,
    detection: int = 15,
    separation: int = 20,
    seed: int = 0,
    *,
    radius: tuple[float, float] = (9.0, 20.0),
    gap: int = DEFAULT_GAP,
    thickness: int = DEFAULT_THICKNESS,
    overwrite: bool = False,
) -> dict:
    """Write the built-in data set: PNG images, lazy labels and ``datalist.json``.

    The numbers of images and of labels are those of Ke et al. 2020, Sec. 4.1. For their image size use ``size=(960,
    1280), radius=(20, 50)``.

    Args:
        root: folder to make; must be missing or empty.
        num_train: training images.
        num_validation: validation images, with every label.
        num_test: test images, with every label.
        size: (H, W) in pixels.
        strong: training images with exact masks; see :func:`~lazylabels_monai.data.simulating.selection.image_count`. Counts
            beyond ``num_train`` mean every image.
        detection: training images with inner regions.
        separation: training images with scribbles on interfaces.
        seed: of images and draws; image k of a split depends on the seed, the split and k alone.
        radius: range of the typical object radius; see :func:`~lazylabels_monai.data.simulating.microstructures.make_image`.
        gap: pixels between two objects that still count as touching.
        thickness: of the scribbles, in pixels.
        overwrite: replace a data set that is already there.

    Returns:
        The summary of :func:`~lazylabels_monai.data.simulating.writing.write_dataset`.

    Raises:
        OutputExistsError: when ``root`` holds something already.
        SimulationError: for counts and sizes out of range.
    """
    items = _items((num_train, num_validation, num_test), lambda key: make_image(size, key, radius), seed, "microstructure")
    return write_dataset(
        root,
        items,
        CLASS_NAMES,
        strong=_at_most(strong, num_train),
        detection=_at_most(detection, num_train),
        separation=_at_most(separation, num_train),
        seed=seed,
        gap=gap,
        thickness=thickness,
        overwrite=overwrite,
        parameters={"source": "lazylabels_monai.data.simulating.synthetic", "size": list(size), "radius": list(radius)},
    )


def _at_most(value: int | float | str, total: int) -> int | float | str:
    return min(value, total) if isinstance(value, (int, float)) and value >= 1 else value


def ensure_dataset(root: str | os.PathLike, **options: object) -> str:
    """Path of ``root/datalist.json``; the built-in data set is made there on first use.

    Safe when several processes call it at once (the ranks of ``torchrun``): each makes the data set in a folder of its
    own beside ``root``, the first to finish moves it into place, the others discard theirs.

    Args:
        root: folder of the data set. A ``datalist.json`` in it is used as it is, whatever it lists.
        options: of :func:`make_dataset`, used when the data set is made.

    Returns:
        The path as a string, for configs.

    Raises:
        OutputExistsError: when ``root`` holds files but no ``datalist.json``; nothing is touched.
    """
    root = Path(root)
    datalist = root / FILE_NAME
    if datalist.is_file():
        return str(datalist)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        if datalist.is_file():  # another process was faster, between the two looks
            return str(datalist)
        raise OutputExistsError(
            f"{root} holds files but no datalist.json: add one that lists your images, or name a new folder for the "
            "built-in data."
        )
    try:
        make_dataset(root, **options)
    except LazyLabelsError:  # also where another process was faster to move its own into place
        if not datalist.is_file():
            raise
    return str(datalist)


def _volume_saver(suffix: str) -> Callable[[Path, np.ndarray], None]:
    from monai.data.image_writer import ITKWriter, NibabelWriter

    if suffix not in (".nii", ".nii.gz", ".nrrd", ".mha"):
        raise SimulationError(f"suffix '{suffix}' must be .nii, .nii.gz, .nrrd or .mha.")

    def save(path: Path, array: np.ndarray) -> None:
        # MONAI's own writers: what they write, LoadImage reads back with the same axes.
        writer = (NibabelWriter if suffix.startswith(".nii") else ITKWriter)(output_dtype=array.dtype)
        writer.set_data_array(array, channel_dim=None)
        writer.set_metadata({"affine": np.eye(4)}, resample=False)
        writer.write(str(path))

    return save


def make_volume_dataset(
    root: str | os.PathLike,
    suffix: str = ".nii.gz",
    num_train: int = 4,
    num_validation: int = 1,
    num_test: int = 1,
    size: tuple[int, int, int] = (48, 56, 64),
    strong: int = 1,
    detection: int = 3,
    separation: int = 4,
    seed: int = 0,
    *,
    radius: tuple[float, float] = (6.0, 9.0),
    gap: int = 1,
    thickness: int = 3,
    overwrite: bool = False,
) -> dict:
    """Write a data set of small volumes with lazy labels.

    ``monai.transforms.LoadImage`` reads images and labels back as (D, H, W), whatever the suffix.

    Args:
        root: folder to make; must be missing or empty.
        suffix: ``.nii.gz`` or ``.nii`` (written with nibabel), ``.nrrd`` or ``.mha`` (itk).
        num_train: training volumes.
        num_validation: validation volumes, with every label.
        num_test: test volumes, with every label.
        size: (D, H, W) in voxels.
        strong: training volumes with exact masks, at most ``num_train``.
        detection: training volumes with inner regions.
        separation: training volumes with marks on interfaces.
        seed: of volumes and draws.
        radius: range of the typical object radius in voxels.
        gap: voxels between two objects that still count as touching.
        thickness: of the marks, in voxels.
        overwrite: replace a data set that is already there.

    Returns:
        The summary of :func:`~lazylabels_monai.data.simulating.writing.write_dataset`.

    Raises:
        OutputExistsError: when ``root`` holds something already.
        SimulationError: for an unknown suffix, and for counts and sizes out of range.
    """
    items = _items((num_train, num_validation, num_test), lambda key: make_volume(size, key, radius), seed, "volume")
    return write_dataset(
        root,
        items,
        CLASS_NAMES,
        strong=_at_most(strong, num_train),
        detection=_at_most(detection, num_train),
        separation=_at_most(separation, num_train),
        seed=seed,
        gap=gap,
        thickness=thickness,
        overwrite=overwrite,
        suffix=suffix,
        save=_volume_saver(suffix),
        parameters={"source": "lazylabels_monai.data.simulating.synthetic", "size": list(size), "radius": list(radius)},
    )
