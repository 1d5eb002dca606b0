"""What a picture's file holds, as the decoders hand it on, and what every one of them refuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.memory import fits

__all__ = ["MAX_DECODED_BYTES", "ReadError", "Stored", "check_decoded_size", "check_pages", "check_room", "native"]

#: Pictures that take more than this many bytes of memory are not read in one piece.
MAX_DECODED_BYTES = 2**33
# From this many bytes on, a file must hold at least one byte for each _MOST_PACKED of them: no picture packs better.
_SUSPICIOUS_BYTES, _MOST_PACKED = 2**30, 2000


class ReadError(LazyLabelsError):
    """A file is no single-page image or label that can be used; the message names the file and the remedy."""


@dataclass
class Stored:
    """The numbers of a picture and what its tags say.

    Attributes:
        values: (H, W) or (H, W, C), in the rows and columns of the file and in its type; without alpha.
        colour: ``gray`` (also several channels of anything), ``bilevel`` (0 and 1), ``palette`` (indices), ``rgb``, ``cmyk``,
            ``ycbcr``, ``lab``.
        orientation: of EXIF and of TIFF's tag 274, 1 to 8.
        alpha: (H, W), 0 where nothing shows; None where all is opaque.
        premultiplied: whether ``values`` were multiplied by alpha.
        palette: (N, 3) colours of a palette, 8 or 16 bits.
        lossy: what the file is, with its article, where its compression altered the values; None where they are exact. Known
            for labels alone.
        format, mode: as Pillow names them.
    """

    values: np.ndarray
    colour: str = "gray"
    orientation: int = 1
    alpha: np.ndarray | None = None
    premultiplied: bool = False
    palette: np.ndarray | None = None
    lossy: str | None = None
    format: str | None = None
    mode: str = ""


def check_pages(pages: int, path: Path) -> None:
    """Refuse a file of several pictures.

    Raises:
        ReadError: for more than one page.
    """
    if pages > 1:
        raise ReadError(
            f"file '{path}' has {pages} pages, which is not one image: save each page as a file of its own, "
            "channels as one RGB page, or a stack as a volume (.nii.gz, .nrrd, .mha)."
        )


def check_decoded_size(path: Path, width: int, height: int, pixel_bytes: float) -> None:
    """Refuse what does not fit into memory, and a header that claims more than its file can hold, before decoding.

    Raises:
        ReadError: in both cases.
    """
    size, held = width * height * pixel_bytes, path.stat().st_size
    if size > _SUSPICIOUS_BYTES and size > _MOST_PACKED * held:
        raise ReadError(
            f"file '{path}' claims {width} x {height} pixels but holds only {held} bytes: it is damaged, export it again."
        )
    if size > MAX_DECODED_BYTES:
        raise ReadError(
            f"file '{path}' has {width} x {height} pixels ({size / 2**30:.0f} GiB in memory), more than the "
            f"{MAX_DECODED_BYTES / 2**30:.0f} GiB read in one piece: cut it into smaller images."
        )
    check_room(path, size, f"{width} x {height} pixels")


def check_room(path: Path, size: float, what: str) -> None:
    """Refuse what there is no memory for, rather than be ended by the system half way.

    Args:
        path: the file.
        size: bytes that its numbers take; they are held twice while they are read.
        what: the size in words.

    Raises:
        ReadError: naming the file.
    """
    if size > _SUSPICIOUS_BYTES / 4 and not fits(2 * size):
        raise ReadError(
            f"file '{path}' has {what}, which take {2 * size / 2**30:.1f} GiB to read, more than is free: close other "
            "programs, cut it into smaller images, or take a machine with more memory."
        )


def native(array: np.ndarray) -> np.ndarray:
    """The machine's byte order, which torch needs, and memory of its own."""
    return np.array(array, dtype=array.dtype.newbyteorder("="))
