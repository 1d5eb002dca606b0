"""What weights do without any training: scores on whole pictures that no starter learnt from, as ``predict`` sees them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lazylabels_monai.atomic import write_text
from lazylabels_monai.digests import settle
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.metrics import InterfaceMetric, ObjectMetric, SegmentationDiceMetric
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.starter.making import WINDOW, write_beside
from lazylabels_monai.starter.sets import GENERATED, SETS, UNSEEN, validation_pictures
from lazylabels_monai.tasks import IGNORE, TASKS
from lazylabels_monai.trained import WEIGHTS_FILE, trained_settings

__all__ = ["SCORES_FILE", "WINDOW", "place_weights", "score_model", "score_results", "score_weights"]

#: What :func:`score_results` writes beside ``results.json``.
SCORES_FILE = "scores.json"


def place_weights(weights: Path, results: Mapping[str, Any], folder: Path) -> Path:
    """Put a run's weights into a folder, with what a prediction must know beside them.

    Args:
        weights: what ``make`` wrote.
        results: what it recorded.
        folder: made where missing.

    Returns:
        the weights there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    settle(folder / WEIGHTS_FILE)
    write_beside(folder, results["network"], int(results["settings"]["crop_size"]))
    return folder / WEIGHTS_FILE


def score_weights(weights: Path, domain: str, folder: Path | None = None, most: int | None = None) -> dict[str, Any]:
    """Scores of weights on the validation pictures of a set, on the CPU.

    Args:
        weights: ``model.pt`` with one class of objects, and what belongs beside it.
        domain: see :func:`~lazylabels_monai.starter.sets.validation_pictures`, as ``folder`` and ``most``.

    Returns:
        ``images``; ``dice``, the mean of an image's; ``f1``, of objects at an IoU of 0.5; ``precision`` and ``recall`` of
        interfaces. Numbers that nothing is known about are None.
    """
    return score_model(Model(weights, overrides={"device": "cpu"}), trained_settings(weights), domain, folder, most)


def score_model(
    model: Model,
    settings: InstanceSettings,
    domain: str,
    folder: Path | None = None,
    most: int | None = None,
    crop: int | None = None,
) -> dict[str, Any]:
    """Scores of a model with one class of objects on the validation pictures of a set.

    Args:
        model: it answers for all three tasks.
        settings: how objects are separated.
        domain, folder, most: as for :func:`score_weights`, which says what is returned.
        crop: of each picture its middle alone, so many pixels each way.
    """
    dice, lines = SegmentationDiceMetric(2), InterfaceMetric(2)
    objects = ObjectMetric(2, TASKS, settings)
    count = 0
    with tempfile.TemporaryDirectory() as scratch:
        for _, image, instances in validation_pictures(domain, folder, most):
            if crop is not None:
                middle = tuple(slice(max(0, (side - crop) // 2), max(0, (side - crop) // 2) + crop) for side in image.shape)
                image, instances = image[middle], instances[middle]
            file = Path(scratch) / "picture.png"
            Image.fromarray(image).save(file)
            maps = model.probabilities(file)
            predicted = torch.from_numpy(np.concatenate([maps[task] for task in TASKS]))[None]
            inside = (instances > 0).astype(np.int32)
            unknown = np.full_like(inside, IGNORE)  # what a person marks inside of objects is no truth
            truth = np.stack([inside, unknown, interfaces(instances).astype(np.int32), instances.astype(np.int32)])[None]
            for metric in (dice, lines, objects):
                metric(predicted, torch.from_numpy(truth))
            count += 1
    precision, recall = lines.precision_recall()
    found = {
        "dice": dice.aggregate(),
        "f1": objects.results()["f1@0.5"],
        "precision": precision,
        "recall": recall,
    }
    numbers = {name: float(value) for name, value in found.items()}
    return {"images": count, **{name: round(x, 4) if np.isfinite(x) else None for name, x in numbers.items()}}


def score_results(
    results_folder: Path,
    sets: Path | None,
    domains: Sequence[str] | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the runs of ``make``: the starter on every set, and each run that left a set out on that set.

    Args:
        results_folder: what ``make`` wrote.
        sets: folder of the sets of ``docs/public-sets.md``.
        domains: sets to score; None: all.
        most: pictures of a set.
        progress: called with lines of text.

    Returns:
        scores by run and set, also written as :data:`SCORES_FILE` beside the results; what was scored before stays there.
    """
    say = progress or silent
    results = read_results(results_folder)
    file = results_folder / SCORES_FILE
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    wanted = list(domains) if domains is not None else [*SETS, *UNSEEN, *GENERATED]
    with tempfile.TemporaryDirectory() as scratch:
        for run in results["runs"]:
            name = run["name"]
            weights = results_folder / f"{name}.pt"
            if not weights.is_file():
                continue
            placed = place_weights(weights, results, Path(scratch) / name)
            for domain in wanted if run["without"] is None else [d for d in wanted if d == run["without"]]:
                score = score_weights(placed, domain, sets, most)
                found.setdefault(name, {})[domain] = score
                say(f"{name}, {domain}: {score}")
                write_text(file, json.dumps(found, indent=1) + "\n")
    return found


def read_results(folder: Path) -> dict[str, Any]:
    """What ``make`` recorded.

    Raises:
        LazyLabelsError: when it is not there.
    """
    from lazylabels_monai.starter.making import RESULTS_FILE

    file = folder / RESULTS_FILE
    if not file.is_file():
        raise LazyLabelsError(f"{file} is not there: name the folder that python -m lazylabels_monai.starter make wrote.")
    return json.loads(file.read_text(encoding="utf-8"))
