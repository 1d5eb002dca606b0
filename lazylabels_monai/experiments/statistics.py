"""Are two methods different? Paired bootstrap over seeds and test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "mean_dice", "paired_difference", "pooled_f1"]

#: Maps (images, columns) of one seed to a number.
Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Difference:
    """A difference of two methods and its interval.

    Attributes:
        mean: over the seeds, of the score of the one less that of the other.
        low, high: of the interval.
    """

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "better", "worse", or "no significant difference" where the interval contains 0."""
        if not np.isfinite([self.low, self.high]).all() or self.low <= 0 <= self.high:
            return "no significant difference"
        return "better" if self.low > 0 else "worse"


def mean_dice(images: np.ndarray) -> float:
    """Mean Dice over images, then over classes, of (images, classes); NaN is unknown and takes no part."""
    known = ~np.isnan(images)
    counts = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        classes = np.nansum(images, 0) / np.where(counts > 0, counts, np.nan)
    return float(classes[~np.isnan(classes)].mean()) if (counts > 0).any() else float("nan")


def pooled_f1(images: np.ndarray) -> float:
    """F1 of (images, 3) counts of true positives, false positives and false negatives, over all images together."""
    hits, *errors = np.nansum(images, 0)
    return float(2 * hits / (2 * hits + sum(errors))) if hits + sum(errors) > 0 else float("nan")


def paired_difference(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    statistic: Statistic,
    images_by_seed: bool = False,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Bootstrap the difference of a score between two methods that saw the same seeds and images.

    Seeds are drawn with replacement, and images too: the same ones for both methods, and the same ones for all seeds where
    the seeds share their test images (crossed factors; Owen 2007, The pigeonhole bootstrap). The interval is that of the
    percentiles. Three seeds are few: it covers the chance in the images well, that in the training only roughly.

    Args:
        ours, theirs: for each seed (images, columns); the rows of both are the same images.
        statistic: the score of one seed.
        images_by_seed: each seed has test images of its own (nested factors).
        resamples: draws.
        confidence: of the interval.
        seed: of the draws.

    Raises:
        ValueError: when seeds or images do not pair.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} seeds: both methods need the same ones, one or more.")
    if any(len(a) != len(b) for a, b in zip(ours, theirs, strict=True)):
        raise ValueError("both methods need the same test images.")
    if not images_by_seed and len({len(a) for a in ours}) > 1:
        raise ValueError("the seeds have different test images: images_by_seed must be set.")
    rng = np.random.default_rng(seed)

    def difference(seeds: np.ndarray, draw: Callable[[int], np.ndarray | slice]) -> float:
        return float(np.mean([statistic(ours[s][rows]) - statistic(theirs[s][rows]) for s in seeds for rows in [draw(s)]]))

    every = np.arange(len(ours))
    drawn = np.empty(resamples)
    for i in range(resamples):
        seeds = rng.choice(every, len(every))
        if images_by_seed:
            drawn[i] = difference(seeds, lambda s: rng.integers(len(ours[s]), size=len(ours[s])))
        else:
            rows = rng.integers(len(ours[0]), size=len(ours[0]))
            drawn[i] = difference(seeds, lambda s, rows=rows: rows)
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return Difference(difference(every, lambda s: slice(None)), float(low), float(high))
