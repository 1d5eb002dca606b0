"""How images look once their intensities are normalised, and whether one looks like those of a training.

Two kinds of statistics, both the same for any gain and offset of the image:

- *detail*: how strong structures of one pixel are against those of two, those of two against those of four, and so on.
  Magnification, blur and noise change these.
- *asymmetry*: whether bright or dark structures stick out, at each of these sizes, and how the channels differ. An inverted
  image has the same numbers with the other sign.

Each kind is summed up by mean and covariance over a training's images, shrunken towards a spread that is usual within a set
(an inverse Wishart prior), so that ten images, or one, say something too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lazylabels_monai.images.faults import Fault

__all__ = ["Appearance", "Seen", "appearance", "object_size_fault", "sum_up", "unlike"]

#: Octaves that are compared; structures of 1, 2, 4, ... pixels.
OCTAVES = 5
#: Longest side of a piece that is looked at, and how many along a side.
PIECE, PIECES = 512, 2
#: Planes of a volume that are looked at.
PLANES = 5
#: Quantiles of the gray levels whose asymmetry counts, in per cent.
QUANTILES = (1, 5, 25)

#: Spread that is usual within a set, of each statistic, and how many images that knowledge is worth.
DETAIL_SPREAD = (0.2, 0.2, 0.15, 0.15, 0.2)
ASYMMETRY_SPREAD = (0.1, 0.2, 0.2, 0.2, 0.2, 0.15, 0.15, 0.1)
COLOUR_SPREAD = 0.15
PRIOR_IMAGES = 6

#: How far beyond the farthest 1 % of a training's own images, each judged by the others, an image is unlike them.
MARGIN = 1.3
#: Squared distances below which no image is unlike: what one in a thousand exceeds at five statistics of a known spread.
LEAST_DISTANCE = 20.5
#: Standard deviations from the training's mean side beyond which an image is on the other one.
SIDE_DEVIATIONS = 4.0
#: Factor beyond the training's pixel sizes, and beyond its images' median diameters, from which one is another.
PIXEL_RATIO, DIAMETER_RATIO = 1.5, 1.5


@dataclass(frozen=True)
class Appearance:
    """What :func:`appearance` measured.

    Args:
        channels: of the image.
        detail: (OCTAVES,) base-2 logarithms of ratios; NaN where the image is too small to tell.
        asymmetry: of each octave, of the quantiles, and, of three channels, red against green and green against blue.
    """

    channels: int
    detail: np.ndarray
    asymmetry: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What the images of a training looked like; :meth:`as_dict` is what lies beside ``model.pt``.

    Args:
        images: how many there were.
        channels: numbers of channels that occurred.
        types: types of numbers that occurred, to be read by people.
        detail, asymmetry: ``{"mean": [...], "covariance": [[...]], "farthest": x}``; empty where nothing could be measured.
        pixel_size: smallest and largest, in micrometres; None where none is known.
        diameter: smallest and largest median diameter of an image's labelled objects in pixels; None without objects.
        contrast: in how many images objects are brighter and darker than their background.
    """

    images: int
    channels: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    asymmetry: Mapping[str, Any] = field(default_factory=dict)
    pixel_size: tuple[float, float] | None = None
    diameter: tuple[float, float] | None = None
    contrast: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "channels": list(self.channels), "types": list(self.types)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Seen:
        """From :meth:`as_dict`; what later versions add is left out."""
        return Seen(**{name: values[name] for name in Seen.__dataclass_fields__ if name in values})


def appearance(image: np.ndarray, dims: int) -> Appearance | None:
    """Measure an image.

    Args:
        image: (H, W[, C]), or (X, Y, Z[, C]), any range.
        dims: number of spatial axes, which come first.

    Returns:
        what is the same for any gain and offset; None of an image that is constant or too small to tell anything.
    """
    pieces = _pieces(image, dims)
    if min(pieces[0].shape[:2]) < 16:
        return None
    values = np.concatenate([piece[::2, ::3].reshape(-1, piece.shape[-1]) for piece in pieces])
    gray = values.mean(-1)
    low, high = np.percentile(gray, (0.1, 99.9))
    clipped = gray.clip(low, high)
    mean, spread = float(clipped.mean()), float(clipped.std())
    if not spread > 0:
        return None
    measured = [_measure((piece.mean(-1).clip(low, high) - mean) / spread) for piece in pieces]
    detail, sides = (np.mean([m[i] for m in measured], axis=0) for i in (0, 1))
    # the median's place between two quantiles, from -1 to 1
    quantiles = []
    for q in QUANTILES:
        lower, middle, upper = np.percentile(clipped, (q, 50, 100 - q))
        quantiles.append((upper + lower - 2 * middle) / max(upper - lower, 1e-6 * spread))
    means = values.mean(0)
    colours = list((means[:-1] - means[1:]) / spread) if len(means) == 3 else []
    return Appearance(image.shape[-1] if image.ndim > dims else 1, detail, np.array([*sides, *quantiles, *colours]))


