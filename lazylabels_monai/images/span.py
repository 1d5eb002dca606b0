"""Whether a network can be shown an image's values: not every number that a file can hold survives normalization.

A network works in float32, and its images get mean 0 and standard deviation 1 first. NaN and infinity spoil that, and so does
a value whose square is beyond float32, such as the -3.4e38 that many programs write where there is no data: one such pixel
makes NaN of all others.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LARGEST", "as_float32", "unusable_values"]

#: The largest value, positive or negative, that can be squared in float32: every 64-bit integer is below it.
LARGEST = 2.0**64


def unusable_values(values: np.ndarray) -> str | None:
    """What is wrong with an image's values and what to do, continuing "image 'a.tif' has"; None where they can be normalised.

    Args:
        values: of an image, in any shape and type.

    Example:
        >>> unusable_values(np.array([1.0, np.nan]))
        '1 NaN or infinite values: replace them before use'
    """
    if values.dtype.kind != "f" or not values.size:
        return None
    if float(values.min()) >= -LARGEST and float(values.max()) <= LARGEST:  # False where there is a NaN
        return None
    if bad := int(values.size - np.isfinite(values).sum()):
        return f"{bad} NaN or infinite values: replace them before use"
    far = values[np.abs(values) > LARGEST]
    return (
        f"{far.size} values such as {far[0]:.3g}, which mark pixels without data, or else are beyond what a network can take: "
        "give these pixels a value within the range of the others, such as the smallest of them, or cut them off"
    )


def as_float32(image: np.ndarray) -> np.ndarray:
    """An image as training sees it, for those types of which float32 does not hold every value; others as they are."""
    return image.astype(np.float32, copy=False) if image.dtype.kind in "iuf" and image.dtype.itemsize > 2 else image
