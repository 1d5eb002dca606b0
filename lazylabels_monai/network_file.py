"""``network.json`` beside the weights: the network of a training, how it looks at images, and whether another is the same."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.config_files import read_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.json_values import as_json
from lazylabels_monai.plain_values import NETWORKS, ForeignNetwork, check_network_values, public_path

if TYPE_CHECKING:
    import torch

__all__ = [
    "NETWORK_FILE",
    "NETWORK_IDS",
    "built_and_stated",
    "require_kept_network",
    "require_same_network",
    "trained_network",
    "trained_normalization",
    "trained_window_size",
    "write_network",
]

#: What a prediction must know of the network's training.
NETWORK_FILE = "network.json"
#: Ids of the configs that say what network the weights belong to, those that training keeps in ``network.json``.
NETWORK_IDS = (
    "network_def",
    "spatial_dims",
    "in_channels",
    "channels",
    "num_multitask_blocks",
    "detection_stride",
    "finest_width",
    "separation_conv",
    "norm",
    "dropout",
    "normalization",
    "tasks",
    "crop_size",
    "window_size",
)

#: Arguments of a network that ``network.json`` need not state: one follows from the classes, one says how weights begin.
_NOT_STATED = ("num_classes", "zero_init_residual")

#: The ``normalization`` of trainings that did not write theirs down: there was no other.
FORMER_NORMALIZATION = "mean_std"


def write_network(folder: str | Path, network: torch.nn.Module, **settings: Any) -> None:
    """Write what a prediction must know of a training into the folder of the weights, for :func:`trained_network`.

    Args:
        folder: of ``model.pt``.
        network: the network; its class, by its public path, and what it was built with become ``network_def``; of a network
            of somebody else, those of ``settings`` that its constructor takes.
        settings: values of the config by their ids; where the network was built with another value, that is written.
    """
    kind, built = type(network), _built_with(network)
    takes = [n for n in inspect.signature(kind).parameters if n in settings or n in built or n == "num_classes"]
    # references, so that a value still stands at one place of the config
    target = public_path(f"{kind.__module__}.{kind.__qualname__}")
    by_id = {"num_classes", *settings}
    definition = {"_target_": target, **{name: f"@{name}" if name in by_id else built[name] for name in takes}}
    written = {name: built.get(name, value) for name, value in settings.items()}
    text = json.dumps({"network_def": definition, **written}, indent=1)
    write_text(Path(folder) / NETWORK_FILE, text + "\n")


def _is_ours(network: torch.nn.Module) -> bool:
    kind = type(network)
    return public_path(f"{kind.__module__}.{kind.__qualname__}").startswith(f"{NETWORKS}.")


def _built_with(network: torch.nn.Module) -> dict[str, Any]:
    """What one of our networks was built with, as JSON has it; of another network nothing is known."""
    if not _is_ours(network):
        return {}
    found = {name: value for name, value in getattr(network, "built_with", {}).items() if name not in _NOT_STATED}
    return json.loads(json.dumps(found, default=lambda value: f"<{value!r}>"))  # which no file of values may hold


def require_kept_network(network: torch.nn.Module) -> None:
    """Refuse a network that ``network.json`` cannot hold, of which predictions would build another.

    Raises:
        LazyLabelsError: naming what cannot be kept.
    """
    for name, value in _built_with(network).items():
        like = _LIKE.get(name, "ELU")
        try:
            check_network_values({name: value}, NETWORK_IDS)
        except ValueError as error:
            raise LazyLabelsError(
                f"network_def#{name} is {value!r}, which {NETWORK_FILE} cannot keep beside the weights, so that predictions "
                f"would build another network: write it in words and numbers, as MONAI names it, such as {like}."
            ) from error


#: What arguments of a network look like in a config.
_LIKE = {"norm": "[GROUP, {num_groups: 4}]", "dropout": "0.2", "residual": "true"}


def built_and_stated(
    found: Mapping[str, Any], network: torch.nn.Module | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a network that is here, and those of the training, by their names and as JSON has them.

    Where the training wrote down what its network was built with, so are those of the network that is here; else ids alone
    can be compared, as those of earlier versions and of networks of somebody else.

    Args:
        found: from :func:`trained_network`.
        network: the network that is here; None: only ids.
        given: values of the config by their ids.
    """
    definition = found.get("network_def", {})
    stated = {name: value for name, value in found.items() if name != "network_def"}
    here, built = as_json(dict(given)), _built_with(network) if network is not None else {}
    if built and all(name in definition for name in built):
        here.update(built)
        stated.update({name: definition[name] for name in built if definition[name] != f"@{name}"})
    return here, stated


