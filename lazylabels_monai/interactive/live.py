"""Handlers of a training beside a window: it takes up what is drawn, shows its weights early, and scores them. See
``configs/interactive.yaml``."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler

from lazylabels_monai.data.sampling import sampling_weights
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.handlers import TaskLossHandler
from lazylabels_monai.interactive.events import Event, EventWriter
from lazylabels_monai.interactive.live_dataset import LiveDataset
from lazylabels_monai.interactive.orders import Obey, Orders
from lazylabels_monai.interactive.pixel_digests import PixelDigests
from lazylabels_monai.trained import WEIGHTS_FILE, learnt_images

if TYPE_CHECKING:
    from torch.utils.data import WeightedRandomSampler

    from lazylabels_monai.losses import MaskedMultiTaskLoss

__all__ = ["EpochEvents", "TakeUp", "Validating"]


class TakeUp:
    """At the begin of each epoch: new marks, and how often which image is drawn.

    Args:
        dataset: of the training.
        sampler: of the training.
        shares: see :func:`~lazylabels_monai.data.sampling.sampling_weights`.
        events: told what cannot be used.
        unmarked_share: of the crops, at most, that come from images without marks, where the data set holds some.
    """

    def __init__(
        self,
        dataset: LiveDataset,
        sampler: WeightedRandomSampler,
        shares: Mapping[str, float],
        events: EventWriter,
        unmarked_share: float = 0.0,
    ) -> None:
        self.dataset, self.sampler, self.shares, self.events = dataset, sampler, shares, events
        self.unmarked_share = unmarked_share
        self._told: dict[str, str] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Take up marks.

        Raises:
            LazyLabelsError: where there is no image to train on.
        """
        changed = self.dataset.take_up()
        for name, sentence in self.dataset.refused.items():
            if self._told.get(name) != sentence:
                self.events.write(Event("sentence", sentence=sentence))
        self._told = dict(self.dataset.refused)
        if not self.dataset.data:
            raise LazyLabelsError(
                f"no image of '{self.dataset.datalist}' has marks to train on: draw inner regions on one for training first."
            )
        if changed or len(self.sampler.weights) != len(self.dataset.data):
            marked, others = self.dataset.data[: self.dataset.marked], len(self.dataset.data) - self.dataset.marked
            share = self.unmarked_share if others else 0.0
            weights = [(1 - share) * weight for weight in sampling_weights(marked, self.shares)]
            weights += [share / max(others, 1)] * others
            self.sampler.weights = torch.as_tensor(weights, dtype=torch.double)


class EpochEvents(TaskLossHandler):
    """The losses of each epoch as an event, beside the line in the log.

    Args:
        loss_function: the loss whose ``last_parts`` are reported.
        events: told.
    """

    def __init__(self, loss_function: MaskedMultiTaskLoss, events: EventWriter) -> None:
        super().__init__(loss_function)
        self.events = events

    def _epoch_completed(self, engine: Engine) -> None:
        super()._epoch_completed(engine)
        state, now = engine.state, time.monotonic()
        self.events.write(
            Event(
                "epoch",
                state.epoch,
                state.max_epochs,
                now - self._epoch_start,
                self._means(),
                images=engine.data_loader.dataset.marked,
                eta=self._left(engine, now),
            )
        )


class Validating(ValidationHandler):
    """Scores the validation images that have labels by now; where none has, the training goes on without.

    It tells of those that the weights have learnt from, as their scores are those of what was learnt by heart.

    Args:
        validator: MONAI's evaluator.
        dataset: its images.
        interval: epochs between validations, at least.
        time_share: more epochs where validating would take more of the time than this, in (0, 1].
        orders: that end a validation as they end the training.
        events: told.
        ckpt_dir: of the weights, beside which :class:`CurrentWeights` has written what they learnt from.
    """

    def __init__(
        self,
        validator: Any,
        dataset: LiveDataset,
        interval: int,
        time_share: float,
        orders: Orders | None,
        events: EventWriter,
        ckpt_dir: str,
    ) -> None:
        super().__init__(interval, validator)
        self.dataset, self.time_share, self.events = dataset, time_share, events
        self.weights = Path(ckpt_dir) / WEIGHTS_FILE
        self._due, self._since = interval, time.monotonic()
        self._told, self._told_of, self._digests = False, frozenset(), PixelDigests()
        if orders is not None:
            Obey(orders).attach(validator)

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate where it is time to."""
        state = engine.state
        if state.epoch < self._due and state.epoch != state.max_epochs:
            return
        self.dataset.take_up()
        started = time.monotonic()
        per_epoch = max((started - self._since) / max(1, state.epoch - (self._due - self.interval)), 1e-3)
        if not self.dataset.data:
            self._due = state.epoch + 1
            if not self._told:
                self._told = True
                self.events.write(
                    Event(
                        "sentence",
                        sentence="no image for validation has marks, so that nothing is scored; the last weights are kept.",
                    )
                )
            return
        self._told = False
        self.validator.state.epoch_length = len(self.validator.data_loader)
        with torch.inference_mode(False):
            self.validator.run(state.epoch)
        if engine.should_terminate:
            return
        took = time.monotonic() - started
        metrics, learnt = self.validator.state.metrics, self._learnt()
        self.events.write(
            Event(
                "validated",
                state.epoch,
                state.max_epochs,
                took,
                dice=_known(metrics.get("val_mean_dice")),
                loss=_known(metrics.get("val_loss")),
                images=len(self.dataset.data),
                learnt=learnt,
            )
        )
        self._tell_learnt(learnt)
        wait = took * (1 - self.time_share) / self.time_share / per_epoch
        self._due = state.epoch + max(self.interval, math.ceil(wait))
        self._since = time.monotonic()

    def _learnt(self) -> list[str]:
        """Names of the validation images that the weights have learnt from."""
        learnt, folder = learnt_images(self.weights) or (), os.path.dirname(os.path.abspath(self.dataset.datalist))
        found = [item["image"] for item in self.dataset.data if self._digests.of(item["image"]) in learnt]
        return [Path(os.path.relpath(path, folder)).as_posix() for path in found]

    def _tell_learnt(self, learnt: Sequence[str]) -> None:
        if not set(learnt) <= self._told_of:
            self._told_of |= set(learnt)
            others = f" and {len(learnt) - 1} more" if len(learnt) > 1 else ""
            self.events.write(
                Event(
                    "sentence",
                    sentence=f"the weights have learnt from the validation image '{learnt[0]}'{others}, so that the Dice is no "
                    "measure of new images: let other images validate, or begin the next training from the starter.",
                )
            )


def _known(value: Any) -> float | None:
    return None if value is None or not np.isfinite(float(value)) else float(value)
