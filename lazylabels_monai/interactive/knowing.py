"""What the weights that a training beside a window begins from know of the person's pictures, and what follows from it.

What they know is worth keeping: a low rate, and held to their first answers (:mod:`~lazylabels_monai.anchoring`). Of pictures
that they know nothing of, those answers are wrong, and holding on to them keeps the marks from being learnt. A training that
learns anew lets go of them and takes the rate of one that begins from nothing. So do the ones after it, as all that its
weights know of these pictures is in the marks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events

from lazylabels_monai.interactive.events import Event
from lazylabels_monai.trained import begun_anew
from lazylabels_monai.warm_start import NOTHING, STARTER

if TYPE_CHECKING:
    from lazylabels_monai.anchoring import AnchoredLoss
    from lazylabels_monai.interactive.events import EventWriter

__all__ = ["Hint", "learns_anew"]


def learns_anew(weights: str | os.PathLike | None) -> bool:
    """Whether weights, or None or ``"nothing"``, hold no knowledge but that of the marks they learnt from."""
    if weights in (None, "", NOTHING):
        return True
    if weights == STARTER or not isinstance(weights, (str, os.PathLike)):  # the check of the settings refuses the latter
        return False
    return begun_anew(weights)


class Hint:
    """Tells once that the weights find little of what was marked, and what helps where they are of no use.

    It is the person who decides: whoever marks only what a good network missed marks nothing that it finds, too.

    Args:
        loss: whose agreement is looked at.
        dataset: of the training, a :class:`~lazylabels_monai.interactive.live_dataset.LiveDataset`.
        events: told.
    """

    #: Share of the marks below which it is told, and of how many regions it is told.
    SHARE, REGIONS = 0.4, 10

    def __init__(self, loss: AnchoredLoss, dataset: Any, events: EventWriter) -> None:
        self.loss, self.dataset, self.events = loss, dataset, events
        self._told = False

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Look at it, after an epoch."""
        found = self.loss.agreement
        if self._told or found.crops < self.REGIONS or found.share >= self.SHARE:
            return
        if (regions := self.dataset.regions()) >= self.REGIONS:
            self._told = True
            sentence = (
                f"the weights that the training began from find {found.share:.0%} of the {regions} regions that you marked: "
                "if their prediction is of no use, press Stop and train from the starter, learning anew."
            )
            self.events.write(Event("sentence", engine.state.epoch, engine.state.max_epochs, sentence=sentence))
