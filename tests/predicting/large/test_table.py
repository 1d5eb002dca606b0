"""The table of objects from sums over tiles, against `measure`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lazylabels_monai.measure.image import measure_objects
from lazylabels_monai.predicting.large.table import object_table, tile_sums
from lazylabels_monai.predicting.large.tiling import Tiling


@pytest.mark.parametrize("pixel_size", [None, 0.5])
def test_columns_are_those_of_measure(pixel_size):
    rng = np.random.default_rng(0)
    ids = np.kron(rng.permutation(np.arange(1, 31)).reshape(5, 6), np.ones((7, 9), int))
    ids[3:5, 10:40] = 0
    classes = np.where(ids > 0, rng.integers(1, 3, ids.shape), 0).astype(np.uint8)
    tiling = Tiling(ids.shape, 16)
    tiles = [tile_sums(ids[t], classes[t], t, 3) for t in map(tiling.tile, range(len(tiling)))]
    found = object_table(tiles, 30, ids.shape, ["a", "b"], "x", pixel_size)
    expected = measure_objects(ids, classes, pixel_size=pixel_size)
    common = [name for name in found.columns if name in expected.columns]
    assert set(found.columns) - set(common) == {"image", "class_name"}
    pd.testing.assert_frame_equal(found[common], expected[common], check_dtype=False)
    assert found["class_name"].tolist() == [["a", "b"][k - 1] for k in expected["class"]]


def test_no_object():
    assert len(object_table([], 0, (5, 5), ["a"], "x", None)) == 0
