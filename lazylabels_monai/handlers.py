"""Ignite handlers where MONAI's own leave a gap: per-task losses with ETA, label panels, progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from lazylabels_monai.images.axes import to_picture
from lazylabels_monai.images.pictures import colour_map, side_by_side, to_uint8_rgb
from lazylabels_monai.progress import clock
from lazylabels_monai.tasks import TASKS, task_slices

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from lazylabels_monai.losses import MaskedMultiTaskLoss
    from lazylabels_monai.pace import Pace

__all__ = ["Attached", "LabelPanelHandler", "ProgressHandler", "TaskLossHandler"]

logger = logging.getLogger(__name__)


class Attached:
    """A handler that stands elsewhere in a config, so that others can refer to it by its name.

    Args:
        handler: has ``attach``.
    """

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Attach the handler."""
        self.handler.attach(engine)


class TaskLossHandler:
    """Log each epoch's loss with its per-task parts, the time and the ETA; write the losses to TensorBoard.

    Args:
        loss_function: the loss whose ``last_parts`` are reported.
        writer: TensorBoard writer, or None.
        every_seconds: in a long epoch, a line of progress at most this often.
        pace: knows how long validations take, which the ETA then includes; None: steps alone are counted.
    """

    def __init__(
        self,
        loss_function: MaskedMultiTaskLoss,
        writer: SummaryWriter | None = None,
        every_seconds: float = 30.0,
        pace: Pace | None = None,
    ) -> None:
        self.loss_function = loss_function
        self.writer = writer
        self.pace = pace
        self.every_seconds = every_seconds

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)

    def _started(self, engine: Engine) -> None:
        self._start, self._first_iteration = time.monotonic(), engine.state.iteration
        self._last_line = self._start

    def _epoch_started(self, engine: Engine) -> None:
        self._epoch_start = time.monotonic()
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def _iteration(self, engine: Engine) -> None:
        # sums stay on the device: reading a number at every step would make a GPU wait
        for task, value in self.loss_function.last_parts.items():
            self._sums[task] = self._sums.get(task, torch.zeros_like(value)) + value
        self._count += 1
        if time.monotonic() - self._last_line > self.every_seconds:
            self._line(engine, f"step {self._count}/{engine.state.epoch_length}, ")

    def _line(self, engine: Engine, position: str = "") -> None:
        self._last_line = now = time.monotonic()
        parts, eta = self._means(), self._left(engine, now)
        listed = ", ".join(f"{task} {value:.4f}" for task, value in parts.items())
        logger.info(
            f"epoch {engine.state.epoch}/{engine.state.max_epochs} {position}loss {sum(parts.values()):.4f} ({listed}), "
            f"{now - self._epoch_start:.1f} s, ETA {clock(eta)}"
        )

    def _means(self) -> dict[str, float]:
        """The parts of the loss, means over the steps of the epoch so far."""
        return {task: float(value) / max(self._count, 1) for task, value in self._sums.items()}

    def _left(self, engine: Engine, now: float) -> float:
        """Seconds until the end of the training."""
        if self.pace is not None:
            return self.pace.left(engine)
        done = engine.state.iteration - self._first_iteration
        left = engine.state.max_epochs * engine.state.epoch_length - engine.state.iteration
        return (now - self._start) / max(done, 1) * left

    def _epoch_completed(self, engine: Engine) -> None:
        self._line(engine)
        if self.writer is not None:
            means = self._means()
            for name, mean in (*means.items(), ("total", sum(means.values()))):
                self.writer.add_scalar(f"loss/{name}", mean, engine.state.epoch)


class LabelPanelHandler:
    """Write panels "image | label, prediction of each task" of the first validation images to TensorBoard.

    Args:
        writer: TensorBoard writer.
        num_classes: number of classes with background.
        tasks: tasks of the network.
        images: how many images.
    """

    def __init__(
        self,
        writer: SummaryWriter,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        images: int = 3,
    ) -> None:
        self.writer = writer
        self.slices = task_slices(num_classes, tasks)
        self.images = images
        self._shown = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its output."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)

    def _started(self, engine: Engine) -> None:
        self._shown = 0

    def _iteration(self, engine: Engine) -> None:
        for item in engine.state.output:
            if self._shown >= self.images:
                return
            panel = self.panel(item["image"], item["pred"], item["label"])
            self.writer.add_image(f"validation/{self._shown}", panel, engine.state.epoch, dataformats="HWC")
            self._shown += 1

    def panel(self, image: torch.Tensor, probabilities: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
        """(H, W', 3) uint8: the image, then label and prediction of each task."""
        panels = [to_uint8_rgb(to_picture(image))]
        for task, channels in self.slices.items():
            panels.append(colour_map(to_picture(truth[[TASKS.index(task)]])[..., 0]))
            panels.append(colour_map(to_picture(probabilities[channels].argmax(0, keepdim=True))[..., 0]))
        return side_by_side(panels)


class ProgressHandler:
    """Log how far an evaluation or a prediction has come, with the ETA.

    Args:
        what: the verb of the line, e.g. "predicting".
        every_seconds: a line at most this often; the last image always gets one.
    """

    def __init__(self, what: str, every_seconds: float = 10.0) -> None:
        self.what = what
        self.every_seconds = every_seconds

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)

    def _started(self, engine: Engine) -> None:
        self._start = self._last_line = time.monotonic()

    def _iteration(self, engine: Engine) -> None:
        now, done, total = time.monotonic(), engine.state.iteration, engine.state.epoch_length
        if done == total or now - self._last_line > self.every_seconds:
            self._last_line = now
            seconds = now - self._start
            logger.info(f"{self.what} {done}/{total}, {seconds:.1f} s, ETA {clock(seconds / done * (total - done))}")
