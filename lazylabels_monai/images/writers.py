"""MONAI's writer for pictures of class values, with the colour table that it lacks."""

from __future__ import annotations

from typing import Any

from monai.data import ImageWriter, PILWriter
from PIL import Image

from lazylabels_monai.images.pictures import label_palette

__all__ = ["LabelPictureWriter", "label_writer"]

#: Formats whose colour table does not come between the values and those who read them: MONAI opens a TIFF by ITK, which makes
#: colours of it or refuses it.
_SUFFIXES = (".png", ".bmp")


class LabelPictureWriter(PILWriter):
    """Writes a uint8 class map with a colour for each value, so that viewers do not show it all black.

    The values stay what they are: they are the indices of the colour table, which Pillow, MONAI and Fiji give as pixels.
    """

    @classmethod
    def create_backend_obj(cls, *args: Any, **kwargs: Any) -> Image.Image:
        """Pillow's picture, (H, W) indices with a colour table."""
        picture = super().create_backend_obj(*args, **kwargs)
        if picture.mode == "L":
            picture.putpalette(label_palette().tobytes())
        return picture


def label_writer(suffix: str) -> type[ImageWriter] | None:
    """The writer of class maps for files of ``suffix``, for ``SaveImage(writer=...)``; None leaves the choice to MONAI."""
    return LabelPictureWriter if suffix.lower() in _SUFFIXES else None
