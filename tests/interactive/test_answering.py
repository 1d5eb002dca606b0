"""Answers for what is on the screen: those of `lazylabels predict` where it is a whole picture."""

from __future__ import annotations

import queue
import shutil
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.instances import instance_classes
from lazylabels_monai.interactive import answering
from lazylabels_monai.interactive.answering import Answerer, Request, regions
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.uncertainty import uncertainty_maps
from lazylabels_monai.warm_start import STARTER, weights_named


@pytest.fixture(scope="module")
def weights(trained):
    return trained / "models" / "model.pt"


@pytest.fixture(scope="module")
def image(tiny_data):
    return sorted((tiny_data / "images").iterdir())[0]


@pytest.fixture(scope="module")
def warm(weights):
    answerer = Answerer(device="cpu")
    answerer.load(weights)
    return answerer


def one(answerer, **request):
    return list(answerer.answers(Request(**{"view": None, "token": 7, **request})))


def test_a_whole_picture_is_answered_as_predict_answers_it(warm, weights, image, tmp_path):
    predict(image, tmp_path, weights=weights, overrides={"device": "cpu"})
    found = one(warm, name="a", picture=read_image(image), view=(slice(0, 9), slice(0, 9)))[-1]
    expected = Model(weights, overrides={"device": "cpu"}).probabilities(image)
    assert np.array_equal(found.segmentation, expected["segmentation"])
    assert np.array_equal(found.detection, expected["detection"])
    assert np.array_equal(found.separation, expected["separation"][1])
    assert np.array_equal(found.objects, read_label(tmp_path / f"{image.stem}_instances.tif"))
    shown = found.segmentation.argmax(0)
    assert np.array_equal(shown, read_label(tmp_path / f"{image.stem}_pred.png"))
    assert np.array_equal(found.classes, instance_classes(found.objects, shown))
    entropy = uncertainty_maps(Model(weights, overrides={"device": "cpu"}), image, flips=False)["segmentation"].entropy
    assert found.uncertainty == pytest.approx(entropy, abs=1e-6)
    assert (found.token, found.entry_name, found.last, found.sentence) == (7, "a", True, "")
    assert found.region == (slice(0, 64), slice(0, 80))
    assert found.objects.dtype == np.int32


def test_a_quick_answer_is_that_of_windows_as_large_as_the_picture(weights, image):
    exact = {"device": "cpu", "cpu_bfloat16": False}  # whose rounding differs from window to window
    answerer = Answerer(**exact)
    answerer.load(weights)
    found, last = one(answerer, name="a", picture=read_image(image))
    assert (found.region, found.last, last.last) == (last.region, False, True)
    whole = Model(weights, overrides={**exact, "window_size": [80, 64]}).probabilities(image)
    assert found.segmentation == pytest.approx(whole["segmentation"], abs=1e-4)
    assert found.separation == pytest.approx(whole["separation"][1], abs=1e-4)


