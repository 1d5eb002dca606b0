"""Reading pictures and labels: what Pillow alone silently loses of microscopy files is kept.

Which library reads what is in :mod:`lazylabels_monai.images.decoders`, what the numbers mean in
:mod:`lazylabels_monai.images.meaning`. Nothing here imports MONAI, which takes seconds, save for volumes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.images.claims import check_claims
from lazylabels_monai.images.decoders import stored_picture
from lazylabels_monai.images.headers import VOLUME_SUFFIXES
from lazylabels_monai.images.meaning import as_colours, as_image, as_label
from lazylabels_monai.images.span import unusable_values
from lazylabels_monai.images.stored import ReadError, Stored
from lazylabels_monai.regular import odd_name, why_no_file

__all__ = [
    "PICTURE_SUFFIXES",
    "VOLUME_SUFFIXES",
    "PathLike",
    "ReadError",
    "file_suffix",
    "is_zarr",
    "label_values",
    "load_volume",
    "read_colours",
    "read_image",
    "read_image_and_dims",
    "read_label",
    "require_readable",
]

PathLike = str | os.PathLike

#: Metadata by which a folder is a Zarr array or group.
_ZARR = (".zgroup", ".zarray", "zarr.json")
#: Suffixes of pictures.
PICTURE_SUFFIXES: tuple[str, ...] = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


def is_zarr(path: PathLike) -> bool:
    """Whether a folder is a Zarr array or group."""
    return os.path.isdir(path) and any(os.path.isfile(os.path.join(path, name)) for name in _ZARR)


def file_suffix(path: PathLike) -> str:
    """Suffix of ``path`` in lower case, ``.nii.gz`` taken as one."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read_image(path: PathLike) -> np.ndarray:
    """Read an image in numpy's order.

    Args:
        path: picture or volume.

    Returns:
        (H, W[, C]) for a picture, in the type stored; (X, Y[, Z][, C]) as MONAI loads it for a volume.

    Raises:
        ReadError: when the file cannot be read as one image, or has values that no network can be shown.
    """
    return read_image_and_dims(path)[0]


def read_image_and_dims(path: PathLike) -> tuple[np.ndarray, int]:
    """:func:`read_image` and the number of spatial axes, which come first; a further axis holds the channels."""
    if file_suffix(path) in VOLUME_SUFFIXES:
        array, dims = _load_volume(path)
        return _finite(array, path), dims
    return decode_picture(_picture(path), label=False).array, 2


def read_label(path: PathLike, ignore: int | None = None) -> np.ndarray:
    """Read a label (classes or ids) in numpy's order.

    Args:
        path: picture or volume.
        ignore: value of transparent pixels in a picture that draws 0, too; None: 0, as always where only objects are drawn.

    Returns:
        integers, (H, W) for a picture; (X, Y[, Z]) as MONAI loads it for a volume.

    Raises:
        ReadError: when the file cannot be read as one label: see :class:`~lazylabels_monai.images.readers.MicroscopyReader`.
    """
    if file_suffix(path) in VOLUME_SUFFIXES:
        array, dims = _load_volume(path)
        if array.ndim > dims:
            raise ReadError(f"label '{path}' has {array.shape[-1]} channels: save it with one class value per voxel.")
        return _integers(array, path)
    return decode_picture(_picture(path), label=True, ignore=ignore).array


