"""The images in a project's folder: which there are, and what one looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import DatalistError, find_images
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES, PathLike, file_suffix, read_image
from lazylabels_monai.interactive import volumes
from lazylabels_monai.progress import silent

__all__ = ["has_pictures", "pictures_of", "read_picture", "spatial_shape"]


def pictures_of(folder: Path, note: Callable[[str], None] = silent) -> list[str]:
    """Names of the pictures in ``images/``, or in the folder itself where there is none, as a datalist has them."""
    place = folder / "images" if (folder / "images").is_dir() else folder
    try:
        found = find_images(place, note)
    except DatalistError:
        return []
    suffixes = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)
    return [Path(path).relative_to(folder).as_posix() for path in found if file_suffix(path) in suffixes]


def has_pictures(folder: PathLike) -> bool:
    """Whether a project can be made of the folder: there is a picture in it or in its ``images/``."""
    return bool(pictures_of(Path(folder)))


def read_picture(path: Path) -> np.ndarray:
    """An image as one looks at it: (H, W) or (H, W, C), a volume (Z, Y, X); in the type stored.

    Raises:
        ReadError: when it cannot be read, or a volume is too large to draw on.
    """
    return volumes.read_volume(path) if volumes.is_volume(path) else read_image(path)


def spatial_shape(path: Path, picture: np.ndarray) -> tuple[int, ...]:
    """(H, W) of a picture with or without channels, (Z, Y, X) of a volume.

    Args:
        path: of the image.
        picture: as :func:`read_picture` gives it.
    """
    return picture.shape if volumes.is_volume(path) else picture.shape[:2]
