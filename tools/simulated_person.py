"""A person who draws and corrects in a project, played from the truth, at a person's speed. See tools/session_experiment.py.

What the person does goes through the functions behind the window (:mod:`lazylabels_monai.interactive`), and takes the seconds
of :class:`~lazylabels_monai.data.costs.AnnotationCosts`: a region of an object or of the background is a squiggle, a stroke
that splits or joins and a click that erases are as short as an interface scribble.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive import correcting
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interface_labels
from lazylabels_monai.tasks import BACKGROUND, INTERFACE

__all__ = ["Error", "Person", "errors_of"]

#: Share of an object that a prediction must cover to count as having found it, or as part of a merged one.
COVERED = 0.5
#: Share of a predicted object that lies on true ones, below which there is none.
FALSE = 0.1
#: Pixels of depth from which on an area is worth a mark.
DEPTH = 4
#: Width of the brush for the background and length of its stroke, pixels.
BRUSH, STROKE = 8, 100
#: Pixels by which a hand strays from an interface.
WOBBLE = 1.0


@dataclass(frozen=True)
class Error:
    """Something that a person would put right.

    Args:
        kind: ``"merged"``: several true objects in a predicted one; ``"split"``: several predicted objects in a true one;
            ``"false"``: a predicted object where none is; ``"missed"``: a true object that is not there; ``"spilled"``:
            background deep inside what is predicted to be objects.
        area: pixels that are wrong by it.
        number: the predicted id (merged, false) or the true one (split, missed); 0 for what spilled.
        parts: the true ids in the predicted object, or the predicted ones in the true object.
        where: (H, W) bool of what spilled.
    """

    kind: str
    area: int
    number: int = 0
    parts: tuple[int, ...] = ()
    where: np.ndarray | None = None


def errors_of(objects: np.ndarray, truth: np.ndarray) -> list[Error]:
    """The errors that a person sees, the largest first, whatever their kind.

    Args:
        objects: (H, W) predicted ids.
        truth: (H, W) true ids.
    """
    found: list[Error] = []
    table = np.zeros((int(objects.max(initial=0)) + 1, int(truth.max(initial=0)) + 1), np.int64)
    np.add.at(table, (objects.ravel(), truth.ravel()), 1)
    sizes, true_sizes = table.sum(1), table.sum(0)
    false = set()
    for number in (int(k) for k in np.flatnonzero(sizes) if k):
        inside = [int(k) for k in np.flatnonzero(table[number]) if k and table[number, k] > COVERED * true_sizes[k]]
        if len(inside) > 1:
            areas = sorted(int(table[number, k]) for k in inside)
            found.append(Error("merged", sum(areas[:-1]), number, tuple(inside)))
        elif table[number, 1:].sum() < FALSE * sizes[number]:
            false.add(number)
            found.append(Error("false", int(sizes[number]), number))
    for true in (int(k) for k in np.flatnonzero(true_sizes) if k):
        column = table[1:, true]
        if column.sum() < COVERED * true_sizes[true]:
            found.append(Error("missed", int(true_sizes[true]), true))
            continue
        parts = [
            int(k) + 1
            for k in np.flatnonzero(column)
            if column[k] > COVERED * sizes[k + 1] and column[k] > 0.1 * true_sizes[true]
        ]
        if len(parts) > 1:
            areas = sorted(int(table[k, true]) for k in parts)
            found.append(Error("split", sum(areas[:-1]), true, tuple(parts)))
    spilled = (objects > 0) & (truth == 0) & ~np.isin(objects, list(false))
    deep = ndimage.distance_transform_edt(np.pad(spilled, 1))[1:-1, 1:-1] >= DEPTH
    pieces, count = ndimage.label(deep)
    for piece in range(1, count + 1):
        where = pieces == piece
        found.append(Error("spilled", int(np.count_nonzero(where)), where=where))
    return sorted(found, key=lambda error: -error.area)


class Person:
    """Marks objects of a project's images, some of each, in the order of their places.

    Args:
        project: whose images are drawn on.
        truths: (H, W) true ids by the names of the images.
        costs: seconds.
        seed: of all that is random.
        style: of the inner regions; see :func:`~lazylabels_monai.labels.inner.inner_regions`.

    Attributes:
        done: how often what was done.
    """

    def __init__(
        self,
        project: Project,
        truths: dict[str, np.ndarray],
        costs: AnnotationCosts | None = None,
        seed: int = 0,
        style: str = "blob",
    ) -> None:
        self.project, self.truths, self.costs, self.style = project, truths, costs or AnnotationCosts(), style
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.done: Counter[str] = Counter()
        self._inner: dict[str, np.ndarray] = {}
        self._regions: dict[str, set[int]] = {}
        self._lines: dict[str, set[int]] = {}
        self._has_background: set[str] = set()
        self._left = 0.0

    def draw(self, entry: ImageEntry, seconds: float) -> float:
        """Inner regions of neighbours, a line where two of them touch, one stroke of background.

        Returns:
            the seconds that were used.
        """
        self._left = seconds
        truth = self.truths[entry.name]
        detection, separation = (self.project.labels.read(entry, task) for task in ("detection", "separation"))
        marked = self._regions.setdefault(entry.name, set())
        if entry.name not in self._has_background:
            stroke = self._background(truth)
            if stroke.any() and self._pay(entry, "inner", "detection", "background"):
                detection[stroke] = BACKGROUND
                self._has_background.add(entry.name)
        numbered, pairs = interface_labels(truth, wobble=WOBBLE, seed=self._seed(entry))
        lines = self._lines.setdefault(entry.name, set())
        centres = dict(
            zip(ids := np.unique(truth[truth > 0]).tolist(), ndimage.center_of_mass(truth > 0, truth, ids), strict=True)
        )
        here = None
        while left := [number for number in ids if number not in marked]:
            if here is None:
                here = centres[left[int(self.rng.integers(len(left)))]]
            number = min(left, key=lambda k: float(np.hypot(*np.subtract(centres[k], here))))
            if not self._pay(entry, "inner", "detection", "inner region"):
                break
            here = centres[number]
            detection[self._region(entry, number)] = 1
            marked.add(number)
            for line, pair in enumerate(pairs.tolist(), 1):
                if line not in lines and set(pair) <= marked and self._pay(entry, "scribble", "separation", "interface"):
                    lines.add(line)
                    separation[(numbered == line) & (separation != BACKGROUND)] = INTERFACE
        self._save(entry, detection=detection, separation=separation)
        return seconds - self._left

    def paint(self, entry: ImageEntry) -> None:
        """The exact mask of the whole image, at no cost."""
        self._save(entry, segmentation=(self.truths[entry.name] > 0).astype(np.uint8))
        self.done["exact mask"] += 1

    def correct(self, entry: ImageEntry, objects: np.ndarray, seconds: float) -> float:
        """Put right what is quick to put right, then mark what is missing or too much.

        Args:
            entry: the image.
            objects: (H, W) ids as predicted.
            seconds: that there are.

        Returns:
            the seconds that were used.
        """
        self._left = seconds
        truth, objects = self.truths[entry.name], objects.astype(np.int32)
        for error in errors_of(objects, truth):
            if error.kind == "merged":
                objects = self._split(entry, objects, objects == error.number, list(error.parts))
            elif error.kind == "split" and self._pay(entry, "scribble", None, "join"):
                here = truth == error.number
                parts = [part for part in error.parts if ((objects == part) & here).any()]  # others are gone by now
                line = self._through(objects, here, parts)
                objects = self._applied(entry, objects, lambda o, line=line: correcting.join(o, line))
            elif error.kind == "false" and self._pay(entry, "scribble", None, "erase"):
                objects = self._applied(entry, objects, lambda o, number=error.number: correcting.erase(o, o == number))
            elif error.kind == "missed" and self._pay(entry, "inner", "detection", "missed object"):
                self._mark(entry, self._region(entry, error.number), 1)
                self._regions.setdefault(entry.name, set()).add(error.number)
            elif error.kind == "spilled" and self._pay(entry, "inner", "detection", "spilled area"):
                self._mark(entry, error.where, BACKGROUND)
        return seconds - self._left

    def _mark(self, entry: ImageEntry, where: np.ndarray, value: int) -> None:
        """Paint inner regions."""
        detection = self.project.labels.read(entry, "detection")
        detection[where] = value
        self._save(entry, detection=detection)

    def _split(self, entry: ImageEntry, objects: np.ndarray, where: np.ndarray, inside: list[int]) -> np.ndarray:
        """Part a predicted object along the borders of the true ones in it, the smallest first."""
        truth = self.truths[entry.name]
        known = np.where(np.isin(truth, inside), truth, 0)
        nearest = ndimage.distance_transform_edt(known == 0, return_distances=False, return_indices=True)
        cells = np.where(where, known[tuple(nearest)], 0)
        for number in sorted(inside, key=lambda k: int(np.count_nonzero(cells == k)))[:-1]:
            if not self._pay(entry, "scribble", None, "split"):
                break
            border = ndimage.binary_dilation(cells == number) & where & (cells != number)
            stroke = ndimage.binary_dilation(border, np.ones((3, 3))) & (where | (objects == 0))
            objects = self._applied(entry, objects, lambda o, stroke=stroke: correcting.split(o, stroke))
        return objects

    def _applied(self, entry: ImageEntry, objects: np.ndarray, make) -> np.ndarray:  # noqa: ANN001
        """The objects after a correction, which is saved; as before where it changes nothing."""
        try:
            correction = make(objects)
        except LazyLabelsError:
            self.done["in vain"] += 1
            return objects
        correcting.apply(self.project, entry, correction)
        return correction.objects

    def _through(self, objects: np.ndarray, true: np.ndarray, parts: list[int]) -> np.ndarray:
        """A line from the middle of each part to that of the next."""
        points = [_deepest((objects == part) & true) for part in parts]
        return correcting.line_of(points, objects.shape)

    def _region(self, entry: ImageEntry, number: int) -> np.ndarray:
        """The inner region of a true object, (H, W) bool."""
        if entry.name not in self._inner:
            truth = self.truths[entry.name]
            made = inner_regions(truth, rng=self._seed(entry), style=self.style)
            self._inner[entry.name] = np.where(made > 0, truth, 0)
        return self._inner[entry.name] == number

    def _background(self, truth: np.ndarray) -> np.ndarray:
        """One stroke through background, as long as there is room for."""
        depth = ndimage.distance_transform_edt(np.pad(truth == 0, 1))[1:-1, 1:-1]
        places = np.argwhere(depth > BRUSH)
        best, longest = np.zeros(truth.shape, bool), 0.0
        if not len(places):
            return best
        for _ in range(50):
            start = places[self.rng.integers(len(places))]
            angle = self.rng.uniform(0, 2 * np.pi)
            steps = start + np.arange(STROKE)[:, None] * np.array([np.sin(angle), np.cos(angle)])
            pixels = np.round(steps).astype(int)
            inside = ((pixels >= 0) & (pixels < truth.shape)).all(1)
            free = inside & (depth[tuple(np.clip(pixels, 0, np.array(truth.shape) - 1).T)] > BRUSH / 2 + 2)
            reach = int(np.argmin(free)) if not free.all() else STROKE
            if reach > longest:
                best, longest = correcting.line_of(steps[:reach], truth.shape, BRUSH / 2), reach
        return best & (truth == 0)

    def _pay(self, entry: ImageEntry, cost: str, task: str | None, what: str) -> bool:
        """Whether there is time for it; the time is spent then."""
        seconds = float(getattr(self.costs, cost))
        if seconds > self._left:
            return False
        self._left -= seconds
        self.project.records.spend(entry, seconds, task)
        self.done[what] += 1
        return True

    def _save(self, entry: ImageEntry, **labels: np.ndarray) -> None:
        for task, label in labels.items():
            if not np.array_equal(label, self.project.labels.read(entry, task)):
                self.project.labels.save(entry, task, label)

    def _seed(self, entry: ImageEntry) -> int:
        return zlib.crc32(f"{self.seed} {entry.name}".encode())


def _deepest(mask: np.ndarray) -> tuple[int, int]:
    """The pixel of a region that is furthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return tuple(int(side) for side in np.unravel_index(depth.argmax(), mask.shape))
