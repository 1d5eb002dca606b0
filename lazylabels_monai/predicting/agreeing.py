"""Whether the config files that a user names for a prediction agree with the training that the weights are of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from lazylabels_monai.config_files import read_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.json_values import as_json
from lazylabels_monai.plain_values import public_path
from lazylabels_monai.trained import NETWORK_FILE, NETWORK_IDS

__all__ = ["require_agreement"]

#: How images are looked at is no property of the weights.
_FREE = ("window_size",)


def require_agreement(
    weights: str | os.PathLike,
    trained: Mapping[str, Any],
    bundle_config: str | os.PathLike,
    overlays: Sequence[str | os.PathLike],
) -> None:
    """Refuse config files that state another network, or other eyes, than ``network.json`` beside the weights.

    What the training wrote would win, and the user would think otherwise.

    Args:
        weights: ``model.pt``.
        trained: what the training wrote, from :func:`~lazylabels_monai.trained.trained_network`; empty refuses nothing.
        bundle_config: ``inference.yaml``, for what the files refer to.
        overlays: the config files.

    Raises:
        LazyLabelsError: naming the file, the ids, both values and the remedy.
    """
    for number, overlay in enumerate(overlays):
        parser: ConfigParser | None = None
        differs = []
        for key, value in read_overlay(overlay).items():
            path = key.lstrip("+").replace("::", "#").split("#")
            name = path[0]
            if name not in NETWORK_IDS or name in _FREE or name not in trained:
                continue
            if name == "network_def":
                differs += _network_differences(path[1:], value, trained)
                continue
            if isinstance(value, str) and value.startswith(("$", "@")):
                parser = parser or _parser(bundle_config, overlays[: number + 1])
                value = parser.get_parsed_content(name)
            if len(path) == 1 and not _same(value, trained[name]):
                differs.append(f"{name} {_shown(value)}, the training {_shown(trained[name])}")
        if differs:
            raise LazyLabelsError(
                f"config file '{overlay}' gives {'; '.join(differs)} ({Path(weights).with_name(NETWORK_FILE)}): leave that out "
                "of the file, as predictions take it from there, or name the weights that were trained so."
            )


def _network_differences(path: Sequence[str], value: Any, trained: Mapping[str, Any]) -> list[str]:
    """Of ``network_def``, or of ``network_def#name``; references stand for the ids that are compared themselves."""
    own = trained["network_def"]
    stated = {path[0]: value} if len(path) == 1 else value if not path and isinstance(value, Mapping) else {}
    found = []
    for name, one in stated.items():
        if name == "_target_":
            if public_path(str(one)) != own["_target_"]:
                found.append(f"the network {str(one).rpartition('.')[2]}, the training {own['_target_'].rpartition('.')[2]}")
        elif not (isinstance(one, str) and one.startswith(("$", "@"))):
            there = own.get(name)
            there = trained.get(name) if isinstance(there, str) and there.startswith("@") else there
            if name in own and not _same(one, there):
                found.append(f"{name} {_shown(one)}, the training {_shown(there)}")
    return found


def _parser(bundle_config: str | os.PathLike, overlays: Sequence[str | os.PathLike]) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle_config), *map(str, overlays)])
    return parser


def _same(one: Any, other: Any) -> bool:
    return as_json(one) == as_json(other)


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)
