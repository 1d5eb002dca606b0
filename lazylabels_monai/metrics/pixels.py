"""Dice per class."""

from __future__ import annotations

import numpy as np

from lazylabels_monai.tasks import IGNORE

__all__ = ["class_dice"]


def class_dice(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> list[tuple[float, float]]:
    """Terms of Dice per object class, ``(2 sum(x y), sum x + sum y)`` (Ke et al. 2020, Sec. 5), over labelled pixels.

    Args:
        predicted: class values, any shape.
        truth: class values, same shape; 255 pixels are left out.
        num_classes: number of classes with background.

    Returns:
        A pair of pixel counts for each of the classes 1 .. ``num_classes`` - 1; Dice is the first over the second.

    Example:
        >>> class_dice(np.array([1, 1, 0, 2]), np.array([1, 0, 0, 255]), num_classes=3)
        [(2.0, 3.0), (0.0, 0.0)]
    """
    labelled = truth != IGNORE
    predicted, truth = predicted[labelled], truth[labelled]
    terms = []
    for value in range(1, num_classes):
        x, y = predicted == value, truth == value
        terms.append((2.0 * int(np.count_nonzero(x & y)), float(np.count_nonzero(x) + np.count_nonzero(y))))
    return terms
