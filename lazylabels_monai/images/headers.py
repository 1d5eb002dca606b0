"""What headers alone say: the sides of a picture or a volume, bytes of a volume's voxel, how a picture is to be turned."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from pathlib import Path

from lazylabels_monai.images.decoders import exif_orientation, opened
from lazylabels_monai.images.tiff import largest_page, page_orientation

__all__ = ["HEADER_ERRORS", "VOLUME_SUFFIXES", "extent", "orientation", "volume_header"]

#: What :func:`volume_header` raises for a damaged file.
HEADER_ERRORS = (OSError, EOFError, ValueError, struct.error, zlib.error)

_HEAD = 2**16
_METAIMAGE = {
    "CHAR": 1,
    "UCHAR": 1,
    "SHORT": 2,
    "USHORT": 2,
    "INT": 4,
    "UINT": 4,
    "LONG": 4,
    "ULONG": 4,
    "FLOAT": 4,
    "LONG_LONG": 8,
    "ULONG_LONG": 8,
    "DOUBLE": 8,
}
#: Suffixes that MONAI's NibabelReader and ITKReader read.
VOLUME_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def extent(path: str | os.PathLike) -> tuple[int, ...] | None:
    """Rows and columns of a picture, sides of a volume; None where the header does not tell or cannot be read.

    Nothing is refused here: whoever reads the file says what is wrong with it.
    """
    if not os.path.isfile(path):  # a pipe would wait for ever
        return None
    try:
        if os.fspath(path).lower().endswith(VOLUME_SUFFIXES):
            sides = volume_header(path)[0]
            return tuple(sides[:3] if os.fspath(path).lower().endswith((".nii", ".nii.gz")) else sides) or None
        with open(path, "rb") as file:
            head = file.read(4)
        if head in _TIFF:
            import tifffile

            with tifffile.TiffFile(path) as tif:
                pages = [(int(page.imagelength), int(page.imagewidth)) for page in tif.pages[:16]]
            return max(pages, key=math.prod)
        with opened(path) as image:
            return image.height, image.width
    except Exception:
        return None


def orientation(path: str | os.PathLike) -> int:
    """How a picture is turned upright when it is read: 2 to 8 as in EXIF; 1 where it is read as it is stored, or not at all."""
    if not os.path.isfile(path):
        return 1
    try:
        with open(path, "rb") as file:
            head = file.read(4)
        if head in _TIFF:
            import tifffile

            with tifffile.TiffFile(path) as tif:
                turn = page_orientation(largest_page(tif))
        else:
            with opened(path) as image:
                turn = exif_orientation(image)
    except Exception:  # whoever reads the file says what is wrong with it
        return 1
    return turn if turn in range(2, 9) else 1


def volume_header(path: str | os.PathLike) -> tuple[list[int], float, bool]:
    """What the header of a NIfTI, NRRD or MetaImage volume claims.

    Returns:
        its sides, none where the voxels lie in another file; bytes of a voxel, at least; whether they are packed.

    Raises:
        OSError, EOFError, ValueError, struct.error, zlib.error: for a file that is damaged or none of these.
    """
    path = Path(path)
    name = path.name.lower()
    return _nifti(path) if name.endswith((".nii", ".nii.gz")) else _text(path, nrrd=name.endswith(".nrrd"))


def _nifti(path: Path) -> tuple[list[int], float, bool]:
    """Shape, bytes of a voxel, and whether the file is packed."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else open(path, "rb") as file:
        head = file.read(540)
    for order in "<>":
        if struct.unpack(f"{order}i", head[:4])[0] == 348:
            count, *axes = struct.unpack(f"{order}8h", head[40:56])
            bits = struct.unpack(f"{order}h", head[72:74])[0]
            break
        if struct.unpack(f"{order}i", head[:4])[0] == 540:
            count, *axes = struct.unpack(f"{order}8q", head[16:80])
            bits = struct.unpack(f"{order}h", head[14:16])[0]
            break
    else:
        raise ValueError("no NIfTI")
    if not 1 <= count <= 7:
        raise ValueError("no number of axes")
    return list(axes[:count]), bits / 8, packed


def _text(path: Path, nrrd: bool) -> tuple[list[int], float, bool]:
    """Of MetaImage and NRRD; no shape where the voxels lie in another file."""
    with open(path, "rb") as file:
        head = file.read(_HEAD).decode("latin-1")
    found = {}
    for line in head.splitlines():
        key, separator, value = line.partition(":" if nrrd else "=")
        if not separator:
            if nrrd and not line:
                break
            continue
        found.setdefault(key.strip().lower(), value.strip())
        if not nrrd and key.strip().lower() == "elementdatafile":
            break
    if nrrd:
        elsewhere = "data file" in found or "datafile" in found
        sizes, packed = found.get("sizes", ""), found.get("encoding", "raw").lower() not in ("raw", "ascii", "text", "txt")
        bytes_each = 1.0
    else:
        elsewhere = found.get("elementdatafile", "LOCAL").upper() != "LOCAL"
        sizes, packed = found.get("dimsize", ""), found.get("compresseddata", "").lower() == "true"
        bytes_each = float(_METAIMAGE.get(found.get("elementtype", "").upper().removeprefix("MET_"), 1))
    numbers = [int(n) for n in re.findall(r"-?\d+", sizes)]
    return ([] if elsewhere else numbers), bytes_each, packed
