"""The random part of a chain of transforms on plain tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, RandomizableTrait, Transform

__all__ = ["PlainCompose"]


class PlainCompose(Compose):
    """MONAI's ``Compose`` that drops the metadata of the tensors where the random transforms begin.

    They draw and compute the same, and give the same values bit by bit; what falls away is that each of them notes in each
    tensor what it did to it, which takes longer than doing it. Nobody inverts a random crop of a training.

    A ``CacheDataset`` keeps plain tensors then. None of MONAI's random transforms changes them in place, so that they need not
    be copied before each use (:class:`~lazylabels_monai.data.sampling.SeededCacheDataset`); one of your own must not, either.
    """

    #: Its input stays as it is.
    changes_nothing = True

    def __call__(
        self, input_: Any, start: int = 0, end: int | None = None, threading: bool = False, lazy: bool | None = None
    ) -> Any:
        """Apply the transforms from ``start`` to before ``end``."""
        first = self.get_index_of_first(lambda one: isinstance(one, RandomizableTrait) or not isinstance(one, Transform))
        if first is None or (end is not None and end < first):
            return super().__call__(input_, start, end, threading, lazy)
        if start < first:
            input_ = super().__call__(input_, start, first, threading, lazy)
        if isinstance(input_, Mapping):
            input_ = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in input_.items()}
        if end == first:
            return input_
        with _without_metadata():
            return super().__call__(input_, max(start, first), end, threading, lazy)


@contextmanager
def _without_metadata() -> Iterator[None]:
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)
