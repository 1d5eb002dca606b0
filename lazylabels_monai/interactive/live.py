"""Handlers of a training beside a window: it takes up what is drawn, shows its weights early, and obeys. See
``configs/interactive.yaml``."""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset
from monai.handlers import ValidationHandler
from scipy import ndimage

from lazylabels_monai.atomic import clean, whole_file, written_to
from lazylabels_monai.data.datalist import LABEL_KEYS, read_items
from lazylabels_monai.data.sampling import sampling_weights
from lazylabels_monai.digests import saving, settle
from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.guards import require_finite
from lazylabels_monai.handlers import TaskLossHandler
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image, read_image_and_dims, read_label
from lazylabels_monai.interactive.events import Event, EventWriter
from lazylabels_monai.interactive.file_stamp import file_stamp
from lazylabels_monai.interactive.unmarked import unmarked_images
from lazylabels_monai.stopping import uninterrupted
from lazylabels_monai.tasks import BACKGROUND, IGNORE, num_task_classes, validate_tasks
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

if TYPE_CHECKING:
    from torch.utils.data import WeightedRandomSampler

    from lazylabels_monai.losses import MaskedMultiTaskLoss

__all__ = ["CurrentWeights", "Digests", "EpochEvents", "LiveDataset", "Obey", "Orders", "TakeUp", "Validating"]

logger = logging.getLogger(__name__)

#: Trainings that began elsewhere than from the weights before them keep those; of them as many as this.
KEPT = 5

#: Images without marks that are read at the begin of an epoch, which waits for them.
PER_CALL = 4

#: Pixels of the images without marks in memory, all together; image, labels and weights of crops are eleven bytes each.
HELD_PIXELS = 64_000_000


class LiveDataset(CacheDataset):
    """The images of one split that carry a label by now; empty until :meth:`take_up` is called for the first time.

    Only files that are new or were written again are read.

    Args:
        datalist: the file.
        section: the split.
        tasks: an image counts when it has a label for one of them.
        num_classes: with background; a label with other values is left out.
        transform: MONAI's ``Compose``; what comes before its first random transform is done once.
        unmarked: as many images without any mark are held beside; a few join with each call.
    """

    def __init__(
        self, datalist: str, section: str, tasks: Sequence[str], num_classes: int, transform: Any, unmarked: int = 0
    ) -> None:
        super().__init__([], transform, progress=False)
        self.datalist, self.section, self.num_classes = datalist, section, num_classes
        self.tasks, self.unmarked = validate_tasks(tasks), unmarked
        self.marked = 0
        self.refused: dict[str, str] = {}
        self._signs: dict[str, tuple] = {}
        self._passed_over: dict[str, tuple] = {}

    def take_up(self) -> list[str]:
        """Read what was drawn since the last call.

        An image or a label that cannot be used is left out, and ``refused`` says why; so is a datalist that cannot be read.

        Returns:
            the images that are new or have other labels.
        """
        try:
            items = read_items(self.datalist, self.section, self.tasks, labelled_only=True, may_be_empty=True)
            others = unmarked_images(self.datalist, self.section, self.tasks) if self.unmarked else []
        except LazyLabelsError as error:
            self.refused[self.datalist] = str(error)
            return []
        before = {item["image"]: (item, cached) for item, cached in zip(self.data, self._cache, strict=True)}
        self.refused = {}
        taken, kept, changed = [], [], []
        for item in items:
            name, sign = item["image"], _sign(item)
            if name in before and self._signs.get(name) == sign:
                found = before[name][1]
            else:
                self._signs[name] = sign
                found = self._loaded(item)
                changed += [name] * (found is not None)
            if found is None:
                self._signs.pop(name, None)
            else:
                taken.append(item)
                kept.append(found)
        self.marked = len(taken)
        if taken:
            self._hold(others, before, taken, kept)
        self.data, self._cache, self.cache_num = taken, kept, len(taken)
        return changed

    def regions(self) -> int:
        """How many inner regions are marked on the images."""
        found = 0
        for item in self._cache[: self.marked]:
            marks = np.asarray(item["detection"][0]) if "detection" in item else np.zeros((1, 1))
            found += ndimage.label(marks > BACKGROUND + 1)[1]  # here a zero means "not labelled"
        return found

    def _hold(self, others: Sequence[Mapping[str, Any]], before: Mapping[str, Any], taken: list, kept: list) -> None:
        """Images without marks behind those with some; one that cannot be used is passed over, as nobody asked for it."""
        held, read, pixels = 0, 0, 0
        for item in others:
            name, sign = item["image"], _sign(item)
            if held == self.unmarked:
                break
            if name in before and self._signs.get(name) == sign:
                found = before[name][1]
            elif read == PER_CALL or self._passed_over.get(name) == sign:
                continue
            else:
                read += 1
                self._signs[name], refused = sign, dict(self.refused)
                found = self._loaded(item)
                self.refused = refused
            size = 0 if found is None else int(np.prod(np.shape(found["image"])[1:]))
            if found is None or pixels + size > HELD_PIXELS:
                self._passed_over[name] = sign
                continue
            held, pixels = held + 1, pixels + size
            taken.append(item)
            kept.append(found)

    def _loaded(self, item: Mapping[str, Any]) -> Any:
        """The item as far as nothing is random; None where it cannot be used."""
        self.data = [item]
        try:
            self._require_fitting(item)
            return self._load_cache_item(0)
        except Exception as error:  # one image must not end the training
            found = user_error(error)
            if found is None:
                logger.exception(f"image {item['image']} could not be taken up")
            self.refused[item["image"]] = str(found or f"image '{item['image']}' cannot be used ({error}).")
            return None

    def _require_fitting(self, item: Mapping[str, Any]) -> None:
        image, dims = read_image_and_dims(item["image"])
        for task in self.tasks:
            if item.get(task) is None:
                continue
            label = like_image(read_label(item[task]), item[task], item["image"])
            if label.shape != image.shape[:dims]:
                raise LazyLabelsError(f"label '{item[task]}' has another size than its image: save it at the image's size.")
            top = num_task_classes(task, self.num_classes) - 1
            if ((label < 0) | (label > top) & (label != IGNORE)).any():
                raise LazyLabelsError(f"label '{item[task]}' holds values other than 0 to {top} and {IGNORE}: correct it.")


