"""What each id of the bundle's configs may be: its type, its range, and in words what is expected.

MONAI takes whatever is given and fails somewhere below, or not at all. The configs hand their settings over before anything is
made of them, so that a wrong one is a sentence whatever program runs them and wherever it was given: on the command line, in a
file, or by another program.
"""

from __future__ import annotations

import difflib
import inspect
import json
import logging
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

import torch
from monai.bundle import ConfigParser
from monai.networks.layers.factories import Norm
from monai.networks.layers.utils import get_dropout_layer, get_norm_layer

from lazylabels_monai.data.datalist import SECTIONS
from lazylabels_monai.devices import best_device
from lazylabels_monai.errors import (
    FOLDER_IDS,
    OWN_PARTS,
    LazyLabelsError,
    first_line,
    given_in_file,
    given_overrides,
    in_number,
    named_configs,
    some,
    some_of,
)
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.networks.nets import SEPARATION_CONVS, narrow_width
from lazylabels_monai.parts import (
    require_datasets,
    require_given,
    require_handlers,
    require_one_process,
    require_one_value,
    running_config,
)
from lazylabels_monai.plain_values import MOST
from lazylabels_monai.tasks import IGNORE, TASKS
from lazylabels_monai.transforms.intensities import NORMALIZATIONS

__all__ = ["SETTINGS", "Setting", "check_given", "check_settings"]

logger = logging.getLogger(__name__)


class Setting(NamedTuple):
    """What an id may be.

    Args:
        fits: whether a value is one.
        expected: in words, after "where ... is expected".
    """

    fits: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(least: int, most: int = 2**31 - 1, example: int | None = None) -> Setting:
    words = f"a whole number from {least} to {most}" if most < 2**31 - 1 else f"a whole number, {least} or more"
    words += f", such as {example}" if example is not None else ""
    return Setting(lambda value: type(value) is int and least <= value <= most, words)


def _number(least: float = 0.0, most: float = math.inf, below: bool = False, example: str = "") -> Setting:
    words = f"a number from {least:g}"
    words += (f" and below {most:g}" if below else f" to {most:g}") if math.isfinite(most) else " up"

    def fits(value: Any) -> bool:
        return _is_number(value) and least <= value and (value < most if below else value <= most)

    return Setting(fits, words + (f", such as {example}" if example else ""))


def _yes_or_no() -> Setting:
    # of --name true MONAI makes a text, which counts as true; --name false is refused as it is typed
    return Setting(lambda value: isinstance(value, bool) or value == "true", "true or false (True or False on a command line)")


def _one_of(*names: str) -> Setting:
    return Setting(lambda value: value in names and isinstance(value, str), f"one of {', '.join(names)}")


def _or_nothing(setting: Setting) -> Setting:
    return Setting(lambda value: value is None or setting.fits(value), f"{setting.expected}, or null in a file")


def _or_list(setting: Setting, longest: int = 3) -> Setting:
    """A value, or a list of values or of pairs of them."""

    def fits(value: Any) -> bool:
        if not isinstance(value, list | tuple):
            return setting.fits(value)
        flat = [one for each in value for one in (each if isinstance(each, list | tuple) else [each])]
        return 0 < len(value) <= longest and all(map(setting.fits, flat))

    return Setting(fits, f"{setting.expected}, or a list of such")


def _list_of_whole(longest: int, words: str) -> Setting:
    def fits(value: Any) -> bool:
        listed = isinstance(value, list | tuple) and 2 <= len(value) <= longest
        return listed and all(type(one) is int and 1 <= one <= MOST for one in value)

    return Setting(fits, words)


def _by_task(each: Setting, words: str) -> Setting:
    def fits(value: Any) -> bool:
        return isinstance(value, Mapping) and all(task in TASKS and each.fits(one) for task, one in value.items())

    return Setting(fits, f"{words} by the names of tasks ({', '.join(TASKS)})")


