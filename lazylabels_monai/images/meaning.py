"""The one place that decides how a picture's numbers are meant, whichever library read them.

| tag | image | label |
|---|---|---|
| min is white (TIFF photometric 0) | the numbers stored | the numbers stored |
| orientation (EXIF, TIFF 274) | turned upright | turned upright |
| palette | its colours; a palette of grays, or of one hue, is gray | the index |
| 1 bit | 0 and 255 | 0 and 1 |
| 2, 4, 12 bits | the numbers stored | the numbers stored |
| alpha, transparent colour or index | the median of what shows, where nothing shows | not labelled |
| CMYK, YCbCr, CIELAB | RGB | refused |
| colour profile (ICC) | ignored | ignored |
| lossy compression | as decoded | refused |

The numbers stored are what is measured: a min-is-white picture looks inverted on a screen, but ImageJ, tifffile, napari and
scikit-image count with the numbers in its file, and there is no inverse of a float.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from lazylabels_monai.images.stored import ReadError, Stored

__all__ = ["as_colours", "as_image", "as_label", "refuse_lossy", "upright"]


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array (H, W[, C]) as the EXIF orientation 1 to 8 says; other values are no orientation."""
    if orientation in (2, 3, 4):
        rows, columns = (1 if orientation == 2 else -1), (1 if orientation == 4 else -1)
        return array[::rows, ::columns]
    if orientation not in (5, 6, 7, 8):
        return array
    rows, columns = (-1 if orientation in (7, 8) else 1), (-1 if orientation in (6, 7) else 1)
    return array.swapaxes(0, 1)[::rows, ::columns]


def as_image(stored: Stored) -> np.ndarray:
    """What the network and people see: (H, W) gray or (H, W, C), upright."""
    values = stored.values
    if stored.colour == "bilevel":
        values = values * np.uint8(255)
    elif stored.colour == "palette":
        values = _palette_image(values, stored.palette)
    else:
        values = _rgb(values, stored.colour)
    return np.ascontiguousarray(upright(_filled(values, stored.alpha), stored.orientation))


def as_label(stored: Stored, path: Path, ignore: int | None = None) -> np.ndarray:
    """The values that somebody gave to pixels: (H, W) integers or floats, upright.

    Transparent pixels are 0. A pixel is drawn where its alpha is at least half of the largest one.

    Args:
        stored: what the file holds.
        path: its name, for messages.
        ignore: value for transparent pixels where 0 was drawn, too, so that it means background and they mean nothing; None:
            0 all the same, as in pictures of ids.

    Raises:
        ReadError: when the compression is lossy, the picture is colour, or all that was drawn is 0.
    """
    refuse_lossy(stored, path)
    drawn = _drawn(stored, path)
    values = _unmultiplied(stored, drawn)
    if values.ndim == 3:
        seen = values if drawn is None else values[drawn]
        if values.shape[-1] not in (3, 4):
            raise ReadError(f"label '{path}' has {values.shape[-1]} channels: save it with one class value per pixel.")
        if (seen[..., 1:] != seen[..., :1]).any() or stored.colour in ("cmyk", "ycbcr", "lab"):
            raise ReadError(f"label '{path}' is a colour picture: save it as gray or palette with one class value per pixel.")
        values = values[..., 0]
    if drawn is not None:
        values = _cleared(values, drawn, stored, path, ignore)
    return np.ascontiguousarray(upright(values, stored.orientation))


