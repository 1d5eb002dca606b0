"""How intensities are normalised: the names that the configs know."""

from __future__ import annotations

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["CLIPPED", "NORMALIZATIONS", "clips"]

#: Percentiles between which values are kept; what lies beyond is set to them. A handful of hot pixels is below 0.1 % of any
#: image, and objects are rarely as small.
CLIPPED = (0.1, 99.9)

#: Both end with mean 0 and standard deviation 1 of each channel: one clips before, by MONAI's ``ClipIntensityPercentilesd``.
NORMALIZATIONS = ("percentiles", "mean_std")


def clips(normalization: str) -> bool:
    """Whether the outermost values of an image are clipped before it gets mean 0 and standard deviation 1.

    Raises:
        LazyLabelsError: for a normalization that does not exist.
    """
    if normalization not in NORMALIZATIONS:
        raise LazyLabelsError(f"normalization '{normalization}' does not exist: use {' or '.join(NORMALIZATIONS)}.")
    return normalization == "percentiles"
