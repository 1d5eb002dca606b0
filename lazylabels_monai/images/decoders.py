"""From a file to its numbers as they are stored and to what its own tags say about them.

One library reads each kind of file, whatever the file is called:

| file | library |
|---|---|
| TIFF, all compressions | tifffile, with imagecodecs |
| PNG of 16 bits and several channels, JPEG 2000 | imagecodecs (Pillow halves the depth) |
| other PNG, JPEG, BMP, GIF, WebP, AVIF, PNM | Pillow |

Nothing is interpreted here; :mod:`lazylabels_monai.images.meaning` does that, once for all of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lazylabels_monai.images import lossy
from lazylabels_monai.images.stored import ReadError, Stored, check_decoded_size, check_pages, native
from lazylabels_monai.images.tiff import stored_tiff

__all__ = ["exif_orientation", "opened", "stored_picture"]

# What Pillow may open: formats of pictures. Others run programs (EPS) or guess (TGA).
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "AVIF", "PPM")
_EXIF_ORIENTATION = 0x0112
# Files that no library here reads under a picture's name, by their first bytes
_NAMED = ((b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"II\xbc\x01", "JPEG XR"), (b"%PDF", "PDF"))
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_limit = threading.Lock()


def _unlocked() -> None:
    """A process that is forked while another thread opens a picture must not wait for it."""
    global _limit
    _limit = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_unlocked)


def stored_picture(path: Path, label: bool = False) -> Stored:
    """Read a picture without interpreting it.

    Args:
        path: a file of any name.
        label: whether to find out how exact the compression is.

    Raises:
        ReadError: when the file holds several pages, or a picture too large.
        Exception: whatever a library raises on a damaged file.
    """
    with open(path, "rb") as f:
        head = f.read(16)
    if head.startswith(_TIFF):
        return stored_tiff(path, label)
    for start, name in _NAMED:
        if head.startswith(start):
            raise ReadError(f"file '{path}' is a {name} file by its content: convert it to PNG or TIFF.")
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis"):
        raise ReadError(f"file '{path}' is a HEIC file or a film by its content: convert it to PNG or TIFF.")
    return _stored_by_pillow(path, label)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Pillow's image without its limit of 179 megapixels, in whose place :func:`check_decoded_size` stands."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # a build of Pillow may lack one
    with _limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def exif_orientation(image: Image.Image) -> int:
    """What an image's EXIF says; 1 where it says nothing."""
    turn = image.getexif().get(_EXIF_ORIENTATION)
    return turn if isinstance(turn, int) else 1


def _stored_by_pillow(path: Path, label: bool) -> Stored:
    with opened(path) as image:
        if image.format != "MPO":  # a camera's MPO is a JPEG with a preview appended
            check_pages(getattr(image, "n_frames", 1), path)
        depth = _png_depth(path) if image.format == "PNG" else 8
        check_decoded_size(path, *image.size, len(image.getbands()) * max(depth // 8, 1))
        stored = _stored_modes(image, path, depth)
        stored.orientation = exif_orientation(image)
        stored.format, stored.mode = image.format, image.mode
        if label:
            stored.lossy = _lossy_name(image.format, path)
    stored.values = native(stored.values)
    return stored


def _stored_modes(image: Image.Image, path: Path, depth: int) -> Stored:
    mode = image.mode
    if image.format == "JPEG2000" or (image.format == "PNG" and depth == 16 and not mode.startswith("I")):
        import imagecodecs

        decode = imagecodecs.jpeg2k_decode if image.format == "JPEG2000" else imagecodecs.png_decode
        return _with_channels(decode(path.read_bytes()))
    values = np.asarray(image)
    # a colour, gray value or index that stands for transparent; or the alpha of each index
    key = image.info.get("transparency")
    if mode == "1":
        stored = Stored(values.astype(np.uint8), "bilevel")
        key = None if key is None else int(bool(key))
    elif mode == "P":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        if isinstance(key, bytes):
            table = np.full(256, 255, np.uint8)
            table[: len(key)] = list(key)
            return Stored(values, "palette", palette=palette, alpha=table[values])
        stored = Stored(values, "palette", palette=palette)
        if image.format == "GIF":  # whose writers number the colours as they like
            colours, alpha = palette[values], None if key is None else (values != key).astype(np.uint8)
            gray = (colours[..., 1:] == colours[..., :1]).all()
            return Stored(colours[..., 0] if gray else colours, "gray" if gray else "rgb", alpha=alpha)
    elif mode == "PA":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Stored(values[..., 0], "palette", palette=palette, alpha=values[..., 1])
    elif mode in ("L", "LA", "La", "RGB", "RGBA", "RGBa"):
        # Pillow spreads 2- and 4-bit gray over 0..255
        stored = _with_channels(values // (255 // (2**depth - 1)) if depth in (2, 4) else values)
        stored.premultiplied = mode.endswith("a")
    elif mode[0] in "IF":
        stored = Stored(values.astype(np.uint16) if depth == 16 else values)
    elif mode == "CMYK":
        stored = Stored(values, "cmyk")
    else:
        stored = Stored(np.asarray(image.convert("RGB")), "rgb")
    if stored.alpha is None and isinstance(key, (int, tuple)):
        same = stored.values == np.asarray(key)
        stored.alpha = np.where(same if same.ndim == 2 else same.all(-1), 0, 255).astype(np.uint8)
    return stored


def _with_channels(array: np.ndarray) -> Stored:
    """Gray or RGB; a second or fourth channel is alpha."""
    if array.ndim == 2:
        return Stored(array)
    channels = array.shape[-1]
    values, alpha = (array[..., :-1], array[..., -1]) if channels in (2, 4) else (array, None)
    return Stored(values if channels > 2 else values[..., 0], "rgb" if channels > 2 else "gray", alpha=alpha)


def _png_depth(path: Path) -> int:
    """Bits per sample in a PNG's IHDR, which Pillow does not tell."""
    with open(path, "rb") as f:
        return f.read(25)[24]


def _lossy_name(format: str | None, path: Path) -> str | None:
    """Name of the compression where it altered values."""
    if format in ("JPEG", "MPO"):
        return "a JPEG"
    if format == "AVIF":
        return "an AVIF"
    if format in ("WEBP", "JPEG2000"):
        data = path.read_bytes()
        name, altered = ("WebP", lossy.webp(data)) if format == "WEBP" else ("JPEG 2000", lossy.jpeg2000(data))
        return f"a lossy {name}" if altered else None
    return None
