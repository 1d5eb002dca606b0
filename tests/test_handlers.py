"""What the handlers log and draw, while an engine runs through known numbers."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from lazylabels_monai import handlers
from lazylabels_monai.handlers import LabelPanelHandler, ProgressHandler, TaskLossHandler
from lazylabels_monai.images.pictures import colour_map, to_uint8_rgb

EPOCHS = [[(1.0, 0.5), (3.0, 0.1)], [(0.5, 0.2), (0.3, 0.0)]]  # of two steps, losses of two tasks


class Writer:
    """Keeps what a TensorBoard writer is given."""

    def __init__(self) -> None:
        self.scalars, self.images = [], []

    def add_scalar(self, tag, value, step) -> None:
        self.scalars.append((tag, pytest.approx(value), step))

    def add_image(self, tag, image, step, dataformats) -> None:
        self.images.append((tag, image, step, dataformats))


@pytest.fixture
def clock(monkeypatch):
    """A clock that is told the time."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(handlers.time, "monotonic", lambda: now.seconds)
    return now


def train(clock, seconds_a_step: float, writer=None, **how) -> None:
    losses, done = SimpleNamespace(last_parts={}), iter([parts for epoch in EPOCHS for parts in epoch])

    def step(engine, batch):
        clock.seconds += seconds_a_step
        losses.last_parts = dict(zip(("segmentation", "detection"), map(torch.tensor, next(done)), strict=True))

    engine = Engine(step)
    TaskLossHandler(losses, writer, **how).attach(engine)
    engine.run([0, 0], max_epochs=2)


def test_each_epoch_tells_the_mean_of_each_task_and_the_time_that_is_left(clock, caplog):
    writer = Writer()
    with caplog.at_level(logging.INFO, logger=handlers.__name__):
        train(clock, 5.0, writer)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 1/2 loss 2.3000 (segmentation 2.0000, detection 0.3000), 10.0 s, ETA 0:00:10",
        "epoch 2/2 loss 0.5000 (segmentation 0.4000, detection 0.1000), 10.0 s, ETA 0:00:00",
    ]
    assert writer.scalars == [
        ("loss/segmentation", 2.0, 1),
        ("loss/detection", 0.3, 1),
        ("loss/total", 2.3, 1),
        ("loss/segmentation", 0.4, 2),
        ("loss/detection", 0.1, 2),
        ("loss/total", 0.5, 2),
    ]


def test_a_long_epoch_has_lines_in_between(clock, caplog):
    with caplog.at_level(logging.INFO, logger=handlers.__name__):
        train(clock, 5.0, every_seconds=4.0)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "epoch 1/2 step 1/2, loss 1.5000 (segmentation 1.0000, detection 0.5000), 5.0 s, ETA 0:00:15"
    assert [re.match(r"epoch (\d)/2 (step \d)?", line).groups() for line in lines] == [
        ("1", "step 1"),
        ("1", "step 2"),
        ("1", None),
        ("2", "step 1"),
        ("2", "step 2"),
        ("2", None),
    ]


def test_progress_has_a_line_now_and_then_and_one_for_the_last_image(clock, caplog):
    def step(engine, batch):
        clock.seconds += 4

    engine = Engine(step)
    ProgressHandler("predicting", every_seconds=10).attach(engine)
    with caplog.at_level(logging.INFO, logger=handlers.__name__):
        engine.run(range(5))
    assert [record.getMessage() for record in caplog.records] == [
        "predicting 3/5, 12.0 s, ETA 0:00:08",
        "predicting 5/5, 20.0 s, ETA 0:00:00",
    ]


def item(value: int) -> dict[str, torch.Tensor]:
    """(C, W, H) of 5 x 4 pixels: image, truth of three tasks, probabilities of 3 + 3 + 2 classes."""
    generator = torch.Generator().manual_seed(value)
    truth = torch.stack([torch.randint(0, top, (5, 4), generator=generator) for top in (3, 3, 2, 9)]).int()
    truth[1, 0, 0] = 255
    return {
        "image": torch.rand(1, 5, 4, generator=generator),
        "label": truth,
        "pred": torch.rand(8, 5, 4, generator=generator),
    }


def test_a_panel_is_the_image_then_label_and_prediction_of_each_task():
    shown = item(0)
    panel = LabelPanelHandler(Writer(), num_classes=3).panel(shown["image"], shown["pred"], shown["label"])
    pred, label = shown["pred"].numpy(), shown["label"].numpy()
    parts = [to_uint8_rgb(shown["image"].numpy()[0].T)]
    for task, channels in enumerate((slice(0, 3), slice(3, 6), slice(6, 8))):
        parts += [colour_map(label[task].T), colour_map(pred[channels].argmax(0).T)]
    starts = range(0, panel.shape[1], 5 + 4)  # a gap of 4 pixels
    assert panel.shape == (4, 7 * 5 + 6 * 4, 3)
    for start, expected in zip(starts, parts, strict=True):
        np.testing.assert_array_equal(panel[:, start : start + 5], expected)


def test_the_first_images_of_each_validation_are_drawn():
    writer = Writer()
    engine = Engine(lambda engine, batch: [item(2 * batch), item(2 * batch + 1)])
    LabelPanelHandler(writer, num_classes=3, tasks=("segmentation", "detection", "separation"), images=3).attach(engine)
    for _ in range(2):
        engine.run(range(4), max_epochs=1)
    assert [tag for tag, *_ in writer.images] == [f"validation/{number}" for number in range(3)] * 2
    assert {kind for *_, kind in writer.images} == {"HWC"}
    assert not np.array_equal(writer.images[0][1], writer.images[1][1])
    np.testing.assert_array_equal(writer.images[2][1], writer.images[5][1])


def test_tasks_that_are_not_trained_are_not_drawn():
    shown = item(0)
    panel = LabelPanelHandler(Writer(), 3, tasks=("detection",)).panel(shown["image"], shown["pred"][:3], shown["label"])
    assert panel.shape == (4, 3 * 5 + 2 * 4, 3)
    np.testing.assert_array_equal(panel[:, 9:14], colour_map(shown["label"][1].numpy().T))
