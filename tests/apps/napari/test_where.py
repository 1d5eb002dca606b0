"""The most uncertain squares, against a search over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.apps.napari.where import uncertain_boxes


@pytest.mark.parametrize("shape", [(20, 35), (31, 24), (40, 40)])
@pytest.mark.parametrize("share", [0.2, 0.25, 0.5])
def test_the_first_is_the_most_uncertain_of_all_squares(shape, share):
    uncertainty = np.random.default_rng(1).random(shape)
    side = round(share * min(shape))
    means = {
        (row, column): uncertainty[row : row + side, column : column + side].mean()
        for row in range(shape[0] - side + 1)
        for column in range(shape[1] - side + 1)
    }
    top, bottom, left, right = uncertain_boxes(uncertainty, share=share)[0]
    assert (bottom - top, right - left) == (side, side)
    assert means[top, left] == pytest.approx(max(means.values()))


def test_squares_do_not_overlap_and_lie_in_the_picture():
    uncertainty = np.random.default_rng(2).random((50, 70))
    boxes = uncertain_boxes(uncertainty, count=4)
    taken = np.zeros((50, 70), int)
    for top, bottom, left, right in boxes:
        assert 0 <= top < bottom <= 50
        assert 0 <= left < right <= 70
        taken[top:bottom, left:right] += 1
    assert len(boxes) == 4
    assert taken.max() == 1


def test_what_is_marked_is_certain():
    uncertainty = np.zeros((40, 40))
    uncertainty[:10, :10] = 5
    uncertainty[30:, 30:] = 1
    marked = np.zeros((40, 40), bool)
    assert uncertain_boxes(uncertainty, marked)[0][:1] < (10,)
    marked[:12, :12] = True
    assert uncertain_boxes(uncertainty, marked)[0][0] >= 20


def test_nothing_uncertain_gives_nothing():
    assert uncertain_boxes(np.zeros((9, 9))) == []
    assert uncertain_boxes(np.ones((1, 1)))  # a picture of one pixel
