"""Judging one image before it is used, by its pixels alone: for check, training, prediction, MONAI Label and Deploy alike.

Training and prediction normalise every channel of every image, so that an 8-bit image beside a 16-bit one, or a bright one
beside a dark one, is harmless and no finding. What stays after normalisation is: no contrast at all, few gray levels, clipped
areas, outliers that take the contrast, a data bar, hardly any pixels. :mod:`~lazylabels_monai.images.appearance` compares an
image with those of a training.
"""

from __future__ import annotations

import numpy as np

from lazylabels_monai.images.faults import Fault

__all__ = ["data_bar", "image_faults"]

#: Shortest side in pixels below which a network of several resolutions sees hardly any context.
MIN_SIDE = 64
#: Different values below which an image looks like a label.
MIN_LEVELS = 16
#: Share of pixels at the largest value from which an image counts as saturated.
MAX_SATURATED = 0.2
#: How many times larger the outermost 0.2 % of the pixels make the standard deviation.
MAX_OUTLIERS = 2.0

#: A data bar: its height in pixels and as a share of the image's, at least and at most.
BAR_PIXELS, BAR_SHARE = 10, (0.02, 0.25)
#: Share of its pixels, at least, that shows its two usual gray levels; of each row, that shows the more usual one, its ground.
BAR_FLAT, BAR_GROUND = 0.7, 0.35
#: Share of the rest of the image, at most, that shows the level of the ground.
REST_FLAT = 0.25
#: How much of its rows' share shows the ground just inside its edge more than just outside: an edge is straight.
BAR_EDGE = 0.4
#: Share of a bar's pixels that is written on it, at least.
BAR_WRITTEN = 0.005
#: Gray levels into which the range of an image is divided for it.
BAR_LEVELS = 48


def image_faults(image: np.ndarray, dims: int, crop_size: int | None = None) -> list[Fault]:
    """Faults of one image that show without the others.

    Args:
        image: (H, W[, C]), or (X, Y, Z[, C]), any range.
        dims: number of spatial axes, which come first.
        crop_size: shorter sides than this are reported too, in pixels; None: only those below 64.

    Returns:
        at most one fault for each code.
    """
    side = min(image.shape[:dims])
    faults = []
    if dims == 2 and side < max(MIN_SIDE, crop_size or 0):  # stacks often have few planes
        wanted = f"crop_size {crop_size}" if crop_size and side >= MIN_SIDE else f"{MIN_SIDE}"
        faults.append(Fault("image-tiny", "image", amount=f"{side} pixels (less than {wanted})"))
    pixels = image.reshape(*image.shape[:dims], -1)
    low, high = image.min(), image.max()
    if low == high or (pixels == pixels[(0,) * dims]).all():  # one colour, too
        return [*faults, Fault("image-constant", "image", pixels=int(np.prod(image.shape[:dims])))]
    levels = _levels(image)
    if levels < MIN_LEVELS:
        # A thresholded picture is also "saturated": one sentence says enough.
        return [*faults, Fault("image-few-levels", "image", amount=str(levels))]
    top = (pixels == high).all(-1)
    if top.mean() > MAX_SATURATED:
        first = tuple(int(i) for i in np.unravel_index(np.argmax(top), top.shape))
        faults.append(Fault("image-saturated", "image", pixels=int(top.sum()), location=first))
    faults += _outliers(pixels)
    if dims == 2 and (bar := data_bar(image)) is not None:
        faults.append(Fault("image-bar", "image", amount=f"a data bar, {bar[1]} rows with letters along its {bar[0]} edge"))
    return faults


def data_bar(image: np.ndarray) -> tuple[str, int] | None:
    """The data bar of an electron microscope: a flat strip over the whole width with letters, along the lower or upper edge.

    A scale bar or a letter in the picture itself, a plain margin and a picture with a flat background are none.

    Args:
        image: (H, W[, C]), any range.

    Returns:
        ("lower" or "upper", rows); None where there is none.
    """
    gray = image.reshape(*image.shape[:2], -1).astype(np.float32).mean(-1)
    low, high = np.percentile(gray, (0.1, 99.9))
    height, width = gray.shape
    if not high > low or height < 4 * BAR_PIXELS or width < 4 * BAR_PIXELS:
        return None
    levels = np.clip((gray - low) / (high - low) * (BAR_LEVELS - 1), 0, BAR_LEVELS - 1).round().astype(np.int64)
    # how often each level occurs in each row
    counts = np.bincount((levels + BAR_LEVELS * np.arange(height)[:, None]).ravel(), minlength=height * BAR_LEVELS)
    shares = counts.reshape(height, BAR_LEVELS) / width
    for edge, rows in (("lower", shares[::-1]), ("upper", shares)):
        if found := _bar_rows(rows):
            return edge, found
    return None


def _bar_rows(shares: np.ndarray) -> int:
    """Rows of a data bar that begins at the first one; 0 where there is none.

    Args:
        shares: (H, levels) of each row's pixels that have a level.
    """
    height, (least, most) = len(shares), BAR_SHARE
    first, second = np.argsort(shares[: max(BAR_PIXELS, round(least * height))].sum(0))[::-1][:2]
    ground, letters = (shares[:, max(level - 1, 0) : level + 2].sum(1) for level in (first, second))  # compression blurs levels
    both = ground if abs(first - second) < 3 else ground + letters
    ends = np.flatnonzero(ground < BAR_GROUND)
    rows = int(ends[0]) if ends.size else height
    if not max(BAR_PIXELS, least * height) <= rows <= most * height or both[:rows].mean() < BAR_FLAT:
        return 0
    # A flat strip beside a flat picture is its background, and where nothing ends there is no strip.
    rest = ground[rows:]
    if rest.mean() > REST_FLAT or rest[1 : BAR_PIXELS + 1].max() > BAR_GROUND:
        return 0
    if rows < 4 or np.median(ground[rows - 4 : rows]) - np.median(rest[1:5]) < BAR_EDGE:
        return 0
    # letters: far from the ground in gray, in some of the columns
    far = np.abs(np.arange(shares.shape[1]) - first) > 0.3 * shares.shape[1]
    return rows if shares[:rows, far].sum(1).mean() >= BAR_WRITTEN else 0


def _levels(image: np.ndarray) -> int:
    """Number of different values; at least :data:`MIN_LEVELS` where there are more."""
    # Nearly every image shows that many within a few thousand pixels, and sorting all of them takes long.
    sample = np.unique(image.ravel()[:: max(image.size // 4096, 1)])
    return int(sample.size if sample.size >= MIN_LEVELS else np.unique(image).size)


def _outliers(pixels: np.ndarray) -> list[Fault]:
    for channel in np.moveaxis(pixels, -1, 0):
        values = channel.astype(np.float32)
        low, high = np.percentile(values, (0.1, 99.9))
        far = (values < low) | (values > high)
        core = float(values[~far].std())
        if core and float(values.std()) > MAX_OUTLIERS * core:
            # Those that make the difference, not simply all of the outermost 0.2 %.
            far = np.abs(values - values[~far].mean()) > 10 * core
            if not far.any():
                continue
            first = tuple(int(i) for i in np.unravel_index(np.argmax(far), far.shape))
            return [Fault("image-outliers", "image", pixels=int(far.sum()), location=first)]
    return []
