"""What a careful colleague would point out about the images of a data set side by side: those that stand out from the others.

What shows in one image alone stands in :mod:`lazylabels_monai.images.judging`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazylabels_monai.images.faults import Fault
from lazylabels_monai.images.pixel_size import mean_size
from lazylabels_monai.tasks import BACKGROUND, is_marked

__all__ = ["contrast", "odd_contrasts", "odd_diameters", "odd_pixel_sizes"]

#: Difference of the means of objects and background, in standard deviations of the image, from which its sign counts.
CLEAR_CONTRAST = 1.0
#: Share of images with the rarer sign up to which they count as inverted; more is a mixed collection.
MAX_INVERTED = 0.1
#: Factor to the data set's median diameter from which objects of an image count as odd.
MAX_DIAMETER_RATIO = 5.0
#: Factor to the median pixel size from which a pixel size counts as odd.
MAX_PIXEL_RATIO = 2.0


def contrast(image: np.ndarray, dims: int, labels: Mapping[str, np.ndarray]) -> float | None:
    """How much brighter the objects are than the rest, in standard deviations of the image.

    Args:
        image: (H, W[, C]), or (X, Y, Z[, C]); channels are averaged.
        dims: number of spatial axes, which come first.
        labels: the exact mask under ``segmentation`` is asked first, then the inner regions under ``detection``; pixels
            outside inner regions count as background though some are not, which makes the contrast look smaller.

    Returns:
        the difference of the means; negative where objects are darker. None without both kinds of pixels.
    """
    label = labels.get("segmentation", labels.get("detection"))
    if label is None:
        return None
    gray = image.astype(np.float32).mean(-1) if image.ndim > dims else image.astype(np.float32)
    rest, inside = label == BACKGROUND, is_marked(label)
    spread = float(gray.std())
    if not (rest.any() and inside.any() and spread):
        return None
    return float(gray[inside].mean() - gray[rest].mean()) / spread


def odd_contrasts(contrasts: Sequence[float | None]) -> dict[int, Fault]:
    """Images whose contrast is the reverse of nearly all others, by position."""
    clear = {i: c for i, c in enumerate(contrasts) if c is not None and abs(c) >= CLEAR_CONTRAST}
    darker = [i for i, c in clear.items() if c < 0]
    brighter = [i for i, c in clear.items() if c > 0]
    few, many = sorted((darker, brighter), key=len)
    if not few or len(few) > MAX_INVERTED * len(clear):
        return {}
    own, usual = ("darker", "brighter") if few is darker else ("brighter", "darker")
    text = f"objects {own} than their background where {len(many)} of {len(clear)} images have them {usual}"
    return {i: Fault("image-inverted", "image", amount=text) for i in few}


def odd_diameters(diameters: Sequence[float | None]) -> dict[int, Fault]:
    """Images whose objects are much larger or smaller than those of the others, by position."""
    known = {i: d for i, d in enumerate(diameters) if d}
    if len(known) < 2:
        return {}
    usual = float(np.median(list(known.values())))
    return {
        i: Fault(
            "object-size-differs",
            "image",
            amount=f"objects of {d:.0f} pixels median diameter where the images' median is {usual:.0f}",
        )
        for i, d in known.items()
        if not usual / MAX_DIAMETER_RATIO <= d <= usual * MAX_DIAMETER_RATIO
    }


def odd_pixel_sizes(sizes: Sequence[Any]) -> dict[int, Fault]:
    """Images whose ``pixel_size`` is far from the usual one, by position.

    Args:
        sizes: a number or a list of numbers (one for each axis, of which the geometric mean counts); all in one unit.
            What is neither is left out.
    """
    known = {i: value for i, size in enumerate(sizes) if (value := mean_size(size)) is not None}
    if len(known) < 2:
        return {}
    usual = float(np.median(list(known.values())))
    far = [i for i, v in known.items() if not usual / MAX_PIXEL_RATIO <= v <= usual * MAX_PIXEL_RATIO]
    return {
        i: Fault("pixel-size-differs", "pixel_size", amount=f"pixel size {known[i]:g} where the images' median is {usual:g}")
        for i in far
    }
