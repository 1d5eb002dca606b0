"""Where a mark says most: the most uncertain parts of a picture on which nothing is drawn yet. Plain arrays, no Qt."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["uncertain_boxes"]


def uncertain_boxes(
    uncertainty: np.ndarray, marked: np.ndarray | None = None, count: int = 3, share: float = 0.2
) -> list[tuple[int, int, int, int]]:
    """The squares of the highest mean uncertainty, none of which overlap.

    Args:
        uncertainty: (H, W), 0 or more.
        marked: (H, W) bool, where a person has marked something: nothing there is uncertain any more.
        count: how many, at most; a square without any uncertainty is left out.
        share: side of a square, as a share of the picture's shorter side.

    Returns:
        (first row, row behind the last, first column, column behind the last) each, the most uncertain first.
    """
    values = np.asarray(uncertainty, float).copy()
    if marked is not None:
        values[np.asarray(marked, bool)] = 0
    side = max(1, round(share * min(values.shape)))
    # a square's mean, at its first pixel
    means = ndimage.uniform_filter(values, side, mode="constant", origin=-((side - 1) // 2) - (side % 2 == 0))
    means = means[: values.shape[0] - side + 1, : values.shape[1] - side + 1]
    boxes = []
    while len(boxes) < count and means.max(initial=0) > 1e-9:
        row, column = (int(place) for place in np.unravel_index(means.argmax(), means.shape))
        boxes.append((row, row + side, column, column + side))
        means[max(0, row - side + 1) : row + side, max(0, column - side + 1) : column + side] = 0
    return boxes
