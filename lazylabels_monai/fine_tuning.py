"""Weights that find the objects before the first step learn from a few images at a lower rate.

A rate at which a network learns anew makes one that knows such images forget: five pictures, one of them with an exact mask,
can make it worse on every other one (docs/starter.md). Weights that know nothing of the images need that rate. Which of both
they are is measured before anything is learnt, and so on the images of the training, too; and on inner regions, as the one
or two exact masks of a few pictures may show what is like none of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch

from lazylabels_monai.data.choosing import BY_DICE
from lazylabels_monai.data.datalist import has_key
from lazylabels_monai.final_choice import FinalChoice
from lazylabels_monai.optimizers import highest_rate, scale_rates
from lazylabels_monai.transforms import ImpliedSegmentationd
from lazylabels_monai.warm_start import NOTHING

__all__ = ["FEW", "FineTuning"]

logger = logging.getLogger(__name__)

#: So many images of training and validation are few. With 210 the full rate has the higher scores (docs/starter.md).
FEW = 16
#: On so many windows at most weights are scored.
_WINDOWS = 16


class FineTuning:
    """Lowers the learning rate of a training on a few images whose weights find the objects before it begins.

    Nothing is done where these are none, or where no validation image has an exact mask.

    Args:
        choice: whose network, images and metric give the score.
        items: of training and validation; those that say where objects are count, and more than :data:`FEW` are many.
        implied: makes a segmentation of inner regions, as in the training; without background these say too little to count.
        score: mean Dice over the object classes, 0 to 1, from which on weights find the objects; None: they never do.
        rate: highest learning rate then, above 0; where the optimizer's groups have several, all become lower by one factor.

    Attributes:
        known: whether the weights of the beginning found the objects.
    """

    def __init__(
        self,
        choice: FinalChoice,
        items: Sequence[Mapping[str, Any]],
        implied: ImpliedSegmentationd,
        score: float | None,
        rate: float,
    ) -> None:
        self.choice, self.implied, self.score, self.rate = choice, implied, score, rate
        self.known, self._given = False, 0.0
        says_where_none_are = implied.enabled and implied.background_margin is not None  # else what marks all pixels were right
        keys = ("segmentation", "detection") if says_where_none_are else ("segmentation",)
        told = [item for item in items if any(has_key(item, key) for key in keys)]
        self.items = told if len(told) <= FEW else []

    @property
    def factor(self) -> float:
        """By what the optimizer's rates, as they were given, are multiplied; 1.0: they stay."""
        return self.rate / self._given if self.known and self._given > self.rate else 1.0

    def state_dict(self) -> dict[str, bool]:
        """For a checkpoint: a training that goes on does so at the rate that it began with."""
        return {"known": self.known}

    def load_state_dict(self, state: Mapping[str, bool]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.known = bool(state["known"])

    def begin(
        self, init_weights: str | None, optimizer: torch.optim.Optimizer, scheduler: Any, resume_from: str | None = None
    ) -> None:
        """Before the first step: score what the network has taken, and lower the rates.

        Args:
            init_weights: where that came from.
            optimizer, scheduler: whose rates are lowered, and that goes on from them.
            resume_from: a checkpoint, which will say whether that was done; None: a training begins.
        """
        self._given = highest_rate(optimizer, scheduler)
        judged = self.score is not None and self.items and BY_DICE in (self.choice.metric or {})
        if not judged or resume_from is not None or init_weights in (None, "", NOTHING):
            return
        images = self.choice.images.of(self.items, _WINDOWS, self.implied)
        if not images.count:  # of nothing but 255
            return
        with torch.random.fork_rng(devices=[]):  # a seed gives the same crops whether anybody looks at this score or not
            _, scores = self.choice.score({init_weights: self.choice.network.state_dict()}, images)
        found = idist.broadcast(scores[init_weights], src=0)  # on several GPUs the last digits may differ
        self.known = found >= self.score
        if self.known:
            scale_rates(optimizer, scheduler, self.factor)
        lowered = f"{self._given * self.factor:g} instead of {self._given:g}, so that they do not forget"
        logger.info(
            f"before any training the weights of {init_weights} have a mean Dice of {found:.3f} on masks and inner regions of "
            f"{self.choice.described(images)}: the learning rate is "
            + (lowered if self.factor < 1 else f"{self._given:g}")
            + f" (fine_tuning_from {self.score:g})."
        )
