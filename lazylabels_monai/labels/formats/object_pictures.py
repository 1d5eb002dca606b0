"""Object ids from pictures that hold none: a picture for each object, or a colour for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lazylabels_monai.images.files import read_colours, read_label
from lazylabels_monai.labels.annotations import AnnotationError

__all__ = ["read_object_colours", "read_object_files"]

#: Pascal VOC's colour for pixels that are not labelled.
_VOID = (224, 224, 192)


def read_object_files(folder: Path, suffixes: tuple[str, ...]) -> np.ndarray:
    """Ids (H, W) of a folder that holds a picture of two values for each object (Data Science Bowl 2018).

    Where objects overlap the smaller lies on top, as with drawn areas; a picture without an object adds none.

    Args:
        folder: of one image's objects.
        suffixes: of the pictures.

    Raises:
        AnnotationError: when a picture has more than two values, or another size than the first.
        ReadError: when a picture cannot be read as a label.
    """
    paths = sorted(p for p in folder.iterdir() if p.name.lower().endswith(suffixes) and not p.name.startswith("."))
    if not paths:
        raise AnnotationError(f"'{folder}' holds no picture of an object: put one there for each, or take the folder away.")
    found: list[tuple[int, int, np.ndarray]] = []
    shape: tuple[int, ...] = ()
    for number, path in enumerate(paths, start=1):
        label = read_label(path)
        shape = shape or label.shape
        if label.shape != shape:
            raise AnnotationError(
                f"'{path}' is {label.shape[1]} x {label.shape[0]} pixels, but '{paths[0].name}' beside it is {shape[1]} x "
                f"{shape[0]}: give all objects of an image its size."
            )
        values = np.unique(label)
        if len(values) > 2 or values[0] < 0 or (len(values) == 2 and values[0] != 0):
            raise AnnotationError(
                f"'{path}' has {len(values)} values, where a picture of one object has 0 and one other: name the picture as "
                "its image if it holds the ids of all objects, else save it without smoothing."
            )
        pixels = np.flatnonzero(label)
        if len(pixels):
            found.append((-len(pixels), number, pixels))
    ids = np.zeros(int(np.prod(shape)), np.int32)
    for _, number, pixels in sorted(found, key=lambda entry: entry[:2]):
        ids[pixels] = number
    return ids.reshape(shape)


def read_object_colours(path: Path) -> np.ndarray:
    """Ids (H, W) of a picture in which each object has a colour of its own, black is none (CVAT's ``SegmentationObject``).

    Pascal VOC's colour of unlabelled pixels is -1, transparent ones are 0. A gray picture holds ids as it is.

    Raises:
        ReadError: when the picture cannot be read, or its compression alters colours.
    """
    found = read_colours(path)
    if found is None:
        return read_label(path)
    picture, drawn = found
    if drawn is not None:
        picture = np.where(drawn[..., None], picture, 0)
    packed = (picture.astype(np.int64) * (1, 2**16, 2**32)).sum(axis=-1)
    colours, where = np.unique(packed, return_inverse=True)
    ids = np.arange(1, len(colours) + 1, dtype=np.int32)
    ids[colours == 0] = 0
    ids[colours == sum(c << 16 * n for n, c in enumerate(_VOID))] = -1
    return ids[where].reshape(picture.shape[:2])
