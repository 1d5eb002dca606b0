"""Answers for regions become one picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.draw import disk

from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive import answering, finish
from lazylabels_monai.interactive.answering import Answerer, Prediction, Request
from lazylabels_monai.interactive.kept import accepted, nothing_kept
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.warm_start import STARTER, weights_named

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


ALL = (slice(0, 6), slice(0, 8))
LEFT, RIGHT = (slice(0, 6), slice(0, 3)), (slice(0, 6), slice(3, 8))


def test_regions_of_one_request_are_put_together():
    seen = Seen(SHAPE)
    seen.take(answer(1, LEFT, 1, 2))
    seen.take(answer(1, RIGHT, 2, 1, last=True))
    assert not seen.whole  # nobody knows what goes from one to the other
    assert seen.in_pieces
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
    seen.take(answer(1, ALL, 1, 1, last=True))
    assert set(np.unique(seen.objects)) == {1}
    assert seen.classes.tolist() == [0, 1]
    assert (seen.whole, seen.in_pieces) == (True, False)


def test_whole_objects_stay_until_other_whole_ones_are_known():
    seen = Seen(SHAPE)
    seen.take(answer(1, ALL, 1, 1, last=True))
    seen.take(answer(2, LEFT, 1, 2))
    seen.take(answer(2, ALL, 1, 2))  # quickly
    assert set(np.unique(seen.segmentation)) == {2}
    assert seen.classes.tolist() == [0, 1]
    assert seen.whole
    seen.take(answer(2, ALL, 1, 2, last=True))
    assert seen.classes.tolist() == [0, 2]


def test_nothing_is_whole_before_an_answer_when_what_was_accepted_is_given_up():
    seen = Seen(SHAPE, accepted(np.ones(SHAPE, np.int32), np.array([0, 1])))
    assert seen.whole
    seen.keep(nothing_kept(SHAPE))
    assert not seen.whole


@pytest.mark.parametrize("view", [None, (slice(20, 90), slice(30, 110))])
def test_objects_of_a_picture_that_is_answered_in_tiles_are_those_of_predict(tmp_path, monkeypatch, view):
    monkeypatch.setattr(answering, "WHOLE", 1000)
    monkeypatch.setattr(answering, "TILE", 64)
    rng = np.random.default_rng(0)
    picture = rng.normal(60, 6, (160, 200))
    for centre in ((64, 64), (120, 150), (64, 128)):  # on corners of tiles
        picture[disk(centre, 20)] += 120
    picture = picture.clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    weights = weights_named(STARTER)
    predict(tmp_path / "a.png", tmp_path / "predicted", weights=weights, overrides={"device": "cpu"})
    answerer, seen = Answerer(device="cpu"), Seen(picture.shape)
    answerer.load(weights)
    for found in answerer.answers(Request("a", picture, view, 1)):
        assert not seen.whole
        seen.take(found)
    assert seen.whole
    finish.write_masks(tmp_path / "finished", "a.png", seen.objects, seen.classes, ["object"])
    for name in ("a_instances.tif", "a_pred.png"):
        np.testing.assert_array_equal(read_label(tmp_path / "finished" / name), read_label(tmp_path / "predicted" / name))
    assert seen.objects[64, 64] == seen.objects[63, 63] > 0
    np.testing.assert_array_equal(seen.segmentation, read_label(tmp_path / "predicted" / "a_pred.png"))


def test_a_correction_is_kept_apart_from_what_was_answered():
    seen = Seen(SHAPE)
    given = answer(1, LEFT, 1, 2)
    seen.take(given)
    seen.change(np.full(SHAPE, 3), {3: 1})
    assert (seen.objects == 3).all()
    assert seen.classes.tolist() == [0, 2, 0, 1]
    assert set(np.unique(given.objects)) == {1}
