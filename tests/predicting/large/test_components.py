"""Pieces over the borders of tiles are those of the whole picture: sizes, boxes, order, and which pixels they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from lazylabels_monai.predicting.large.components import TilePieces, join, pieces_of_tile
from lazylabels_monai.predicting.large.tiling import Tiling


@pytest.mark.parametrize("corners", [False, True])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.floats(0.2, 0.9))
def test_joined_is_as_labelled_whole(corners, seed, height, width, side, share):
    rng = np.random.default_rng(seed)
    values = np.where(rng.uniform(size=(height, width)) < share, rng.integers(1, 3, (height, width)), 0)
    tiling, out = Tiling(values.shape, side), np.zeros(values.shape, int)
    made = [pieces_of_tile(values[tiling.tile(k)], tiling.tile(k), height, corners) for k in range(len(tiling))]
    stored = [TilePieces.read(found.arrays("x"), "x") for _, found in made]
    joined = join(tiling, stored, corners)
    for index, (numbers, _) in enumerate(made):
        out[tiling.tile(index)] = joined.table(index, np.arange(1, len(joined.sizes) + 1))[numbers]
    # numbered down the columns, as MONAI's arrays are
    expected = label(values.T, background=0, connectivity=2 if corners else 1).T
    np.testing.assert_array_equal(out, expected)
    found = regionprops(expected)
    assert joined.sizes.tolist() == [piece.area for piece in found]
    assert [tuple(box) for box in joined.boxes.tolist()] == [piece.bbox for piece in found]
