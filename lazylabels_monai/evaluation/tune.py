"""Picking instance settings on validation images, never on test ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import read_label
from lazylabels_monai.instances import ROUTES, InstanceSettings, needed_tasks, separate_objects
from lazylabels_monai.metrics import match_objects
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.trained import write_settings

__all__ = ["GRID", "Case", "object_f1", "tune", "tune_settings"]

#: Values that are tried, setting by setting, for each route.
GRID: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "three maps": {
        "drop_undetected": (False, True),
        "separation_threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        "neck": (0.0, 0.5, 0.6, 0.7, 0.8, 0.9),
        "detection_threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "min_marker": (1, 4, 8, 16, 32, 64),
        "min_size": (0, 8, 16, 32, 64, 128),
        "max_hole": (0, 16, 64),
    },
    "components": {"min_size": (0, 8, 16, 32, 64, 128), "max_hole": (0, 16, 64)},
    "distance": {"min_distance": (2, 3, 5, 8, 12, 20), "min_size": (0, 8, 16, 32, 64, 128), "max_hole": (0, 16, 64)},
}


@dataclass(frozen=True)
class Case:
    """One image: the predicted class map (H, W), the probabilities by task (classes, H, W), and the true ids (H, W)."""

    segmentation: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    truth: np.ndarray


def object_f1(cases: Sequence[Case], settings: InstanceSettings) -> float:
    """F1 of objects at an IoU of 0.5 over all images together: ``2 TP / (2 TP + FP + FN)``; NaN where there are none."""
    counts = np.zeros(3, np.int64)
    for case in cases:
        maps = [case.probabilities.get(task) for task in ("detection", "separation")]
        counts += match_objects(separate_objects(case.segmentation, *maps, settings), case.truth, 0.5)
    hits, *errors = counts
    return float(2 * hits / (2 * hits + sum(errors))) if counts.any() else float("nan")


def tune_settings(cases: Sequence[Case], route: str, progress: Progress | None = None) -> tuple[InstanceSettings, float]:
    """Coordinate ascent on :func:`object_f1`: one setting after the other takes its best value of :data:`GRID`.

    A setting moves only for a better score, so that the default wins a tie. The search ends after the second pass over all
    settings, or after a first one that changes nothing.

    Args:
        cases: validation images.
        route: one of :data:`~lazylabels_monai.instances.ROUTES`.
        progress: called with a line per change.

    Returns:
        the settings and their F1.
    """
    known: dict[InstanceSettings, float] = {}

    def f1_of(settings: InstanceSettings) -> float:
        if settings not in known:  # the second pass meets many of the first one again
            known[settings] = object_f1(cases, settings)
        return known[settings]

    best = InstanceSettings(route=route)
    score = f1_of(best)
    for _ in range(2):
        before = best
        for name, values in GRID[route].items():
            for value in values:
                trial = replace(best, **{name: value})
                if f1_of(trial) > score:
                    best, score = trial, f1_of(trial)
                    if progress:
                        progress(f"{route}: {name} {value} -> F1 {score:.3f}")
        if best == before:
            break
    return best, score


def tune(
    dataset_dir: str | os.PathLike,
    weights: str | os.PathLike,
    bundle: str | os.PathLike | None = None,
    overlays: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    routes: Sequence[str] = ROUTES,
    section: str = "validation",
    progress: Progress | None = None,
) -> dict[str, tuple[InstanceSettings, float]]:
    """Pick the instance settings on a data set's validation images and write the best ones beside the weights.

    Args:
        dataset_dir: data set whose items carry ``instances``.
        weights: ``model.pt``.
        bundle, overlays, overrides: see :class:`~lazylabels_monai.predicting.model.Model`.
        routes: those that are tried. A model without detection and separation has no three maps.
        section: "validation"; "training" where that has the ids. Test images are refused: they judge, they do not choose.
        progress: called with lines of text.

    Returns:
        settings and F1 by route, the best route first.

    Raises:
        LazyLabelsError: when the section is "testing", or no image of it has true objects.
    """
    if section == "testing":
        raise LazyLabelsError("section testing: test images judge the settings and must not choose them; use validation.")
    items = [item for item in read_items(dataset_dir, section) if "instances" in item]
    if not items:
        raise LazyLabelsError(f"'{dataset_dir}': no {section} image has \"instances\", the ids of its true objects: add them.")
    model = Model(weights, bundle, overlays, overrides)
    if not {"detection", "separation"} <= set(model.tasks):
        routes = [route for route in routes if route != "three maps"]
    needed = {task for route in routes for task in needed_tasks(model.tasks, InstanceSettings(route=route))}
    model = model.answering([task for task in model.tasks if task in needed])
    say = progress or silent
    cases = []
    for number, item in enumerate(items, 1):
        maps = model.probabilities(item["image"])
        classes = maps["segmentation"].argmax(0).astype(np.uint8)
        cases.append(Case(classes, maps, _true_ids(item["instances"], item["image"], classes.shape)))
        say(f"{number}/{len(items)} {os.path.basename(item['image'])}")
    found = {route: tune_settings(cases, route, progress=say) for route in routes}
    ranked = dict(sorted(found.items(), key=lambda pair: -np.nan_to_num(pair[1][1])))
    scores = {route: f1 for route, (_, f1) in ranked.items()}
    about = {"dataset": str(dataset_dir), "section": section, "images": len(cases), "f1@0.5": scores}
    write_settings(weights, [settings for settings, _ in ranked.values()], **about)
    return ranked


def _true_ids(path: str, image: str, shape: tuple[int, ...]) -> np.ndarray:
    """Ids of an image's true objects in its order of axes."""
    ids = like_image(read_label(path), path, image)
    if ids.shape != shape:
        raise LazyLabelsError(f"'{path}' has the shape {ids.shape} and its image '{image}' {shape}: give ids of that image.")
    if ids.dtype.kind not in "uib" or ids.min(initial=0) < 0:
        raise LazyLabelsError(
            f"'{path}' holds values that are no whole numbers from 0: give one id for each object, 0 outside."
        )
    return ids
