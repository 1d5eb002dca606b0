"""How long a training takes: said after its first steps, told while it runs, and where the time went in the end."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.networks.utils import eval_mode

from lazylabels_monai.data.validation import ValidationDataset
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.progress import clock

__all__ = ["Pace"]

logger = logging.getLogger(__name__)

#: The forecast is made after that many steps, or seconds of them, but not before the third one.
_STEPS, _SECONDS, _FEWEST = 20, 10.0, 3


class Pace:
    """Ignite handler of a trainer that measures steps, waiting for data, and validations, and says what is still to come.

    It draws no random number and changes no weight. Attach it after all others, so that it sees when they are done.

    Args:
        evaluator: validates on the way; None: nothing does.
        images: what it validates on.
        interval: epochs between validations.
        final_choice: what comes after the last epoch; None: nothing.
    """

    def __init__(
        self,
        evaluator: Any = None,
        images: ValidationDataset | None = None,
        interval: int = 1,
        final_choice: Any = None,
    ) -> None:
        self.evaluator, self.images, self.interval, self.final_choice = evaluator, images, interval, final_choice
        self.waited = self.stepped = self.validated = self.chose = 0.0
        self.steps = self.validations = 0
        self.total: float | None = None  # seconds that were forecast
        self.took = 0.0  # seconds in all, once it is over
        self._first = 0.0
        self._pixel: float | None = None  # seconds of a pixel of prediction

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, and to the evaluator."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._mark)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._got_batch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stepped)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._mark)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.STARTED, self._validation_started)
            self.evaluator.add_event_handler(Events.COMPLETED, self._validation_completed)

    def _started(self, engine: Engine) -> None:
        self._start = self._now = time.monotonic()

    def _mark(self, engine: Engine) -> None:
        self._now = time.monotonic()

    def _got_batch(self, engine: Engine) -> None:
        before, self._now = self._now, time.monotonic()
        self.waited += self._now - before

    def _stepped(self, engine: Engine) -> None:
        took = time.monotonic() - self._now
        self.stepped += took
        self.steps += 1
        if self.steps == 1:
            self._first = self.stepped + self.waited  # starts threads and loads libraries: no measure
        if self.total is None and self.steps >= _FEWEST:
            ends = engine.state.iteration % engine.state.epoch_length == 0
            if self.steps >= _STEPS or time.monotonic() - self._start > _SECONDS or ends:
                self._forecast(engine)

    def _validation_started(self, engine: Engine) -> None:
        self._began = time.monotonic()

    def _validation_completed(self, engine: Engine) -> None:
        self.validated += time.monotonic() - self._began
        self.validations += 1

    @property
    def step(self) -> float:
        """Seconds of a step with its data, without the first one."""
        return (self.stepped + self.waited - self._first) / max(1, self.steps - 1)

    @property
    def validation(self) -> float:
        """Seconds of a validation: measured, or from what a window takes."""
        if self.validations:
            return self.validated / self.validations
        return (self._pixel or 0.0) * self._pixels()

    def _pixels(self) -> float:
        return 0.0 if self.images is None or self.evaluator is None else float(self.images.pixels)

    def left(self, engine: Engine) -> float:
        """Seconds to the end: steps, validations and the final choice."""
        state = engine.state
        steps = state.max_epochs * state.epoch_length - state.iteration
        return steps * self.step + self._validations_left(engine) * self.validation + self._choice(engine)

    def _validations_left(self, engine: Engine) -> int:
        """That of the running epoch among them: a line of progress comes before it."""
        if self.evaluator is None or self.images is None or not len(self.images):
            return 0
        last = engine.state.max_epochs
        epochs = [epoch for epoch in range(engine.state.epoch, last + 1) if epoch % self.interval == 0 or epoch == last]
        return sum(getattr(self.evaluator, "is_due", lambda epoch: True)(epoch) for epoch in epochs)

    def _choice(self, engine: Engine) -> float:
        if self.final_choice is None or self.evaluator is None:
            return 0.0
        pixels = self._pixels()
        pixel = self.validation / pixels if pixels else 0.0
        return pixel * self.final_choice.pixels(engine.state.max_epochs)

    def _forecast(self, engine: Engine) -> None:
        if self.evaluator is not None and self.images is not None and len(self.images):
            try:
                self._pixel = self._seconds_of_a_pixel()
            except LazyLabelsError:  # weights that went wrong: the guard of the training says which batch it was
                return
        left = self.left(engine)
        self.total = time.monotonic() - self._start + left
        epochs = engine.state.max_epochs - engine.state.epoch + 1
        said = [f"{epochs} epochs of {engine.state.epoch_length} steps, {self.step:.2f} s each"]
        if number := self._validations_left(engine):
            of = f"{self.images.count} windows" if self.images.count else f"{len(self.images)} images"
            said.append(f"{number} validations on {of}, {clock(self.validation)} each")
        if choice := self._choice(engine):
            said.append(f"the final choice, {clock(choice)}")
        logger.info(f"this training will take about {clock(self.total)}: {'; '.join(said)}.")

    def _seconds_of_a_pixel(self) -> float:
        """Measured on a window of noise, by the network and the windows of the validation."""
        engine = self.evaluator
        channels, *size = self.images.shape
        widths = [min(length, width) for length, width in zip(size, self.images.window, strict=True)]
        generator = torch.Generator().manual_seed(0)
        picture = torch.randn(1, channels, *widths, generator=generator).to(engine.state.device)
        # what is inside of a distributed one, which waits for the other processes
        network = getattr(engine.network, "module", engine.network)
        with eval_mode(network), torch.autocast("cuda") if engine.amp else nullcontext():
            engine.inferer(picture, network)
            begun = time.monotonic()
            float(engine.inferer(picture, network).sum())
        return (time.monotonic() - begun) / picture[0, 0].numel()

    def shares(self) -> dict[str, float]:
        """Shares of the time so far: steps, waiting for data, validation with the final choice, and all the rest."""
        total = max(time.monotonic() - self._start, 1e-9)
        parts = {"steps": self.stepped, "waiting for data": self.waited, "validation": self.validated + self.chose}
        return {**{name: value / total for name, value in parts.items()}, "rest": 1 - sum(parts.values()) / total}

    def _completed(self, engine: Engine) -> None:
        self.chose = time.monotonic() - self._now if self.steps else 0.0
        self.took = took = time.monotonic() - self._start
        listed = ", ".join(f"{name} {share:.0%}" for name, share in self.shares().items())
        logger.info(f"trained in {clock(took)}: {listed}.")
