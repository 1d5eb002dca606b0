"""Measurements of objects against hand-computed shapes and scikit-image, one object at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import regionprops

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure import (
    measure_image,
    measure_objects,
    summarize,
)
from tests.measure.drawn import discs, rectangles


def test_rectangle_by_hand():
    table = measure_objects(rectangles((40, 50), [(5, 7, 6, 12)]), pixel_size=0.5)
    row = table.iloc[0]
    assert (row["area_um2"], row["centroid_row_px"], row["centroid_col_px"]) == (72 * 0.25, 7.5, 12.5)
    assert row["equivalent_diameter_um"] == pytest.approx(0.5 * math.sqrt(4 * 72 / math.pi))
    assert tuple(row[f"bbox_{k}_px"] for k in ("row_min", "col_min", "row_max", "col_max")) == (5, 7, 11, 19)
    # second moment of n pixels in a row is (n^2 - 1) / 12, the axis of the ellipse 4 times its root
    major, minor = 4 * math.sqrt((144 - 1) / 12), 4 * math.sqrt((36 - 1) / 12)
    assert row["major_axis_um"] == pytest.approx(0.5 * major)
    assert row["minor_axis_um"] == pytest.approx(0.5 * minor)
    assert row["eccentricity"] == pytest.approx(math.sqrt(1 - minor**2 / major**2))
    assert row["solidity"] == 1
    assert not row["touches_border"]
    assert row["border_weight"] == pytest.approx(40 * 50 / ((40 - 6 - 1) * (50 - 12 - 1)))


@pytest.mark.parametrize("radius", [3, 5, 10, 20, 50])
def test_disc_of_known_diameter(radius):
    side = 2 * radius + 9
    row = measure_objects(discs((side, side), [(radius + 4.3, radius + 4.1)], [radius])).iloc[0]
    assert row["equivalent_diameter_px"] == pytest.approx(2 * radius, rel=0.03)
    assert row["perimeter_px"] == pytest.approx(2 * math.pi * radius, rel=0.01)
    assert row["major_axis_px"] == pytest.approx(2 * radius, rel=0.05)
    assert row["eccentricity"] < 0.4


def test_against_regionprops_one_by_one():
    made = make_image((96, 128), seed=3, radius=(8, 10))
    instances, image = made["instances"].astype(np.int64) * 37, made["image"]  # ids with gaps
    table = measure_objects(instances, made["classes"], image=image, pixel_size="120 nm").set_index("id")
    assert list(table.index) == sorted(set(np.unique(instances)) - {0})
    for number in table.index:
        (region,), row = regionprops((instances == number).astype(np.uint8), intensity_image=image), table.loc[number]
        assert row["class"] == np.bincount(made["classes"][instances == number]).argmax()
        for name, value in {
            "area_um2": region.area * 0.0144,
            "equivalent_diameter_um": region.equivalent_diameter_area * 0.12,
            "major_axis_um": region.axis_major_length * 0.12,
            "minor_axis_um": region.axis_minor_length * 0.12,
            "eccentricity": region.eccentricity,
            "solidity": region.solidity,
            "perimeter_um": region.perimeter_crofton * 0.12,
            "mean_intensity": region.intensity_mean,
            "centroid_row_px": region.centroid[0],
        }.items():
            assert row[name] == pytest.approx(value), (number, name)
        top, left, bottom, right = region.bbox
        assert row["touches_border"] == (top == 0 or left == 0 or bottom == 96 or right == 128)


def test_neighbours_border_and_means():
    #                       0 touches 1 (one pixel apart), 2 is three pixels from 1, 3 lies at the border
    labels = rectangles((30, 60), [(5, 5, 8, 8), (5, 14, 8, 8), (5, 25, 8, 8), (22, 40, 8, 8)])
    probability = np.full(labels.shape, 0.25)
    probability[labels == 2] = 0.75
    colour = np.stack([np.full(labels.shape, v) for v in (10, 20, 60)], axis=-1)
    table = measure_objects(labels, image=colour, probability=probability)
    assert table["neighbours"].tolist() == [1, 1, 0, 0]
    assert measure_objects(labels, gap=3)["neighbours"].tolist() == [1, 2, 1, 0]
    assert table["touches_border"].tolist() == [False, False, False, True]
    assert table["border_weight"].iloc[3] == 0
    assert table["mean_probability"].tolist() == [0.25, 0.75, 0.25, 0.25]
    assert table["mean_intensity"].tolist() == [30.0] * 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_id_types(dtype):
    labels = rectangles((20, 20), [(2, 2, 4, 4), (10, 10, 5, 5)]).astype(dtype)
    if labels.itemsize > 1:
        labels[labels == 2] = 60000
    table = measure_objects(labels)
    assert table["id"].tolist() == [1, 60000 if labels.itemsize > 1 else 2]
    assert table["area_px2"].tolist() == [16, 25]


def test_no_nan_for_specks_and_lines():
    labels = np.zeros((12, 12), np.uint8)
    labels[1, 1], labels[3, 2:6], labels[11, :], labels[5, 5], labels[6, 6] = 1, 2, 3, 4, 4
    table = measure_objects(labels, image=np.ones(labels.shape), pixel_size=1)
    assert np.isfinite(table.select_dtypes("number").to_numpy()).all()
    assert table["neighbours"].tolist()[2] == 0


def test_empty_image_keeps_the_columns():
    one = measure_objects(rectangles((20, 20), [(2, 2, 4, 4)]), image=np.ones((20, 20)))
    none = measure_objects(np.zeros((20, 20), np.uint16), image=np.ones((20, 20)))
    assert len(none) == 0
    assert list(none.columns) == list(one.columns)


def test_object_that_fills_the_image():
    row = measure_objects(np.ones((8, 9), np.uint8)).iloc[0]
    assert row["touches_border"]
    assert row["border_weight"] == 0
    table = summarize([measure_image(np.ones((8, 9), np.uint8))])
    assert table["objects_used"].tolist() == [0, 0]
    assert table["area_fraction"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"instances": np.zeros((3, 4, 5), int)}, "slices"),
        ({"instances": np.zeros((3, 4))}, "whole numbers"),
        ({"instances": np.full((3, 4), -1)}, "whole numbers"),
        ({"instances": np.ones((3, 4), int), "classes": np.ones((4, 3), int)}, "shape"),
        ({"instances": np.ones((3, 4), int), "classes": np.zeros((3, 4), int)}, "no pixel of a class"),
        ({"instances": np.ones((3, 4), int), "image": np.zeros((4, 3))}, "mean_intensity"),
        ({"instances": np.ones((3, 4), int), "pixel_size": "wide"}, "no length"),
    ],
)
def test_errors_of_one_sentence(arguments, message):
    with pytest.raises(LazyLabelsError, match=message) as error:
        measure_objects(**arguments)
    assert "\n" not in str(error.value)
