"""Labels as stored and as napari shows them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lazylabels_monai.apps.napari.coding import (
    BACKGROUND_SHOWN,
    NOTHING_SHOWN,
    brush_size,
    layer_colours,
    layer_name,
    to_shown,
    to_stored,
    values_to_draw,
)
from lazylabels_monai.images.pictures import class_colour
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS
from tests.images.eyes import EYES, seen_by


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(0, 255)))
def test_there_and_back(label):
    shown = to_shown(label)
    np.testing.assert_array_equal(to_stored(shown), label)
    np.testing.assert_array_equal(shown == NOTHING_SHOWN, label == IGNORE)
    np.testing.assert_array_equal(shown == BACKGROUND_SHOWN, label == BACKGROUND)
    others = (label != IGNORE) & (label != BACKGROUND)
    np.testing.assert_array_equal(shown[others], label[others])


@pytest.mark.parametrize("task", TASKS)
def test_every_value_to_draw_has_a_name_and_a_colour_of_its_own(task):
    classes = ["crystal", "bubble", "dirt"]
    drawn = values_to_draw(task, classes)
    colours = layer_colours(task, classes)
    assert [name for _, name in drawn] == ([*classes, "background"] if task != "separation" else ["interface", "no interface"])
    assert len({colours[value] for value, _ in drawn}) == len(drawn)
    assert colours[NOTHING_SHOWN][3] == 0
    assert layer_name(task)[0].isupper()


def test_colours_are_those_of_the_report():
    colours = layer_colours("detection", ["a", "b"])
    np.testing.assert_allclose(np.array(colours[2][:3]) * 255, class_colour(2))


@pytest.mark.parametrize(
    ("diameter", "task", "expected"), [(30, "detection", 10), (30, "segmentation", 5), (30, "separation", 3)]
)
def test_brush_fits_the_objects(diameter, task, expected):
    y, x = np.mgrid[:200, :200]
    objects = np.zeros((200, 200), int)
    for number, centre in enumerate((30, 90, 150), 1):
        objects[(y - centre) ** 2 + (x - centre) ** 2 <= (diameter / 2) ** 2] = number
    objects[objects == 3] = 7  # ids need not be dense
    assert brush_size(task, objects.shape, objects) == expected


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", [(1, 1), (64, 5000), (9000, 9000)])
def test_brush_without_objects(task, shape):
    assert 2 <= brush_size(task, shape) <= 60
    assert brush_size(task, shape, np.zeros((4, 4), int)) == brush_size(task, shape)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("gray", [60, 128, 200])
def test_interfaces_are_told_apart_by_any_eye(eye, gray):
    """From marks of all classes, predicted classes and the picture, over dark and bright pictures; 10 is seen at a glance."""
    (interface,) = {layer_colours("separation", ["a"])[1][:3]}
    classes = np.array([layer_colours("detection", list("abcdefg"))[value][:3] for value in range(1, 8)]) * 255
    others = np.concatenate([0.6 * classes + 0.4 * gray, 0.35 * classes + 0.65 * gray, np.full((1, 3), gray)])
    stroke = 0.9 * np.array(interface) * 255 + 0.1 * gray
    apart = np.linalg.norm(seen_by(eye, stroke) - seen_by(eye, others), axis=1)
    assert apart.min() > 40, apart.round()
