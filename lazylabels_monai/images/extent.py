"""How many pixels a file holds, from its header alone."""

from __future__ import annotations

import math

from lazylabels_monai.images.decoders import opened
from lazylabels_monai.images.files import VOLUME_SUFFIXES, PathLike, file_suffix

__all__ = ["extent"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def extent(path: PathLike) -> tuple[int, ...] | None:
    """Rows and columns of a picture, sides of a volume; None where the header does not tell or cannot be read.

    Nothing is refused here: whoever reads the file says what is wrong with it.
    """
    try:
        if file_suffix(path) in VOLUME_SUFFIXES:
            return _of_volume(path)
        with open(path, "rb") as file:
            head = file.read(4)
        if head in _TIFF:
            import tifffile

            with tifffile.TiffFile(path) as tif:
                pages = [(int(page.imagelength), int(page.imagewidth)) for page in tif.pages[:16]]
            return max(pages, key=math.prod)
        with opened(path) as image:
            return image.height, image.width
    except Exception:
        return None


def _of_volume(path: PathLike) -> tuple[int, ...] | None:
    if not file_suffix(path).startswith(".nii"):
        return None
    import nibabel

    return tuple(int(side) for side in nibabel.load(path).shape[:3])
