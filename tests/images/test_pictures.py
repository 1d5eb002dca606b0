"""Drawn pictures: which pixels have which colour, and that nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.images.pictures import (
    CLASS_COLOURS,
    INTERFACE_COLOUR,
    class_colour,
    colour_map,
    lazy_label_panel,
    overlay_contours,
    side_by_side,
    to_uint8_rgb,
)
from lazylabels_monai.tasks import IGNORE, INTERFACE
from tests.images.eyes import EYES, seen_by


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_levels_are_stretched_between_the_outer_half_percents(dtype):
    image = np.arange(4000).reshape(40, 100) % 251 if dtype == np.uint8 else np.arange(4000).reshape(40, 100)
    picture = to_uint8_rgb(image.astype(dtype))
    assert (picture.shape, picture.dtype) == ((40, 100, 3), np.uint8)
    assert (picture[..., 0] == picture[..., 2]).all()
    low, high = np.percentile(image, [0.5, 99.5])
    expected = 255 * np.clip((image - low) / (high - low), 0, 1)
    assert np.abs(picture[..., 1] - expected).max() <= 0.51
    assert (picture.min(), picture.max()) == (0, 255)


def test_colours_stay_and_odd_channels_show_the_first():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (30, 20, 3))
    picture = to_uint8_rgb(colour)
    assert np.corrcoef(picture[..., 2].ravel(), colour[..., 2].ravel())[0, 1] > 0.999
    two = rng.integers(0, 256, (30, 20, 2))
    np.testing.assert_array_equal(to_uint8_rgb(two), to_uint8_rgb(two[..., 0]))
    assert (to_uint8_rgb(np.full((4, 5), 7)) == 0).all()  # a constant image is no division by zero


def test_classes_beyond_the_palette_repeat_it():
    count = len(CLASS_COLOURS)
    assert [class_colour(value) for value in range(1, count + 1)] == list(CLASS_COLOURS)
    assert len(set(CLASS_COLOURS)) == count
    assert class_colour(count + 1) == CLASS_COLOURS[0]


def test_a_class_map_is_black_gray_or_its_colour():
    classes = np.array([[0, 1, 2], [2, IGNORE, 1]], np.uint8)
    picture = colour_map(classes)
    for index in np.ndindex(classes.shape):
        value = classes[index]
        expected = (0, 0, 0) if value == 0 else (90, 90, 90) if value == IGNORE else class_colour(value)
        assert tuple(picture[index]) == expected


def plain_border(region: np.ndarray) -> np.ndarray:
    """Pixels of an object that have a neighbour (by an edge) of another value."""
    border = np.zeros(region.shape, bool)
    for y, x in zip(*np.nonzero(region), strict=True):
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            if 0 <= y + dy < region.shape[0] and 0 <= x + dx < region.shape[1]:
                border[y, x] |= region[y + dy, x + dx] != region[y, x]
    return border


@pytest.mark.parametrize("with_ids", [False, True])
def test_contours_are_the_inner_borders_of_classes_or_of_single_objects(with_ids):
    classes, ids = np.zeros((20, 30), np.uint8), np.zeros((20, 30), int)
    classes[3:10, 2:14], classes[12:18, 20:27], classes[0, :] = 1, 2, IGNORE
    ids[3:10, 2:8], ids[3:10, 8:14], ids[12:18, 20:27] = 1, 2, 3  # the first two touch
    image = np.linspace(0, 1, 600).reshape(20, 30)
    expected = to_uint8_rgb(image)
    for value in (1, 2):
        region = np.where(classes == value, ids, 0) if with_ids else (classes == value).astype(int)
        expected[plain_border(region)] = class_colour(value)
    found = overlay_contours(image, classes, ids if with_ids else None)
    np.testing.assert_array_equal(found, expected)
    assert (found[6, 7] == class_colour(1)).all() == with_ids  # where the two touch


def test_marks_are_half_transparent_and_scribbles_are_not():
    image, detection, separation = np.arange(48.0).reshape(6, 8), np.zeros((6, 8), int), np.full((6, 8), IGNORE)
    detection[1:3, 1:3], detection[0, 0], separation[4, 2:5] = 2, IGNORE, INTERFACE
    plain, panel = to_uint8_rgb(image), lazy_label_panel(image, detection, separation)
    mixed = np.round(0.45 * plain[1, 1] + 0.55 * np.array(class_colour(2)))
    np.testing.assert_array_equal(panel[1, 1], mixed)
    np.testing.assert_array_equal(panel[4, 2:5], [INTERFACE_COLOUR] * 3)
    untouched = ~((detection == 2) | (separation == INTERFACE))
    np.testing.assert_array_equal(panel[untouched], plain[untouched])


def test_panels_stand_side_by_side_with_a_white_gap():
    first, second = np.full((3, 2, 3), 10, np.uint8), np.full((3, 5, 3), 20, np.uint8)
    row = side_by_side([first, second, first], gap=1)
    assert [int(level) for level in row[0, :, 0]] == [10] * 2 + [255] + [20] * 5 + [255] + [10] * 2
    assert row.shape == (3, 11, 3)
    np.testing.assert_array_equal(side_by_side([first]), first)


@pytest.mark.parametrize("eye", EYES)
def test_interfaces_are_told_from_all_classes_by_any_eye(eye):
    """As contours and marks on overlays, sheets and pages, opaque; 10 is seen at a glance."""
    apart = np.linalg.norm(seen_by(eye, INTERFACE_COLOUR) - seen_by(eye, CLASS_COLOURS), axis=1)
    assert apart.min() > 35, apart.round()
