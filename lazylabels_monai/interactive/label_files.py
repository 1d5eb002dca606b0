"""Label files that a window writes at each stroke: whole, known as its own, and never in the place of what others made.

A label that a window wrote says so inside (a text of the PNG, which other programs drop when they save the picture; the
description of a volume's NIfTI). Whatever else lies where a label is to go is first copied to ``replaced/``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import file_suffix, read_label
from lazylabels_monai.interactive import volumes
from lazylabels_monai.tasks import IGNORE

__all__ = ["REPLACED", "SOFTWARE", "is_ours", "keep_copy", "read_marks", "write_marks"]

#: Folder of the project with what lay where a label was written.
REPLACED = "replaced"

#: What files that a window writes say of who wrote them.
SOFTWARE = "lazylabels-monai, interactive"


def read_marks(file: Path, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A label in the coding of its file.

    Args:
        file: the label.
        image: its image.
        shape: (H, W) of the image; (Z, Y, X) of a volume.

    Returns:
        uint8 of that shape; 255 is not labelled.

    Raises:
        LazyLabelsError: when it cannot be read, or is of another size or no class map.
    """
    label = like_image(read_label(file), file, image)
    if volumes.is_volume(image):
        label = volumes.as_shown(label)
    if label.shape != tuple(shape):
        raise LazyLabelsError(
            f"label '{file}' is of {label.shape} rows and columns and its image of {tuple(shape)}: save it at the image's size."
        )
    if label.size and (label.min() < 0 or label.max() > IGNORE):
        raise LazyLabelsError(f"label '{file}' holds values beyond {IGNORE}: save class values, not ids of objects.")
    return label.astype(np.uint8)


def write_marks(file: Path, label: np.ndarray, image: Path | None = None) -> None:
    """Write a label in one step: (H, W) uint8 as a PNG, (Z, Y, X) of a volume as NIfTI.

    Args:
        file: where.
        label: class values, 255 not labelled.
        image: what it is the label of; without it a picture.

    Raises:
        LazyLabelsError: when the disk refuses it; what was there stays.
    """
    if image is not None and volumes.is_volume(image):
        volumes.write_volume(file, np.asarray(label, np.uint8), image, SOFTWARE)
        return
    text = PngInfo()
    text.add_text("Software", SOFTWARE)
    with written_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            Image.fromarray(np.ascontiguousarray(label, np.uint8)).save(stream, "PNG", pnginfo=text, compress_level=1)


def is_ours(file: Path) -> bool:
    """Whether a window wrote the file, and nobody saved it since."""
    if file_suffix(file) == volumes.SUFFIX:
        return volumes.software_of(file) == SOFTWARE
    try:
        with Image.open(file) as picture:
            return picture.format == "PNG" and picture.info.get("Software") == SOFTWARE
    except Exception:  # Pillow raises all sorts
        return False


def keep_copy(file: Path, folder: Path) -> Path:
    """Copy a file to a name of its own in a folder that is made where missing.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    with written_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        target, number = folder / file.name, 1
        while target.exists():
            if target.read_bytes() == file.read_bytes():
                return target
            target, number = folder / f"{file.stem}_{number}{file.suffix}", number + 1
        with whole_file(target) as stream, file.open("rb") as source:
            shutil.copyfileobj(source, stream)
    return target
