"""Volumes in a window: slice by slice, (Z, Y, X). In files they are (X, Y, Z), as MONAI loads them, and so are their labels.

The network for them is that of ``configs/volume.yaml``. It begins from nothing: the starter knows pictures only.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.bundle_folder import find_overlay
from lazylabels_monai.config_files import read_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import VOLUME_SUFFIXES, PathLike, ReadError, file_suffix, load_volume, read_image_and_dims
from lazylabels_monai.images.headers import extent

__all__ = ["SUFFIX", "as_shown", "as_stored", "is_volume", "read_volume", "software_of", "training_settings", "write_volume"]

#: Of the files of labels.
SUFFIX = ".nii.gz"
#: Voxels of a volume that can be drawn on: three layers of marks, and what undo keeps, lie in memory beside it.
MOST = 1 << 25
_DESCRIPTION = slice(148, 228)  # of a NIfTI header


def is_volume(path: PathLike) -> bool:
    """Whether a file is a volume, by its name."""
    return file_suffix(path) in VOLUME_SUFFIXES


def as_shown(volume: np.ndarray) -> np.ndarray:
    """(X, Y, Z) as one looks at it: (Z, Y, X)."""
    return np.ascontiguousarray(volume.T)


def as_stored(volume: np.ndarray) -> np.ndarray:
    """The way back: (Z, Y, X) as (X, Y, Z)."""
    return volume.T


def read_volume(path: Path) -> np.ndarray:
    """A volume as one looks at it, (Z, Y, X) in the type stored.

    Raises:
        ReadError: when it cannot be read, has several channels, or is too large to draw on.
    """
    sides = extent(path)
    if sides is not None and math.prod(sides) > MOST:
        size = " x ".join(map(str, sides))
        raise ReadError(
            f"volume '{path}' has {size} voxels, more than one can draw on ({MOST >> 20} million): cut it into blocks."
        )
    array, dims = read_image_and_dims(path)
    if dims != 3 or array.ndim != 3:
        raise ReadError(f"volume '{path}' has the shape {array.shape}: save one channel of three axes.")
    return as_shown(array)


def write_volume(file: Path, volume: np.ndarray, image: Path, software: str) -> None:
    """Write a label (Z, Y, X) of a volume as NIfTI in one step, in the place in space of its image.

    Args:
        file: ends with :data:`SUFFIX`.
        volume: integers.
        image: the volume it belongs to.
        software: what the header says of who wrote it, at most 79 characters.

    Raises:
        LazyLabelsError: when the disk refuses it; what was there stays.
    """
    content = packed(volume, image, software)
    with written_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            stream.write(content)


def packed(volume: np.ndarray, image: Path, software: str) -> bytes:
    """What :func:`write_volume` writes of the same arguments."""
    import nibabel

    written = nibabel.Nifti1Image(as_stored(volume), _affine(image, image.stat().st_mtime_ns))
    written.header["descrip"] = software.encode()
    # marks are mostly one value: the quickest level packs them to a hundredth
    return gzip.compress(written.to_bytes(), compresslevel=1, mtime=0)


def software_of(file: Path) -> str:
    """What :func:`write_volume` left in a header; empty for any other file."""
    try:
        with gzip.open(file) as stream:
            return stream.read(_DESCRIPTION.stop)[_DESCRIPTION].partition(b"\0")[0].decode("ascii")
    except (OSError, EOFError, ValueError, gzip.zlib.error):
        return ""


@lru_cache(maxsize=8)
def _affine(image: Path, changed: int) -> np.ndarray:
    """Of voxels to millimetres, as MONAI reads it of any of its formats."""
    return np.asarray(load_volume(image, label=True)[1]["affine"], float)


def training_settings(images: Iterable[Path]) -> dict[str, Any]:
    """Ids of the configs, beside ``configs/volume.yaml``, with which volumes are trained on; none where images are pictures.

    Args:
        images: those that have marks.

    Raises:
        LazyLabelsError: where there are pictures and volumes.
    """
    kinds = {is_volume(image) for image in images}
    if kinds == {True, False}:
        raise LazyLabelsError("there are marks on pictures and on volumes, and a network is for one of them: use two projects.")
    if True not in kinds:
        return {}
    crop = read_overlay(find_overlay("volume.yaml"))["crop_size"]
    epochs = read_overlay(find_overlay("interactive.yaml"))["max_epochs"]
    return {"max_epochs": epochs, "val_window_size": [2 * side for side in crop], "channels_last": False}
