"""What a training is judged by on the way: whole images where they cost little, else the same chosen windows every time.

Costs are counted in pixels that go through the network, not in seconds: the same windows are then chosen on a fast and on a
busy machine, and by a training that goes on after a stop.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from monai.data import CacheDataset, DistributedSampler
from monai.transforms import Compose

from lazylabels_monai.tasks import IGNORE, TASKS, present_key

__all__ = ["WINDOWS_KEY", "Allowance", "ValidationDataset", "ValidationSampler", "choose_windows", "window_pixels"]

logger = logging.getLogger(__name__)

#: Key of a sample that is made of several windows side by side: their number.
WINDOWS_KEY = "windows"

#: A validation of that many pixels, a second or two, is always allowed; a training must be able to judge itself.
FREE = 2**18
#: With fewer windows a score says little; rather than that it is asked for less often.
FEWEST = 8
#: Of what validation may cost, the part that chooses among the weights that were best on the way.
FINAL = 0.5
#: Images with a rare class whose windows come first.
_OF_EACH_CLASS = 4

_LABELS = (*TASKS, "instances")

Window = tuple[slice, ...]


@dataclass(frozen=True)
class Allowance:
    """How many pixels of prediction a training may spend on validation.

    Args:
        share: of the time of the whole training, above 0 and below 1; None: whole images at any cost.
        epoch_pixels: pixels of the crops of an epoch, of one process.
        interval: epochs between validations.
        step_cost: what a training step costs per pixel of its crops, in pixels of a prediction: forward, backward, and the
            step itself. Measured on CPU: 2.8 (docs/performance.md); a little less is assumed.
    """

    share: float | None
    epoch_pixels: float
    interval: int = 1
    step_cost: float = 2.5

    def _allowed(self, epochs: float) -> float:
        processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if self.share is None:
            return math.inf
        return self.share / (1 - self.share) * self.step_cost * self.epoch_pixels * epochs * processes

    @property
    def whole(self) -> float:
        """Pixels of one validation on whole images, which leave nothing to choose at the end."""
        return max(FREE, self._allowed(self.interval))

    @property
    def each(self) -> float:
        """Pixels of one validation on windows."""
        return max(FREE, (1 - FINAL) * self._allowed(self.interval))

    def final(self, epochs: int) -> float:
        """Pixels of all that is done when ``epochs`` epochs are over."""
        return max(FREE, FINAL * self._allowed(epochs))


def window_pixels(size: Sequence[int], window: Sequence[int], overlap: float | Sequence[float]) -> int:
    """Pixels that go through a network when an image of this size is predicted in overlapping windows, as MONAI cuts them."""
    overlaps = overlap if isinstance(overlap, Sequence) else [overlap] * len(size)
    total = 1
    for length, width, share in zip(size, window, overlaps, strict=True):
        width = min(length, width)
        step = width if width == length else max(1, int(width * (1 - share)))
        total *= (math.ceil((length - width) / step) + 1) * width
    return total


def _starts(length: int, width: int) -> list[int]:
    """Where windows begin along one axis: half a window apart, the last one at the border."""
    if width >= length:
        return [0]
    return sorted({*range(0, length - width, max(1, width // 2)), length - width})


def _grid(size: Sequence[int], window: Sequence[int]) -> list[Window]:
    widths = [min(length, width) for length, width in zip(size, window, strict=True)]
    starts = [_starts(length, width) for length, width in zip(size, widths, strict=True)]
    return [
        tuple(slice(int(a), int(a) + w) for a, w in zip(corner, widths, strict=True))
        for corner in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(starts))
    ]


def _overlap(one: Window, other: Window) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _windows_of(label: np.ndarray, window: Sequence[int], rng: np.random.Generator, first: int | None) -> list[Window]:
    """Windows of one image that do not overlap, those with an object of class ``first`` before those with any object."""
    grid = _grid(label.shape, window)
    rank = []
    for one in grid:
        part = label[one]
        known = part != IGNORE
        if not known.any():
            rank.append(-1)
            continue
        objects = bool((known & (part > 0)).any())
        rank.append(objects + (first is not None and bool((part == first).any())))
    order = sorted(rng.permutation(len(grid)).tolist(), key=lambda number: -rank[number])
    chosen: list[Window] = []
    for number in order:
        if rank[number] >= 0 and not any(_overlap(grid[number], other) for other in chosen):
            chosen.append(grid[number])
    return chosen


def choose_windows(labels: Sequence[np.ndarray | None], window: Sequence[int], seed: int = 0) -> list[tuple[int, Window]]:
    """All windows that are worth validating on, the ones to be taken first at the front: however many are taken of them, each
    image gives its first window before any gives its second, and images that show a rare class come early.

    Args:
        labels: of each image the map (spatial...) that judges it, 255 where nothing is known; None leaves an image out.
        window: its size; an axis on which an image is smaller is taken whole.
        seed: of the choice; nothing else is drawn from.

    Returns:
        pairs of an image's number and a window of it. Windows of an image do not overlap; those with objects come first, and
        those of which nothing is known are left out.
    """
    rng = np.random.default_rng(seed)
    shows = {
        number: [int(value) for value in np.unique(label) if 0 < value != IGNORE]
        for number, label in enumerate(labels)
        if label is not None
    }
    order = rng.permutation(list(shows)).tolist() if shows else []
    counts = {value: sum(value in found for found in shows.values()) for found in shows.values() for value in found}
    first: dict[int, int | None] = {}
    for value in sorted(counts, key=lambda one: (counts[one], one)):  # rare ones first
        for number in [n for n in order if value in shows[n] and n not in first][:_OF_EACH_CLASS]:
            first[number] = value
    for number in order:
        first.setdefault(number, None)
    queues = {number: _windows_of(labels[number], window, rng, value) for number, value in first.items()}
    rounds = max(map(len, queues.values()), default=0)
    return [(number, queue[turn]) for turn in range(rounds) for number, queue in queues.items() if turn < len(queue)]


class ValidationDataset(CacheDataset):
    """MONAI's ``CacheDataset`` of validation images that, where whole ones cost more than is allowed, gives windows of them.

    A sample is then an image's windows side by side along the first spatial axis, and holds their number under
    :data:`WINDOWS_KEY`; :class:`~lazylabels_monai.inferers.MultiTaskSlidingWindowInferer` predicts each on its own. So an image
    stays one row of a metric.

    Args:
        data, transform, cache_rate, progress: those of ``CacheDataset``.
        window: size of the windows of a prediction.
        overlap: of these windows where a whole image is predicted.
        allowance: what may be spent; None: whole images.
        tasks: whose labels judge; the first that an image carries says where its objects are.
        seed: of the choice.
    """

    def __init__(
        self,
        data: Sequence,
        transform: Any = None,
        cache_rate: float = 1.0,
        progress: bool = False,
        window: Sequence[int] = (),
        overlap: float | Sequence[float] = 0.25,
        allowance: Allowance | None = None,
        tasks: Sequence[str] = ("segmentation",),
        seed: int = 0,
    ) -> None:
        self.chosen: list[tuple[int, list[Window]]] | None = None
        super().__init__(data=data, transform=transform, cache_rate=cache_rate, progress=progress)
        self.window, self.overlap, self.allowance = tuple(window), overlap, allowance
        self.every = 1
        self.whole_pixels = 0
        self.order: list[tuple[int, Window]] = []
        if allowance is None or allowance.share is None or not len(data):
            return
        sizes, labels = [], []
        for index in range(len(data)):
            sample = self._image(index)
            sizes.append(tuple(sample["image"].shape[1:]))
            labels.append(_judging(sample, tasks))
        self.whole_pixels = sum(window_pixels(size, self.window, overlap) for size in sizes)
        self.order = choose_windows(labels, self.window, seed)
        if self.whole_pixels <= allowance.whole or not self.order:
            return
        self.every = max(1, math.ceil(self._fewest / allowance.each))
        self.chosen = self._grouped(self._within(max(allowance.each, self._fewest)))
        logger.info(
            f"validation on the way: {self.count} windows of {len(self.chosen)} of the {len(data)} images, the same every time"
            + (f", after every {self.every * allowance.interval} epochs" if self.every > 1 else "")
            + f" (val_share {allowance.share:g}; null: whole images, {self.whole_pixels / self.pixels:.0f} times as long)."
        )

    @property
    def is_whole(self) -> bool:
        """Whether whole images are validated on."""
        return self.chosen is None

    @property
    def count(self) -> int:
        """Number of windows; 0 where images are whole."""
        return sum(len(windows) for _, windows in self.chosen or ())

    @property
    def pixels(self) -> int:
        """Pixels of one validation that go through the network."""
        if self.chosen is not None:
            return sum(_area(window) for _, windows in self.chosen for window in windows)
        if not self.whole_pixels and len(self.data):  # nobody has asked yet: by some of the images
            some = range(0, len(self.data), max(1, len(self.data) // 8))
            sizes = [self._image(index)["image"].shape[1:] for index in some]
            total = sum(window_pixels(size, self.window or size, self.overlap) for size in sizes)
            self.whole_pixels = round(total * len(self.data) / len(some))
        return self.whole_pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, spatial...) of the first image."""
        return tuple(self._image(0)["image"].shape)

    def due(self, epoch: int) -> bool:
        """Whether a validation after this epoch is worth its time, where one is asked for."""
        return self.allowance is None or epoch % (self.allowance.interval * self.every) == 0 or self.every == 1

    def for_the_final_choice(self, epochs: int, candidates: int) -> ValidationDataset:
        """More windows than on the way, or whole images where they are allowed, to choose among ``candidates`` weights with."""
        other = copy(self)  # the images are cached once
        allowed = self.allowance.final(epochs) / max(1, candidates) if self.allowance is not None else math.inf
        if self.whole_pixels <= allowed or not self.order:
            other.chosen = None
        else:
            other.chosen = self._grouped(self._within(max(allowed, self._fewest if self.is_whole else self.pixels)))
        return other

    def of(self, items: Sequence, most: int, further: Any) -> ValidationDataset:
        """Other images, prepared alike and by ``further``: of each its first window, then second ones, at most so many.

        They are looked at once, and none of them is kept in memory.
        """
        other = ValidationDataset(items, Compose([self.transform, further]), cache_rate=0.0, window=self.window)
        labels = [_judging(other._image(number), ("segmentation",)) for number in range(len(items))]
        other.chosen = other._grouped(choose_windows(labels, self.window)[:most])
        return other

    def described(self) -> str:
        """For a record: what the scores are of. The same text, the same pixels."""
        return "" if self.chosen is None else f" on {self.count} windows of {list(self.window)}"

    @property
    def _fewest(self) -> int:
        return sum(_area(window) for _, window in self.order[:FEWEST])

    def _within(self, pixels: float) -> list[tuple[int, Window]]:
        """The first windows that cost no more, and one for each process at least."""
        least = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        total = np.cumsum([_area(window) for _, window in self.order])
        return self.order[: max(least, int(np.searchsorted(total, pixels, side="right")))]

    @staticmethod
    def _grouped(pairs: Sequence[tuple[int, Window]]) -> list[tuple[int, list[Window]]]:
        found: dict[int, list[Window]] = {}
        for number, window in pairs:
            found.setdefault(number, []).append(window)
        return list(found.items())

    def __len__(self) -> int:
        return len(self.data) if self.chosen is None else len(self.chosen)

    def _transform(self, index: int) -> Any:
        # MONAI looks by ``len(self)`` whether an image is cached; here that is a number of samples
        return self.transform(self.data[index]) if index >= self.cache_num else super()._transform(index)

    def _image(self, number: int) -> Any:
        return super().__getitem__(number)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, _OfNoImage):
            return nothing_known(self[int(index)])
        if self.chosen is None:
            return super().__getitem__(index)
        number, windows = self.chosen[index]
        return side_by_side(self._image(number), windows)


