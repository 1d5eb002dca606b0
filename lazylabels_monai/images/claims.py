"""Whether a volume's file can hold what its header claims, before anybody makes room for it."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

from lazylabels_monai.images.stored import ReadError, check_room

__all__ = ["check_claims"]

#: Deflate packs at most so many bytes into one.
_DEFLATE = 1032
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


def check_claims(path: Path) -> None:
    """Refuse a volume whose header claims more than the file holds, or than there is memory.

    What no header can be found in is left to the libraries that read it.

    Raises:
        ReadError: naming the file.
    """
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            shape, itemsize, packed = _nifti(path)
        else:
            shape, itemsize, packed = _text(path, nrrd=name.endswith(".nrrd"))
    except (OSError, EOFError, ValueError, struct.error, zlib.error):
        return  # damaged: the reader says how
    if not shape:
        return
    if min(shape) < 1:
        raise ReadError(f"volume '{path}' has the size {_times(shape)}: it is damaged, export it again.")
    size, held = math.prod(shape) * itemsize, path.stat().st_size
    if size > held * (_DEFLATE if packed else 1) + 4096:
        raise ReadError(
            f"volume '{path}' claims {_times(shape)} voxels but holds only {held} bytes: it is damaged, export it again."
        )
    check_room(path, size, f"{_times(shape)} voxels")


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


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
