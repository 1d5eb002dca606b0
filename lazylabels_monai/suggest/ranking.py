"""Candidates in the order in which their labels should be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import LABELS, TASKS

__all__ = ["MEASURES", "Candidate", "Suggestion", "Suggestions", "check_ranges", "rank"]

#: What counts as uncertainty.
MEASURES = ("mutual information", "entropy")


@dataclass(frozen=True)
class Candidate:
    """A label that could be drawn.

    Args:
        image: path.
        task: one of the three.
        gain: uncertainty of the task, summed over the pixels; each counts from 0 to 1.
        uncertainty: mean over the pixels, 0 to 1.
        to_draw: expected number of outlines, marks or scribbles.
        seconds: expected cost, above 0.
        features: (C,) what the image looks like to the network; None: not known, like no other.
    """

    image: str
    task: str
    gain: float
    uncertainty: float
    to_draw: float
    seconds: float
    features: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Suggestion:
    """A ranked candidate: a row of the CSV file.

    Args:
        rank: 1 is the first to draw.
        image, task, uncertainty, gain, to_draw, seconds: those of the :class:`Candidate`.
        label: what to draw: its name in :data:`~lazylabels_monai.tasks.LABELS`.
        gain_per_second: before the penalty.
        similarity: to the most similar image ranked higher for the same task, 0 to 1.
        score: ``gain_per_second`` after the penalty: what it was ranked by.
        planned: whether it fits into the hours, after those planned before it.
    """

    rank: int
    image: str
    task: str
    label: str
    uncertainty: float
    gain: float
    to_draw: float
    seconds: float
    gain_per_second: float
    similarity: float
    score: float
    planned: bool


@dataclass
class Suggestions:
    """What :func:`suggest` found: the ranked labels, the hours planned for, what failed by image, and what was assumed."""

    ranked: list[Suggestion]
    hours: float
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def rank(candidates: Sequence[Candidate], hours: float = 1.0, diversity: float = 1.0) -> list[Suggestion]:
    """Order candidates by gain per second, one after the other, images that resemble a chosen one moved down.

    The next one is that of the highest ``gain / seconds * (1 - diversity * s)``, where s is the highest cosine similarity, 0 at
    least, of its features to those of the candidates of the same task chosen before. Features are standardised over the
    candidates first, channel by channel: an image that is alike in all that tells images apart has s = 1. Images that are like
    labelled ones need no such penalty, as the network has little uncertainty about them.

    Args:
        candidates: in any order; the first of equally good ones comes first.
        hours: of work to plan for: a candidate is planned where it fits after the planned ones before it.
        diversity: 0 (ranked by gain per second alone) to 1 (a copy of a chosen image comes last and is not planned).

    Raises:
        LazyLabelsError: when an argument is out of its range, or a label costs nothing.
    """
    check_ranges(MEASURES[0], hours, diversity)
    for candidate in candidates:
        if not candidate.seconds > 0:
            raise LazyLabelsError(
                f"{LABELS[candidate.task].name} of '{candidate.image}' would cost 0 s: set the seconds for opening an image, "
                "as with --cost image=10."
            )
    value = np.array([candidate.gain / candidate.seconds for candidate in candidates], float)
    task = np.array([TASKS.index(candidate.task) for candidate in candidates], int)
    features, known = _standardised(candidates)
    similarity = np.zeros(len(candidates))
    left = np.ones(len(candidates), bool)
    spent, ranked = 0.0, []
    for position in range(1, len(candidates) + 1):
        score = value * (1 - diversity * similarity)
        chosen = int(np.argmax(np.where(left, score, -1.0)))
        left[chosen] = False
        found = candidates[chosen]
        planned = bool(score[chosen] > 0 and spent + found.seconds <= hours * 3600)
        spent += found.seconds if planned else 0.0
        ranked.append(
            Suggestion(
                position,
                found.image,
                found.task,
                LABELS[found.task].name,
                found.uncertainty,
                found.gain,
                found.to_draw,
                found.seconds,
                float(value[chosen]),
                float(similarity[chosen]),
                float(score[chosen]),
                planned,
            )
        )
        if known[chosen]:
            alike = np.where(known & left & (task == task[chosen]), features @ features[chosen], 0.0)
            # a copy is a copy whatever the rounding
            similarity = np.maximum(similarity, np.where(alike > 1 - 1e-6, 1.0, np.clip(alike, 0, 1)))
    return ranked


def check_ranges(measure: str, hours: float, diversity: float) -> None:
    if measure not in MEASURES:
        raise LazyLabelsError(f"measure '{measure}' does not exist: use {' or '.join(MEASURES)}.")
    if not 0 < hours < float("inf"):
        raise LazyLabelsError(f"hours {hours} must be a positive number.")
    if not 0 <= diversity <= 1:
        raise LazyLabelsError(f"diversity {diversity} must lie between 0 and 1.")


def _standardised(candidates: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, C) of the features, each channel standardised over the images, and which rows have any."""
    known = np.array([candidate.features is not None for candidate in candidates], bool)
    by_image = {candidate.image: candidate.features for candidate in candidates if candidate.features is not None}
    if not by_image:
        return np.zeros((len(candidates), 1)), known
    table = np.stack([np.asarray(f, float) for f in by_image.values()])
    spread = table.std(0)
    scale = np.where(spread > 1e-9 * np.abs(table).max(initial=0), spread, np.inf)
    unit = {}
    for image, row in zip(by_image, (table - table.mean(0)) / scale, strict=True):
        # one more channel for images that are just average, so that two of them are alike, too
        whole = np.append(row, 1e-6)
        unit[image] = whole / np.linalg.norm(whole)
    blank = np.zeros(table.shape[1] + 1)
    return np.stack([unit.get(candidate.image, blank) for candidate in candidates]), known
