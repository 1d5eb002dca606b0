"""The probability of objects."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.measure import measure_objects
from lazylabels_monai.report.probability import object_probability
from tests.report.predicted import SHAPE, soft


def test_the_probability_of_an_object_is_the_one_that_measure_gives():
    image, rng = make_image(SHAPE, seed=9), np.random.default_rng(0)
    planes = rng.dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1)
    classes = planes.argmax(0).astype(np.uint8)
    ids = np.where(classes > 0, image["instances"], 0)
    rows = object_probability(ids, planes)
    expected = measure_objects(ids, classes, probability=planes.max(0))["mean_probability"]
    np.testing.assert_allclose(rows["mean_probability"], expected)
    assert rows["id"].tolist() == np.unique(ids[ids > 0]).tolist()
    assert rows["margin"].isna().all()


def test_margin_is_taken_well_inside_an_object():
    ids = np.zeros((20, 40), int)
    ids[2:18, 2:18], ids[2:18, 20:36], ids[19, 38:] = 7, 3, 9
    interface = np.zeros((20, 40))
    interface[2:18, 17] = 0.9  # on the rim of 7
    interface[10, 24:30] = 0.4  # a line inside 3
    rows = object_probability(ids, soft((ids > 0).astype(int), 2, 1.0), np.stack([1 - interface, interface])).set_index("id")
    assert rows.loc[7, "margin"] == pytest.approx(0.5)
    assert rows.loc[3, "margin"] == pytest.approx(0.1)
    assert np.isnan(rows.loc[9, "margin"]), "it has no inside"
    assert rows.loc[3, ["row_min", "row_max", "col_min", "col_max"]].tolist() == [2, 18, 20, 36]
    assert len(object_probability(np.zeros((4, 4), int), np.ones((2, 4, 4)))) == 0
