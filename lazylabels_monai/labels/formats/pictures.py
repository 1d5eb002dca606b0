"""Label pictures: class values or object ids per pixel, or colours with a legend."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.images.files import file_suffix, read_colours, read_label, require_readable
from lazylabels_monai.images.pictures import has_label_palette
from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats.cellpose import is_packed, read_masks
from lazylabels_monai.labels.formats.object_pictures import read_object_colours, read_object_files
from lazylabels_monai.regular import why_no_file

__all__ = ["LABEL_SUFFIXES", "Colour", "read_label_picture", "read_legend"]

#: Red, green, blue; 0 to 255.
Colour = tuple[int, int, int]

#: Suffixes of label pictures.
LABEL_SUFFIXES: tuple[str, ...] = (".png", ".tif", ".tiff", ".bmp", ".npy")


def read_label_picture(path: Path, legend: Mapping[Colour, int] | None = None, ignore: int | None = None) -> np.ndarray:
    """Read a label picture: PNG, TIFF, BMP, ``.npy`` as napari's label layers may be saved, or Cellpose's ``_seg.npy``.

    Args:
        path: picture; or a folder with a picture for each object. In a folder ``SegmentationObject`` (CVAT) each colour is an
            object.
        legend: value of each colour. It is used for colour pictures (palettes too); a gray picture, and one with the colour
            table that predictions are written with, holds values as it is.
        ignore: value of transparent pixels where 0 was drawn, too; None: 0. Under a legend they are 0.

    Returns:
        (H, W) integers in the type stored; with a legend those of ``legend``, int64. Ids above 65535 are kept.

    Raises:
        AnnotationError: when a colour is not in the legend, or the array is not (H, W) of integers.
        ReadError: when the picture cannot be read as one label, or its compression alters colours.
    """
    path = Path(path)
    if path.is_dir():
        return read_object_files(path, LABEL_SUFFIXES)
    require_readable(path)
    if file_suffix(path) == ".npy":
        return _read_npy(path)
    if path.parent.name == "SegmentationObject":
        return read_object_colours(path)
    coloured = None if legend is None or has_label_palette(path) else read_colours(path)
    return read_label(path, ignore) if coloured is None else _by_colour(*coloured, legend, path)


def _read_npy(path: Path) -> np.ndarray:
    if is_packed(path):
        return read_masks(path)
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as e:  # a damaged header raises what Python's parser raises
        raise AnnotationError(f"label '{path}' cannot be read as one array ({type(e).__name__}): save it again.") from e
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "iub":
        kind = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise AnnotationError(f"label '{path}' is {kind}: save integers of shape (height, width).")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array.astype(array.dtype.newbyteorder("="))


def _by_colour(picture: np.ndarray, drawn: np.ndarray | None, legend: Mapping[Colour, int], path: Path) -> np.ndarray:
    """Values of an (H, W, 3) picture, 0 where nothing was drawn; no colour is taken for a similar one."""
    if drawn is not None:
        values = np.zeros(drawn.shape, np.int64)
        values[drawn] = _by_colour(picture[drawn][None], None, legend, path)[0]
        return values
    if picture.dtype.kind not in "iu":
        raise AnnotationError(f"label '{path}' has colours of type {picture.dtype}: save it as 8-bit PNG.")
    packed = (picture.astype(np.int64) * (1, 2**16, 2**32)).sum(axis=-1)
    colours, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    rgb = [(int(c) % 2**16, int(c) // 2**16 % 2**16, int(c) // 2**32) for c in colours]
    unknown = sorted(((int(n), c) for c, n in zip(rgb, counts, strict=True) if c not in legend), reverse=True)
    if unknown:
        most = ", ".join(f"{_hex(c)}: {n}" for n, c in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise AnnotationError(
            f"label '{path}' has {sum(n for n, _ in unknown)} pixels of {len(unknown)} colours that the legend lacks ({most}): "
            "add them to it, or save the picture without smoothing."
        )
    return np.array([legend[c] for c in rgb], dtype=np.int64)[where].reshape(picture.shape[:2])


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour) if max(colour) < 256 else str(colour)


def read_legend(path: Path) -> dict[Colour, str]:
    """Read the class name of each colour.

    Args:
        path: JSON ``{"#ff0000": "air bubble", ...}``; CSV of ``colour,name`` rows, with or without a heading; or CVAT's
            ``labelmap.txt`` (``name:red,green,blue::``). A colour may be written ``#ff0000`` or ``255,0,0``.

    Raises:
        AnnotationError: when the file is no legend, or gives a colour twice.
    """
    path = Path(path)
    try:
        if (why := why_no_file(path)) is not None:
            raise ValueError(f"it {why}")
        text = path.read_text(encoding="utf-8-sig")
        pairs = _PARSERS.get(path.suffix.lower(), _json_pairs)(text)
        legend: dict[Colour, str] = {}
        for colour, name in pairs:
            parsed = _colour(colour)
            if parsed in legend:
                raise ValueError(f"the colour {colour} is there twice")
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"the colour {colour} has no name")
            legend[parsed] = name.strip()
        if not legend:
            raise ValueError("it is empty")
    except OSError as e:
        raise AnnotationError(f"legend '{path}' cannot be read ({e.strerror}): correct the path.") from e
    except (ValueError, csv.Error, RecursionError) as e:
        raise AnnotationError(f'legend \'{path}\' cannot be used ({e}): write {{"#ff0000": "name of the class", ...}}.') from e
    return legend


def _json_pairs(text: str) -> list[tuple[Any, Any]]:
    def pairs(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return items  # a dictionary would drop a colour's first name

    content = json.loads(text, object_pairs_hook=pairs)
    if not content or not isinstance(content, list) or not all(isinstance(item, tuple) for item in content):
        raise ValueError("it is no JSON object")
    return content


def _csv_pairs(text: str) -> list[tuple[Any, Any]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True) if any(row)]
    if rows and not re.match(r"#|\d", rows[0][0]):
        rows = rows[1:]
    if any(len(row) < 2 for row in rows):
        raise ValueError("a row has no name")
    return [(",".join(row[:-1]), row[-1]) for row in rows]  # a colour's three numbers may be cells of their own


def _labelmap_pairs(text: str) -> list[tuple[Any, Any]]:
    rows = [line.split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not all(len(row) > 1 for row in rows):
        raise ValueError("a line is not name:red,green,blue::")
    return [(row[1], row[0]) for row in rows]


_PARSERS = {".csv": _csv_pairs, ".txt": _labelmap_pairs}


def _colour(text: Any) -> Colour:
    text = str(text).strip()
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    if re.fullmatch(r"\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}", text):
        red, green, blue = (int(n) for n in text.split(","))
        if max(red, green, blue) < 256:
            return red, green, blue
    raise ValueError(f"'{text}' is no colour such as #ff0000")
