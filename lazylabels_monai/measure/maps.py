"""What the files of one image hold, read and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import PICTURE_SUFFIXES, file_suffix, is_zarr, read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.regions import read_whole
from lazylabels_monai.images.tiff import read_planes
from lazylabels_monai.measure.finding import LabelledImage
from lazylabels_monai.measure.image import ImageMeasurements, MeasureError, measure_image
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = ["IN_ONE_PIECE", "frame_of", "is_large", "measure_files", "numbered", "pieces_apart", "read_maps"]

#: Pixels of an image that is measured and shown in one piece, at most; a larger one is read in tiles.
IN_ONE_PIECE = 2**26


def is_large(files: LabelledImage) -> bool:
    """Whether an image is measured in tiles: its ids are there, nothing but an image beside them, and they are many pixels."""
    if files.instances is None or files.probability is not None or files.uncertainty is not None:
        return False
    sides = extent(files.instances)
    return sides is not None and _is_picture(files.instances) and math.prod(sides) > IN_ONE_PIECE


def _is_picture(path: str) -> bool:
    return file_suffix(path) in PICTURE_SUFFIXES or is_zarr(path)


def frame_of(files: LabelledImage) -> str:
    """The file whose order of rows and columns the maps of an image have: where pictures and volumes are mixed, a picture."""
    given = [path for path in (files.instances, files.classes, files.image) if path is not None]
    return next(filter(_is_picture, given), files.image or given[0])


def read_maps(files: LabelledImage, frame: str | None = None) -> dict[str, np.ndarray | None]:
    """What the files of an image hold, as :func:`~lazylabels_monai.measure.image.measure_image` takes it.

    Args:
        files: of the image.
        frame: file whose order of rows and columns the maps shall have; default one of these.

    Returns:
        (H, W) ``instances`` and ``classes``, ``image``, (H, W) ``probability`` of the class shown, (2, H, W) ``uncertainty``;
        None for each where there is no file.

    Raises:
        MeasureError: for probabilities or uncertainties of another shape.
        ReadError: for a file that cannot be read.
    """

    def read(path: str | None, reader: Callable[[str], np.ndarray]) -> np.ndarray | None:
        return None if path is None else reader(path)

    first = frame or frame_of(files)
    instances, classes = (
        read(path, lambda path: like_image(read_label(path), path, first)) for path in (files.instances, files.classes)
    )
    image, planes, uncertainty = (
        read(files.image, read_whole),
        *(read(p, read_planes) for p in (files.probability, files.uncertainty)),
    )
    if image is not None and image.ndim > 1 and _is_picture(files.image) != _is_picture(first):
        image = np.swapaxes(image, 0, 1)  # as like_image does, and of its channels none
    labels = classes if instances is None else instances
    if uncertainty is not None and uncertainty.shape != (2, *labels.shape):
        raise MeasureError(
            f"file '{files.uncertainty}' has planes of shape {uncertainty.shape}, which do not fit the "
            f"labels {labels.shape}: predict the image again with --uncertainty."
        )
    probability = None
    if planes is not None and classes is not None:
        if planes.shape[1:] != classes.shape or len(planes) <= int(classes[classes != IGNORE].max(initial=0)):
            raise MeasureError(
                f"file '{files.probability}' has planes of shape {planes.shape}, which do not fit the classes of "
                f"'{files.classes}': predict the image again."
            )
        shown = np.where(classes == IGNORE, BACKGROUND, classes)
        probability = np.take_along_axis(planes, shown[None].astype(np.int64), axis=0)[0]
    return {
        "instances": instances,
        "classes": classes,
        "image": image,
        "probability": probability,
        "uncertainty": uncertainty,
    }


def numbered(found: Sequence[LabelledImage]) -> list[str]:
    """Names for as many classes as the maps hold."""
    top = 1
    for image in found:
        if image.classes is not None:
            classes = read_label(image.classes)
            top = max(top, int(classes[classes != IGNORE].max(initial=0)))
    return [f"class {k}" for k in range(1, top + 1)]


def measure_files(
    files: LabelledImage, maps: Mapping[str, np.ndarray | None], pixel_size: float | None, **options: Any
) -> ImageMeasurements:
    """:func:`~lazylabels_monai.measure.image.measure_image` of what :func:`read_maps` read.

    Raises:
        MeasureError: as there, with the files that it is about.
    """
    try:
        return measure_image(**maps, pixel_size=pixel_size, name=files.name, **options)
    except MeasureError as error:
        found = dict.fromkeys(path for name in error.maps if (path := getattr(files, name)) is not None)
        if not found:
            raise
        named = "file '" + "', '".join(found) + "'"
        raise MeasureError(f"{str(error).removesuffix('.')} ({named}).", error.maps) from error


def pieces_apart(maps: dict[str, np.ndarray | None], pieces: bool) -> dict[str, np.ndarray | None]:
    """The maps with each connected piece of an id as an object of its own, where ``pieces`` says so."""
    from skimage.measure import label as connected

    if not pieces or maps["instances"] is None:
        return maps
    return {**maps, "instances": connected(maps["instances"], background=0, connectivity=1)}  # of each value by itself
