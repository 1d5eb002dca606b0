"""The size of a pixel in micrometres: written by a person, or read from the metadata of TIFF and OME-Zarr."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.tiff import largest_page
from lazylabels_monai.regular import why_no_file

__all__ = [
    "MAX_PRINT_DPI",
    "PIXEL_SIZE_KEY",
    "PixelSizeError",
    "agreed_pixel_size",
    "mean_size",
    "micrometres",
    "parse_pixel_size",
    "read_pixel_size",
]

#: A plain TIFF resolution up to this many dots per inch (pixels of 21 um and more) is a setting of a screen (72, 96) or
#: a printer (300, 600, 1200), not of a microscope, and is ignored.
MAX_PRINT_DPI = 1200

#: Under this key tifffile's description of a file of ours states the size, whatever the resolution may be taken for.
PIXEL_SIZE_KEY = "pixel_size_um"

#: Two sizes that differ by at most this share are the same one, rounded.
TOLERANCE = 0.01

_INCH = 25400.0
_PREFIXES = {"": 1e6, "c": 1e4, "m": 1e3, "u": 1.0, "n": 1e-3, "p": 1e-6}
_WORDS = {"": "", "centi": "c", "milli": "m", "micro": "u", "nano": "n", "pico": "p"}
#: Micrometres of each unit, in lower case and without a plural's s.
_UNITS = {
    **{f"{short}m": size for short, size in _PREFIXES.items()},
    **{f"{word}{unit}": _PREFIXES[short] for word, short in _WORDS.items() for unit in ("meter", "metre")},
    **dict.fromkeys(("u", "micron"), 1.0),
    **dict.fromkeys(("a", "ang", "angstrom"), 1e-4),
    **dict.fromkeys(("inch", "inche", "in"), _INCH),
}
# Units that only a printer's or a screen's resolution is in: what is stated in them may be such a setting
_PRINT_UNITS = (_INCH, _PREFIXES["c"])
# Dots per inch that a program writes when nobody said anything; other programs turn them into micrometres
_DEFAULT_DPI = (72, 96)


class PixelSizeError(LazyLabelsError):
    """A pixel size that cannot be used; the message names the file and the remedy."""


def parse_pixel_size(text: str | float) -> float:
    """A length as a person writes it.

    Args:
        text: a positive number and a unit: m, cm, mm, um (µm, micron), nm, angstrom (Å), pm. Without a unit: um.

    Returns:
        micrometres.

    Raises:
        PixelSizeError: for anything else.

    Example:
        >>> parse_pixel_size("120 nm")
        0.12
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise PixelSizeError(f'pixel size {text!r} is no length: write a number and a unit, such as "0.5um".')
    found = re.fullmatch(r"\s*(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)\s*([^\d\s.]*)\s*", str(text))
    factor = micrometres(found[2] or "um") if found else None
    if factor is None:
        raise PixelSizeError(f"pixel size '{text}' is no length: write a number and a unit (um, nm, mm), such as 0.5um.")
    # a division by a power of ten is rounded once: 120 nm is 0.12 and not 0.12000000000000001
    value = float(found[1]) * factor if factor >= 1 else float(found[1]) / round(1 / factor)
    if not 0 < value < float("inf"):
        raise PixelSizeError(f"pixel size '{text}' must be above 0: write the width of one pixel, such as 0.5um.")
    return value


def micrometres(name: str) -> float | None:
    """Of a unit of length, as files name them; None for pixels and for what is unknown."""
    name = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), name.strip())  # as ImageJ writes them
    name = re.sub("[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]", "u", name)
    name = re.sub("[\N{LATIN CAPITAL LETTER A WITH RING ABOVE}\N{ANGSTROM SIGN}]", "a", name).lower()
    return _UNITS.get(name, _UNITS.get(name.removesuffix("s")))


