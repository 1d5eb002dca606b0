"""The one place that turns axes between numpy's order and MONAI's.

Numpy, Pillow, tifffile and people hold a picture as rows and columns, (H, W[, C]). MONAI's readers give (C, W, H), and
``SaveImage`` turns it back. Volumes are (X, Y, Z) in MONAI and here; a TIFF holds them as (Z, Y, X).
Each function takes numpy arrays and torch tensors alike and returns a view where it can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lazylabels_monai.images.files import PICTURE_SUFFIXES, PathLike, file_suffix
from lazylabels_monai.images.places import stored_order

if TYPE_CHECKING:  # labels are read and checked without torch, which takes seconds
    import torch

__all__ = [
    "from_channels_last",
    "in_voxel_order",
    "like_image",
    "swap_plane",
    "to_channels_last",
    "to_numpy_order",
    "to_picture",
    "to_tiff_order",
]

Array = TypeVar("Array")  # an array or a tensor


def swap_plane(values: Array) -> Array:
    """(..., W, H) <-> (..., H, W): the last two axes change places."""
    return values.swapaxes(-1, -2)


def to_numpy_order(values: Array) -> Array:
    """MONAI's (C, W, H) as (C, H, W); a volume (C, X, Y, Z) stays as it is."""
    return swap_plane(values) if values.ndim == 3 else values


def to_picture(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """MONAI's (C, W, H[, D]) as an array (H, W, C); of a volume the middle slice along the last axis."""
    array = _numpy(values)
    if array.ndim == 4:
        array = array[..., array.shape[-1] // 2]
    return array.T


def to_channels_last(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """MONAI's (C, W, H) or (W, H) as an array (H, W, C) or (H, W); a single channel loses its axis."""
    array = _numpy(values)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    return np.ascontiguousarray(array.T)


def from_channels_last(array: np.ndarray) -> np.ndarray:
    """(H, W[, C]) as MONAI's (C, W, H)."""
    turned = np.asarray(array).T
    return np.ascontiguousarray(turned[None] if turned.ndim == 2 else turned)


def to_tiff_order(values: np.ndarray, channels: bool) -> tuple[np.ndarray, str]:
    """MONAI's order as that of a TIFF, and its axes as tifffile names them.

    Args:
        values: with ``channels`` (C, W, H) or (C, X, Y, Z), else (W, H) or (X, Y, Z).
        channels: whether the first axis holds channels, which stay first.

    Returns:
        (C, H, W) and ``"CYX"``, (C, Z, Y, X) and ``"CZYX"``, (H, W) and ``"YX"``, or (Z, Y, X) and ``"ZYX"``.
    """
    spatial = values.ndim - channels
    order = (*range(channels), *range(values.ndim - 1, channels - 1, -1))
    return np.ascontiguousarray(values.transpose(order)), ("C" if channels else "") + "ZYX"[-spatial:]


def like_image(label: np.ndarray, label_path: PathLike, image_path: PathLike) -> np.ndarray:
    """A label that ``read_label`` gave, in the order of axes and voxels of the image that ``read_image`` gave.

    The readers of pictures give (H, W), those of volumes (X, Y): a picture's label in a volume's format is turned, and the
    other way round. A volume's label that is stored in another order of voxels than its image, as the affine matrices of
    both say, is brought into the image's order.

    Args:
        label: (H, W) or (X, Y[, Z]).
        label_path: its file.
        image_path: the file of its image.

    Raises:
        ElsewhereError: when both files state a place in space and these are two grids.
    """
    pictures = [file_suffix(path) in PICTURE_SUFFIXES for path in (label_path, image_path)]
    return in_voxel_order(label, label_path, image_path) if pictures[0] == pictures[1] else label.T


def in_voxel_order(label: np.ndarray, label_path: PathLike, image_path: PathLike) -> np.ndarray:
    """A volume's label as MONAI loads it, in the order of voxels of its image; the very same array where nothing is to be done.

    Arguments and errors as of :func:`like_image`, which turns the labels of pictures, too.
    """
    order = stored_order(label_path, image_path)
    if order is None:
        return label
    from nibabel.orientations import apply_orientation

    whole = label.reshape(*label.shape, *[1] * (3 - label.ndim))  # a flat volume's last axis may be left out
    turned = np.ascontiguousarray(apply_orientation(whole, order))
    return turned.reshape(turned.shape[: label.ndim]) if set(turned.shape[label.ndim :]) == {1} else turned


def _numpy(values: np.ndarray | torch.Tensor) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else np.asarray(values.detach().cpu())
