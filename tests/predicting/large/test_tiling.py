"""Tiles cover a picture once."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.predicting.large.tiling import Tiling, inside


@pytest.mark.parametrize(("shape", "side"), [((10, 10), 10), ((11, 25), 10), ((3, 40), 7)])
def test_every_pixel_is_of_one_tile(shape, side):
    tiling, seen = Tiling(shape, side), np.zeros(shape, int)
    for index in range(len(tiling)):
        place, window = tiling.tile(index), tiling.window(index, 4)
        seen[place] += 1
        own = np.zeros(shape, bool)
        own[place] = True
        assert own[window][inside(place, window)].all()
        assert own[window].sum() == own.sum()
        assert index in tiling.over(window)
    assert (seen == 1).all()


def test_faces_and_corners():
    tiling = Tiling((30, 20), 10)
    assert sorted(tiling.faces()) == [(0, 1, 1), (0, 2, 0), (1, 3, 0), (2, 3, 1), (2, 4, 0), (3, 5, 0), (4, 5, 1)]
    assert [pair[:2] for pair in tiling.corners()] == [(0, 3), (1, 2), (2, 5), (3, 4)]
