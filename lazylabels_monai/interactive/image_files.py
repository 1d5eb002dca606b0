"""The images in a project's folder: which there are, and what one looks at."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import DatalistError, find_images
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES, PathLike, file_suffix, read_image
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.kept import CORRECTED
from lazylabels_monai.interactive.label_files import REPLACED
from lazylabels_monai.interactive.project_files import FINISHED
from lazylabels_monai.progress import silent
from lazylabels_monai.result_files import without_results
from lazylabels_monai.tasks import TASKS

__all__ = ["has_pictures", "no_pictures", "not_shown", "pictures_of", "read_picture", "spatial_shape"]

_READ = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)
#: Endings of pictures and microscopes' files that are not read.
_UNREAD_NAMES = (
    "czi nd2 lif lsm oib oif oir vsi ims zvi svs ndpi scn mrxs sld stk zarr dm3 dm4 ser emd mrc dcm dicom sxm ibw spm gif webp "
    "heic heif avif jp2 psd npy raw cr2 nef arw dng pdf svg"
)
_UNREAD = frozenset(f".{name}" for name in _UNREAD_NAMES.split())
#: Folders of a data set that hold labels and results, not pictures to draw on.
_OURS = {*TASKS, "classes", "masks", "instances", "labels", FINISHED, CORRECTED, REPLACED, "training", "models"}
#: Folders in folders that are looked into: pictures may lie in a large home.
_DEPTH = 2


def pictures_of(folder: Path, note: Callable[[str], None] = silent) -> list[str]:
    """Names of the pictures in ``images/``, or in the folder itself where there is none, as a datalist has them."""
    try:
        found = find_images(_place(folder), note)
    except DatalistError:
        return []
    return [Path(path).relative_to(folder).as_posix() for path in found if file_suffix(path) in _READ]


def not_shown(folder: Path, known: Collection[str] = ()) -> list[str]:
    """Sentences about pictures that :func:`pictures_of` passes over: in subfolders, beside ``images/``, of other formats.

    Args:
        folder: of the project.
        known: real paths of files that a datalist names, as images or as labels.
    """

    def unknown(files: Iterable[Path]) -> list[Path]:
        return [file for file in without_results(sorted(files)) if os.path.realpath(file) not in known]

    place = _place(folder)
    here = _entries(place)
    below = unknown(file for sub in here if _may_hold_pictures(sub) for file in _pictures_below(sub, _DEPTH))
    beside = unknown(file for file in _entries(folder) if _is_picture(file)) if place != folder else []
    unread = sorted(file for file in here if file_suffix(file) in _UNREAD)
    said = [
        f"{_some(files, folder)} not shown, as the window {why}: put {_it(files)} into '{place}' itself."
        for files, why in (
            (below, "does not look into folders among the pictures"),
            (beside, "takes those of the folder images where there is one"),
        )
        if files
    ]
    if unread:
        said.append(f"{_some(unread, folder)} not shown, as that format is not read: save {_it(unread)} as TIFF or PNG.")
    return said


def no_pictures(folder: Path) -> str:
    """The sentence about a folder of which no project can be made."""
    return " ".join((f"'{folder}' holds no image: put pictures there or into its folder images.", *not_shown(folder)))


def _place(folder: Path) -> Path:
    return folder / "images" if (folder / "images").is_dir() else folder


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _is_picture(file: Path) -> bool:
    return file_suffix(file) in _READ and file.is_file()


def _may_hold_pictures(path: Path) -> bool:
    suffix = file_suffix(path)  # a folder that is named like a picture is told of by find_images
    return path.name not in _OURS and suffix not in _READ and suffix not in _UNREAD and path.is_dir()


def _pictures_below(folder: Path, depth: int) -> Iterator[Path]:
    for path in _entries(folder):
        if _is_picture(path):
            yield path
        elif depth > 1 and _may_hold_pictures(path):
            yield from _pictures_below(path, depth - 1)


def _some(files: Sequence[Path], folder: Path) -> str:
    first = f"'{files[0].relative_to(folder).as_posix()}'"
    return f"{first} and {len(files) - 1} more are" if len(files) > 1 else f"{first} is"


def _it(files: Sequence[Path]) -> str:
    return "them" if len(files) > 1 else "it"


def has_pictures(folder: PathLike) -> bool:
    """Whether a project can be made of the folder: there is a picture in it or in its ``images/``."""
    return bool(pictures_of(Path(folder)))


def read_picture(path: Path) -> np.ndarray:
    """An image as one looks at it: (H, W) or (H, W, C), a volume (Z, Y, X); in the type stored.

    Raises:
        ReadError: when it cannot be read, or a volume is too large to draw on.
    """
    return volumes.read_volume(path) if volumes.is_volume(path) else read_image(path)


def spatial_shape(path: Path, picture: np.ndarray) -> tuple[int, ...]:
    """(H, W) of a picture with or without channels, (Z, Y, X) of a volume.

    Args:
        path: of the image.
        picture: as :func:`read_picture` gives it.
    """
    return picture.shape if volumes.is_volume(path) else picture.shape[:2]