def as_colours(stored: Stored, path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The colours of a label that a legend explains.

    Returns:
        (H, W, 3) colours and (H, W) whether each was drawn (None: all), upright; None for a gray picture.

    Raises:
        ReadError: when the compression is lossy.
    """
    refuse_lossy(stored, path)
    if stored.colour == "palette":
        values = _looked_up(stored.values, stored.palette)
    elif stored.colour in ("rgb", "gray") and stored.values.ndim == 3 and stored.values.shape[-1] == 3:
        values = _unmultiplied(stored, _drawn(stored, path))
    else:
        return None
    drawn = _drawn(stored, path)
    return (
        np.ascontiguousarray(upright(values, stored.orientation)),
        None if drawn is None else np.ascontiguousarray(upright(drawn, stored.orientation)),
    )


def refuse_lossy(stored: Stored, path: Path) -> None:
    """Refuse a label whose compression may have altered it.

    Raises:
        ReadError: then.
    """
    if stored.lossy:
        raise ReadError(
            f"label '{path}' is {stored.lossy}, whose compression alters class values: "
            "save it as PNG in the program that drew it."
        )


# ------------------------------------------------------------------------------------------------------------ colours


def _looked_up(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(H, W, 3) colours; an index beyond the palette is black."""
    beyond = int(indices.max(initial=0)) + 1 - len(palette)
    return np.concatenate([palette, np.zeros((max(beyond, 0), 3), palette.dtype)])[indices]


def _palette_image(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Gray where every colour used is gray, or where the palette is a scale of one hue from black, as of one channel."""
    colours = _looked_up(indices, palette)
    if (colours[..., 1:] == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    if len(palette) == 256 and palette.dtype == np.uint8:
        scale = np.arange(256)[:, None] * (palette[-1].astype(float) / 255)
        if palette[-1].max() == 255 and (np.abs(palette - scale) <= 1).all():
            return indices
    return colours


def _rgb(values: np.ndarray, colour: str) -> np.ndarray:
    """RGB of the depth stored."""
    if colour not in ("cmyk", "ycbcr", "lab") or values.dtype.kind not in "ui":
        return values
    top = np.iinfo(values.dtype).max
    share = values.astype(np.float64) / top
    if colour == "cmyk":
        rgb = (1 - share[..., :3]) * (1 - share[..., 3:4])
    elif colour == "ycbcr":  # ITU-R BT.601, the default of TIFF and JPEG
        luma, blue, red = share[..., 0], share[..., 1] - (top // 2 + 1) / top, share[..., 2] - (top // 2 + 1) / top
        rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    else:
        rgb = _lab_to_rgb(values, top)
    return np.rint(np.clip(rgb, 0, 1) * top).astype(values.dtype)


def _lab_to_rgb(values: np.ndarray, top: int) -> np.ndarray:
    """TIFF's CIELAB (L from 0 to the top, a and b signed) as sRGB shares."""
    from skimage.color import lab2rgb

    unit = (top + 1) // 256  # of a and b
    signed = values[..., 1:].astype(f"<i{values.dtype.itemsize}").astype(np.float64) / unit
    lab = np.concatenate([values[..., :1].astype(np.float64) * 100 / top, signed], axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # colours that no screen shows are clipped
        return lab2rgb(lab)


# --------------------------------------------------------------------------------------------------------------- alpha


def _filled(values: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Fully transparent pixels, whose numbers nobody sees, become the median of the others: a flat border.

    A channel of alpha that is zero everywhere was never used.
    """
    if alpha is None or alpha.all() or not alpha.any():
        return values
    values, hidden = values.copy(), alpha == 0
    values[hidden] = np.median(values[~hidden], axis=0).astype(values.dtype)
    return values


def _drawn(stored: Stored, path: Path) -> np.ndarray | None:
    """(H, W) where a label is opaque enough to have been drawn; None: everywhere.

    Raises:
        ReadError: when nothing is, though there are values below.
    """
    if stored.alpha is None or (stored.alpha == stored.alpha.max(initial=0)).all():
        if stored.alpha is None or stored.alpha.any() or not stored.values.any():
            return None
        raise ReadError(f"label '{path}' is transparent everywhere: save it without transparency.")
    return stored.alpha >= stored.alpha.max() / 2


def _unmultiplied(stored: Stored, drawn: np.ndarray | None) -> np.ndarray:
    """Values as they were drawn, of a picture that multiplies them by alpha."""
    if not stored.premultiplied or drawn is None or stored.values.dtype.kind not in "ui":
        return stored.values
    alpha = np.maximum(stored.alpha, 1).astype(np.float64)
    share = float(stored.alpha.max()) / (alpha if stored.values.ndim == 2 else alpha[..., None])
    return np.minimum(np.rint(stored.values * share), np.iinfo(stored.values.dtype).max).astype(stored.values.dtype)


def _cleared(values: np.ndarray, drawn: np.ndarray, stored: Stored, path: Path, ignore: int | None) -> np.ndarray:
    """Values where something was drawn."""
    zero = drawn & (values == 0)
    black = stored.colour != "palette" or not stored.palette[0].any()
    little = drawn.mean() < 0.5  # a turned label of an empty image is opaque and 0 in most of its pixels
    if zero.any() and ((little and not values[drawn].any()) or not black):
        raise ReadError(
            f"label '{path}' is drawn with the value 0, which means background, on a transparent layer: draw with another "
            "value, or save it without transparency."
        )
    below = ignore if ignore is not None and zero.any() else 0
    if below and values.dtype.kind in "iu" and below > np.iinfo(values.dtype).max:
        values = values.astype(np.int16)
    return np.where(drawn, values, values.dtype.type(below))
