"""Normalization by the whole picture's percentiles, mean and standard deviation, found by passes over its tiles.

The percentiles are exact, as those of an array in memory: float32 numbers of the same order as integers are counted by their
upper and then, where a percentile lies, by their lower 16 bits. Mean and standard deviation are summed in 64 bits, where MONAI
sums in 32; the last of their seven digits may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import from_channels_last, swap_plane
from lazylabels_monai.images.span import unusable_values
from lazylabels_monai.transforms.channels import MatchChannelsd

__all__ = ["Counts", "Moments", "Normalization", "as_network_sees", "wanted_ranks"]

_BINS = 1 << 16


def as_network_sees(values: np.ndarray, channels: int, path: object) -> np.ndarray:
    """A region (h, w[, C]) as float32 (channels, h, w): gray repeated, RGB as luminance, as ``MatchChannelsd`` does.

    Raises:
        LazyLabelsError: for values that cannot be normalised, and other numbers of channels.
    """
    image = np.ascontiguousarray(swap_plane(from_channels_last(values)).astype(np.float32))
    if (fault := unusable_values(image)) is not None:
        raise LazyLabelsError(f"image '{path}' has {fault}.")
    have = len(image)
    if have == channels:
        return image
    if have == 1:
        return np.repeat(image, channels, axis=0)
    if have == 3 and channels == 1:
        tensor = torch.from_numpy(image)
        return (tensor * torch.as_tensor(MatchChannelsd.LUMINANCE).view(3, 1, 1)).sum(0, keepdim=True).numpy()
    takes = "gray or RGB" if channels == 1 else f"gray or with {channels} channels"
    raise LazyLabelsError(f"'{path}' has {have} channels where the network takes {channels}: save it {takes}.")


def _keys(values: np.ndarray) -> np.ndarray:
    """float32 as uint32 of the same order."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).ravel()
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _values(keys: np.ndarray) -> np.ndarray:
    """The float32 of keys."""
    keys = np.asarray(keys, np.uint32)
    return np.where(keys >> 31, keys & np.uint32(0x7FFFFFFF), ~keys).astype(np.uint32).view(np.float32)


def wanted_ranks(count: int, percentiles: tuple[float, float]) -> list[tuple[int, int, float]]:
    """For each percentile the ranks between which it lies, and how far: those of ``np.percentile``."""
    found = []
    for percentile in percentiles:
        place = percentile / 100 * (count - 1)
        low = int(np.floor(place))
        found.append((low, min(low + 1, count - 1), place - low))
    return found


@dataclass
class Counts:
    """How often each upper half of a key occurs, and below some of them each lower half; (channels, ...) each.

    Args:
        upper: (channels, 65536).
        lower: by channel and upper half (65536,).
    """

    upper: np.ndarray
    lower: dict[tuple[int, int], np.ndarray]

    @classmethod
    def empty(cls, channels: int) -> Counts:
        """Of nothing."""
        return cls(np.zeros((channels, _BINS), np.int64), {})

    def add_upper(self, image: np.ndarray) -> None:
        """Count the upper halves of an image (channels, h, w)."""
        for channel, values in enumerate(image):
            self.upper[channel] += np.bincount(_keys(values) >> 16, minlength=_BINS)

    def wanted(self, percentiles: tuple[float, float]) -> list[tuple[int, int]]:
        """Channels and upper halves in which the percentiles lie."""
        found = set()
        for channel, counts in enumerate(self.upper):
            ends = counts.cumsum()
            for low, high, _ in wanted_ranks(int(ends[-1]), percentiles):
                found |= {(channel, int(np.searchsorted(ends, rank, side="right"))) for rank in (low, high)}
        return sorted(found)

    def add_lower(self, image: np.ndarray, wanted: list[tuple[int, int]]) -> None:
        """Count the lower halves of an image below the upper ones that are wanted."""
        for channel, upper in wanted:
            keys = _keys(image[channel])
            counts = np.bincount(keys[keys >> 16 == upper] & 0xFFFF, minlength=_BINS)
            self.lower[channel, upper] = self.lower.get((channel, upper), 0) + counts

    def percentiles(self, percentiles: tuple[float, float]) -> np.ndarray:
        """(channels, 2) float32, interpolated as ``np.percentile`` does."""
        out = np.zeros((len(self.upper), len(percentiles)), np.float32)
        for channel, counts in enumerate(self.upper):
            ends = counts.cumsum()
            for number, (low, high, share) in enumerate(wanted_ranks(int(ends[-1]), percentiles)):
                below, above = (self._value(channel, ends, rank) for rank in (low, high))
                step = np.float64(above - below)  # in 32 bits, and the rest in 64 from the nearer end, as numpy counts
                out[channel, number] = below + step * share if share < 0.5 else above - step * (1 - share)
        return out

    def _value(self, channel: int, ends: np.ndarray, rank: int) -> np.float32:
        upper = int(np.searchsorted(ends, rank, side="right"))
        before = int(ends[upper - 1]) if upper else 0
        lower = int(np.searchsorted(self.lower[channel, upper].cumsum(), rank - before, side="right"))
        return _values(np.array([(upper << 16) | lower]))[0]


@dataclass
class Moments:
    """Sums of numbers, of their squares, and the smallest and largest; (channels,) float64 each."""

    count: int
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, bounds: np.ndarray | None, origin: np.ndarray) -> Moments:
        """Of an image (channels, h, w), clipped to ``bounds`` (channels, 2), about ``origin`` (channels,)."""
        total, squares = np.zeros(len(image)), np.zeros(len(image))
        for channel, values in enumerate(image):
            clipped = values if bounds is None else np.clip(values, *bounds[channel])
            about = clipped.astype(np.float64) - origin[channel]
            total[channel], squares[channel] = about.sum(), np.square(about).sum()
        return cls(image[0].size, total, squares)

    def plus(self, other: Moments) -> Moments:
        """Of both."""
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Normalization:
    """How a region is made what the network was trained on.

    Args:
        bounds: (channels, 2) to which values are clipped; None: they are not.
        mean, deviation: (channels,); the deviation of a channel of one value is 1.
        constant: every channel of the picture has but one value: nothing can be seen.
    """

    bounds: np.ndarray | None
    mean: np.ndarray
    deviation: np.ndarray
    constant: bool = False

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(channels, h, w) float32 with mean 0 and standard deviation 1 over the whole picture."""
        out = np.empty_like(image)
        for channel, values in enumerate(image):
            clipped = values if self.bounds is None else np.clip(values, *self.bounds[channel])
            tensor = (torch.from_numpy(np.ascontiguousarray(clipped)) - float(self.mean[channel])) / float(
                self.deviation[channel]
            )
            out[channel] = tensor.numpy()
        return out

    @classmethod
    def of(cls, moments: Moments, bounds: np.ndarray | None, origin: np.ndarray, constant: bool) -> Normalization:
        """From the sums over all tiles."""
        about = moments.total / moments.count
        deviation = np.sqrt(np.maximum(moments.squares / moments.count - about**2, 0))
        mean, deviation = (np.asarray(values, np.float32) for values in (about + origin, deviation))
        return cls(bounds, mean, np.where(deviation == 0, np.float32(1), deviation), constant)
