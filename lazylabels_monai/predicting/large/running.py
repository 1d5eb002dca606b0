"""The parts of a stage, done by dask: in this process, or by the workers of a ``dask.distributed`` scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.progress import Progress, clock

__all__ = ["Runner", "runner"]

#: Seconds between lines of progress, at least.
_EVERY = 10.0


class Runner:
    """Does the parts of stages.

    Args:
        client: of ``dask.distributed``; None: this process.
        say: is told how far it has come.
    """

    def __init__(self, client: Any, say: Progress) -> None:
        self.client, self.say = client, say

    def __call__(self, name: str, function: Callable[..., Any], parts: Sequence[tuple], threads: int = 1) -> None:
        """Call ``function`` with each of ``parts``.

        Args:
            name: of the stage, for people.
            function: at the top of a module, so that workers find it; its result is not used.
            parts: its arguments, picklable.
            threads: of this process; a scheduler's workers are as many as they are.

        Raises:
            Exception: what a part raised, when those that had begun are done.
        """
        count = _Count(name, len(parts), self.say)
        if not parts:
            return
        if self.client is not None:
            from distributed import as_completed

            futures = self.client.map(_call, [function] * len(parts), parts, pure=False, retries=2)
            try:
                for future in as_completed(futures, loop=self.client.loop):
                    future.result()
                    count()
            finally:
                self.client.cancel(futures)
            return
        import dask
        from dask.callbacks import Callback

        # dask does them in the order of their names: neighbours one after the other, whose windows overlap
        keys = [f"{number:09d}" for number in range(len(parts))]
        calls = [dask.delayed(_call)(function, part, dask_key_name=key) for key, part in zip(keys, parts, strict=True)]
        with Callback(posttask=lambda *_: count()):
            if threads > 1:
                dask.compute(*calls, scheduler="threads", num_workers=threads, optimize_graph=False)
            else:
                dask.compute(*calls, scheduler="synchronous", optimize_graph=False)


def _call(function: Callable[..., Any], part: tuple) -> None:
    function(*part)


class _Count:
    """Parts that are done, and a line now and then."""

    def __init__(self, name: str, total: int, say: Progress) -> None:
        self.name, self.total, self.say, self.done = name, total, say, 0
        self.start = self.told = time.monotonic()

    def __call__(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.told >= _EVERY and self.done < self.total:
            self.told = now
            eta = clock((now - self.start) / self.done * (self.total - self.done))
            self.say(f"  {self.name}: {self.done} of {self.total} tiles, ETA {eta}")


@contextmanager
def runner(scheduler: str | None, say: Progress) -> Iterator[Runner]:
    """A :class:`Runner` in this process, or with the workers of a scheduler.

    Args:
        scheduler: address of a ``dask.distributed`` scheduler, such as ``tcp://10.0.0.1:8786``; its workers see the picture,
            the weights and the folder of the results under the same names.
        say: is told how far it has come.

    Raises:
        LazyLabelsError: when the scheduler does not answer, or distributed is not installed.
    """
    if scheduler is None:
        yield Runner(None, say)
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise LazyLabelsError('a scheduler needs the package distributed: pip install "lazylabels-monai[large]".') from error
    try:
        client = Client(scheduler, timeout="15s", set_as_default=False)
    except Exception as error:  # OSError, TimeoutError, ValueError
        raise LazyLabelsError(
            f"no dask scheduler answers at '{scheduler}' ({type(error).__name__}): start one with `dask scheduler`, and "
            "`dask worker ADDRESS` on each machine."
        ) from error
    try:
        yield Runner(client, say)
    finally:
        client.close()
