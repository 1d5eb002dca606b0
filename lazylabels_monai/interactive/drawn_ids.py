"""Ids of objects (``instances``) of an image whose exact mask is drawn in a window: they say the same objects as the mask.

The ids that somebody gave stay in their file. Those that go with the changed mask are made of them and of the mask that they
were given with, each time anew, so that what is undone in the mask is undone in the ids, too.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.label_files import SOFTWARE
from lazylabels_monai.tasks import BACKGROUND, IGNORE, is_marked

__all__ = ["Given", "ids_after", "read_given", "read_ids", "software_of", "write_given", "write_ids"]

#: Pixels up to which a part that is cut off an object stays with it.
_SPECK = 5
#: Share of the median object from which pixels drawn beside an object are another object, not more of that one.
_OBJECT = 0.5


@dataclass(frozen=True)
class Given:
    """What somebody gave.

    Args:
        ids: (H, W) of the objects, 0 outside.
        mask: (H, W) class values that they were given with.
        name: of the file of the ids, as the datalist has it.
    """

    ids: np.ndarray
    mask: np.ndarray
    name: str


def ids_after(given: Given, mask: np.ndarray) -> np.ndarray:
    """The objects of a changed exact mask, (H, W) int64.

    Where the mask is as it was, ids are, and those of an object that was rubbed out in part: the rest may be there. An object
    of which nothing is left is gone, one that was cut apart is several, and what was added is more of the object that it
    touches or, alone or as large as an object, another one.

    Args:
        given: ids and mask before.
        mask: (H, W) class values now.
    """
    ids = np.array(given.ids, np.int64)
    ids[((mask == BACKGROUND) & (given.mask != BACKGROUND)) | np.isin(ids, _rubbed_out(given, mask))] = 0
    highest = max(int(given.ids.max(initial=0)), 0)
    gone = np.unique(given.ids[(given.ids > 0) & (ids == 0)])
    added = (mask != given.mask) & is_marked(mask) & (ids == 0)
    new = np.unique(mask[added])
    if not gone.size and not new.size:
        return ids
    boxes, usual = _boxes(given.ids)
    for number in gone:
        box = boxes[int(number)]
        highest = _part(ids[box], given.ids[box] == number, int(number), highest)
    known = ids.copy()
    for value in new:
        pieces, _ = ndimage.label(added & (mask == value))
        sizes = np.bincount(pieces.ravel())
        for number, own in enumerate(ndimage.find_objects(pieces), 1):
            box = _with_border(own)
            piece, there = pieces[box] == number, known[box]
            beside = ndimage.binary_dilation(piece) & (there > 0) & (mask[box] == value)
            if not beside.any() or sizes[number] >= _OBJECT * usual:
                highest += 1
                ids[box][piece] = highest
            else:
                nearest = ndimage.distance_transform_edt(~beside, return_distances=False, return_indices=True)
                ids[box][piece] = there[tuple(nearest)][piece]
    return ids


def _rubbed_out(given: Given, mask: np.ndarray) -> np.ndarray:
    """Ids of the objects that were drawn in the mask and of which no pixel is drawn any more."""
    rubbed = np.unique(given.ids[(mask == IGNORE) & is_marked(given.mask)])
    return np.setdiff1d(rubbed, given.ids[is_marked(mask)]) if rubbed.size else rubbed


def _boxes(ids: np.ndarray) -> tuple[dict[int, tuple[slice, ...]], float]:
    """Box of each object by its id, and the pixels of the median object (0.0: there is none)."""
    places = np.where(ids > 0, ids, 0).astype(np.int64)
    numbers = np.arange(places.max(initial=0) + 1) if places.max(initial=0) <= ids.size else np.unique(np.append(places, 0))
    if numbers[-1] >= numbers.size:  # ids far apart: counted, as a table up to the highest would not fit into memory
        places = np.searchsorted(numbers, places)
    boxes = {int(numbers[place]): box for place, box in enumerate(ndimage.find_objects(places), 1) if box is not None}
    sizes = np.bincount(places.ravel())[1:]
    return boxes, float(np.median(sizes[sizes > 0])) if boxes else 0.0


def _with_border(box: tuple[slice, ...]) -> tuple[slice, ...]:
    """A box and the pixels around it: what touches a piece lies there."""
    return tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)


def _part(ids: np.ndarray, before: np.ndarray, number: int, highest: int) -> int:
    """Number the parts of an object that was in one piece before, all but the largest anew; returns the highest id.

    Args:
        ids: in the object's box; changed in place.
        before: where the object was.
        number: of the object.
        highest: id that there is.
    """
    pieces, count = ndimage.label(ids == number)
    if count < 2 or ndimage.label(before)[1] != 1:
        return highest
    sizes = np.bincount(pieces.ravel())[1:]
    for piece in np.argsort(-sizes, kind="stable")[1:] + 1:
        if sizes[piece - 1] > _SPECK:
            highest += 1
            ids[pieces == piece] = highest
    return highest


# ------------------------------------------------------------------------------------------- files


def read_ids(file: Path, image: Path) -> np.ndarray:
    """Ids (H, W) of an image, (Z, Y, X) of a volume.

    Raises:
        LazyLabelsError: when they cannot be read.
    """
    ids = like_image(read_label(file), file, image)
    return volumes.as_shown(ids) if volumes.is_volume(image) else ids


def write_ids(file: Path, ids: np.ndarray, image: Path) -> None:
    """Write ids in one step, as TIFF or, of a volume, NIfTI.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    if ids.max(initial=0) >= 1 << 32:
        ids = np.where(ids > 0, np.unique(ids, return_inverse=True)[1].reshape(ids.shape) + 1, 0)
    ids = ids.astype(np.uint16 if ids.max(initial=0) < 1 << 16 else np.uint32)
    if volumes.is_volume(image):
        volumes.write_volume(file, ids, image, SOFTWARE)
        return
    with written_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            tifffile.imwrite(stream, ids, compression="zlib", software=SOFTWARE)


def software_of(file: Path) -> str:
    """What :func:`write_ids` left in a file of who wrote it; empty where somebody else did, or saved it since."""
    if volumes.is_volume(file):
        return volumes.software_of(file)
    try:
        with tifffile.TiffFile(file) as content:
            return str(content.pages[0].tags.valueof("Software") or "")
    except Exception:  # tifffile raises all sorts
        return ""


def write_given(file: Path, given: Given) -> None:
    """Keep what somebody gave.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    with written_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            np.savez_compressed(stream, ids=given.ids, mask=given.mask, name=np.array(given.name))


def read_given(file: Path, shape: tuple[int, ...]) -> Given | None:
    """What :func:`write_given` wrote; None where that cannot be used."""
    try:
        with np.load(file, allow_pickle=False) as content:
            found = Given(content["ids"], content["mask"], str(content["name"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error):
        return None
    return found if found.ids.shape == found.mask.shape == tuple(shape) else None
