"""What ends a training that goes wrong, before it can spoil what was saved: a loss or weights that are no numbers any more,
and too little memory.

A gradient that is not finite makes NaN of every weight, and a network of NaN answers "background" everywhere without a word.
ignite's ``TerminateOnNan`` ends a training as if it were finished; this one is an error that names the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.utils import CommonKeys

from lazylabels_monai.errors import RUN_INITIALIZE, LazyLabelsError, is_out_of_memory, some

__all__ = ["NAME_KEY", "TrainingGuard", "not_finite", "require_finite"]

#: Key of a training sample's file name.
NAME_KEY = "name"

#: A loss that many times the first one, and that many at least, has exploded: a cross entropy is a few units large.
EXPLODED = 1.0e3

#: Steps in a row without a finite loss that mixed precision may skip: each of them lowers its scale, and changes no weight.
SKIPPED = 20

_SHOWN = 4

#: What gloo says of a process that is no longer there.
_GONE = ("Connection closed by peer", "Connection reset by peer")


def not_finite(state: Any) -> list[str]:
    """Names of the tensors in a state dict, however nested, that hold NaN or infinite values."""
    return [name for name, value in _tensors(state) if value.is_floating_point() and not torch.isfinite(value).all()]


def require_finite(objects: Mapping[str, Any]) -> None:
    """Refuse to save what holds NaN or infinite values.

    Args:
        objects: by name; those that have a ``state_dict``, such as networks and optimizers, are looked into.

    Raises:
        LazyLabelsError: naming the first one.
    """
    for name, value in objects.items():
        if isinstance(value, torch.nn.Module | torch.optim.Optimizer) and (bad := not_finite(value.state_dict())):
            raise LazyLabelsError(
                f"the training went wrong: {len(bad)} tensors of the {name} hold NaN or infinite values ({bad[0]} the first), "
                "so that nothing more is saved, and what was saved before stays: lower learning_rate."
            )


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(state, torch.Tensor):
        yield name, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))


class TrainingGuard:
    """Ignite handler of a MONAI trainer that ends the training when something goes wrong, and names the images of the batch.

    - A loss that is not finite, or :data:`EXPLODED`, ends it before the step is made. With mixed precision, whose scaler skips
      such steps, a few in a row are let pass, unless an image is the reason.
    - Weights that a step spoiled, and a state of the optimizer that overflowed, end it before anything is saved.
    - Too little memory is told in terms of the settings that lower it.

    Of several processes all stop together. Attach it before whatever validates or saves.

    Args:
        optimizer: of the training.
        batch_size, crop_size: of the config, for advice.
        save_dict: what checkpoints hold, to which the config's ``initialize`` adds the trainer; None: nobody looks.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        batch_size: int,
        crop_size: Sequence[int],
        save_dict: Mapping[str, Any] | None = None,
    ) -> None:
        self.optimizer, self.batch_size, self.crop_size = optimizer, batch_size, list(crop_size)
        self.save_dict = save_dict
        self.first: float | None = None
        self.skipped = 0
        self.now: list[str] = []  # images of this step and of the one before
        self.before: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.loss_completed)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)

    def started(self, engine: Engine) -> None:
        """Refuse a trainer that was taken out of its config, whose seed, beginning and checks are those of ``initialize``.

        Raises:
            LazyLabelsError: with what is to be run first.
        """
        if self.save_dict is not None and "trainer" not in self.save_dict:
            raise LazyLabelsError(
                "the config's 'initialize' was not run, which checks the data and sets seed, init_weights and more: "
                f"{RUN_INITIALIZE}."
            )

    def loss_completed(self, engine: Engine) -> None:
        """Judge the loss, before any gradient is taken.

        Raises:
            LazyLabelsError: where the training cannot go on.
        """
        self.now = _names(engine)
        self._stop_together(self._fault(engine))

    def iteration_completed(self, engine: Engine) -> None:
        """Remember which images the weights have learnt from last."""
        self.before = self.now  # MONAI takes the batch apart meanwhile

    def epoch_completed(self, engine: Engine) -> None:
        """Judge what the epoch made of the weights.

        Raises:
            LazyLabelsError: where they are not finite.
        """
        bad = not_finite(engine.network.state_dict()) or not_finite(self.optimizer.state_dict()["state"])
        said = f"the weights are not finite after {_place(engine)}, {_of(self.before)}" if bad else ""
        self._stop_together(said and f"{said}: {self._remedy()}")

    def exception_raised(self, engine: Engine, error: BaseException) -> None:
        """Say which settings need memory, where there is too little, and that another process is gone; any other error goes
        on as it is.

        Raises:
            LazyLabelsError: for too little memory, and for another process that ended.
        """
        if idist.get_world_size() > 1 and any(said in str(error) for said in _GONE):
            raise LazyLabelsError(
                "another process of this training has ended, which says why itself where it could; what was saved before stays "
                "as it was, and --resume True goes on from the newest checkpoint."
            ) from error
        if is_out_of_memory(error) and not isinstance(error, LazyLabelsError):
            crop = " x ".join(map(str, self.crop_size))
            raise LazyLabelsError(
                f"the memory is not enough for a step of {self.batch_size} crops of {crop} pixels: lower batch_size "
                f"(--batch_size {max(1, self.batch_size // 2)}), crop_size or channels; what was saved before stays as it was."
            ) from error
        raise error

    def _fault(self, engine: Engine) -> str:
        """What is wrong with the step's loss, in a sentence; empty where nothing is."""
        loss = float(engine.state.output[CommonKeys.LOSS].detach())
        finite = loss - loss == 0
        if finite and self.first is None:
            self.first = loss
        if finite and loss <= EXPLODED * max(1.0, self.first or 0.0):
            self.skipped = 0
            return ""
        images = engine.state.output[CommonKeys.IMAGE].detach().flatten(1)
        names, good = self.now, torch.isfinite(images).all(1).tolist()
        if not all(good):
            bad = [name for name, is_good in zip(names, good, strict=False) if not is_good]
            return (
                f"the loss is {loss:g} in {_place(engine)}, as the values of {_listed(bad) or 'an image'} are not finite once "
                "they are normalised: correct the image, or leave it out; what was saved before stays as it was"
            )
        self.skipped += 1
        scaler = getattr(engine, "scaler", None)
        if not finite and engine.amp and scaler is not None and scaler.is_enabled() and self.skipped <= SKIPPED:
            return ""
        spoiled = not_finite(engine.network.state_dict())
        if spoiled and self.before:  # by the step before
            return f"the weights are not finite before {_place(engine)}, {_of(self.before)}: {self._remedy()}"
        return f"the loss is {loss:g} in {_place(engine)}, {_of(names)}: {self._remedy()}"

    def _remedy(self) -> str:
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        return (
            f"lower learning_rate (it is {rate:g}), or look at these images and their labels if it happens again; "
            "what was saved before stays as it was"
        )

    @staticmethod
    def _stop_together(fault: str) -> None:
        """Raise where any process has a fault: the others would wait for this one's gradients for ever."""
        if idist.get_world_size() > 1:
            if not idist.all_reduce(int(bool(fault)), op="MAX"):
                return
            fault = next(text for text in idist.all_gather(fault[:1000]) if text)
        if fault:
            raise LazyLabelsError(f"the training was stopped: {fault}.")


def _names(engine: Engine) -> list[str]:
    """Files of the images in the batch; empty where the config does not hand them on."""
    batch = engine.state.batch
    names = batch.get(NAME_KEY) if isinstance(batch, Mapping) else None
    return [Path(str(name)).name for name in names] if isinstance(names, list | tuple) else []


def _place(engine: Engine) -> str:
    length = engine.state.epoch_length or 1
    return f"step {(engine.state.iteration - 1) % length + 1} of epoch {engine.state.epoch}"


def _of(names: Sequence[str]) -> str:
    return f"of the images {_listed(names)}" if names else "whose images are not known"


def _listed(names: Sequence[str]) -> str:
    return some(list(dict.fromkeys(names)), _SHOWN)
