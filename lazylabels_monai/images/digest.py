"""The same name for the same pixels, whatever the file is called."""

from __future__ import annotations

import hashlib
import re

import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PathLike, read_image_and_dims

__all__ = ["file_pixels", "is_digest", "pixel_digest"]


def pixel_digest(array: np.ndarray) -> str:
    """32 hexadecimal digits that say whether two images are the same: same shape, same type, same values.

    Args:
        array: of any shape and type, as :func:`~lazylabels_monai.images.files.read_image` gives it.
    """
    content = hashlib.blake2b(f"{array.shape}{array.dtype}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(array))
    return content.hexdigest()


def is_digest(text: str) -> bool:
    """Whether a text is such a name; a person may have written another one."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def file_pixels(path: PathLike) -> str:
    """:func:`pixel_digest` of an image's file with the number of its dimensions in space; "" where it cannot be read whole."""
    try:
        image, dims = read_image_and_dims(path)
    except (LazyLabelsError, MemoryError):
        return ""
    return f"{pixel_digest(image)} {dims}"
