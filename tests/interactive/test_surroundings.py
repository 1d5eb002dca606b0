"""What is known around an outline: that of its labels, and nothing of what others are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk

from lazylabels_monai.interactive.surroundings import Surroundings
from lazylabels_monai.tasks import TASKS

SHAPE = (40, 50)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[10:30, 15:30] = True


def nothing() -> dict[str, np.ndarray]:
    return {task: np.full(SHAPE, 255, np.uint8) for task in TASKS}


def around(marks, shown=None, number=1, **options) -> Surroundings:
    shown = np.zeros(SHAPE, np.int32) if shown is None else shown
    return Surroundings.of(INSIDE, shown == number, shown, marks, **options)


def test_without_marks_only_the_halo_is_known():
    near = around(nothing(), halo=2)
    assert near.background.sum() > 0
    assert not (near.background & INSIDE).any()
    np.testing.assert_array_equal(near.known, INSIDE | near.background)
    assert not any(part.any() for part in (near.exact, near.dab, near.stale, near.interfaces))
    assert not around(nothing(), halo=0).background.any()


def test_an_exact_object_beside_it_is_known_and_no_background():
    marks = nothing()
    marks["segmentation"][10:30, 30:45] = 1
    marks["separation"][10:30, 29:31] = 1
    near = around(marks)
    np.testing.assert_array_equal(near.exact, marks["segmentation"] == 1)
    assert not (near.background & near.exact).any()
    np.testing.assert_array_equal(near.interfaces, marks["separation"] == 1)


def test_its_own_outline_of_before_takes_its_interface_and_its_inner_region_along():
    marks, shown = nothing(), np.zeros(SHAPE, np.int32)
    marks["segmentation"][10:30, 15:29], marks["segmentation"][10:30, 29:45] = 1, 1
    shown[10:30, 15:29], shown[10:30, 29:45] = 1, 2
    marks["separation"][10:30, 28:30] = 1
    marks["detection"][15:25, 18:25] = 1
    near = around(marks, shown)
    assert near.stale[15:25, 28:30].all()
    assert not near.dab.any()
    marks["segmentation"][10:30, 15:29] = 255
    np.testing.assert_array_equal(around(marks, shown).dab, marks["detection"] == 1)


blobs = st.tuples(st.integers(0, 39), st.integers(0, 49), st.integers(2, 12), st.sampled_from([0, 1, 2]))


@settings(max_examples=40, deadline=None)
@given(*[st.lists(blobs, max_size=3)] * 4)
def test_nothing_is_said_of_what_is_anothers(segmentation, detection, separation, objects):
    """Whatever is drawn and shown, background is neither the object nor what an exact mask or an inner region holds."""
    marks, shown = nothing(), np.zeros(SHAPE, np.int32)
    drawn = (*((marks[task], found) for task, found in zip(TASKS, (segmentation, detection, separation), strict=True)),)
    for label, found in (*drawn, (shown, objects)):
        for row, column, radius, value in found:
            label[disk((row, column), radius, shape=SHAPE)] = min(value, 1) if label is marks["separation"] else value
    near = around(marks, shown)
    assert not (near.background & (INSIDE | near.exact | (shown == 2))).any()
    assert (near.known >= near.background).all()
    assert not (near.exact & INSIDE).any()
    assert not (near.dab & ~INSIDE).any()
    assert (marks["separation"][near.interfaces] == 1).all()
