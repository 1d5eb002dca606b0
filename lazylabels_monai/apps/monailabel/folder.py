"""The folder of a MONAI Label app: its ``main.py``, and a bundle in which all values of a training stand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from lazylabels_monai.apps.monailabel.store import write_seen
from lazylabels_monai.atomic import copy_tree, filled, write_text
from lazylabels_monai.bundle_folder import bundle_config, find_bundle, require_own_files
from lazylabels_monai.config_files import check_overlays
from lazylabels_monai.config_text import literal_path
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.packing.config import trained_metadata
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import (
    bundle_weights,
    copy_trained,
    load_weights,
    require_weights,
    trained_classes,
    trained_network,
)

__all__ = ["BUNDLE", "make_app"]

#: Name of the bundle's folder, below ``model``. MONAI Label guesses a model's kind from it: it must name no task.
BUNDLE = "lazylabels"

_MAIN = '''"""A MONAI Label app for lazy labels."""

from lazylabels_monai.apps.monailabel.app import LazyLabelsApp

__all__ = ["LazyLabelsApp"]
'''
#: What an inference by MONAI Label needs otherwise: the server takes the result, nothing is written.
_INFERENCE = {
    "ckpt_dir": "$@bundle_root + '/models'",
    "weights": "$@ckpt_dir + '/model.pt'",
    "save_overlay": False,
    "save_instances": False,
    "save_probabilities": False,
    "answered_tasks": "@tasks",  # each model takes its own part
}


def make_app(
    out: str | os.PathLike,
    weights: str | os.PathLike,
    bundle: str | os.PathLike | None = None,
    overlays: Sequence[str | os.PathLike] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Make the folder of an app, ``--app`` of ``start_server``; its bundle can be served by the stock app as well.

    Args:
        out: the folder, new or empty.
        weights: ``model.pt`` of a training; what the training wrote beside it (classes, network, instance settings) is taken.
        bundle: folder of the bundle; None: the one that came with the package.
        overlays: config files of the training, merged after the bundle's: sizes and rates of trainings to come.
        overrides: ids of the configs and their values, merged last.

    Returns:
        ``out/model/lazylabels``, the bundle.

    Raises:
        LazyLabelsError: when ``out`` holds something, a file is missing, the weights belong to another network, or the network
            is one for volumes.
    """
    out, weights, bundle = Path(out), Path(weights), find_bundle(bundle)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LazyLabelsError(f"{out} is there already: name another folder for the app, or remove it.")
    bundle_config(bundle, "train.yaml")
    require_own_files(bundle)
    check_overlays(overlays)
    classes = trained_classes(require_weights(weights))
    given = {**(overrides or {}), **trained_network(weights, overlays)}
    with filled(out) as partial:
        write_text(partial / "main.py", _MAIN)
        made = partial / "model" / BUNDLE
        copy_tree(bundle, made, shutil.ignore_patterns("models", "*.yaml", "metadata.json", ".*", "__pycache__"))
        (made / "models").mkdir()
        copy_trained(weights, made / "models")
        write_seen(made / "models", weights.parent)
        own = {
            "inference.yaml": ([], _INFERENCE),
            "train.yaml": ([Path(__file__).with_name("train.yaml")], {"classes": classes}),
        }
        for name, (files, values) in own.items():
            # the app's own last: an overlay's output_dir and ckpt_dir are those of trainings by hand
            config = {**ConfigParser.load_config_files([str(f) for f in (bundle / "configs" / name, *overlays, *files)])}
            config.update({**given, **values})
            if name == "train.yaml":  # MONAI Label adds its own, for the weights that are served
                handlers = config["train"]["handlers"]
                config["train"]["handlers"] = [h for h in handlers if not h["_target_"].endswith("CheckpointLoader")]
            ConfigParser.export_config_file(config, made / "configs" / name, "yaml", sort_keys=False)
        _check(made, weights)
        metadata = trained_metadata(bundle, classes, given.get("tasks", TASKS), given.get("in_channels", 1))
        write_text(made / "configs" / "metadata.json", json.dumps(metadata, indent=4) + "\n")
    return out / "model" / BUNDLE


def _check(bundle: Path, weights: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.yaml"))
    parser["bundle_root"] = literal_path(bundle)
    if parser.get_parsed_content("spatial_dims") != 2:
        raise LazyLabelsError(f"{weights}: the network is one for volumes; a MONAI Label app is made for pictures only.")
    try:
        load_weights(parser.get_parsed_content("network_def"), bundle_weights(bundle))
    except LazyLabelsError as error:
        raise LazyLabelsError(str(error).replace(str(bundle_weights(bundle)), str(weights))) from error
