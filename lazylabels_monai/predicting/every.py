"""Running an evaluator over all images, one of which may be broken: it is named, and the others are predicted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator

from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.predicting.stamping import RecordsHandler
from lazylabels_monai.stamps import StampError

__all__ = ["predict_every"]

logger = logging.getLogger(__name__)


def predict_every(
    evaluator: Evaluator, records: RecordsHandler | None = None, room: Callable[[str], None] | None = None
) -> None:
    """Run an evaluator; an image that fails is left out, and the run goes on with those behind it.

    Args:
        evaluator: its loader gives the items ``{"image": path}`` of a dataset in their order.
        records: ended when the run is.
        room: refuses an image for which there is no memory (:class:`~lazylabels_monai.predicting.room.Room`).

    Raises:
        LazyLabelsError: at the end, with a line for each image that failed.
        StampError: at once: it concerns all that follow.
    """
    evaluator.logger.addFilter(_said_here)
    try:
        failed = _failures(evaluator, room)
    finally:
        evaluator.logger.removeFilter(_said_here)
        if records is not None:
            records.end()
    if failed:
        raise LazyLabelsError("\n".join(reason if path in reason else f"'{path}': {reason}" for path, reason in failed.items()))


def _failures(evaluator: Evaluator, room: Callable[[str], None] | None) -> dict[str, str]:
    """What went wrong, by image."""
    loader = evaluator.data_loader
    items, size = list(loader.dataset.data), loader.batch_size or 1
    failed: dict[str, str] = {}
    done = _Count()
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, done)  # the last one: all others have done their part
    if room is not None:
        items = [item for item in items if not _refused(item, room, failed)]
    todo = [(items, size)] if items else []
    while todo:
        items, size = todo.pop()
        _give(evaluator, items)
        done.number = 0
        try:
            evaluator.run()
        except StampError:
            raise
        except Exception as error:
            rest = items[done.number * size :]
            bad, rest = rest[:size], rest[size:]
            if not bad:  # after the last one
                raise
            todo += [(rest, size)] * bool(rest)
            if len(bad) > 1:  # which of them?
                todo += [([item], 1) for item in reversed(bad)]
                continue
            failed[str(bad[0]["image"])] = reason = explain(error)
            logger.error(f"'{bad[0]['image']}' FAILED: {reason}")
    return failed


def _refused(item: Mapping[str, Any], room: Callable[[str], None], failed: dict[str, str]) -> bool:
    path = str(item["image"])
    try:
        room(path)
    except LazyLabelsError as error:
        failed[path] = str(error)
        logger.error(f"'{path}' FAILED: {error}")
    return path in failed


def _said_here(record: logging.LogRecord) -> bool:
    """Not what ignite says of an error that is caught here."""
    return "terminating due to exception" not in record.getMessage()


class _Count:
    """Batches that are done."""

    number = 0

    def __call__(self, engine: Engine) -> None:
        self.number += 1


def _give(evaluator: Evaluator, items: list[Any]) -> None:
    loader = evaluator.data_loader
    loader.dataset.data = items
    evaluator.state.epoch_length = len(loader)
    evaluator._internal_run_generator = None  # ignite would take up the run that failed, and end at once
