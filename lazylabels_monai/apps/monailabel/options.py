"""What a request for a training may ask for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.settings import SETTINGS

__all__ = ["refuse_without_effect"]

#: Of MONAI Label, which does not show them.
_UNSHOWN = frozenset(["model", "name", "local_rank", "force_multi_gpu", "tracking_run_name"])

#: Settings of the config that an option decides.
_MEANT = {"init_weights": "pretrained"}


def refuse_without_effect(request: Iterable[str], options: Collection[str]) -> None:
    """Refuse a request with a mistyped option, or with a setting that stands in the app's config: MONAI Label looks at neither.

    Args:
        request: names of what is asked for; those that mean nothing here are left to the client that sent them.
        options: that a training has.

    Raises:
        LazyLabelsError: naming the option and what was probably meant, or where it is set.
    """
    for name in request:
        if name in options or name in _UNSHOWN:
            continue
        if name in SETTINGS and name not in _MEANT:
            raise LazyLabelsError(
                f"the request: '{name}' would be without effect: set it in configs/train.yaml of the app's bundle, and start "
                "the server again."
            )
        close = difflib.get_close_matches(name, sorted(options), n=1, cutoff=0.75)
        if meant := _MEANT.get(name) or (close[0] if close else None):
            raise LazyLabelsError(f"the request: '{name}' is no option of a training; did you mean {meant}?")
