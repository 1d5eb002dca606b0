"""Pictures without their data bars: the strip that an electron microscope writes below or above what it saw."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import filled, require_free
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.images.files import VOLUME_SUFFIXES, file_suffix, read_image
from lazylabels_monai.images.judging import data_bar
from lazylabels_monai.images.pixel_size import PIXEL_SIZE_KEY, read_pixel_size
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress, Steps, silent

__all__ = ["BLENDED", "CropError", "CroppedPicture", "crop_pictures", "format_crop"]

#: Rows next to a bar that go with it: compression and resizing blend both.
BLENDED = 2


class CropError(LazyLabelsError):
    """Pictures cannot be cropped as asked; the message names the file and the remedy."""


@dataclass
class CroppedPicture:
    """What was made of one picture.

    Args:
        source: its file.
        name: of the file in the new folder; another ending where the format would lose values (JPEG becomes PNG).
        upper, lower: rows that were cut off along these edges; 0 and 0: the file was copied as it is.
        height: rows that are left.
    """

    source: Path
    name: str
    upper: int
    lower: int
    height: int


def crop_pictures(
    source: str | os.PathLike,
    out: str | os.PathLike,
    upper: int | None = None,
    lower: int | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> list[CroppedPicture]:
    """Copy pictures into a new folder, without their data bars.

    Bars are found by :func:`~lazylabels_monai.images.judging.data_bar`, and :data:`BLENDED` rows go with them; pictures without
    one are copied byte by byte. What is left keeps its values and, in a TIFF file, the pixel size that the file stated.

    Args:
        source: a file, a folder or a pattern.
        out: the folder to make, which appears only when it is complete.
        upper, lower: rows to cut off every picture along its edges; None for both: bars are looked for.
        dry_run: write nothing.
        progress: is told each picture.

    Returns:
        the pictures, sorted by name.

    Raises:
        CropError: for a volume, for equal names, and for more rows than there are.
        DatalistError: when there is no picture.
        FileExistsError: when ``out`` is there.
        ReadError: for a file that cannot be read.
    """
    out = expanded(out)
    require_free(out, False, "folder")
    for option, rows in (("--upper", upper), ("--lower", lower)):
        if rows is not None and rows < 0:
            raise CropError(f"{option} {rows} must be a number of rows from 0 up.")
    files = [Path(file) for file in find_images(source, progress)]
    if volumes := [file for file in files if file_suffix(file) in VOLUME_SUFFIXES]:
        raise CropError(f"'{volumes[0]}' is a volume, which has no data bar: name pictures alone.")
    steps, cropped = Steps(len(files), progress), []
    if dry_run:
        for file in files:
            cropped.append(_cropped(file, None, upper, lower))
            steps.step(file.name)
        _require_own_names(cropped)
        return cropped
    with filled(out) as folder:
        for file in files:
            cropped.append(_cropped(file, folder, upper, lower))
            steps.step(file.name)
            _require_own_names(cropped)
    return cropped


def _cropped(file: Path, folder: Path | None, upper: int | None, lower: int | None) -> CroppedPicture:
    """Crop one picture into a folder; None: only say what would be made."""
    image = read_image(file)
    if upper is None and lower is None:
        bar = data_bar(image)
        rows = {"upper": 0, "lower": 0} | ({} if bar is None else {bar[0]: bar[1] + BLENDED})
    else:
        rows = {"upper": upper or 0, "lower": lower or 0}
    top, bottom = rows["upper"], len(image) - rows["lower"]
    if bottom - top < 1:
        raise CropError(f"'{file}' has {len(image)} rows, of which {sum(rows.values())} cannot be cut off: give fewer.")
    made = CroppedPicture(file, file.name, rows["upper"], rows["lower"], bottom - top)
    if not (rows["upper"] or rows["lower"]):
        if folder is not None:
            shutil.copyfile(file, folder / file.name)
        return made
    left = np.ascontiguousarray(image[top:bottom])
    suffix = _suffix(file, left)
    made.name = file.name if suffix == file.suffix.lower() else f"{file.stem}{suffix}"
    if folder is not None:
        _write(folder / made.name, left, read_pixel_size(file))
    return made


def _suffix(file: Path, image: np.ndarray) -> str:
    """The ending of a format that keeps the values: that of the file where it does."""
    own = file.suffix.lower()
    if own in (".tif", ".tiff"):
        return own
    simple = image.ndim == 2 or image.shape[-1] in (3, 4)
    if image.dtype == np.uint8 and simple:
        return own if own == ".bmp" and image.shape[2:] in ((), (3,)) else ".png"
    return ".png" if image.dtype == np.uint16 and image.ndim == 2 else ".tif"


def _write(path: Path, image: np.ndarray, pixel_size: float | None) -> None:
    if path.suffix.lower() not in (".tif", ".tiff"):
        Image.fromarray(image).save(path)
        return
    colour = image.ndim == 3 and image.shape[-1] in (3, 4)
    stated = {} if pixel_size is None else {PIXEL_SIZE_KEY: pixel_size}
    scale = {} if pixel_size is None else {"resolution": (1e4 / pixel_size,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        image,
        photometric="rgb" if colour else "minisblack",
        compression="zlib",
        metadata={"axes": "YXS" if image.ndim == 3 else "YX", **stated},
        **scale,
    )


def _require_own_names(cropped: Sequence[CroppedPicture]) -> None:
    counts = Counter(made.name.lower() for made in cropped)
    if twice := [made for made in cropped if counts[made.name.lower()] > 1]:
        raise CropError(
            f"'{twice[0].source}' and '{twice[1].source}' would both be '{twice[0].name}': crop them into two folders."
        )


def format_crop(cropped: Sequence[CroppedPicture], out: str | os.PathLike | None) -> str:
    """What was cut off which picture, and what to look at, for people to read; ``out`` None: nothing was written."""
    lines = []
    for made in cropped:
        cut = [f"{rows} rows along its {edge} edge" for edge, rows in (("upper", made.upper), ("lower", made.lower)) if rows]
        name = "" if made.name == made.source.name else f", now {made.name}"
        lines.append(f"{made.source.name}: {' and '.join(cut) + ' cut off' if cut else 'no data bar found'}{name}")
    without = [made.source.name for made in cropped if not (made.upper or made.lower)]
    if without and len(without) < len(cropped):
        kinds = {(made.upper, made.lower) for made in cropped} - {(0, 0)}
        rows = " ".join(f"--{edge} {n}" for edge, n in zip(("upper", "lower"), min(kinds), strict=True) if n)
        rest = f"{rows} cuts as many rows off every picture" if len(kinds) == 1 else "--lower ROWS cuts rows off by hand"
        lines.append(f"note: look at {some(without)}, in which no bar was found; {rest}.")
    cut = len(cropped) - len(without)
    written = "nothing was written" if out is None else f"written: {out}"
    lines.append(f"{written} ({cut} of {len(cropped)} picture{'s' * (len(cropped) > 1)} cut)")
    return "\n".join(lines)