class _OfNoImage(int):
    """An index of :class:`ValidationDataset` whose image is predicted, and of which nothing is known: it counts nowhere."""


class ValidationSampler(DistributedSampler):
    """MONAI's ``DistributedSampler`` of validation images, which may be fewer than the processes.

    MONAI refuses that, and its engines and metrics wait for a process that has nothing to do. Here each process beyond the
    images predicts the first one as if nothing were known of it, so that every score is that of one process.

    Args:
        dataset: the images; without any there is nothing to validate, and nobody may ask for a sample.
    """

    def __init__(self, dataset: ValidationDataset) -> None:
        self.images = len(dataset)
        super().__init__(range(max(self.images, dist.get_world_size())), even_divisible=False, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        """The indices of this process."""
        return (index if index < self.images else _OfNoImage(0) for index in super().__iter__())


def side_by_side(sample: Mapping[str, Any], windows: Sequence[Window]) -> dict[str, Any]:
    """A sample (C, spatial...) of an image's windows along the first spatial axis; flags and the rest stay."""
    made = dict(sample)
    for key in ("image", *_LABELS):
        if key in made:
            made[key] = torch.cat([made[key][(slice(None), *window)] for window in windows], dim=1)
    return {**made, WINDOWS_KEY: len(windows)}


def nothing_known(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample with the same image of which no label says anything, as of one without labels."""
    made = dict(sample)
    for key in _LABELS:
        if key in made:
            made[key] = torch.full_like(torch.as_tensor(made[key]), IGNORE if key in TASKS else -1)
    return {**made, **{present_key(task): 0 for task in TASKS if present_key(task) in made}}


def _judging(sample: Mapping[str, Any], tasks: Sequence[str]) -> np.ndarray | None:
    """The label (spatial...) that says what is known of an image and where its objects are."""
    carried = [task for task in tasks if task in sample and int(sample.get(present_key(task), 1))]
    if not carried:
        return None
    label = np.asarray(sample[carried[0]][0])
    return label if (label != IGNORE).any() else None


def _area(window: Window) -> int:
    return math.prod(axis.stop - axis.start for axis in window)
