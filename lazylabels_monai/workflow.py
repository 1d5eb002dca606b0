"""What the bundle's configs call before the first epoch: checks, and which images to predict."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lazylabels_monai.atomic import write_text
from lazylabels_monai.checkpoints import NETWORK_FILE
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import find_images, load_datalist, read_items
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.tasks import TASKS

__all__ = [
    "dataset_classes",
    "images_to_predict",
    "require_valid",
    "trained_classes",
    "trained_network",
    "write_classes",
    "write_network",
]

logger = logging.getLogger(__name__)


def dataset_classes(datalist: str | Path) -> list[str]:
    """Names of a data set's object classes; those of the built-in data where ``datalist`` is not there (yet).

    Raises:
        DatalistError: when the file cannot be read.
    """
    return list(load_datalist(datalist)["classes"]) if Path(datalist).is_file() else list(CLASS_NAMES)


def write_classes(folder: str | Path, classes: Sequence[str]) -> None:
    """Write the names of the object classes into the folder of the weights, for :func:`trained_classes`."""
    write_text(Path(folder) / CLASSES_FILE, json.dumps(list(classes)) + "\n")


def write_network(folder: str | Path, network: torch.nn.Module, **settings: Any) -> None:
    """Write what a prediction must know of a training into the folder of the weights, for :func:`trained_network`.

    Args:
        folder: of ``model.pt``.
        network: the network; its class and those of ``settings`` that its constructor takes become ``network_def``.
        settings: values of the config by their ids.
    """
    kind = type(network)
    takes = [name for name in inspect.signature(kind).parameters if name in settings or name == "num_classes"]
    # references, so that a value still stands at one place of the config
    definition = {"_target_": f"{kind.__module__}.{kind.__qualname__}", **{name: f"@{name}" for name in takes}}
    text = json.dumps({"network_def": definition, **settings}, indent=1)
    write_text(Path(folder) / NETWORK_FILE, text + "\n")


def trained_network(checkpoint: str | Path) -> dict[str, Any]:
    """Ids of ``inference.yaml`` with the values of the training; empty where none were written.

    Raises:
        LazyLabelsError: when the file cannot be read.
    """
    path = Path(checkpoint).with_name(NETWORK_FILE)
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LazyLabelsError(
            f"{path}: the network's settings cannot be read ({error}); remove the file and name the overlays of the training."
        ) from error


def trained_classes(checkpoint: str | Path) -> list[str]:
    """Names of the object classes that the weights were trained for; those of the built-in data where none are there.

    Raises:
        LazyLabelsError: when the names cannot be read.
    """
    path = Path(checkpoint).with_name(CLASSES_FILE)
    if not path.is_file():
        return list(CLASS_NAMES)
    try:
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise LazyLabelsError(
            f"{path}: the names of the classes cannot be read ({error}); write them as a JSON list, or pass --classes."
        ) from error


def require_valid(
    datalist: str | Path, sections: Sequence[str], classes: Sequence[str] | None = None, tasks: Sequence[str] = TASKS
) -> None:
    """Log the summary table and the warnings of a data set, and stop at its errors.

    Raises:
        DatalistError: with one sentence for each finding.
    """
    report = check_datalist(datalist, sections=tuple(sections), classes=classes, tasks=tasks)
    report.raise_errors()
    report.log(logger)


def images_to_predict(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Items ``{"image": path}``: a data set's testing images, otherwise all images of a folder, a pattern or one file.

    Raises:
        DatalistError: when there is no image.
    """
    datalist = Path(dataset_dir) / "datalist.json"
    if datalist.is_file():
        return [{"image": item["image"]} for item in read_items(datalist, "testing")]
    return [{"image": path} for path in find_images(str(dataset_dir))]
