"""The weights of a training beside a window, after each epoch, with what a prediction must know of them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from lazylabels_monai.atomic import clean, filled, whole_file, written_to
from lazylabels_monai.digests import saving, settle
from lazylabels_monai.guards import require_finite
from lazylabels_monai.interactive.events import Event, EventWriter
from lazylabels_monai.interactive.pixel_digests import PixelDigests
from lazylabels_monai.stopping import uninterrupted
from lazylabels_monai.trained import (
    BESIDE,
    WEIGHTS_FILE,
    learnt_images,
    write_begun,
    write_classes,
    write_images,
    write_network,
)
from lazylabels_monai.warm_start import NOTHING, STARTER, weights_named

__all__ = ["KEPT", "CurrentWeights"]

#: Trainings that began elsewhere than from the weights before them keep those; of them as many as this.
KEPT = 5


class CurrentWeights:
    """Saves ``model.pt`` after each epoch, whole or not at all, with what a prediction must know of it.

    Args:
        ckpt_dir: where.
        network: whose weights are saved: the running mean, where there is one.
        definition: the network that is trained, for ``network.json``.
        classes, trained_with, datalist: see :func:`~lazylabels_monai.workflow.begin_training`.
        begun_from: ``init_weights``. Other weights than those that lie there are kept in ``before_<date>/`` first, the last
            :data:`KEPT` that were kept.
        events: told.
        learns_anew: see :mod:`~lazylabels_monai.interactive.knowing`; it is written beside the weights.
    """

    def __init__(
        self,
        ckpt_dir: str,
        network: torch.nn.Module,
        definition: torch.nn.Module,
        classes: Sequence[str],
        trained_with: Mapping[str, Any],
        datalist: str,
        begun_from: str | None,
        events: EventWriter,
        learns_anew: bool = False,
    ) -> None:
        self.path = Path(ckpt_dir) / WEIGHTS_FILE
        self.network, self.definition, self.classes = network, definition, classes
        self.trained_with, self.datalist, self.events = dict(trained_with), datalist, events
        self.goes_on = begun_from is not None and os.path.realpath(begun_from) == os.path.realpath(self.path)
        self.learns_anew = bool(learns_anew)
        before = frozenset() if _knows_no_image(begun_from) else learnt_images(begun_from)
        # what earlier versions trained says nothing of its images; some of them would read as all
        self._learnt, self._digests = None if before is None else set(before), PixelDigests()
        self._images = -1
        self._begun = False

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, before whatever validates."""
        engine.add_event_handler(Events.EPOCH_COMPLETED | Events.TERMINATE, self)

    def __call__(self, engine: Engine) -> None:
        """Save.

        Raises:
            LazyLabelsError: when the weights are not finite, or the disk refuses them; what was there stays.
        """
        require_finite({"network": self.network})
        with written_to(self.path.parent), uninterrupted():
            if not self._begun:
                self._begin()
            images = engine.data_loader.dataset.marked
            self._note_learnt(engine.data_loader.dataset.data[:images])
            if images != self._images:  # what images of the training look like
                write_images(self.path.parent, self.datalist)
                self._images = images
            with whole_file(self.path) as file:
                saving(self.path, torch.save)(self.network.state_dict(), file)
            settle(self.path)
        self.events.write(Event("weights", engine.state.epoch, engine.state.max_epochs, weights=str(self.path)))

    def _begin(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        clean(folder)
        if self.path.is_file() and not self.goes_on:
            _keep_weights(folder)
        write_classes(folder, self.classes)
        write_network(folder, self.definition, **self.trained_with)
        write_begun(folder, self.learns_anew, self._learnt)
        self._begun = True

    def _note_learnt(self, items: Sequence[Mapping[str, Any]]) -> None:
        if self._learnt is None:
            return
        found = {self._digests.of(item["image"]) for item in items} - {None}
        if not found <= self._learnt:
            self._learnt |= found
            write_begun(self.path.parent, self.learns_anew, self._learnt)


def _keep_weights(folder: Path) -> None:
    """Copy the weights of a folder and what lies beside them to ``before_<date>/``, and let the oldest of those go.

    The clock may be wrong, or be set back: they are told apart by more than their date, and are ordered as they were made.
    """
    there = sorted(folder.glob("before_*"), key=_made)
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime((folder / WEIGHTS_FILE).stat().st_mtime))
    target, number = folder / f"before_{stamp}", 2
    while target.exists():
        target, number = folder / f"before_{stamp}_{number}", number + 1
    with filled(target) as new:
        for name in (WEIGHTS_FILE, *BESIDE):
            if (folder / name).is_file():
                shutil.copy2(folder / name, new / name)
    if there and _made(target) <= _made(there[-1]):
        with suppress(OSError):
            os.utime(target, ns=(target.stat().st_atime_ns, _made(there[-1])[0] + 10**9))
    for old in there[: -(KEPT - 1)]:
        shutil.rmtree(old, ignore_errors=True)


def _made(kept: Path) -> tuple[int, str]:
    """To order kept weights by when they were kept, the last one last."""
    return kept.stat().st_mtime_ns, kept.name


def _knows_no_image(begun_from: str | None) -> bool:
    """Whether a training begins from nothing, or from the starter, which knows none of a person's images."""
    return begun_from in (None, "", NOTHING, STARTER) or os.path.realpath(begun_from) == os.path.realpath(
        weights_named(STARTER)
    )