def _pieces(image: np.ndarray, dims: int) -> list[np.ndarray]:
    """(h, w, C) float32 pieces spread over the image, at full resolution; of a volume over some of its planes."""
    if image.ndim == dims:
        image = image[..., None]
    if dims == 3:
        depth = image.shape[2]
        chosen = np.unique(np.linspace(0, depth - 1, min(PLANES, depth)).round().astype(int))
        return [piece for z in chosen for piece in _pieces(image[:, :, z], 2)]
    starts = [[0] if n <= PIECE else np.linspace(0, n - PIECE, PIECES).astype(int) for n in image.shape[:2]]
    return [image[y : y + PIECE, x : x + PIECE].astype(np.float32) for y in starts[0] for x in starts[1]]


def _measure(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detail and asymmetry of a normalised piece (h, w), octave by octave."""
    import cv2  # here, so that those who judge nothing need not wait for it

    fourth = np.array([[1, -4, 6, -4, 1]], np.float32) / 16  # the finest there is: passes hardly more than the last octave
    finest = [cv2.filter2D(gray, -1, kernel)[2:-2, 2:-2] for kernel in (fourth, fourth.T)]
    strength = [float(np.sqrt(np.mean([(f**2).mean() for f in finest])))]
    sides = []
    for _ in range(OCTAVES):
        if min(gray.shape) < 8:
            strength.append(np.nan)
            sides.append(np.nan)
            continue
        band = gray - cv2.GaussianBlur(gray, (5, 5), 1.0, borderType=cv2.BORDER_REFLECT)
        strength.append(float(band.std()))
        # a cube keeps the sign; clipped, so that a few pixels do not decide
        sides.append(float((np.clip(band / (strength[-1] + 1e-5), -5, 5) ** 3).mean()))
        gray = cv2.pyrDown(gray)
    logarithms = np.log2(np.array(strength) + 1e-5)
    return logarithms[:-1] - logarithms[1:], np.array(sides)


def sum_up(appearances: Sequence[Appearance], **known: Any) -> Seen:
    """What the images of a training looked like.

    Args:
        appearances: of its images; those that could not be measured are left out.
        known: further fields of :class:`Seen`.
    """
    channels = tuple(sorted({a.channels for a in appearances}))
    usual = max(channels, key=lambda c: sum(a.channels == c for a in appearances), default=1)
    # gray images among coloured ones have no colours to compare
    of_usual = [a.asymmetry for a in appearances if a.channels == usual]
    colours = [COLOUR_SPREAD] * (len(of_usual[0]) - len(ASYMMETRY_SPREAD)) if of_usual else []
    return Seen(
        channels=channels,
        detail=_summary([a.detail for a in appearances], DETAIL_SPREAD),
        asymmetry=_summary(of_usual, (*ASYMMETRY_SPREAD, *colours)),
        **{"images": len(appearances), **known},
    )


def _summary(rows: Sequence[np.ndarray], spread: Sequence[float]) -> dict[str, Any]:
    """Mean, covariance, and how far the farthest of the images is from the others."""
    if not len(rows):
        return {}
    table = np.array(rows, float)
    known = np.isfinite(table).sum(0) * 2 > len(table)
    middle = np.array([np.nanmean(column) if k else 0.0 for column, k in zip(table.T, known, strict=True)])
    table = np.where(np.isfinite(table) & known, table, middle)
    mean, covariance = _fit(table, spread)
    alone = [_distance(row, *_fit(np.delete(table, i, 0), spread)) for i, row in enumerate(table)] if len(table) > 2 else [0.0]
    return {
        "mean": [round(float(m), 5) if k else None for m, k in zip(mean, known, strict=True)],
        "covariance": [[round(float(c), 7) for c in row] for row in covariance],
        "farthest": round(float(np.quantile(alone, 0.99)), 3),
        "images": len(table),
    }


def _fit(table: np.ndarray, spread: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    own = np.cov(table.T) if len(table) > 1 else np.zeros((table.shape[1],) * 2)
    prior = PRIOR_IMAGES * np.diag(np.square(spread))
    return table.mean(0), (prior + (len(table) - 1) * own) / (PRIOR_IMAGES + len(table) - 1)


def _distance(row: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Squared Mahalanobis distance."""
    off = row - mean
    return float(off @ np.linalg.solve(covariance, off))


def unlike(found: Appearance | None, seen: Seen, pixel_size: float | None = None) -> list[Fault]:
    """In what an image differs from those of a training, with the numbers of both.

    Args:
        found: of the image; None where it could not be measured.
        seen: of the training.
        pixel_size: of the image in micrometres, where it is known.

    Returns:
        faults of the codes ``image-channels``, ``image-inverted``, ``image-detail`` and ``pixel-size-differs``.
    """
    faults = []
    if found is not None and seen.channels and found.channels not in seen.channels:
        had = " or ".join(map(str, seen.channels))
        text = f"{_channels(found.channels)} where the images of the training had {had}"
        faults.append(Fault("image-channels", "image", amount=text))
    if found is not None:
        faults += [fault for fault in (_inverted(found, seen), _other_detail(found, seen)) if fault is not None]
    if pixel_size is not None and seen.pixel_size is not None:
        low, high = seen.pixel_size
        if not low / PIXEL_RATIO <= pixel_size <= high * PIXEL_RATIO:
            text = f"a pixel size of {pixel_size:g} um where that of the training's images was {_range(low, high)} um"
            faults.append(Fault("pixel-size-differs", "pixel_size", amount=text))
    return faults


def object_size_fault(diameter: float | None, seen: Seen) -> Fault | None:
    """Whether the objects found in an image are of another size than those of a training.

    Args:
        diameter: their median in pixels; None where there are none.
        seen: of the training.
    """
    if diameter is None or seen.diameter is None:
        return None
    low, high = seen.diameter
    if low / DIAMETER_RATIO <= diameter <= high * DIAMETER_RATIO:
        return None
    text = f"objects of {diameter:.0f} pixels median diameter where those of the training's images had {_range(low, high)}"
    return Fault("object-size-differs", "image", amount=text)


def _inverted(found: Appearance, seen: Seen) -> Fault | None:
    """Whether the image lies on the other side of gray, along the direction that tells sides apart best."""
    summary = seen.asymmetry
    if not summary or len(summary["mean"]) != len(found.asymmetry):
        return None
    row, mean, covariance = _known(found.asymmetry, summary)
    if not len(row):
        return None
    # Fisher's discriminant between the images and their mirror images, scaled so that the training's mean is 1
    weights = np.linalg.solve(covariance, mean)
    scale = float(weights @ mean)
    if not scale > 0:
        return None
    side, spread = float(weights @ row) / scale, np.sqrt((1 + 1 / summary["images"]) / scale)
    if side >= min(0.0, 1 - SIDE_DEVIATIONS * spread):
        return None
    text = f"bright and dark exchanged against the {seen.images} images of the training"
    if seen.contrast:
        brighter, darker = seen.contrast["brighter"], seen.contrast["darker"]
        if max(brighter, darker) > 0:
            word, count = ("brighter", brighter) if brighter >= darker else ("darker", darker)
            text += f", {count} of which have objects {word} than their background"
    return Fault("image-inverted", "image", amount=f"{text} (asymmetry {side:.1f}, theirs 1.0 +- {spread:.1f})")


def _other_detail(found: Appearance, seen: Seen) -> Fault | None:
    summary = seen.detail
    if not summary:
        return None
    row, mean, covariance = _known(found.detail, summary)
    if not len(row) or _distance(row, mean, covariance) <= max(LEAST_DISTANCE, MARGIN * summary["farthest"]):
        return None
    deviations = (row - mean) / np.sqrt(np.diag(covariance))
    worst = int(np.argmax(np.abs(deviations)))
    size = 2**worst
    usual = _range(*(2.0 ** (mean[worst] + sign * 2 * np.sqrt(covariance[worst, worst])) for sign in (-1, 1)))
    guess = "blurred, or magnified more" if deviations[worst] < 0 else "noisier, or magnified less"
    text = (
        f"structures of {size} pixel{'s' * (size > 1)} {2.0 ** row[worst]:.2g} times as strong as those of {2 * size}, where "
        f"they were {usual} times in the {seen.images} images of the training: it is {guess}"
    )
    return Fault("image-detail", "image", amount=text)


def _known(row: np.ndarray, summary: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image's statistics with the training's mean and covariance, those that both have."""
    mean = np.array([np.nan if m is None else m for m in summary["mean"]], float)
    both = np.isfinite(row) & np.isfinite(mean)
    return row[both], mean[both], np.array(summary["covariance"], float)[np.ix_(both, both)]


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"


def _range(low: float, high: float) -> str:
    low_text, high_text = (f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in (low, high))
    return low_text if low_text == high_text else f"{low_text} to {high_text}"
