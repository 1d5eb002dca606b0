"""The process of a training beside a window: ``python -m lazylabels_monai.interactive.child EVENTS``.

It imports what takes seconds and waits for a line on the standard input: a JSON list, the arguments of ``python -m
monai.bundle``, which then run here. So a training can be had ready before anybody asks for it. What comes after that line are
the orders of :class:`~lazylabels_monai.interactive.orders.Orders`.
"""

from __future__ import annotations

import importlib
import io
import json
import runpy
import sys
from collections.abc import Sequence

from lazylabels_monai.errors import user_error, write_log
from lazylabels_monai.interactive.events import Event, EventWriter
from lazylabels_monai.interactive.trainer import with_network

__all__ = ["main"]

_IMPORTED = (
    "monai.bundle",
    "monai.engines",
    "monai.handlers",
    "lazylabels_monai.networks",
    "lazylabels_monai.workflow",
    "lazylabels_monai.interactive.live",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Wait and train.

    Args:
        arguments: the file of events; default the command line.
    """
    (file,) = sys.argv[1:] if arguments is None else arguments
    for module in _IMPORTED:
        importlib.import_module(module)
    with io.FileIO(0, closefd=False) as orders:  # without a buffer, which would swallow the orders that follow
        line = orders.readline()
    if not line:
        return  # the window was closed
    try:
        sys.argv[1:] = with_network(json.loads(line))
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except Exception as error:
        EventWriter(file).write(Event("sentence", sentence=_sentence(error), error=True))
        raise


def _sentence(error: BaseException) -> str:
    found = user_error(error)
    if found is not None:
        return str(found)
    return (
        f"the training ended by a fault of the program ({type(error).__name__}: {error}), what was saved before stays: please "
        f"report it with {write_log(error)}."
    )


if __name__ == "__main__":
    main()
