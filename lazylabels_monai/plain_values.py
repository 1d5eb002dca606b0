"""What may stand in the files beside weights: data. They go into MONAI configs, where a text may be code or a reference.

A text that begins with ``$`` is run by MONAI, one with ``@`` or ``%`` stands for another value, and ``_target_`` names anything
that Python can call. Weights come from strangers; what lies beside them is therefore held to known names and plain values.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from lazylabels_monai.tasks import TASKS

__all__ = ["MOST", "NETWORKS", "ForeignNetwork", "check_names", "check_network_values", "check_plain", "public_path"]

#: The package in which our networks are public.
NETWORKS = "lazylabels_monai.networks"

_MEANT_FOR_MONAI = ("$", "@", "%")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:()-]*")
#: Pixels of a window, channels of a level: more is a mistake.
MOST = 65536


def check_names(names: Any) -> list[str]:
    """Names of classes as they are.

    Raises:
        ValueError: for what is no list of texts, and for a name that MONAI would run or resolve.
    """
    if not isinstance(names, list):
        raise ValueError("it is no list of names")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{name!r} is no name")
        if name.lstrip().startswith(_MEANT_FOR_MONAI):
            raise ValueError(f"'{_short(name)}' begins with {name.lstrip()[0]}, which MONAI takes for code or a reference")
    return names


def check_network_values(found: Any, ids: Iterable[str]) -> dict[str, Any]:
    """The contents of ``network.json`` as they are, its network under its public path.

    Args:
        found: what the file holds.
        ids: names that may stand there, besides what our networks can be told.

    Raises:
        ValueError: for an unknown name, a value of another type or range, text that MONAI would run or resolve, and a network
            that is none of :data:`NETWORKS`; the last as :class:`ForeignNetwork`.
    """
    if not isinstance(found, Mapping):
        raise ValueError("it holds no names and values")
    found, ids = dict(found), {*ids, *_settings_of_networks()}
    if unknown := sorted(set(found) - set(ids)):
        raise ValueError(f"'{_short(unknown[0])}' is none of its names")
    for name, value in found.items():
        if name != "network_def":
            _check(name, value)
    if "network_def" in found:
        found["network_def"] = _checked_definition(found["network_def"], found)
    return found


def check_plain(values: Any) -> Any:
    """Numbers, words, lists and names of them as they are.

    Raises:
        ValueError: for anything else, text that MONAI would run or resolve among it.
    """
    if not _plain(values, depth=6, longest=4096):
        raise ValueError("it holds more than names, numbers and words")
    return values


class ForeignNetwork(ValueError):
    """The network is none of ours."""


def public_path(target: str) -> str:
    """``lazylabels_monai.networks.NAME`` for a network of ours, wherever it was defined; any other path as it is."""
    name = target.rpartition(".")[2]
    package = NETWORKS.partition(".")[0]
    ours = target.startswith(f"{package}.") and name in import_module(NETWORKS).__all__
    return f"{NETWORKS}.{name}" if ours else target


def _settings_of_networks() -> set[str]:
    package = import_module(NETWORKS)
    networks = [getattr(package, name) for name in package.__all__]
    return {name for network in networks for name in inspect.signature(network).parameters if name.isidentifier()}


def _checked_definition(definition: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(definition, Mapping) or not isinstance(definition.get("_target_"), str):
        raise ValueError("'network_def' names no network")
    target = public_path(definition["_target_"])
    if not target.startswith(f"{NETWORKS}."):
        raise ForeignNetwork(f"'network_def' names {_short(target)}, which is none of this package's networks")
    network = getattr(import_module(NETWORKS), target.rpartition(".")[2])
    takes = inspect.signature(network).parameters
    for name, value in definition.items():
        if name == "_target_":
            continue
        if name not in takes:
            raise ValueError(f"'{_short(str(name))}' is no setting of {network.__name__}")
        if value != f"@{name}" or (name not in values and name != "num_classes"):
            _check(name, value)
    return {**definition, "_target_": target}


def _check(name: str, value: Any) -> None:
    if not _CHECKS.get(name, _plain)(value):
        raise ValueError(f"'{name}' is {_short(repr(value))}")


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _list_of(each: Callable[[Any], bool], longest: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and 0 < len(value) <= longest and all(map(each, value))


def _plain(value: Any, depth: int = 3, longest: int = 64) -> bool:
    """Finite numbers, yes and no, words, nothing; lists and names of them."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= 200 and _WORD.fullmatch(value) is not None
    if depth and isinstance(value, list):
        return len(value) <= longest and all(_plain(each, depth - 1, longest) for each in value)
    if depth and isinstance(value, Mapping):
        return all(isinstance(key, str) and key.isidentifier() and key[0] != "_" for key in value) and all(
            _plain(each, depth - 1, longest) for each in value.values()
        )
    return False


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _dropout(value: Any) -> bool:
    """A share, or MONAI's pair of a kind and its settings."""
    return _share(value) or (isinstance(value, list) and _plain(value))


def _tasks(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) == len({str(v) for v in value}) and all(v in TASKS for v in value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "spatial_dims": _whole(2, 3),
    "in_channels": _whole(1, MOST),
    "num_classes": _whole(1, MOST),
    "channels": _list_of(_whole(1, MOST), 16),
    "num_multitask_blocks": _whole(0, 16),
    "detection_stride": _whole(1, 2**15),
    "finest_width": lambda value: type(value) in (int, float) and 0 < value <= 1,
    "separation_conv": lambda value: isinstance(value, str) and value.isalpha(),
    "dropout": _dropout,
    "tasks": _tasks,
    "crop_size": _list_of(_whole(1, MOST), 3),
    "window_size": _list_of(_whole(1, MOST), 3),
}


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