def _names(known: Sequence[str] | None, words: str) -> Setting:
    def fits(value: Any) -> bool:
        listed = isinstance(value, list | tuple) and 0 < len(value) == len(set(map(str, value)))
        return listed and all(isinstance(one, str) and one.strip() and (known is None or one in known) for one in value)

    return Setting(fits, words)


def _device_fits(value: Any) -> bool:
    try:
        return torch.zeros(1, device=torch.device(value)).item() == 0
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError):
        return False


def _norm_fits(value: Any) -> bool:
    """By its looks; with the channels in :func:`_check_network`."""
    kind = value[0] if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[1], Mapping) else value
    return value is None or isinstance(kind, str)


def _dropout_fits(value: Any) -> bool:
    if _is_number(value):
        return 0 <= value < 1
    try:
        return isinstance(value, list | tuple) and get_dropout_layer(name=value, dropout_dim=2) is not None
    except Exception:  # whatever MONAI's factory makes of it
        return False


_SHARE = _number(0.0, 1.0)
_TEXT = Setting(lambda value: isinstance(value, str) and bool(value.strip()), "a text")
_WEIGHT = Setting(lambda value: _is_number(value) and value >= 0, "a number from 0 up")
_WEIGHTS = Setting(lambda value: isinstance(value, list | tuple) and bool(value) and all(map(_WEIGHT.fits, value)), "numbers")
_SIZE = _list_of_whole(3, "a list of whole numbers, one for each axis, such as [256, 256] for pictures")
_SUFFIXES = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)

