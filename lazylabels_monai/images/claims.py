"""Whether a volume's file can hold what its header claims, before anybody makes room for it."""

from __future__ import annotations

import math
from pathlib import Path

from lazylabels_monai.images.headers import HEADER_ERRORS, volume_header
from lazylabels_monai.images.stored import ReadError, check_room

__all__ = ["check_claims"]

#: Deflate packs at most so many bytes into one.
_DEFLATE = 1032


def check_claims(path: Path) -> None:
    """Refuse a volume whose header claims more than the file holds, or than there is memory.

    What no header can be found in is left to the libraries that read it.

    Raises:
        ReadError: naming the file.
    """
    try:
        shape, itemsize, packed = volume_header(path)
    except HEADER_ERRORS:
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


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
