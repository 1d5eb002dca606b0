"""What the weights that a training beside a window begins from know of the person's pictures, and what follows from it.

What they know is worth keeping: a low rate, and held to their first answers (:mod:`~lazylabels_monai.anchoring`). Of pictures
that they know nothing of, those answers are wrong, and holding on to them keeps the marks from being learnt. A training that
learns anew lets go of them and takes the rate of one that begins from nothing. So do the ones after it, as all that its
weights know of these pictures is in the marks.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.datalist import SECTIONS, load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.headers import extent
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.interactive.project import pictures_of
from lazylabels_monai.warm_start import NOTHING, STARTER

if TYPE_CHECKING:
    from lazylabels_monai.anchoring import AnchoredLoss
    from lazylabels_monai.interactive.events import EventWriter

__all__ = ["BEGUN_FILE", "Hint", "crop_size", "learns_anew", "write_begun"]

#: Beside weights: how the trainings began that made them.
BEGUN_FILE = "begun.json"
#: Pixels of which a crop's side is a multiple, and its least.
_STEP, _LEAST = 32, 64


def learns_anew(weights: str | os.PathLike | None) -> bool:
    """Whether weights, or None or ``"nothing"``, hold no knowledge but that of the marks they learnt from."""
    if weights in (None, "", NOTHING):
        return True
    if weights == STARTER or not isinstance(weights, (str, os.PathLike)):  # the check of the settings refuses the latter
        return False
    try:
        found = json.loads((Path(weights).parent / BEGUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # weights of any other training
        return False
    return isinstance(found, dict) and found.get("anew") is True


def write_begun(folder: Path, anew: bool) -> None:
    """Say so beside weights."""
    write_text(folder / BEGUN_FILE, json.dumps({"anew": bool(anew)}) + "\n")


def crop_size(folder: str | os.PathLike, most: int) -> list[int]:
    """The sides of a training's crops: as large as the largest picture of a project, at most ``most`` pixels.

    A crop reaches out of a smaller picture, and what lies outside is computed for nobody.

    Args:
        folder: of the project.
        most: pixels.
    """
    folder = Path(folder)
    names = set(pictures_of(folder))
    with suppress(LazyLabelsError):  # whoever reads the datalist says what is wrong with it
        content = load_datalist(folder)
        names |= {item["image"] for section in SECTIONS for item in content.get(section, [])}
    sides = [max(found) for name in names if (found := extent(folder / name))]
    return [min(most, max(_LEAST, -(-max(sides, default=most) // _STEP) * _STEP))] * 2


class Hint:
    """Tells once that the weights find little of what was marked, and what helps where they are of no use.

    It is the person who decides: whoever marks only what a good network missed marks nothing that it finds, too.

    Args:
        loss: whose agreement is looked at.
        dataset: of the training, a :class:`~lazylabels_monai.interactive.live.LiveDataset`.
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
