"""What a training is said to take is what it takes, on a clock that is told the time."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from lazylabels_monai import handlers, pace
from lazylabels_monai.handlers import TaskLossHandler
from lazylabels_monai.pace import Pace

PIXEL = 1e-3  # seconds of a pixel of prediction


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    for module in (pace, handlers):
        monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    return now


class Images:
    """Of 3 windows of 10 x 10 pixels."""

    count, pixels, shape, window = 3, 300, (1, 40, 30), (10, 10)

    def __len__(self) -> int:
        return 2


class Choice:
    def pixels(self, epochs: int) -> int:
        return 2000


class Validations(Engine):
    """An evaluator that takes its time."""

    def __init__(self, clock) -> None:
        super().__init__(lambda engine, batch: None)
        self.network, self.amp, self.clock, self.seen = torch.nn.Dropout(0.5), False, clock, []
        self.state.device = torch.device("cpu")

    def inferer(self, picture, network):
        assert not network.training
        self.seen.append(tuple(picture.shape))
        self.clock.seconds += PIXEL * picture[0, 0].numel()
        return picture

    def is_due(self, epoch: int) -> bool:
        return True

    def advance(self) -> None:
        self.clock.seconds += PIXEL * Images.pixels


def train(clock, epochs=6, interval=2, length=10, step=2.0, data=0.5) -> tuple[Pace, float]:
    def batches():
        while True:
            clock.seconds += data
            yield 0

    def one(engine, batch):
        clock.seconds += step + 5.0 * (engine.state.iteration == 1)  # the first one loads libraries

    evaluator, trainer = Validations(clock), Engine(one)
    evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.advance())
    losses = SimpleNamespace(last_parts={"segmentation": torch.tensor(1.0)})
    measured = Pace(evaluator, Images(), interval, Choice())
    TaskLossHandler(losses, every_seconds=1e9, pace=measured).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=interval), lambda engine: evaluator.run([0], max_epochs=1))
    if epochs % interval:
        trainer.add_event_handler(Events.EPOCH_COMPLETED(every=epochs), lambda engine: evaluator.run([0], max_epochs=1))

    def choose(engine):
        clock.seconds += PIXEL * 2000

    trainer.add_event_handler(Events.COMPLETED, choose)
    measured.attach(trainer)
    begun = clock.seconds
    state = torch.get_rng_state()
    trainer.run(batches(), max_epochs=epochs, epoch_length=length)
    assert torch.equal(torch.get_rng_state(), state)
    assert evaluator.network.training
    assert set(evaluator.seen) == {(1, 1, 10, 10)}
    return measured, clock.seconds - begun


@pytest.mark.parametrize(("epochs", "interval", "length"), [(6, 2, 10), (7, 3, 4), (1, 5, 30), (3, 1, 3)])
def test_the_forecast_is_what_it_takes(clock, epochs, interval, length):
    measured, took = train(clock, epochs, interval, length)
    assert measured.total == pytest.approx(took, rel=0.02)


def test_what_is_said(clock, caplog):
    with caplog.at_level(logging.INFO):
        train(clock)
    lines = [record.getMessage() for record in caplog.records if "lazylabels" in record.name]
    said = next(line for line in lines if line.startswith("this training will take about"))
    assert "6 epochs of 10 steps, 2.50 s each; 3 validations on 3 windows, 0:00:00 each; the final choice, 0:00:02." in said
    end = [line for line in lines if line.startswith("trained in")]
    assert end == [lines[-1]]
    assert re.search(r"steps \d+%, waiting for data \d+%, validation \d+%, rest \d+%", end[0])


def test_the_line_of_each_epoch_counts_what_is_still_to_come(clock, caplog):
    with caplog.at_level(logging.INFO):
        train(clock)
    found = [re.search(r"epoch (\d)/6 .*ETA (\d+):(\d+):(\d+)", record.getMessage()) for record in caplog.records]
    left = {int(m[1]): int(m[2]) * 3600 + int(m[3]) * 60 + int(m[4]) for m in found if m}
    validation, choice = PIXEL * 300, PIXEL * 2000
    for epoch, seconds in left.items():
        validations = sum(e % 2 == 0 for e in range(epoch, 7))  # its own comes after the line
        assert seconds == pytest.approx((6 - epoch) * 25 + validations * validation + choice, abs=1.0)
    assert sorted(left) == [1, 2, 3, 4, 5, 6]


def test_shares_of_the_time(clock):
    measured, took = train(clock)
    shares = measured.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["waiting for data"] == pytest.approx(60 * 0.5 / took, rel=0.02)
    assert shares["validation"] == pytest.approx((3 * 300 + 2000) * PIXEL / took, rel=0.02)


def test_without_validation_steps_alone_are_told(clock, caplog):
    trainer, measured = Engine(lambda engine, batch: setattr(clock, "seconds", clock.seconds + 1.0)), Pace()
    measured.attach(trainer)
    with caplog.at_level(logging.INFO):
        trainer.run([0] * 5, max_epochs=4)
    assert measured.total == pytest.approx(20.0)
    assert "4 epochs of 5 steps, 1.00 s each." in caplog.text
