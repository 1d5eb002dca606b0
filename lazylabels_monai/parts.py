"""What was replaced below the surface of the bundle's config, such as ``optimizer#weight_decay``, wherever it was given: on the
command line, in a file, or by another program."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.errors import FOLDER_IDS, LazyLabelsError, is_bundle_program, some_of
from lazylabels_monai.json_values import as_json, shown

__all__ = [
    "COMPUTED",
    "replaced_parts",
    "require_datasets",
    "require_given",
    "require_handlers",
    "require_one_process",
    "require_one_value",
    "running_config",
]

#: What a value of the bundle's own is told as.
AS_IN_BUNDLE = "as the bundle has it"

#: Ids that the bundle computes with in several places: replaced in one of them, the others would go on with another value.
COMPUTED = (
    "batch_size",
    "classes",
    "crop_size",
    "crops_per_epoch",
    "device",
    "in_channels",
    "num_classes",
    "num_workers",
    "pixel_mean",
    "resume",
    "tasks",
    "val_interval",
)
#: Of them, those that mean the same in a component of the user's own, too.
_COUNTS = ("batch_size", "crops_per_epoch", "val_interval")
#: What is made of an id by an expression and does nothing, or something else, without the id.
_MADE_OF = {
    "ema#_disabled_": "ema_decay",
    "ema#momentum": "ema_decay",
    "train#handlers#6#interval": "max_epochs",
    "validate#early_stop#patience": "early_stop_patience",
    "validate#evaluator#last_epoch": "max_epochs",
}
#: Where :data:`COMPUTED` is looked for. What the network is made of is another matter, see :mod:`lazylabels_monai.trained`.
_SEARCHED = ("beginning", "ema", "loss", "lr_scheduler", "optimizer", "train", "validate")


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
    return as_json(found)


def require_one_value(config: Mapping[str, Any] | None = None) -> None:
    """Refuse a part of a config that was replaced although other places compute with the id that it stood for.

    Args:
        config: default :func:`running_config`; where there is none, or it trains nothing, nothing is refused.

    Raises:
        LazyLabelsError: naming the part and the id to give in its place.
    """
    config, own = running_config() if config is None else config, _own()
    if config is None or own is None or "train" not in config:
        return
    for name in _SEARCHED:
        for path, value, usual, is_component in _both(config.get(name), own.get(name), name):
            meant = _MADE_OF.get(path) or _stood_for(usual)
            counts = is_component or meant in _COUNTS
            if meant is None or not counts or _same(value, usual) or _same(value, config.get(meant)):
                continue
            raise LazyLabelsError(
                f"{path} is {shown(value)}, but other places compute with {meant}, which is {shown(config.get(meant))}: leave "
                f"it out and give --{meant} (or '{meant}:' in a config file), which all of them follow."
            )


def require_one_process(config: Mapping[str, Any] | None = None) -> None:
    """Refuse several processes that would not know of each other, and to evaluate with the overlay for trainings in several.

    Args:
        config: default :func:`running_config`; where there is none nothing is refused.

    Raises:
        LazyLabelsError: with the remedy.
    """
    config = running_config() if config is None else config
    if config is None:
        return
    together = config.get("process_group") is not None
    if "evaluating" in config and together:
        raise LazyLabelsError(
            "evaluating runs in one process: leave multi_gpu_train.yaml (process_group) out of --config_file, and start it by "
            "python, without torchrun."
        )
    several = "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
    if not several or together or not is_bundle_program():
        return
    alone = next((name for name in ("evaluating", "inferring") if name in config), None)
    if alone is not None:
        raise LazyLabelsError(f"{alone} runs in one process: start it by python, without torchrun.")
    raise LazyLabelsError(
        f"torchrun starts {os.environ['WORLD_SIZE']} processes, each of which would train by itself: name multi_gpu_train.yaml "
        "after train.yaml in --config_file, or start it by python, without torchrun."
    )


def require_datasets(config: Mapping[str, Any] | None = None) -> None:
    """Refuse data sets of MONAI's of which other parts of a training would know something else.

    Args:
        config: default :func:`running_config`; where there is none nothing is refused.

    Raises:
        LazyLabelsError: naming the data set and the remedy.
    """
    config = (running_config() if config is None else config) or {}
    kinds = {name: _kind(config, name, "dataset") for name in ("train", "validate")}
    if kinds["validate"] is not None and ("." not in kinds["validate"] or kinds["validate"].startswith("monai.")):
        raise LazyLabelsError(
            f"validate#dataset is a {kinds['validate']}, but scores must say which windows it gives: leave it out, and give "
            "--cache_rate for the share of the images that is kept in memory."
        )
    if str(kinds["train"]).endswith("SmartCacheDataset") and str(_kind(config, "train", "sampler")).endswith("SeededSampler"):
        raise LazyLabelsError(
            "train#dataset is a SmartCacheDataset, whose samples come in another order than the images by which train#sampler "
            "counts: leave it out, and give --cache_rate for the share of the images that is kept in memory."
        )


def _kind(config: Mapping[str, Any], part: str, name: str) -> str | None:
    component = config.get(part)
    component = component.get(name) if isinstance(component, dict) else None
    kind = component.get("_target_") if isinstance(component, dict) else None
    return kind if isinstance(kind, str) else None


def require_given() -> None:
    """Refuse ``name=None`` of ``monai.bundle.create_workflow``, which leaves it out in silence; a folder may be named None.

    Raises:
        LazyLabelsError: naming the ids.
    """
    from monai.bundle import ConfigParser  # here, so that labels can be made without importing all of MONAI

    frame, config = sys._getframe(1), running_config() or {}
    while frame is not None and frame.f_code.co_name != "create_workflow":
        frame = frame.f_back
    given = frame.f_locals.get("kwargs", {}) if frame is not None else {}
    parser = ConfigParser(config)
    lost = [name for name, value in given.items() if value is None and parser.get(name) is not None and name not in FOLDER_IDS]
    if lost:
        raise LazyLabelsError(
            f"create_workflow leaves out what is None, so that {some_of(lost)} would stay as the config has it: give "
            f'{lost[0]}="$None".'
        )


def require_handlers(config: Mapping[str, Any] | None = None) -> None:
    """Refuse a list among the handlers: MONAI appends what a file of ``--tracking`` says as it is, and fails at it far below.

    Args:
        config: default :func:`running_config`; where there is none nothing is refused.

    Raises:
        LazyLabelsError: naming the place.
    """
    config = (running_config() if config is None else config) or {}
    for name in ("train", "validate"):
        part = config.get(name)
        handlers = part.get("handlers") if isinstance(part, dict) else None
        for number, handler in enumerate(handlers if isinstance(handlers, list) else ()):
            if isinstance(handler, list):
                raise LazyLabelsError(
                    f"{name}#handlers#{number} is {shown(handler)}, a list where one handler belongs: leave its [ ] out, in "
                    "the file that --tracking or --config_file names."
                )


def _stood_for(usual: Any) -> str | None:
    name = usual[1:] if isinstance(usual, str) and usual.startswith("@") else ""
    return name if name in COMPUTED else None


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and _normal(value) == _normal(other)


def _normal(value: Any) -> Any:
    """MONAI reads ``a#b`` and ``a::b`` alike, and writes the latter into a config that it resolves."""
    return value.replace("#", "::") if isinstance(value, str) else value


def _both(value: Any, own: Any, path: str, is_component: bool = True) -> Iterator[tuple[str, Any, Any, bool]]:
    """Leaves that stand in both, with their paths, and whether they belong to a component of the same kind."""
    if isinstance(value, dict) and isinstance(own, dict):
        is_component = is_component and value.get("_target_") == own.get("_target_")
        for key in own.keys() & value.keys():
            yield from _both(value[key], own[key], f"{path}#{key}", is_component)
    elif isinstance(value, list) and isinstance(own, list) and len(value) == len(own) and _kinds(value) == _kinds(own):
        for index, (each, other) in enumerate(zip(value, own, strict=True)):
            yield from _both(each, other, f"{path}#{index}", is_component)
    else:
        yield path, value, own, is_component


def _kinds(components: Sequence[Any]) -> list[Any]:
    return [each.get("_target_") if isinstance(each, dict) else None for each in components]


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
    elif not _same(value, own):
        yield path, value