def read_colours(path: PathLike) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Read the colours of a label picture that a legend explains.

    Returns:
        (H, W, 3) colours, and (H, W) whether each pixel was drawn (None: all); None for a gray picture or a volume.

    Raises:
        ReadError: when the file cannot be read as one label.
    """
    if file_suffix(path) in VOLUME_SUFFIXES:
        return None
    return as_colours(_stored(_picture(path), label=True), Path(path))


def require_readable(path: PathLike) -> None:
    """Refuse what is no file, above all a pipe, which would be waited for.

    Raises:
        ReadError: naming it.
    """
    why = why_no_file(path)
    if why is not None:
        text = repr(os.fspath(path))[1:-1] if odd_name(path) else path
        raise ReadError(f"file '{text!s:.300}' {why}: correct the path.")


def _picture(path: PathLike) -> Path:
    if file_suffix(path) not in PICTURE_SUFFIXES:
        require_readable(path)  # a folder has no format
        formats = ", ".join((*PICTURE_SUFFIXES, *VOLUME_SUFFIXES))
        raise ReadError(f"file '{path}' is of an unknown format: convert it to one of {formats}.")
    return Path(path)


def _load_volume(path: PathLike) -> tuple[np.ndarray, int]:
    """Array as stored with channels, where there are any, last; number of spatial axes."""
    require_readable(path)
    check_claims(Path(path))
    from monai.transforms import LoadImage  # seconds

    try:
        volume = LoadImage(image_only=True, ensure_channel_first=True, dtype=None)(path)
    except Exception as e:  # nibabel, ITK and MONAI raise all sorts
        raise _broken_volume(path, e) from e
    array = np.asarray(volume)
    if array.dtype.kind not in "biuf" or not array.size:
        raise ReadError(f"volume '{path}' holds no real numbers: save the magnitude or phase of complex ones.")
    return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1), array.ndim - 1


def load_volume(path: PathLike, label: bool = False) -> tuple[np.ndarray, dict]:
    """Array and metadata of a volume as MONAI's own reader for its suffix gives them.

    Args:
        path: the file.
        label: whether it is a label, which may not be checked for numbers that are none.

    Raises:
        ReadError: when it cannot be read, or an image has NaN or infinite values.
    """
    require_readable(path)
    check_claims(Path(path))
    from monai.transforms import LoadImage  # seconds

    try:
        reader = next(reader for reader in reversed(LoadImage().readers) if reader.verify_suffix([str(path)]))
        array, meta = reader.get_data(reader.read(str(path)))
    except MemoryError:
        raise
    except Exception as e:
        raise _broken_volume(path, e) from e
    array = np.asarray(array)
    if array.dtype.kind == "c":
        raise ReadError(f"volume '{path}' holds complex numbers: save their magnitude or phase.")
    if array.dtype.kind not in "biuf" or not array.size:
        raise ReadError(f"volume '{path}' holds no numbers that can be used: export it again.")
    return array if label else _finite(array, path), meta


def _broken_volume(path: PathLike, error: BaseException) -> ReadError:
    return ReadError(f"volume '{path}' cannot be read ({_first_line(error)}): export it again as .nii.gz, .nrrd or .mha.")


class _Picture:
    """A decoded picture with what PILReader asks of a PIL image."""

    def __init__(self, array: np.ndarray, format: str | None, mode: str) -> None:
        self.array, self.format, self.mode = array, format, mode
        self.height, self.width = array.shape[:2]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


def decode_picture(path: Path, label: bool, ignore: int | None = None) -> _Picture:
    """Read a single-page picture, (H, W[, C]); ``ignore`` as in :func:`read_label`."""
    stored = _stored(path, label)
    array = label_values(stored, path, ignore) if label else _finite(as_image(stored), path)
    return _Picture(array, stored.format, stored.mode)


def label_values(stored: Stored, path: PathLike, ignore: int | None = None) -> np.ndarray:
    """(H, W) integers of a label picture, or of a part of one that is upright and has nothing transparent.

    Args:
        stored: what the file holds, there.
        path: its name, for messages.
        ignore: as in :func:`read_label`.

    Raises:
        ReadError: as there.
    """
    return _integers(as_label(stored, Path(path), ignore), path)


def _stored(path: Path, label: bool) -> Stored:
    require_readable(path)
    try:
        stored = stored_picture(path, label)
    except ReadError:
        raise
    except Exception as e:  # the codecs raise OSError, SyntaxError, struct.error, zlib.error, TypeError ...
        raise ReadError(f"file '{path}' cannot be read as an image ({_first_line(e)}): export it again.") from e
    if stored.values.ndim not in (2, 3) or not stored.values.size:
        raise ReadError(f"file '{path}' holds no picture of rows and columns: export it again.")
    return stored


def _finite(array: np.ndarray, path: PathLike) -> np.ndarray:
    if (fault := unusable_values(array)) is not None:
        raise ReadError(f"image '{path}' has {fault}.")
    return array


def _integers(array: np.ndarray, path: PathLike) -> np.ndarray:
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        whole = np.nan_to_num(array, nan=0.5, posinf=0.5, neginf=0.5)
        if (whole != np.round(whole)).any():
            raise ReadError(f"label '{path}' has NaN or fractional values: save it as integers, one class per pixel.")
        return array.astype(np.int64)
    return np.ascontiguousarray(array)


def _first_line(error: BaseException) -> str:
    # ITK says first where in its own sources it stopped
    lines = [line for line in str(error).strip().splitlines() if not re.fullmatch(r"/\S+:\d+:?", line.strip())]
    return (lines or [type(error).__name__])[0].rstrip(".:")