def _sign(item: Mapping[str, Any]) -> tuple:
    """Another one whenever a file of the item was written again."""
    found = []
    for key in ("image", *LABEL_KEYS):
        if item.get(key) is not None:
            try:
                stat = os.stat(item[key])
            except OSError:
                found.append((key, item[key]))
            else:
                found.append((key, item[key], stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


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
        done = state.iteration - self._first_iteration
        left = state.max_epochs * state.epoch_length - state.iteration
        self.events.write(
            Event(
                "epoch",
                state.epoch,
                state.max_epochs,
                now - self._epoch_start,
                {task: float(value) / max(self._count, 1) for task, value in self._sums.items()},
                images=engine.data_loader.dataset.marked,
                eta=(now - self._start) / max(done, 1) * left,
            )
        )


class CurrentWeights:
    """Saves ``model.pt`` after each epoch, whole or not at all, with what a prediction must know of it.

    Args:
        ckpt_dir: where.
        network: whose weights are saved: the running mean, where there is one.
        definition: the network that is trained, for ``network.json``.
        classes, trained_with, datalist: see :func:`~lazylabels_monai.workflow.begin_training`.
        begun_from: ``init_weights``. Other weights than those that lie there are kept in ``before_<date>/`` first, the last
            :data:`KEPT` of them.
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
        self._learnt, self._digests = None if before is None else set(before), Digests()
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
            stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(self.path.stat().st_mtime))
            target = folder / f"before_{stamp}"
            target.mkdir(exist_ok=True)
            for name in (WEIGHTS_FILE, *BESIDE):
                if (folder / name).is_file():
                    shutil.copy2(folder / name, target / name)
            for old in sorted(folder.glob("before_*"))[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        write_classes(folder, self.classes)
        write_network(folder, self.definition, **self.trained_with)
        write_begun(folder, self.learns_anew, self._learnt)
        self._begun = True

    def _note_learnt(self, items: Sequence[Mapping[str, Any]]) -> None:
        if self._learnt is None:
            return
        found = {self._digests.of(item["image"]) for item in items} - {""}
        if not found <= self._learnt:
            self._learnt |= found
            write_begun(self.path.parent, self.learns_anew, self._learnt)


def _knows_no_image(begun_from: str | None) -> bool:
    """Whether a training begins from nothing, or from the starter, which knows none of a person's images."""
    return begun_from in (None, "", NOTHING, STARTER) or os.path.realpath(begun_from) == os.path.realpath(
        weights_named(STARTER)
    )


class Digests:
    """Digests of images' pixels; a file that stays the same is read once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, str]] = {}

    def of(self, path: str) -> str:
        """The digest, "" where the image cannot be read."""
        stamp = file_stamp(Path(path))
        if path not in self._known or self._known[path][0] != stamp:
            try:
                self._known[path] = (stamp, pixel_digest(read_image(path)))
            except (LazyLabelsError, MemoryError):
                return ""
        return self._known[path][1]


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
        self._told, self._told_of, self._digests = False, frozenset(), Digests()
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


class Orders:
    """Lines that come in: ``pause``, ``resume``, ``stop``; at their end, as when the window was killed, the program ends.

    Args:
        stream: of bytes; default the standard input, read without a buffer: the interpreter aborts where it ends while a thread
            holds the lock of one.
    """

    def __init__(self, stream: Any = None) -> None:
        self.paused, self.stopped = threading.Event(), threading.Event()
        self.obeyed = False
        self._stream = io.FileIO(0, closefd=False) if stream is None else stream
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        for line in self._stream:
            order = line.strip()
            if order == b"pause":
                self.paused.set()
            elif order in (b"resume", b"stop"):
                if order == b"stop":
                    self.stopped.set()
                self.paused.clear()
                if self.stopped.is_set() and not self.obeyed:  # nothing is trained yet
                    os.kill(os.getpid(), signal.SIGTERM)
        if not self.stopped.is_set():  # nobody is there any more
            self.paused.clear()
            os.kill(os.getpid(), signal.SIGTERM)


class Obey:
    """Waits while the training is to pause, and ends it after the step in which it is to stop.

    Args:
        orders: None: there are none.
    """

    def __init__(self, orders: Orders | None) -> None:
        self.orders = orders

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        if self.orders is not None:
            engine.add_event_handler(Events.STARTED, self._begin)
            engine.add_event_handler(Events.ITERATION_STARTED, self._wait)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._stop)

    def _begin(self, engine: Engine) -> None:
        self.orders.obeyed = True

    def _wait(self, engine: Engine) -> None:
        while self.orders.paused.is_set():
            time.sleep(0.05)

    def _stop(self, engine: Engine) -> None:
        if self.orders.stopped.is_set():
            engine.terminate()