#: Ids of the configs (train, interactive, inference, evaluate) that a user changes; folders: :mod:`lazylabels_monai.overrides`.
SETTINGS: dict[str, Setting] = {
    "spatial_dims": _whole(2, 3),
    "in_channels": _whole(1, MOST),
    "classes": _names(None, "a list of different names, such as ['pore', 'grain']"),
    "num_classes": _whole(2, IGNORE),
    "tasks": _names(TASKS, f"a list of different tasks, some of [{', '.join(TASKS)}]"),
    "answered_tasks": _names(TASKS, f"a list of different tasks, some of [{', '.join(TASKS)}]"),
    "channels": _list_of_whole(16, "a list of two or more whole numbers, 1 or more each, such as [32, 64, 128]"),
    "num_multitask_blocks": _whole(1, 15),
    "detection_stride": Setting(
        lambda value: type(value) is int and 0 < value <= 2**14 and value & (value - 1) == 0,
        "a power of two, such as 1 (detection at every pixel) or 2 (at every other, each way)",
    ),
    "finest_width": Setting(lambda value: _is_number(value) and 0 < value <= 1, "a number above 0 and up to 1, such as 0.5"),
    "separation_conv": _one_of(*SEPARATION_CONVS),
    "norm": Setting(_norm_fits, "a normalization of MONAI, such as BATCH or [INSTANCE, {affine: true}]"),
    "dropout": Setting(_dropout_fits, "a number from 0 and below 1, such as 0.2, or a dropout of MONAI with its settings"),
    "normalization": _one_of(*NORMALIZATIONS),
    "zero_init_residual": _yes_or_no(),
    "device": Setting(_device_fits, f"a device that there is on this machine, such as {best_device()}"),
    "amp": _yes_or_no(),
    "channels_last": _yes_or_no(),
    "cpu_bfloat16": Setting(lambda value: _yes_or_no().fits(value) or value == "auto", f"{_yes_or_no().expected}, or auto"),
    "num_workers": _whole(0, 1024),
    "cache_rate": _SHARE,
    "seed": _whole(0, 2**31 - 2),
    "max_epochs": _whole(1, example=50),
    "crops_per_epoch": _whole(1, example=320),
    "batch_size": _whole(1, example=16),
    "crop_size": _SIZE,
    "window_size": _SIZE,
    "learning_rate": _number(example="0.0002 (in a file 2.0e-4, as YAML takes 2e-4 for text)"),
    "head_learning_rate": _number(example="0.0002 (in a file 2.0e-4, as YAML takes 2e-4 for text)"),
    "lr_decay": _yes_or_no(),
    "ema_decay": _number(0.0, 1.0, below=True, example="0.99"),
    "val_interval": _whole(1, example=5),
    "val_window_size": _SIZE,
    "val_share": _or_nothing(Setting(lambda value: _is_number(value) and 0 < value < 1, "a number above 0 and below 1")),
    "val_overlap": _or_list(_number(0.0, 1.0, below=True)),
    "val_time_share": Setting(lambda value: _is_number(value) and 0 < value < 1, "a number above 0 and below 1"),
    "orders": _yes_or_no(),
    "early_stop_patience": _whole(0),
    "resume": _yes_or_no(),
    "init_weights": _or_nothing(Setting(_TEXT.fits, "a model.pt, or the word starter or nothing")),
    "fine_tuning_from": _or_nothing(_SHARE),
    "fine_tuning_rate": Setting(
        lambda value: _is_number(value) and 0 < value <= 1, "a number above 0 and up to 1, such as 0.1"
    ),
    "weight_interpolation": _yes_or_no(),
    "sampling_shares": _or_nothing(_by_task(_SHARE, "shares from 0 to 1")),
    "implied_segmentation": _yes_or_no(),
    "implied_background": _or_nothing(_number()),
    "implied_detection": _yes_or_no(),
    "implied_separation": _yes_or_no(),
    "implied_interface": _yes_or_no(),
    "task_weights": _by_task(_WEIGHT, "numbers from 0 up"),
    "pixel_mean": _one_of("labelled", "all"),
    "class_weights": _by_task(_WEIGHTS, "lists of numbers from 0 up, one for each class,"),
    "dice_weight": _number(),
    "anchor_weight": _number(),
    "anew_learning_rate": _number(example="0.001 (in a file 1.0e-3, as YAML takes 1e-3 for text)"),
    "learns_anew": _yes_or_no(),
    "unmarked_images": _whole(0),
    "unmarked_share": _SHARE,
    "loss_normalization": _one_of("batch", "labelled"),
    "crops_at_marks": _yes_or_no(),
    "affine_prob": _SHARE,
    "rotate_range": _or_list(Setting(_is_number, "a number (radians)")),
    "scale_range": _or_list(Setting(lambda value: _is_number(value) and -1 < value < 1, "a number from 0 and below 1"), 2),
    "intensity_jitter": _or_list(Setting(_is_number, "a number"), 2),
    "checked_sections": _names(SECTIONS, f"a list of {', '.join(SECTIONS)}"),
    "section": _one_of(*SECTIONS),
    # inference.yaml and evaluate.yaml
    "overlap": _or_list(_number(0.0, 1.0, below=True)),
    "mirroring": _yes_or_no(),
    "save_probabilities": _yes_or_no(),
    "save_overlay": _yes_or_no(),
    "save_instances": _yes_or_no(),
    "seen": _or_nothing(Setting(lambda value: isinstance(value, Mapping), "what a training wrote as images.json")),
    "instance_settings": Setting(
        lambda value: isinstance(value, InstanceSettings),
        "$lazylabels_monai.instances.InstanceSettings(...) in a file",
    ),
    "output_ext": Setting(lambda value: value in _SUFFIXES, f"one of {', '.join(_SUFFIXES)}"),
    "output_postfix": _TEXT,
    "interface_tolerance": _number(),
    "interface_gap": _whole(0, 65535),
    "class_aware_objects": _yes_or_no(),
    "glas_metrics": _yes_or_no(),
}


def check_settings(values: Mapping[str, Any]) -> None:
    """Refuse settings of a wrong type or out of their range, and those that do not go with each other.

    Args:
        values: by the ids of :data:`SETTINGS`.

    Raises:
        LazyLabelsError: naming the id, what it is and what is expected.
    """
    for name, value in values.items():
        if not SETTINGS[name].fits(value):
            raise _refused(name, value, SETTINGS[name].expected)
    dims = values.get("spatial_dims")
    for name in ("crop_size", "window_size", "val_window_size"):
        if dims and name in values and len(values[name]) != dims:
            raise _refused(name, values[name], f"a list of {dims} whole numbers, one for each of the spatial_dims")

    if values.get("channels_last") and dims == 3:
        raise _refused("channels_last", True, "false for volumes (spatial_dims 3)")
    if {"spatial_dims", "channels", "norm"} <= set(values):
        _check_network(values)


