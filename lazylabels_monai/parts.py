"""What was replaced below the surface of the bundle's config, such as ``optimizer#weight_decay``, wherever it was given: on the
command line, in a file, or by another program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.errors import LazyLabelsError

__all__ = ["replaced_parts", "running_config"]

#: What a value of the bundle's own is told as.
AS_IN_BUNDLE = "as the bundle has it"


def running_config() -> dict[str, Any] | None:
    """The config, as text, that the calling expression belongs to; None where no config calls.

    MONAI hands an expression the values of what it refers to, and never what stands in the config.
    """
    from monai.bundle import ConfigParser  # here, so that labels can be made without importing all of MONAI

    frame = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigParser):
            return caller.config if isinstance(caller.config, dict) else None
        frame = frame.f_back
    return None


def replaced_parts(names: Sequence[str], config: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """What stands otherwise in parts of a config than in the bundle's ``train.yaml``: values, as text, by their paths.

    Args:
        names: ids of the parts.
        config: default :func:`running_config`.

    Returns:
        None where there is no config, or none of the bundle's to compare it with.
    """
    config, own = running_config() if config is None else config, _own()
    if config is None or own is None:
        return None
    found = {path: value for name in names for path, value in _differing(config.get(name), own.get(name), name)}
    return json.loads(json.dumps(found, default=str))


@cache
def _own() -> dict[str, Any] | None:
    from monai.bundle import ConfigParser

    try:
        return ConfigParser.load_config_file(bundle_config(None, "train.yaml"))
    except (LazyLabelsError, OSError):
        return None


def _differing(value: Any, own: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and isinstance(own, dict):
        for key in {**own, **value}:
            yield from _differing(value.get(key), own.get(key), f"{path}#{key}")
    elif isinstance(value, list) and isinstance(own, list) and len(value) == len(own):
        for index, (each, other) in enumerate(zip(value, own, strict=True)):
            yield from _differing(each, other, f"{path}#{index}")
    elif value != own or type(value) is not type(own):
        yield path, value