def trained_network(weights: str | Path, overlays: Sequence[str | Path] = ()) -> dict[str, Any]:
    """Ids of ``inference.yaml`` with the values of the training; empty where none were written.

    A network of ours is named by its public path, whatever module it lay in when the file was written. Weights and what lies
    beside them may come from anybody, and what this returns goes into a config that may run code: hence known names, plain
    values, and networks of this package only (:mod:`~lazylabels_monai.plain_values`).

    Args:
        weights: ``model.pt``.
        overlays: config files that the user names. Where they state ``network_def``, the user answers for it, and a network of
            somebody else beside the weights is left out.

    Raises:
        LazyLabelsError: when the file cannot be read, or holds what is no plain value.
    """
    path = Path(weights).with_name(NETWORK_FILE)
    if not path.is_file():
        return {}
    before = {"normalization": FORMER_NORMALIZATION}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        try:
            return {**before, **check_network_values(found, NETWORK_IDS)}
        except ForeignNetwork as error:
            if not any(key.partition("#")[0] == "network_def" for key in _top_keys(overlays)):
                raise LazyLabelsError(
                    f"{path}: {error}; if you trust it, state network_def in a config file of yours and name that by --config."
                ) from error
            rest = {name: value for name, value in found.items() if name != "network_def"}
            return {**before, **check_network_values(rest, NETWORK_IDS)}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable_network(path, error) from error


def require_same_network(weights: str | Path, given: Mapping[str, Any], network: torch.nn.Module | None = None) -> None:
    """Refuse settings of a network that contradict those of its training, where that wrote them down.

    Most would not fit the weights anyway; another normalization of the intensities would answer, and wrongly.

    Args:
        weights: ``model.pt``.
        given: values of the config by their ids; of those that the network of the training does not take, none counts.
        network: the network that was built of them, by whatever else the config says of it; None: the ids alone count.

    Raises:
        LazyLabelsError: naming what differs and how to give the same.
    """
    try:
        found = trained_network(weights)
    except LazyLabelsError:
        found = {}  # of a network of somebody else: the user has stated it
    takes = set(found.get("network_def", found)) | {"normalization"}
    now, stated = built_and_stated(found, network, given)
    free = {"dropout"} - set(given)  # a prediction drops nothing
    differs = [name for name in now if name in takes - free and name in stated and stated[name] != now[name]]
    if differs:
        said = [f"{name} {json.dumps(stated[name])}, not {json.dumps(now[name])}" for name in differs]
        given_same = " ".join(f"--{_option(name, given, stated)} {_argument(stated[name])}" for name in differs)
        raise LazyLabelsError(
            f"{weights}: these weights belong to another network, which had {'; '.join(said)} ({NETWORK_FILE}): give "
            f"{given_same}, or the config file of the training; lazylabels predict does it by itself."
        )


def _option(name: str, given: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    """The id of a setting; the argument of the network where there is no id, or the id says so already."""
    by_id = name in given and as_json(given[name]) != stated[name]
    return name if by_id else f"network_def#{name}"


def _argument(value: Any) -> str:
    """For a command line of MONAI."""
    return json.dumps(value) if isinstance(value, str) else f'"{value}"' if isinstance(value, list) else str(value)


def _unreadable_network(path: Path, error: Exception) -> LazyLabelsError:
    return LazyLabelsError(
        f"{path}: the network's settings cannot be read ({error}); remove the file and name the overlays of the training."
    )


def _top_keys(overlays: Sequence[str | Path]) -> list[str]:
    return [key for file in overlays for key in read_overlay(file)]


def trained_normalization(weights: str | Path) -> str:
    """How intensities were normalised in the training; that of trainings before there was a choice, where none was written."""
    return str(_stated(weights, "normalization", FORMER_NORMALIZATION))


def trained_window_size(weights: str | Path, crop_size: Sequence[int]) -> list[int]:
    """Windows of a prediction: those that the training wrote down, else twice its crops; of other dimensions nothing is taken.

    Args:
        weights: ``model.pt``.
        crop_size: that of the config.
    """
    usual = [2 * size for size in crop_size]
    value = _stated(weights, "window_size", usual)
    return list(value) if len(value) == len(usual) else usual


def _stated(weights: str | Path, name: str, otherwise: Any) -> Any:
    """A single value of the file, whatever the others are."""
    path = Path(weights).with_name(NETWORK_FILE)
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return check_network_values({name: found.get(name, otherwise)}, NETWORK_IDS)[name]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable_network(path, error) from error