def test_colours_and_sixteen_bits_are_taken_as_predict_takes_them(warm, weights, image, tmp_path):
    gray = read_image(image)
    for name, array in (("rgb.png", np.stack([gray, gray // 2, 255 - gray], -1)), ("deep.png", gray.astype(np.uint16) * 200)):
        Image.fromarray(array).save(tmp_path / name)
        found = one(warm, name=name, picture=read_image(tmp_path / name))[-1]
        expected = Model(weights, overrides={"device": "cpu"}).probabilities(tmp_path / name)
        assert np.array_equal(found.segmentation, expected["segmentation"])


def test_what_is_in_view_comes_first(warm, image):
    picture = read_image(image)
    view = (slice(10, 50), slice(8, 40))
    first, whole, exact = one(warm, name="a", picture=picture, view=view)
    assert first.region == view
    assert whole.region == exact.region == (slice(0, 64), slice(0, 80))
    assert [found.last for found in (first, whole, exact)] == [False, False, True]
    assert first.segmentation.shape == (3, 40, 32)
    assert first.objects.shape == (40, 32) == first.separation.shape
    # it is the same place of the picture: with the margin it is all of this small one
    assert first.segmentation == pytest.approx(whole.segmentation[:, view[0], view[1]], abs=1e-5)


@pytest.mark.parametrize("view", [None, (slice(70, 300), slice(0, 80)), (slice(-50, 30), slice(70, 900))])
def test_the_rest_of_a_large_picture_comes_in_tiles_around_the_view(warm, weights, monkeypatch, tmp_path, view):
    monkeypatch.setattr(answering, "WHOLE", 1000)
    monkeypatch.setattr(answering, "TILE", 64)
    picture = np.random.default_rng(0).integers(0, 255, (100, 120), np.uint8)
    found = one(warm, name="large", picture=picture, view=view)
    assert [answer.last for answer in found] == [False] * (len(found) - 1) + [True]
    exact = found.pop()
    Image.fromarray(picture).save(tmp_path / "large.png")
    expected = Model(weights, overrides={"device": "cpu"}).probabilities(tmp_path / "large.png")
    assert exact.region == (slice(0, 100), slice(0, 120))
    assert np.array_equal(exact.segmentation, expected["segmentation"])
    assert np.array_equal(np.unique(exact.objects), np.arange(exact.objects.max() + 1))  # begun anew
    covered = np.zeros(picture.shape, int)
    for answer in found:
        covered[answer.region] += 1
        assert answer.objects.shape == covered[answer.region].shape
    assert covered.min() == 1
    if view is not None:
        assert found[0].region == tuple(
            slice(max(0, side.start), min(side.stop, n)) for side, n in zip(view, picture.shape, strict=True)
        )
    ids = [set(np.unique(answer.objects)) - {0} for answer in found]
    assert sum(map(len, ids)) == len(set().union(*ids))  # none twice
    for answer in found:
        shown = answer.segmentation.argmax(0)
        for number in np.unique(answer.objects[answer.objects > 0])[:3]:
            assert answer.classes[number] == np.bincount(shown[answer.objects == number], minlength=3)[1:].argmax() + 1
    centres = [np.array([(s.start + s.stop) / 2 for s in answer.region]) for answer in found[1:]]
    middle = np.array([(s.start + s.stop) / 2 for s in (found[0].region if view else (slice(0, 100), slice(0, 120)))])
    away = [np.hypot(*(centre - middle)) for centre in centres]
    assert all(a <= b for a, b in pairwise(away))


def test_a_view_outside_of_the_picture_is_none():
    assert regions((10, 10), (slice(20, 30), slice(0, 5))) == [(slice(0, 10), slice(0, 10))]
    assert regions((10, 10), (slice(None), slice(None))) == [(slice(0, 10), slice(0, 10))]


def test_what_is_asked_meanwhile_ends_an_answer_between_two_regions(warm, image):
    asked = iter([True])
    found = list(warm.answers(Request("a", read_image(image), (slice(0, 20), slice(0, 20)), 1), superseded=lambda: next(asked)))
    assert len(found) == 1


def test_the_last_answer_comes_also_where_each_request_ends_the_one_before(warm, monkeypatch):
    monkeypatch.setattr(answering, "WHOLE", 1000)
    monkeypatch.setattr(answering, "TILE", 64)
    monkeypatch.setattr(answering, "RARE", 1e6)
    picture = np.random.default_rng(0).integers(0, 255, (100, 120), np.uint8)
    view = (slice(0, 20), slice(0, 20))
    asked = iter([False, True])
    found = list(warm.answers(Request("beside a training", picture, view, 1), superseded=lambda: next(asked)))
    assert [answer.last for answer in found] == [False, False]
    # no tiles, so that it comes to its end, whatever is asked meanwhile about this picture
    found = list(warm.answers(Request("beside a training", picture, view, 1), superseded=lambda: True))
    assert [(answer.region, answer.last) for answer in found] == [(view, False), ((slice(0, 100), slice(0, 120)), True)]
    # then what is in view goes first for a while, unless nothing else is asked
    assert [answer.last for answer in asked_on(warm, picture, view)] == [False]
    assert [answer.last for answer in asked_on(warm, picture, view)] == [False]
    monkeypatch.setattr(answering, "RARE", 0.0)
    assert one(warm, name="beside a training", picture=picture, view=view)[-1].last
    assert [answer.last for answer in asked_on(warm, picture, view)] == [False]
    assert [answer.last for answer in asked_on(warm, picture, view)] == [False, True]


def asked_on(answerer, picture, view):
    """The answers to a request while others come in all the time."""
    return list(answerer.answers(Request("beside a training", picture, view, 1), superseded=lambda: True))


def test_the_last_answer_is_given_up_for_another_picture(warm, image):
    windows = iter([True])
    request = Request("a", read_image(image), None, 1)
    assert [found.last for found in warm.answers(request, abandoned=lambda: next(windows))] == [False]
    assert [found.last for found in warm.answers(request)] == [False, True]


def test_a_whole_picture_in_the_same_windows_is_answered_once(image):
    answerer = Answerer(device="cpu")
    answerer.load(weights_named(STARTER))
    picture = read_image(image)
    (found,) = one(answerer, name="a", picture=picture)
    assert found.last
    expected = Model(weights_named(STARTER), overrides={"device": "cpu"}).probabilities(image)
    assert np.array_equal(found.segmentation, expected["segmentation"])
    _, quick, exact = one(answerer, name="long", picture=np.resize(picture, (800, 1250)), view=(slice(0, 9), slice(0, 9)))
    assert quick.region == exact.region  # 768 pixels, which overlap more
    assert not np.array_equal(quick.segmentation, exact.segmentation)


def test_new_weights_of_the_same_network_are_taken_without_making_it_anew(weights, image, tmp_path):
    shutil.copytree(weights.parent, tmp_path / "models")
    other = tmp_path / "models" / "model.pt"
    state = torch.load(other, weights_only=True)
    torch.save({name: value * 0.5 for name, value in state.items()}, other)
    (tmp_path / "models" / "model.pt.sha256").unlink()
    answerer = Answerer(device="cpu")
    answerer.load(weights)
    model = answerer.model
    before = one(answerer, name="a", picture=read_image(image))[-1]
    answerer.load(other)
    assert answerer.model is model
    after = one(answerer, name="a", picture=None)[-1]
    assert np.array_equal(after.segmentation, Model(other, overrides={"device": "cpu"}).probabilities(image)["segmentation"])
    assert not np.array_equal(after.segmentation, before.segmentation)
    other.write_bytes(b"nothing")
    with pytest.raises(LazyLabelsError, match=r"model\.pt"):
        answerer.load(other)
    still = one(answerer, name="a", picture=None)[-1]
    assert np.array_equal(still.segmentation, after.segmentation)


def test_nothing_to_predict_with_and_nothing_to_predict_are_said(warm, image):
    with pytest.raises(LazyLabelsError, match="weights"):
        one(Answerer(), name="a", picture=read_image(image))
    with pytest.raises(LazyLabelsError, match="'never'"):
        one(warm, name="never", picture=None)


def test_the_last_pictures_are_kept_and_no_more(warm, image):
    picture = read_image(image)
    for number in range(answering.PICTURES + 1):
        warm.keep(str(number), picture + number)
    with pytest.raises(LazyLabelsError, match="'0'"):
        one(warm, name="0", picture=None)
    assert one(warm, name="1", picture=None)


@pytest.mark.parametrize(
    ("name", "sent", "gives_way"),
    [("a", None, False), ("b", None, True), ("b", np.ones((3, 3)), True), ("a", np.zeros((3, 3)), True)],
)
def test_a_last_answer_gives_way_to_another_picture_also_of_the_same_name(monkeypatch, name, sent, gives_way):
    pipe = queue.SimpleQueue()
    monkeypatch.setattr(answering, "pickle", SimpleNamespace(load=lambda stream: stream.get(), UnpicklingError=OSError))
    inbox = answering._Inbox(pipe)

    def ask(name, picture):
        pipe.put(Request(name, picture, None, 0))
        deadline = time.monotonic() + 20
        while not inbox.waiting() and time.monotonic() < deadline:
            time.sleep(0.01)

    ask("b", np.zeros((3, 3)))
    inbox.take()
    ask("a", np.zeros((3, 3)))
    _, running = inbox.take()
    assert not inbox.waits_for_another(running)
    ask(name, sent)
    assert inbox.waits_for_another(running) == gives_way
