"""Which unlabelled image to annotate next, and for which task: the most uncertainty per second of work.

A candidate is a label that an image does not have. Its *gain* is the network's uncertainty about that task in that image
(:mod:`lazylabels_monai.predicting.uncertainty`), summed over the pixels: like the work it grows with the image, so that gain
per second favours neither large nor small ones. Uncertainty is the mutual information by default: it is what a label would
resolve. The predictive entropy counts every object's blurred edge as well, which no label makes sharper; it is for networks
that can give one answer only. Its *cost* is that of :mod:`lazylabels_monai.data.costs` for what there seems to be to draw.

Settles 2009, "Active learning literature survey", Sec. 6.5, on dividing by the cost. The best candidates one by one may be
copies of each other (Kirsch, van Amersfoort, Gal 2019); those that look like one ranked higher are moved down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.budget import count_objects, count_scribbles
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.instances import InstanceSettings, needed_tasks, separate_objects
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.suggest.pool import PoolImage, find_pool
from lazylabels_monai.suggest.ranking import MEASURES, Candidate, Suggestions, check_ranges, rank
from lazylabels_monai.tasks import BACKGROUND, INTERFACE, validate_tasks

if TYPE_CHECKING:
    from torch import nn

    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.predicting.uncertainty import TaskUncertainty

__all__ = ["expected_work", "measured", "suggest"]

#: Pieces of fewer pixels in a predicted separation map are noise and no scribbles: the area of a 3 by 3 dot.
_MIN_STROKE = 9


def suggest(
    images: PathLike,
    model: Model,
    data: PathLike | None = None,
    *,
    tasks: Sequence[str] | None = None,
    measure: str = MEASURES[0],
    flips: bool = True,
    dropout_samples: int = 0,
    costs: AnnotationCosts | None = None,
    hours: float = 1.0,
    diversity: float = 1.0,
    settings: InstanceSettings | None = None,
    progress: Progress | None = None,
) -> Suggestions:
    """Rank the labels that could be drawn next.

    Args:
        images: a data set, whose training images lack labels, or a file, folder or pattern of images.
        model: a trained network.
        data: data set that the images may be part of already; see :func:`find_pool`.
        tasks: labels that are wanted; default all that the network learned.
        measure: one of :data:`MEASURES`. With one answer an image (no flips, no dropout) there is no disagreement, and entropy
            is taken instead, which a note says.
        flips, dropout_samples: see :func:`~lazylabels_monai.predicting.uncertainty.uncertainty_maps`.
        costs: seconds by which the work is reckoned; None: the published ones.
        hours: of work to plan for.
        diversity: see :func:`rank`.
        settings: how objects are separated, to count them; default :class:`~lazylabels_monai.instances.InstanceSettings`.
        progress: called with a line of text per image.

    Returns:
        all labels that are missing, the best first. An image that cannot be read is in ``failed``, the others are ranked.

    Raises:
        LazyLabelsError: when an argument is out of its range, no label is missing, or no image could be read.
    """
    from lazylabels_monai.predicting.uncertainty import dropout_layers, uncertainty_maps

    check_ranges(measure, hours, diversity)
    wanted = validate_tasks(tasks or model.tasks)
    if unlearned := [task for task in wanted if task not in model.tasks]:
        raise LazyLabelsError(f"task {unlearned[0]}: the network did not learn it; use {', '.join(model.tasks)}.")
    model = model.answering(_needed(model.tasks, wanted, settings or InstanceSettings()))
    pool, average = find_pool(images, data, wanted, model.num_classes - 1)
    notes = []
    if dropout_samples and not dropout_layers(model.network):
        notes.append("the network has no dropout: no dropout samples were taken; train with --dropout 0.2 to have them.")
        dropout_samples = 0
    if not flips and not dropout_samples and measure != "entropy":
        notes.append("one answer for each image shows no disagreement: ranked by entropy instead.")
        measure = "entropy"
    say = progress or silent
    found: list[tuple[PoolImage, dict[str, tuple[float, float]], dict[str, tuple[int, int]], np.ndarray | None]] = []
    failed: dict[str, str] = {}
    for number, image in enumerate(pool, 1):
        name = Path(image.path).name
        try:
            with _mean_features(model.network) as features:
                maps = uncertainty_maps(model, image.path, flips, dropout_samples)
        except Exception as error:  # one bad image must not cost the others
            failed[image.path] = explain(error)
            say(f"{number}/{len(pool)} {name} FAILED: {failed[image.path]}")
            continue
        arrays = {task: measured(maps[task], measure) for task in image.missing}
        uncertainties = {
            task: (float(array.sum(dtype=float)), float(array.mean(dtype=float))) for task, array in arrays.items()
        }
        found.append((image, uncertainties, expected_work(maps, settings), features()))
        say(f"{number}/{len(pool)} {name}")
    if not found:
        raise LazyLabelsError(f"none of the {len(pool)} images could be used: {next(iter(failed.values()))}")
    candidates = _candidates(found, average, costs or AnnotationCosts())
    if diversity and any(candidate.features is None for candidate in candidates):
        notes.append("the network has no contracting path to compare images by: alike images are not moved down.")
    notes.append(_count_note(average))
    return Suggestions(rank(candidates, hours, diversity), hours, failed, notes)


def _needed(learned: Sequence[str], wanted: Sequence[str], settings: InstanceSettings) -> list[str]:
    """Tasks whose maps are looked at: those that are wanted, and where objects are counted those that tell them apart."""
    counted = needed_tasks(learned, settings) if {"segmentation", "detection"} & set(wanted) else ["segmentation"]
    return [task for task in learned if task in (*wanted, *counted)]


def expected_work(maps: dict[str, TaskUncertainty], settings: InstanceSettings | None = None) -> dict[str, tuple[int, int]]:
    """What the predicted maps show to draw.

    Args:
        maps: what :func:`~lazylabels_monai.predicting.uncertainty.uncertainty_maps` returned.
        settings: how objects are separated.

    Returns:
        by task, the objects (of separation: scribbles, in pieces of 9 pixels or more, in which an interface exceeds
        ``separation_threshold``) and the classes that are not there, as the budget counts them.
    """
    settings = settings or InstanceSettings()
    probabilities = {task: found.probabilities for task, found in maps.items()}
    work = {}
    outlines = probabilities.get("segmentation", probabilities.get("detection"))
    if outlines is not None:
        classes = outlines.argmax(0).astype(np.uint8)
        separated = [probabilities.get(task) if "segmentation" in maps else None for task in ("detection", "separation")]
        ids = separate_objects(classes, *separated, settings)
        shown = np.setdiff1d(classes[ids > 0], (BACKGROUND,)).size
        counts = (count_objects(ids, ids=True), len(outlines) - 1 - shown)
        work = {task: counts for task in ("segmentation", "detection") if task in maps}
    if "separation" in maps:
        drawn = probabilities["separation"][INTERFACE] > settings.separation_threshold
        pieces, _ = ndimage.label(drawn, np.ones((3,) * drawn.ndim))
        large = np.bincount(pieces.ravel()) >= _MIN_STROKE
        large[0] = False
        strokes = count_scribbles(large[pieces].astype(np.uint8))
        work["separation"] = (strokes, int(strokes == 0))
    return work


def measured(found: TaskUncertainty, measure: str) -> np.ndarray:
    return found.entropy if measure == "entropy" else found.mutual_information


def _candidates(found: Sequence[tuple], average: dict[str, float], costs: AnnotationCosts) -> list[Candidate]:
    """Every missing label with its gain and its cost."""
    predicted = {task: float(np.mean([work[task][0] for _, _, work, _ in found])) for task in found[0][2]}
    out: list[Candidate] = []
    for image, uncertainties, work, features in found:
        for task, (gain, mean) in uncertainties.items():
            if task in image.known:
                objects, absent = map(float, image.known[task])
            else:
                # A network that overlooks an image's objects makes it look cheap: half the way to an average image.
                objects, absent = (work[task][0] + average.get(task, predicted[task])) / 2, work[task][1]
            seconds = costs.seconds(task, objects, absent)
            out.append(Candidate(image.path, task, gain, mean, objects, seconds, features))
    return out


def _count_note(average: dict[str, float]) -> str:
    of = "a labelled training image" if average else "an image of the pool, as predicted"
    return f"what there is to draw is predicted, drawn half the way to the average of {of}; time yourself and set --cost."


@contextmanager
def _mean_features(network: nn.Module) -> Iterator[Callable[[], np.ndarray | None]]:
    """Collect the bottleneck's channels, averaged over all windows; call what it yields for (C,), None where there is none."""
    levels = getattr(network, "down", None)
    total: list[np.ndarray] = []
    count: list[int] = []

    def collect(module: Any, inputs: Any, output: Any) -> None:
        total.append(output.detach().float().flatten(2).mean((0, 2)).cpu().numpy() * len(output))
        count.append(len(output))

    handle = levels[-1].register_forward_hook(collect) if levels is not None and len(levels) else None
    try:
        # sorted, as windows side by side come in any order, and a sum depends on it in its last digits
        yield lambda: np.sort(total, axis=0).sum(0) / sum(count) if count else None
    finally:
        if handle is not None:
            handle.remove()
