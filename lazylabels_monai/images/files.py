"""Decoding pictures and labels: what Pillow alone silently loses of microscopy files is kept.

16-bit colour would become 8-bit, further TIFF channels and pages be dropped, 32-bit unsigned values turn negative, the
classes 0..3 of a 2-bit label become 0, 85, 170, 255. Nothing here imports MONAI, which takes seconds, save for volumes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError

__all__ = [
    "PICTURE_SUFFIXES",
    "VOLUME_SUFFIXES",
    "PathLike",
    "ReadError",
    "file_suffix",
    "read_image",
    "read_image_and_dims",
    "read_label",
]

PathLike = str | os.PathLike

#: Suffixes of pictures.
PICTURE_SUFFIXES: tuple[str, ...] = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")

#: Suffixes that MONAI's NibabelReader and ITKReader read.
VOLUME_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")

# TIFF tags
_BITS, _SAMPLES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 277, 338, 339
# Values of _EXTRA_SAMPLES that say "alpha"; 0 says "unspecified", which is how further channels are written.
_ALPHA = (1, 2)

_ITK_TYPES = {
    "unsigned_char": np.uint8,
    "char": np.int8,
    "unsigned_short": np.uint16,
    "short": np.int16,
    "float": np.float32,
}


class ReadError(LazyLabelsError):
    """A file is no single-page image or label that can be used; the message names the file and the remedy."""


def file_suffix(path: PathLike) -> str:
    """Suffix of ``path`` in lower case, ``.nii.gz`` taken as one."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def read_image(path: PathLike) -> np.ndarray:
    """Read an image in numpy's order.

    Args:
        path: picture or volume.

    Returns:
        (H, W[, C]) for a picture, in the type stored; (X, Y[, Z][, C]) as MONAI loads it for a volume.

    Raises:
        ReadError: when the file cannot be read as one image, or has NaN or infinite values.
    """
    return read_image_and_dims(path)[0]


def read_image_and_dims(path: PathLike) -> tuple[np.ndarray, int]:
    """:func:`read_image` and the number of spatial axes, which come first; a further axis holds the channels."""
    if file_suffix(path) in VOLUME_SUFFIXES:
        array, dims = _load_volume(path)
        return _finite(array, path), dims
    return decode_picture(_picture(path), label=False).array, 2


def read_label(path: PathLike) -> np.ndarray:
    """Read a label (classes or ids) in numpy's order.

    Args:
        path: picture or volume.

    Returns:
        integers, (H, W) for a picture; (X, Y[, Z]) as MONAI loads it for a volume.

    Raises:
        ReadError: when the file cannot be read as one label: see :class:`~lazylabels_monai.images.readers.MicroscopyReader`.
    """
    if file_suffix(path) in VOLUME_SUFFIXES:
        array, dims = _load_volume(path)
        if array.ndim > dims:
            raise ReadError(f"label '{path}' has {array.shape[-1]} channels: save it with one class value per voxel.")
        return _as_label(array, path)
    return decode_picture(_picture(path), label=True).array


def _picture(path: PathLike) -> Path:
    if file_suffix(path) not in PICTURE_SUFFIXES:
        formats = ", ".join((*PICTURE_SUFFIXES, *VOLUME_SUFFIXES))
        raise ReadError(f"file '{path}' is of an unknown format: convert it to one of {formats}.")
    return Path(path)


def _load_volume(path: PathLike) -> tuple[np.ndarray, int]:
    """Array as stored with channels, where there are any, last; number of spatial axes."""
    if not Path(path).is_file():
        raise ReadError(f"file '{path}' does not exist: correct the path.")
    from monai.transforms import LoadImage  # seconds

    try:
        volume = LoadImage(image_only=True, ensure_channel_first=True, dtype=None)(path)
    except Exception as e:  # nibabel, ITK and MONAI raise all sorts
        raise ReadError(f"volume '{path}' cannot be read ({_first_line(e)}): export it again as .nii.gz, .nrrd or .mha.") from e
    array = np.asarray(volume)
    return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1), array.ndim - 1


class _Picture:
    """A decoded picture with what PILReader asks of a PIL image."""

    def __init__(self, array: np.ndarray, format: str | None, mode: str) -> None:
        self.array, self.format, self.mode = array, format, mode
        self.height, self.width = array.shape[:2]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


def decode_picture(path: Path, label: bool) -> _Picture:
    """Read a single-page picture, (H, W[, C])."""
    if not path.is_file():
        raise ReadError(f"file '{path}' does not exist: correct the path.")
    if label and path.suffix.lower() in (".jpg", ".jpeg"):
        raise ReadError(f"label '{path}' is a JPEG, whose compression alters class values: save it as PNG.")
    try:
        picture = _decode_any(path, label)
    except ReadError:
        raise
    except Exception as e:  # the codecs raise OSError, SyntaxError, struct.error, zlib.error, TypeError ...
        raise ReadError(f"file '{path}' cannot be read as an image ({_first_line(e)}): export it again.") from e
    picture.array = _as_label(picture.array, path) if label else _finite(picture.array, path)
    return picture


def _decode_any(path: Path, label: bool) -> _Picture:
    """Pillow where it keeps every value, tifffile and ITK where it does not."""
    try:
        with Image.open(path) as image:
            _check_pages(getattr(image, "n_frames", 1), image.format, path)
            if image.format == "PNG" and _png_depth(path) == 16 and not image.mode.startswith("I"):
                return _Picture(_read_itk(path), image.format, image.mode)
            if image.format != "TIFF" or _pil_keeps_tiff(image):
                return _Picture(_native(_pil_array(image, label, _sample_bits(image, path))), image.format, image.mode)
    except Image.UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
    return _Picture(_native(_read_tiff(path)), "TIFF", "tifffile")


