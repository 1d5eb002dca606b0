"""A process that answers while one works."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.predictor import WarmPredictor
from lazylabels_monai.predicting.model import Model


@pytest.fixture(scope="module")
def weights(trained):
    return trained / "models" / "model.pt"


@pytest.fixture(scope="module")
def pictures(tiny_data):
    return [read_image(path) for path in sorted((tiny_data / "images").iterdir())]


@pytest.fixture
def predictor(python):
    predictor = WarmPredictor()
    predictor.python = python
    yield predictor
    predictor.close()


def until(predictor, wanted, seconds=120):
    """Answers until one of them is wanted."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        found += predictor.poll()
        if any(map(wanted, found)):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_answers_come_and_the_newest_request_wins(predictor, weights, pictures, tiny_data):
    predictor.load(weights)
    for token in range(50):
        predictor.request(f"p{token % 3}", pictures[token % 3], token=token)
    found = until(predictor, lambda answer: answer.token == 49 and answer.last)
    assert found[-1].token == 49
    assert len(found) < 50
    model = Model(weights, overrides={"device": "cpu"})
    expected = model.probabilities(sorted((tiny_data / "images").iterdir())[49 % 3])
    assert np.array_equal(found[-1].segmentation, expected["segmentation"])
    # a picture of a request that was passed over is known all the same
    for token in (50, 51, 52):
        predictor.request(f"p{token % 3}", pictures[token % 3], token=token)
        (answer,) = until(predictor, lambda answer, token=token: answer.token == token)[-1:]
        assert answer.sentence == ""
        assert answer.entry_name == f"p{token % 3}"


def test_what_cannot_be_is_a_sentence_and_the_next_request_is_answered(predictor, weights, pictures, tmp_path):
    predictor.request("a", pictures[0], token=1)
    assert "weights" in until(predictor, lambda answer: answer.token == 1)[-1].sentence
    predictor.load(tmp_path / "none.pt")
    assert "none.pt" in until(predictor, lambda answer: answer.sentence)[-1].sentence
    predictor.load(weights)
    predictor.request("a", pictures[0], token=2)
    assert until(predictor, lambda answer: answer.token == 2)[-1].objects is not None


def test_a_process_that_was_killed_is_told_and_started_again(predictor, weights, pictures):
    predictor.load(weights)
    predictor.request("a", pictures[0], token=1)
    until(predictor, lambda answer: answer.token == 1)
    os.kill(predictor._process.pid, signal.SIGKILL)
    (told,) = until(predictor, lambda answer: answer.sentence)
    assert "memory" in told.sentence
    assert told.token is None
    predictor.request("a", pictures[0], token=2)
    assert until(predictor, lambda answer: answer.token == 2)[-1].objects is not None


def test_asking_does_not_wait(predictor, weights):
    """A picture larger than a pipe takes, while the process is still at its imports."""
    predictor.load(weights)
    picture = np.zeros((3000, 3000), np.uint8)
    for token in range(5):
        predictor.request(str(token), picture + token, view=(slice(0, 32), slice(0, 32)), token=token)
    found = until(predictor, lambda answer: answer.token == 4)
    assert next(answer for answer in found if answer.token == 4).region == (slice(0, 32), slice(0, 32))
