"""Where volumes lie in space, as far as their files say so: which voxel of a label is which of its image.

A program may store the same grid of voxels in another order (flipped, with other axes first) and say so by the affine
matrix; viewers lay such a label upon its image all the same. Pictures state no place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lazylabels_monai.images.headers import VOLUME_SUFFIXES
from lazylabels_monai.images.stored import ReadError

__all__ = ["ELSEWHERE", "REMEDY", "ElsewhereError", "Place", "place_of", "stored_order", "turn_to"]

#: Voxels that a corner of the label may be off: up to there each voxel of the label is nearest to its own one of the image,
#: as after rounding, or where a program means corners by what another one means centres.
_OFF = 0.51

#: What is wrong with a label of another grid, after "has", and what to do about it.
ELSEWHERE = "another place in space than its image"
REMEDY = (
    "resample it onto its image with nearest neighbours (3D Slicer, or nibabel's resample_from_to), or, where it does lie on "
    "it voxel by voxel, save it with the image's affine"
)


class ElsewhereError(ReadError):
    """A label of as many voxels as its image, but of others; ``amount`` says how they differ."""

    def __init__(self, message: str, amount: str) -> None:
        super().__init__(message)
        self.amount = amount


class Place(NamedTuple):
    """What a file says of the place of its voxels.

    Args:
        affine: (4, 4), from indices to millimetres, to the right, front and top.
        shape: sides in voxels, three of them.
        usual: whether these are only the values that programs write where nobody stated any.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    usual: bool


def place_of(path: str | os.PathLike) -> Place | None:
    """Place of a volume by its header.

    Returns:
        None for a picture, for a file that states no place, and for one that cannot be read: whoever reads it says why.
    """
    name = os.fspath(path).lower()
    if not name.endswith(VOLUME_SUFFIXES) or not os.path.isfile(path):  # a pipe would wait for ever
        return None
    try:
        place = _of_nifti(path) if name.endswith((".nii", ".nii.gz")) else _of_itk(path)
    except Exception:  # nibabel and ITK raise all sorts
        return None
    return place if place is not None and np.isfinite(place.affine).all() and np.linalg.det(place.affine) else None


def _of_nifti(path: str | os.PathLike) -> Place | None:
    import nibabel

    image = nibabel.load(path)
    if not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        return None
    affine = np.asarray(image.affine, float)
    return Place(affine, _three(image.shape), np.array_equal(affine, np.eye(4)))


def _of_itk(path: str | os.PathLike) -> Place:
    import itk
    from monai.data.utils import orientation_ras_lps

    found = itk.ImageIOFactory.CreateImageIO(os.fspath(path), itk.CommonEnums.IOFileMode_ReadMode)
    found.SetFileName(os.fspath(path))
    found.ReadImageInformation()
    axes = range(min(found.GetNumberOfDimensions(), 3))
    affine, turned = np.eye(4), np.eye(4)
    for axis in axes:
        turned[axes, axis] = np.asarray(found.GetDirection(axis))[axes]
        affine[axes, axis] = turned[axes, axis] * found.GetSpacing(axis)
        affine[axis, 3] = found.GetOrigin(axis)
    usual = np.array_equal(turned, np.eye(4)) and not affine[:3, 3].any()
    shape = _three([found.GetDimensions(axis) for axis in axes])
    return Place(np.asarray(orientation_ras_lps(affine), float), shape, usual)


def _three(sides: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*map(int, sides), 1, 1, 1)[:3]
    return x, y, z


def turn_to(label: Place, image: Place) -> np.ndarray | None:
    """How the voxels of a label are put into the order of its image's.

    Returns:
        (3, 2) as nibabel's ``apply_orientation`` takes it; None where no order of them is the image's grid.
    """
    from nibabel.orientations import inv_ornt_aff, io_orientation

    to_image = np.linalg.inv(image.affine) @ label.affine  # indices of the one to those of the other
    order = io_orientation(to_image)
    if np.isnan(order).any():
        return None
    turned = to_image @ inv_ornt_aff(order, label.shape)
    shape = [0, 0, 0]
    for side, (axis, _) in zip(label.shape, order, strict=True):
        shape[int(axis)] = side
    if tuple(shape) != tuple(image.shape):
        return None
    corners = np.stack(np.meshgrid(*([0, side - 1] for side in shape), [1], indexing="ij")).reshape(4, -1)
    return order if np.abs(turned @ corners - corners).max() <= _OFF else None


def stored_order(label: str | os.PathLike, image: str | os.PathLike) -> np.ndarray | None:
    """How a label of a volume is put into the order of its image.

    Args:
        label: its file.
        image: the file of its image.

    Returns:
        (3, 2) as nibabel's ``apply_orientation`` takes it; None where nothing is to be done: for pictures, where either file
        states no place, and where the sizes differ, which whoever reads both tells.

    Raises:
        ElsewhereError: when both state a place, are of one size, and no order of the label's voxels is the image's grid.
    """
    own = place_of(label)
    other = place_of(image) if own is not None else None
    if own is None or other is None:
        return None
    order = turn_to(own, other)
    if order is not None:
        return None if np.array_equal(order, [[0, 1], [1, 1], [2, 1]]) else order
    if own.usual or other.usual or own.shape != other.shape:
        return None
    amount = _difference(own, other)
    raise ElsewhereError(f"label '{label}' has {ELSEWHERE} '{image}' ({amount}): {REMEDY}.", amount)


def _difference(label: Place, image: Place) -> str:
    """What differs, the plainest first."""
    sizes = [tuple(np.linalg.norm(place.affine[:3, :3], axis=0)) for place in (label, image)]
    if not np.allclose(*map(sorted, sizes), rtol=1e-3):
        own, other = (" x ".join(f"{side:.4g}" for side in size) for size in sizes)
        return f"voxels of {own} mm, those of the image {other} mm"
    middles = [place.affine @ [*((side - 1) / 2 for side in place.shape), 1] for place in (label, image)]
    distance = math.dist(*middles)
    if distance > _OFF * min(*sizes[0], *sizes[1]):
        return f"its middle {distance:.4g} mm beside that of the image"
    return "turned against the image"