def _check_pages(pages: int, format: str | None, path: Path) -> None:
    # a camera's MPO is a JPEG with a preview appended
    if pages > 1 and format != "MPO":
        raise ReadError(
            f"file '{path}' has {pages} pages, which is not one image: save each page as a file of its own, "
            "channels as one RGB page, or a stack as a volume (.nii.gz, .nrrd, .mha)."
        )


def _png_depth(path: Path) -> int:
    """Bits per sample in a PNG's IHDR, which Pillow does not tell."""
    with open(path, "rb") as f:
        return f.read(25)[24]


def _sample_bits(image: Image.Image, path: Path) -> int:
    if image.format == "PNG":
        return _png_depth(path)
    return image.tag_v2.get(_BITS, (8,))[0] if image.format == "TIFF" else 8


def _pil_keeps_tiff(image: Image.Image) -> bool:
    """Whether Pillow gives every channel at full depth."""
    tags = image.tag_v2
    bits, samples = tags.get(_BITS, (1,)), tags.get(_SAMPLES, 1)
    signs = tags.get(_SAMPLE_FORMAT, (1,))
    if samples > 1:
        return set(bits) == {8} and set(signs) == {1} and 0 not in tags.get(_EXTRA_SAMPLES, ())
    if signs[0] == 2:  # signed 8-bit comes out unsigned
        return bits[0] in (16, 32)
    return signs[0] == 3 or bits[0] < 32  # unsigned 32-bit comes out negative


def _pil_array(image: Image.Image, label: bool, bits: int) -> np.ndarray:
    """Array (H, W[, C]) without alpha; ``bits`` per stored sample."""
    mode = image.mode
    if mode == "1":
        return np.asarray(image).astype(np.uint8) * (1 if label else 255)
    if mode in ("P", "PA"):
        if label:
            return np.asarray(image)[..., 0] if mode == "PA" else np.asarray(image)
        return np.asarray(image.convert("RGB"))
    if mode in ("LA", "La"):
        return np.asarray(image)[..., 0]
    if mode in ("RGBA", "RGBX"):
        return np.asarray(image)[..., :3]
    if mode == "L":
        # Pillow spreads 2- and 4-bit gray over 0..255
        return np.asarray(image) // (255 // (2**bits - 1)) if label and bits in (2, 4) else np.asarray(image)
    return np.asarray(image) if mode == "RGB" or mode[0] in "IF" else np.asarray(image.convert("RGB"))


def _read_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tif:
        # ImageJ writes large stacks with one page header only: the series know
        _check_pages(max(len(tif.pages), *(len(series) for series in tif.series)), "TIFF", path)
        page = tif.pages[0]
        if tif.series[0].size != page.size:
            _check_pages(tif.series[0].size // page.size, "TIFF", path)
        try:
            array = page.asarray()
        except Exception:  # LZW, JPEG ... without imagecodecs
            if page.bitspersample > 16:
                raise
            array, axes = _read_itk(path), "YXS" if page.samplesperpixel > 1 else "YX"
        else:
            axes = page.axes
        alpha = any(int(extra) in _ALPHA for extra in page.extrasamples)
    if axes == "SYX":
        array, axes = np.moveaxis(array, 0, -1), "YXS"
    if axes not in ("YX", "YXS"):
        raise ReadError(
            f"file '{path}' has the axes {axes} where one image is expected: save it as one plane (YX or RGB), "
            "or a stack as a volume (.nii.gz, .nrrd, .mha)."
        )
    if alpha:
        array = array[..., :-1]
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _read_itk(path: Path) -> np.ndarray:
    """What neither Pillow nor tifffile decodes in full; a PNG's alpha is dropped."""
    import itk

    io = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
    io.SetFileName(str(path))
    io.ReadImageInformation()
    channels = io.GetNumberOfComponents()
    # Python's ITK has no 16-bit RGB; float32 holds 16-bit values exactly.
    pixel = itk.F if channels == 1 else itk.Vector[itk.F, channels]
    dtype = _ITK_TYPES[io.GetComponentTypeAsString(io.GetComponentType())]
    array = itk.array_from_image(itk.imread(str(path), pixel)).astype(dtype)
    if path.suffix.lower() == ".png" and channels in (2, 4):
        array = array[..., : channels - 1]
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _native(array: np.ndarray) -> np.ndarray:
    """The machine's byte order, which torch needs, and memory of its own."""
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def _finite(array: np.ndarray, path: PathLike) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise ReadError(f"image '{path}' has {bad} NaN or infinite values: replace them before use.")
    return array


def _as_label(array: np.ndarray, path: PathLike) -> np.ndarray:
    """Integers without a channel axis."""
    if array.ndim == 3 and array.shape[-1] in (3, 4) and file_suffix(path) in PICTURE_SUFFIXES:
        if (array[..., 1:] != array[..., :1]).any():
            raise ReadError(f"label '{path}' is a colour picture: save it as gray or palette with one class value per pixel.")
        array = array[..., 0]
    elif array.ndim > 2 and file_suffix(path) in PICTURE_SUFFIXES:
        raise ReadError(f"label '{path}' has {array.shape[-1]} channels: save it with one class value per pixel.")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        whole = np.nan_to_num(array, nan=0.5, posinf=0.5, neginf=0.5)
        if (whole != np.round(whole)).any():
            raise ReadError(f"label '{path}' has NaN or fractional values: save it as integers, one class per pixel.")
        return array.astype(np.int64)
    return np.ascontiguousarray(array)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
