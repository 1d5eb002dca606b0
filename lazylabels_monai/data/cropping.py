"""Pictures without their data bars: the strip that an electron microscope writes below or above what it saw."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import filled
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.images.decoders import stored_picture
from lazylabels_monai.images.files import VOLUME_SUFFIXES, file_suffix, read_image
from lazylabels_monai.images.judging import data_bar
from lazylabels_monai.images.meaning import upright
from lazylabels_monai.images.pixel_size import PIXEL_SIZE_KEY, read_pixel_size
from lazylabels_monai.images.stored import Stored
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress, Steps, silent
from lazylabels_monai.spelling import composed

__all__ = ["BLENDED", "CropError", "CroppedPicture", "crop_pictures", "format_crop"]

#: Rows next to a bar that go with it: compression and resizing blend both.
BLENDED = 2

#: Pixels per centimetre that a TIFF's tags can hold, at most.
_MOST_PER_CM = 2**32 - 1


class CropError(LazyLabelsError):
    """Pictures cannot be cropped as asked; the message names the file and the remedy."""


@dataclass
class CroppedPicture:
    """What was made of one picture.

    Args:
        source: its file.
        name: of the file in the new folder; another ending where the format would lose values (JPEG becomes PNG).
        upper, lower: rows that were cut off along these edges; 0 and 0: the file was copied as it is.
    """

    source: Path
    name: str
    upper: int
    lower: int


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
    one are copied byte by byte. What is left keeps its values, those of a label, too, and, in a TIFF file, the pixel size that
    the file stated.

    Args:
        source: a file, a folder or a pattern.
        out: the folder to make, which appears only when it is complete.
        upper, lower: rows to cut off every picture along its edges; None for both: bars are looked for.
        dry_run: write nothing.
        progress: is told each picture.

    Returns:
        the pictures, sorted by name.

    Raises:
        CropError: when ``out`` is there, for a volume, for equal names, and for more rows than there are.
        DatalistError: when there is no picture.
        ReadError: for a file that cannot be read.
    """
    out = expanded(out)
    if os.path.lexists(out):
        raise CropError(f"{out} is there already: name another folder, or remove it.")
    for option, rows in (("--upper", upper), ("--lower", lower)):
        if rows is not None and rows < 0:
            raise CropError(f"{option} {rows} must be a number of rows from 0 up.")
    files = [Path(file) for file in find_images(source, progress)]
    if volumes := [file for file in files if file_suffix(file) in VOLUME_SUFFIXES]:
        raise CropError(f"'{volumes[0]}' is a volume, which has no data bar: name pictures alone.")
    steps, cropped = Steps(len(files), progress), {}
    with nullcontext() if dry_run else filled(out) as folder:
        for file in files:
            made = _cropped(file, folder, upper, lower)
            if (first := cropped.setdefault(composed(made.name).lower(), made)) is not made:  # one name for some disks
                raise CropError(f"'{first.source}' and '{file}' would both be '{first.name}': crop them into two folders.")
            steps.step(file.name)
    return list(cropped.values())


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
    made = CroppedPicture(file, file.name, rows["upper"], rows["lower"])
    if not (rows["upper"] or rows["lower"]):
        if folder is not None:
            shutil.copyfile(file, folder / file.name)
        return made
    left = _rows(file, image, top, bottom)
    suffix = _suffix(file, left)
    made.name = file.name if suffix == file.suffix.lower() else f"{file.stem}{suffix}"
    if folder is not None:
        _write(folder / made.name, left, read_pixel_size(file))
    return made


def _rows(file: Path, image: np.ndarray, top: int, bottom: int) -> Stored:
    """Rows of a picture, upright, as its file has them, since a label's values are indices of a palette, or bits, and what is
    transparent is not labelled; of other colours those that ``image`` shows."""
    stored = stored_picture(file)
    kept = ("gray", "rgb") if stored.alpha is not None else ("gray", "rgb", "bilevel", "palette")
    if stored.colour not in kept:
        return Stored(np.ascontiguousarray(image[top:bottom]))
    values, alpha = (
        None if each is None else np.ascontiguousarray(upright(each, stored.orientation)[top:bottom])
        for each in (stored.values, stored.alpha)
    )
    return replace(stored, values=values, alpha=alpha)


def _suffix(file: Path, left: Stored) -> str:
    """The ending of a format that keeps the values: that of the file where it does."""
    own, shape, kind = file.suffix.lower(), left.values.shape, left.values.dtype
    if own in (".tif", ".tiff"):
        return own
    if kind == np.uint8 and shape[2:] in ((), (3,)) and not left.premultiplied:
        return own if own == ".bmp" and left.alpha is None else ".png"
    simple = len(shape) == 2 and left.alpha is None and left.colour == "gray"
    return ".png" if kind == np.uint16 and simple else ".tif"


def _write(path: Path, left: Stored, pixel_size: float | None) -> None:
    values = left.values.astype(bool) if left.colour == "bilevel" else left.values
    values = values if left.alpha is None else np.dstack([values, left.alpha])
    if path.suffix.lower() not in (".tif", ".tiff"):
        picture = Image.fromarray(values)
        if left.colour == "palette":
            picture.putpalette(left.palette.tobytes())
        picture.save(path)
        return
    tags = {"photometric": "rgb" if left.values.shape[2:] == (3,) else "minisblack"}
    if left.colour == "palette":
        tags = {"photometric": "palette", "colormap": _colormap(left)}
    if values.ndim == 3:
        tags["planarconfig"] = "contig"
    if left.alpha is not None:
        tags["extrasamples"] = ["assocalpha" if left.premultiplied else "unassalpha"]
    stated = {} if pixel_size is None else {PIXEL_SIZE_KEY: pixel_size}
    if pixel_size is not None and 1e4 / pixel_size <= _MOST_PER_CM:
        tags |= {"resolution": (1e4 / pixel_size,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        values,
        compression="zlib",
        ome=False,  # whatever the name ends with: its XML would not hold the size
        metadata={"axes": "YXS" if values.ndim == 3 else "YX", **stated},
        **tags,
    )


def _colormap(left: Stored) -> np.ndarray:
    """(3, 256 or 65536) colours of a palette as TIFF has them, of 16 bits."""
    colours = np.zeros((2 ** (8 * left.values.dtype.itemsize), 3), np.uint16)
    colours[: len(left.palette)] = left.palette * np.uint16(257 if left.palette.dtype == np.uint8 else 1)
    return colours.T


def format_crop(cropped: Sequence[CroppedPicture], out: str | os.PathLike | None) -> str:
    """What was cut off which picture, and what to look at, for people to read; ``out`` None: nothing was written."""
    lines = []
    for made in cropped:
        cut = [f"{rows} rows along its {edge} edge" for edge, rows in (("upper", made.upper), ("lower", made.lower)) if rows]
        name = "" if made.name == made.source.name else f", now {made.name}"
        lines.append(f"{made.source.name}: {' and '.join(cut) + ' cut off' if cut else 'nothing to cut off'}{name}")
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
