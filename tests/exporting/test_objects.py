"""Which objects an image's label maps hold."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.exporting.objects import ExportError, objects_of

IDS = np.array([[1, 1, 0, 9], [1, 2, 0, 9]])


def test_class_of_most_pixels():
    classes = np.array([[1, 1, 0, 2], [2, 2, 0, 255]])
    made = objects_of("a", "a.png", IDS, classes, ["x", "y"])
    assert made.classes == {1: 1, 2: 2, 9: 2}
    assert [made.class_name(id) for id in made.classes] == ["x", "y", "y"]
    assert made.shape == (2, 4)


def test_without_classes_all_are_of_the_first():
    assert objects_of("a", "a.png", IDS, None, ["cell"]).classes == {1: 1, 2: 1, 9: 1}


def test_without_ids_components_of_each_class():
    made = objects_of("a", "a.png", None, np.array([[1, 0, 1, 255], [1, 0, 2, 2]], np.uint8), ["x", "y"])
    np.testing.assert_array_equal(made.ids, [[1, 0, 2, 0], [1, 0, 3, 3]])
    assert made.classes == {1: 1, 2: 1, 3: 2}


def test_objects_without_a_class_are_left_out_and_named():
    made = objects_of("a", "a.png", IDS, np.array([[1, 1, 0, 0], [1, 255, 0, 0]]), ["x"])
    assert made.classes == {1: 1}
    assert made.classless == [2, 9]
    np.testing.assert_array_equal(made.ids, IDS == 1)


@pytest.mark.parametrize(
    ("ids", "classes", "said"),
    [
        (IDS, np.ones((4, 2), int), "its class map has 2 x 4 pixels and its ids 4 x 2"),
        (IDS, IDS, r"has class 9, but the classes are x: name as many with --classes"),
        (None, IDS * 100, r"the value 900, which is no class: if these are object ids, put them into masks/"),
        (-IDS, None, r"image 'a': instances must not be negative"),
        (np.ones((2, 2, 2), int), None, "export slices of a volume"),
    ],
)
def test_what_is_refused(ids, classes, said):
    with pytest.raises(ExportError, match=said):
        objects_of("a", "a.png", ids, classes, ["x"])