def _check_network(values: Mapping[str, Any]) -> None:
    """Blocks and normalization that the channels allow."""
    channels, norm, dims = values["channels"], values["norm"], values["spatial_dims"]
    most = len(channels) - 1
    if values.get("num_multitask_blocks", 1) > most:
        raise _refused(
            "num_multitask_blocks",
            values["num_multitask_blocks"],
            f"a whole number from 1 to {most} (channels less one)",
        )
    coarsest = 2 ** (values.get("num_multitask_blocks", most) - 1)
    if values.get("detection_stride", 1) > coarsest:
        raise _refused(
            "detection_stride",
            values["detection_stride"],
            f"a power of two from 1 to {coarsest} (2 to the power of num_multitask_blocks less one)",
        )
    if norm is None:
        return
    _check_batch(values)
    name = tuple(norm) if isinstance(norm, list) else norm
    for width in sorted({*channels, narrow_width(channels[0], values.get("finest_width", 1))}):
        try:
            layer = get_norm_layer(name=name, spatial_dims=dims, channels=width)
            with torch.no_grad():
                layer.eval()(torch.zeros(1, width, *[2] * dims))
        except Exception as error:  # whatever MONAI's factory and torch make of it
            known = sorted(map(str, Norm.names))
            reason = first_line(error)
            reason = f"there are {', '.join(known)}" if "Unsupported option" in reason else reason[:120]
            expected = f"{SETTINGS['norm'].expected}, that goes with {width} channels"
            raise _refused("norm", norm, f"{expected} ({reason})") from error


