"""Answers for regions become one picture."""

from __future__ import annotations

import numpy as np

from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.interactive.answering import Prediction

SHAPE = (6, 8)


def answer(token, region, first_id, value, last=False) -> Prediction:
    """A region full of one object."""
    size = tuple(side.stop - side.start for side in region)
    probability = np.zeros((3, *size), np.float32)
    probability[value] = 1
    classes = np.zeros(first_id + 1, int)
    classes[first_id] = value
    return Prediction(
        token,
        "a",
        region,
        segmentation=probability,
        separation=np.full(size, value / 10, np.float32),
        objects=np.full(size, first_id, np.int32),
        classes=classes,
        uncertainty=np.full(size, value / 10, np.float32),
        last=last,
    )


LEFT, RIGHT = (slice(0, 6), slice(0, 3)), (slice(0, 6), slice(3, 8))


def test_regions_of_one_request_are_put_together():
    seen = Seen(SHAPE)
    seen.take(answer(1, LEFT, 1, 2))
    assert not seen.whole
    seen.take(answer(1, RIGHT, 2, 1, last=True))
    assert seen.whole
    np.testing.assert_array_equal(seen.objects, np.repeat([[1, 1, 1, 2, 2, 2, 2, 2]], 6, axis=0))
    np.testing.assert_array_equal(seen.segmentation, np.repeat([[2, 2, 2, 1, 1, 1, 1, 1]], 6, axis=0))
    assert seen.classes.tolist() == [0, 2, 1]


def test_objects_of_another_request_are_gone_and_maps_stay_until_they_are_answered():
    seen = Seen(SHAPE)
    seen.take(answer(1, RIGHT, 1, 1, last=True))
    seen.take(answer(2, LEFT, 1, 2))
    assert set(np.unique(seen.objects[RIGHT])) == {0}
    assert set(np.unique(seen.segmentation[RIGHT])) == {1}
    assert seen.classes.tolist() == [0, 2]


def test_the_whole_picture_after_what_is_in_view_begins_its_ids_anew():
    seen = Seen(SHAPE)
    seen.take(answer(1, LEFT, 3, 2))
    seen.take(answer(1, (slice(0, 6), slice(0, 8)), 1, 1, last=True))
    assert set(np.unique(seen.objects)) == {1}
    assert seen.classes.tolist() == [0, 1]


def test_a_correction_is_kept_apart_from_what_was_answered():
    seen = Seen(SHAPE)
    given = answer(1, LEFT, 1, 2)
    seen.take(given)
    seen.change(np.full(SHAPE, 3), {3: 1})
    assert (seen.objects == 3).all()
    assert seen.classes.tolist() == [0, 2, 0, 1]
    assert set(np.unique(given.objects)) == {1}