def read_pixel_size(path: str | Path) -> float | None:
    """Pixel size that a TIFF file or an OME-Zarr picture states.

    In a TIFF file it is looked for in this order: OME-XML (``PhysicalSizeX`` and ``Y`` with their units), ImageJ (resolution
    tags with ImageJ's own ``unit``), the headers of FEI / Thermo Fisher and Zeiss electron microscopes, the plain resolution
    tags in inch or centimetre, :data:`PIXEL_SIZE_KEY`. Values up to :data:`MAX_PRINT_DPI` in inch or centimetre are ignored
    wherever they stand, as are the micrometres that 72 and 96 dots per inch become when a program converts a plain file. Other
    files state none: the resolution of a PNG is a matter of printing.

    Args:
        path: any file, or the folder of an OME-Zarr picture.

    Returns:
        micrometres; None where the file states nothing, or nothing in units of length.

    Raises:
        PixelSizeError: when width and height of a pixel differ by more than 1 %.
    """
    path = Path(path)
    if path.is_dir():
        found = _zarr(path)
    elif path.suffix.lower() not in (".tif", ".tiff") or why_no_file(path) is not None:
        return None
    else:
        try:
            with tifffile.TiffFile(path) as tif:
                found = _ome(tif) or _imagej(tif) or _microscope(tif) or _plain(tif) or _ours(tif)
        except Exception:  # tifffile and broken metadata raise all sorts; a broken image is reported where it is read
            return None
    if found is None:
        return None
    x, y = found
    if abs(x - y) > TOLERANCE * max(x, y):
        raise PixelSizeError(
            f"file '{path}' states pixels of {x:g} x {y:g} um (width x height), which are not square: resample the image "
            "and its labels to square pixels."
        )
    return x


def _zarr(path: Path) -> tuple[float, float] | None:
    """Width and height that the metadata of an OME-Zarr image state.

    The scale of the finest level is multiplied by that of the whole pyramid, where there is one, as the format wants it.
    """
    for name in ("zarr.json", ".zattrs"):
        try:
            content = json.loads((path / name).read_text(encoding="utf-8"))
            content = content.get("attributes", content)
            scale = content.get("ome", content)["multiscales"][0]
            steps = [step for level in (scale["datasets"][0], scale) for step in _scales(level)]
            if not steps:
                return None
            y, x = (
                math.prod(float(step[place]) for step in steps) * micrometres(scale["axes"][place]["unit"])
                for place in (-2, -1)
            )
            return (x, y) if 0 < min(x, y) <= max(x, y) < math.inf else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return None


def _scales(level: dict[str, Any]) -> list[list[float]]:
    return [one["scale"] for one in level.get("coordinateTransformations") or [] if one["type"] == "scale"]


def mean_size(size: Any) -> float | None:
    """Geometric mean of a size as data sets state it, a number above 0 or a list of such; None where it is neither."""
    values = list(size) if isinstance(size, (list, tuple)) else [size]
    if not values or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0 for v in values):
        return None
    return float(np.exp(np.mean(np.log(values))))


def agreed_pixel_size(sizes: Mapping[str, float | None], image: str = "") -> float | None:
    """The one size that several sources state.

    Args:
        sizes: micrometres by source (a file, a key); None says nothing.
        image: name for the message.

    Returns:
        the first size; None where no source states one.

    Raises:
        PixelSizeError: when two sources differ by more than 1 %.
    """
    stated = {source: size for source, size in sizes.items() if size is not None}
    if not stated:
        return None
    (first, size), *others = stated.items()
    for source, other in others:
        if abs(size - other) > TOLERANCE * max(size, other):
            raise PixelSizeError(
                f"image '{image}' has a pixel size of {size:g} um by {first} but of {other:g} um by {source}: correct one of "
                "them, or pass --pixel-size, which overrides both."
            )
    return size