def _check_batch(values: Mapping[str, Any]) -> None:
    """A mean over a batch needs two values at least, at the lowest resolution too."""
    if not {"batch_size", "crop_size"} <= set(values):
        return
    norm, lowest = values["norm"], 2 ** (len(values["channels"]) - 1)
    kind = str(norm[0] if isinstance(norm, list | tuple) else norm).upper()
    if kind.endswith("BATCH") and values["batch_size"] * math.prod(-(-size // lowest) for size in values["crop_size"]) < 2:
        raise _refused("batch_size", values["batch_size"], f"2 or more, for norm {kind} with so small a crop_size,")


def _refused(name: str, value: Any, expected: str) -> LazyLabelsError:
    shown = f"'{value}'" if isinstance(value, str) else _written(value)
    kind = {str: "a text", bool: "true or false", type(None): "nothing", int: "a whole number", float: "a number"}
    said = kind.get(type(value), "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}")
    return LazyLabelsError(f"{name} is {shown} ({said}), where {expected} is expected: correct {name}.")


def _written(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


# ---------------------------------------------------------------------------------------------- what was typed


def check_given(arguments: Sequence[str] | None = None) -> None:
    """Refuse what ``python -m monai.bundle run`` would take in silence, or fail at somewhere below.

    - a name after ``run`` that is no id;
    - ``--optimizer 3``: a text or a number in place of a part of the config;
    - ``--train#dataset#cache_rat 0.5``: a name below an id that is not there;
    - a mistyped id in a file after the bundle's own;
    - a file before the bundle's own, whose ids those replace;
    - the first and the third in the file of ``--args_file``, too.

    And, wherever it was given, what :mod:`lazylabels_monai.parts` refuses; where another program than MONAI's runs the config,
    an id in it that is nearly one of :data:`SETTINGS`.

    Args:
        arguments: the command line; default ``sys.argv``, and where another program runs nothing is checked.

    Raises:
        LazyLabelsError: naming it and what was probably meant.
    """
    require_one_process()
    require_one_value()
    require_handlers()
    require_given()
    require_datasets()
    given = given_overrides(arguments)
    in_file = given_in_file(given)
    files = named_configs(given, in_file)
    if not files:
        _check_ids(running_config() or {})
        return
    _check_order(files)
    config = ConfigParser.load_config_files(files)
    if "evaluating" in config and "train" not in config:
        raise LazyLabelsError(f"{files[0]} is an overlay: name train.yaml before it in --config_file.")
    bundles, others = [], []
    for file in files:
        is_bundles = file == files[0] or Path(file).with_name("metadata.json").is_file()
        (bundles if is_bundles else others).append(file)
    typed_values = {**in_file, **given}
    named = [*(key.lstrip("+") for file in others for key in ConfigParser.load_config_file(file)), *typed_values]
    OWN_PARTS[:] = [
        name for name in dict.fromkeys(named) if _top(name) in config and _top(name) not in {*SETTINGS, *FOLDER_IDS}
    ]
    for file in others:
        own = ConfigParser.load_config_file(file)
        _check_file(file, own, {**config, "": list(typed_values.values())}, ConfigParser.load_config_files(bundles))
    _check_run_id(typed_values, arguments, config)
    parts_of = {name: name.replace("#", "::").split("::") for name in typed_values}
    targets = {"#".join(parts[:-1]): typed_values[name] for name, parts in parts_of.items() if parts[-1] == "_target_"}
    for name, typed in typed_values.items():
        parts = parts_of[name]
        if parts[0] in config:
            where = f"command line: '--{name}'" if name in given else f"{given['args_file']}: '{name}'"
            _check_path(where, parts, config, targets)
            if len(parts) == 1 and name in given:
                _check_kind(name, typed, config[name])


def _top(name: str) -> str:
    return name.replace("#", "::").split("::")[0]


def _check_order(files: Sequence[str]) -> None:
    """MONAI lets the later file hold: one's own before the bundle's would be without effect."""
    contents = [ConfigParser.load_config_file(file) for file in files]
    for position, (file, own) in enumerate(zip(files, contents, strict=True)):
        if "initialize" in own and not any(key.startswith("+") for key in own):
            continue
        replaces = {"given_settings"} if "initialize" in own else {"given_settings", "+given_settings"}
        for later, content in zip(files[position + 1 :], contents[position + 1 :], strict=True):
            if "initialize" not in content or not replaces & set(content):
                continue
            lost = [key for key in own if _is_replaced(key, own[key], content)]
            if lost:
                raise LazyLabelsError(
                    f"{file}: {some_of(lost)} would be without effect, as {later} replaces "
                    f"{'it' if len(lost) == 1 else 'them'}: name {file} after {later} in --config_file."
                )


def _is_replaced(key: str, value: Any, later: Mapping[str, Any]) -> bool:
    parts = key.lstrip("+").replace("#", "::").split("::")
    above = {"::".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    replaces = {each: each.replace("#", "::") for each in later if not each.startswith("+")}
    return any(name in above and not (each == key and later[each] == value) for each, name in replaces.items())


def _check_run_id(given: Mapping[str, str], arguments: Sequence[str] | None, config: Mapping[str, Any]) -> None:
    words = list(arguments) if arguments is not None else sys.argv[1:]
    typed = words[1] if len(words) > 1 and words[0] == "run" and not words[1].startswith("--") else given.get("run_id")
    if typed is not None and typed not in config:
        known = [name for name in config if name.endswith("ing") or name == "run"]
        raise LazyLabelsError(f"command line: 'run {typed}' is no id of this config; {_meant(typed, known, list(config))}")


def _meant(name: str, likely: Sequence[str], known: Sequence[str] = ()) -> str:
    close = difflib.get_close_matches(name, [*likely, *known], n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(map(str, likely[:12]))}."


def _check_kind(name: str, typed: str, value: Any) -> None:
    """A part of the config that is made of names or a list cannot become a number or a word."""
    if name in SETTINGS or not isinstance(value, dict | list) or typed.startswith(("$", "@", "%", "{", "[", "(")):
        return
    below = [key for key in value if not str(key).startswith("_")] if isinstance(value, dict) else ["0"]
    what = "a part with names of its own" if isinstance(value, dict) else "a list"
    raise LazyLabelsError(
        f"command line: '--{name} {typed}' would replace {what}; name what is to change in it, such as "
        f"--{name}#{below[0] if below else '_target_'}."
    )


def _check_path(where: str, parts: Sequence[str], config: Mapping[str, Any], targets: Mapping[str, Any]) -> None:
    """``targets``: what is given in the place of a component's ``_target_``, by the component's place."""
    node: Any = config
    for position, part in enumerate(parts):
        place = "#".join(parts[:position])
        if isinstance(node, Mapping) and part not in node and part not in ("_target_", "_disabled_", "_mode_", "_desc_"):
            takes = _arguments({**node, "_target_": targets[place]} if place in targets else node)
            is_last = position == len(parts) - 1
            free = place in SETTINGS or (position and place not in ("train", "validate") and "_target_" not in node)
            if is_last and (free or (takes is not None and (part in takes or "**" in takes)) or takes == []):
                return
            known = [*node, *(takes or [])] if is_last else list(node)
            known = list(dict.fromkeys(str(each) for each in known if not str(each).startswith(("_", "*"))))
            raise LazyLabelsError(f"{where}: {place} has no '{part}'; {_meant(part, known)}")
        if isinstance(node, list) and not (part.isdigit() and int(part) < len(node)):
            raise LazyLabelsError(f"{where}: {place} is a list of {len(node)} that has no '{part}'.")
        if not isinstance(node, Mapping | list):
            raise LazyLabelsError(f"{where}: {place} is {_written(node)}, which has no parts; give --{place}.")
        if isinstance(node, Mapping) and part not in node:
            return
        node = node[int(part)] if isinstance(node, list) else node[part]


def _arguments(node: Mapping[str, Any]) -> list[str] | None:
    """What the target of a component takes, "**" for anything; None where it has none, [] where nobody knows."""
    target = node.get("_target_")
    if not isinstance(target, str):
        return None
    try:
        from monai.bundle import ComponentLocator
        from monai.bundle.config_item import ConfigComponent

        name = ConfigComponent(config={"_target_": target}, locator=ComponentLocator()).resolve_module_name()
        found = inspect.signature(locate(name)).parameters.values()
    except Exception:  # a name of the user's own, or one that MONAI will report
        return []
    kinds = {each.kind for each in found}
    names = [each.name for each in found if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    return [*names, "**"] if inspect.Parameter.VAR_KEYWORD in kinds else names


def _check_file(file: str, own: Mapping[str, Any], config: Mapping[str, Any], bundles: Mapping[str, Any]) -> None:
    """An id that only this file has, that nothing refers to: refused where it is nearly one that there is, else told of."""
    known = {*bundles, *SETTINGS, *FOLDER_IDS}
    _refuse_mistyped(file, own, config, known)
    plain = [name for name, value in own.items() if not isinstance(value, dict | list) and name.isidentifier()]
    lost = [name for name in plain if name not in known and not _referred(name, config)]
    if lost:
        said = in_number(len(lost), "nothing refers to {names}, so that [it changes|they change] nothing.", names=some(lost))
        logger.warning(f"{file}: {said}")


def _check_ids(config: Mapping[str, Any]) -> None:
    """Likewise in a whole config: what a program gave on the way is no file of its own."""
    _refuse_mistyped("the config", config, config, {*FOLDER_IDS, *SETTINGS})


def _refuse_mistyped(where: str, own: Mapping[str, Any], config: Mapping[str, Any], known: Set[str]) -> None:
    for key in own:
        name = _top(str(key).lstrip("+"))
        close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        if name not in known and close and not _referred(name, config):
            raise LazyLabelsError(
                f"{where}: '{name}' is no id of this config; did you mean {close[0]}? (Nothing refers to '{name}': a note of "
                "your own may stand in a comment.)"
            )


def _referred(name: str, config: Mapping[str, Any]) -> bool:
    text = json.dumps(config, default=str, ensure_ascii=False)  # people name ids in their own language
    return re.search(rf'(@(::)?|%([^@%"]*(#|::))?){re.escape(name)}\b', text) is not None
