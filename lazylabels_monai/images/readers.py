"""MONAI's image reader for microscopy files; decoding is in :mod:`lazylabels_monai.images.files`.

Volumes (NIfTI, NRRD, MHA / MHD) stay with MONAI's own readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import PILReader
from monai.utils import ensure_tuple

from lazylabels_monai.images.files import (
    PICTURE_SUFFIXES,
    VOLUME_SUFFIXES,
    ReadError,
    decode_picture,
    file_suffix,
    load_volume,
    require_readable,
)
from lazylabels_monai.regular import why_no_file

__all__ = ["MicroscopyReader"]


class MicroscopyReader(PILReader):
    """Reader of single-page PNG, TIFF, JPEG and BMP files for ``LoadImage(d)(reader=...)``.

    Values are kept as stored: 1 to 64-bit integers, floats, gray (W, H), several channels (W, H, C). Palettes become gray or
    RGB, a 1-bit image 0 and 255, CMYK and the like RGB; alpha is dropped; EXIF and TIFF orientations are obeyed. The whole
    table is in :mod:`lazylabels_monai.images.meaning`.

    With ``label=True`` the values are classes or ids: palette indices and 1-bit values are kept as they are, transparent
    pixels are 0, the result is an integer array (W, H). A colour label is accepted where its colour channels are identical
    (many programs save gray masks so) and rejected otherwise, as are labels of lossy compression, which alters classes, and
    fractional numbers.

    Axes are those of MONAI's PILReader, (W, H[, C]), so that SaveImage(d) writes the picture as it was. Volumes are left to
    MONAI's reader for their suffix, in their own axes. What is wrong with a file shows up in ``get_data``: errors from
    ``read`` would make ``LoadImage`` try the next reader, and that one takes the first page of a multi-page TIFF without a
    word.

    Args:
        label: whether the files are labels (see above).
        reverse_indexing: ``False`` gives numpy's (H, W[, C]) instead, as for PILReader.

    Example:
        >>> from monai.transforms import LoadImaged
        >>> load = LoadImaged(keys="image", reader=MicroscopyReader(), ensure_channel_first=True)
        >>> load({"image": "rgb.png"})["image"].shape  # doctest: +SKIP
        torch.Size([3, 640, 480])
    """

    def __init__(self, label: bool = False, reverse_indexing: bool = True) -> None:
        super().__init__(converter=None, reverse_indexing=reverse_indexing)
        self.label = label

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether every file is a picture (PNG, TIFF, JPEG or BMP by its suffix)."""
        return all(file_suffix(name) in PICTURE_SUFFIXES for name in ensure_tuple(filename))

    def _is_volume(self, paths: Sequence[PathLike]) -> bool:
        return len(paths) == 1 and file_suffix(paths[0]) in VOLUME_SUFFIXES

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Path]:  # type: ignore[override]
        """Take note of the file or files; ``get_data`` decodes them.

        Raises:
            ReadError: when a file is neither picture nor volume by its suffix.
        """
        paths = [Path(name) for name in ensure_tuple(data)]
        if any(why_no_file(path) is not None for path in paths):
            return paths  # `get_data` refuses it; after an error here MONAI would try its other readers, and ITK reads folders
        if not self.verify_suffix(paths) and not self._is_volume(paths):
            raise ReadError(f"{_names(paths)} is none of {', '.join((*PICTURE_SUFFIXES, *VOLUME_SUFFIXES))}.")
        return paths

    def get_data(self, img: Sequence[Path] | Path) -> tuple[np.ndarray, dict]:
        """Decode what ``read`` returned; several files are stacked as channels, first axis.

        Returns:
            the array (W, H[, C]), or (H, W[, C]) without reverse indexing, and MONAI's metadata.

        Raises:
            ReadError: when a file is missing, damaged, has several pages, NaN or infinite values, or is no label.
        """
        for path in ensure_tuple(img):
            require_readable(path)
        if self._is_volume(ensure_tuple(img)):
            return load_volume(ensure_tuple(img)[0], self.label)
        return super().get_data([decode_picture(path, self.label) for path in ensure_tuple(img)])


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(f"'{path}'" for path in paths)