def _measured(size: tuple[float, float] | None, unit: float) -> tuple[float, float] | None:
    """The size, or None where it is the setting of a screen or a printer.

    Args:
        size: width and height in micrometres.
        unit: micrometres of the unit that the file states them in.
    """
    if size is None:
        return None
    largest = max(size)
    # a whisker of room: 472.44 dots per cm are meant as 1200 per inch
    if unit in _PRINT_UNITS and largest >= _INCH / MAX_PRINT_DPI * (1 - TOLERANCE):
        return None
    return None if any(abs(largest * dpi / _INCH - 1) < 1e-3 for dpi in _DEFAULT_DPI) else size


def _pair(x: float | None, y: float | None) -> tuple[float, float] | None:
    x, y = x if x is not None else y, y if y is not None else x
    return (x, y) if x is not None and 0 < x < float("inf") and 0 < y < float("inf") else None


def _ome(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """What the OME-XML says of the picture, which may be one of several: an overview, a label, one of another file."""
    if not tif.is_ome or not tif.ome_metadata:
        return None
    found = [one for one in ElementTree.fromstring(tif.ome_metadata).iter() if one.tag.rpartition("}")[2] == "Pixels"]
    if len(found) > 1:
        page = largest_page(tif)
        found = [one for one in found if (one.get("SizeX"), one.get("SizeY")) == (str(page.imagewidth), str(page.imagelength))]
        found = [one for one in found if Path(tif.filehandle.path).name in _files(one)] or found
    sizes = {_ome_size(one) for one in found}
    return sizes.pop() if len(sizes) == 1 else None


def _files(pixels: ElementTree.Element) -> set[str]:
    """Names of the files in which the planes of an image lie; none where they lie in the file that says so."""
    return {name for part in pixels.iter() if (name := part.get("FileName")) is not None}


def _ome_size(pixels: ElementTree.Element) -> tuple[float, float] | None:
    lengths, unit = [], 1.0
    for axis in "XY":
        value = pixels.get(f"PhysicalSize{axis}")
        factor = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "um"))
        lengths.append(None if value is None or factor is None else float(value) * factor)
        unit = unit if value is None else factor or unit
    return _measured(_pair(*lengths), unit)


def _per_unit(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """The tags XResolution and YResolution: pixels per unit."""
    values = []
    for name in ("XResolution", "YResolution"):
        tag = largest_page(tif).tags.get(name)
        if tag is None or not tag.value[0] or not tag.value[1]:
            return None
        values.append(tag.value[0] / tag.value[1])
    return values[0], values[1]


def _imagej(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    metadata, per_unit = tif.imagej_metadata or {}, _per_unit(tif)
    unit = str(metadata.get("unit", ""))
    x, y = micrometres(unit), micrometres(str(metadata.get("yunit", unit)))
    if per_unit is None or x is None or y is None:
        return None
    return _measured(_pair(x / per_unit[0], y / per_unit[1]), x)


def _microscope(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    fei = (tif.fei_metadata or {}).get("Scan", {}) if tif.is_fei else {}
    if "PixelWidth" in fei:  # metres
        return _pair(float(fei["PixelWidth"]) * 1e6, float(fei.get("PixelHeight", fei["PixelWidth"])) * 1e6)
    zeiss = (tif.sem_metadata or {}) if tif.is_sem else {}
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if len(zeiss.get(key, ())) >= 3 and (factor := micrometres(str(zeiss[key][2]))) is not None:
            return _pair(float(zeiss[key][1]) * factor, None)
    return None


def _plain(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    tag, per_unit = largest_page(tif).tags.get("ResolutionUnit"), _per_unit(tif)
    length = {2: _INCH, 3: _PREFIXES["c"]}.get(int(tag.value)) if tag is not None else None
    if length is None or per_unit is None or tif.is_imagej:
        return None
    return _measured(_pair(length / per_unit[0], length / per_unit[1]), length)


def _ours(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    for stated in tif.shaped_metadata or ():
        if isinstance(size := stated.get(PIXEL_SIZE_KEY), (int, float)):
            return _pair(float(size), None)
    return None
