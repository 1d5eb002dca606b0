"""How often which image is drawn in training."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset, LMDBDataset, PersistentDataset
from monai.utils import MAX_SEED
from torch.utils.data import WeightedRandomSampler

from lazylabels_monai.data.datalist import has_key
from lazylabels_monai.tasks import TASKS, present_key

__all__ = ["SeededCacheDataset", "SeededSampler", "sampling_weights", "tell_kept"]

logger = logging.getLogger(__name__)


class _SeededIndex(int):
    """An index that brings the seed of its sample's random transforms along, into whatever process draws them."""

    seed: int

    def __new__(cls, index: int, seed: int) -> _SeededIndex:
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (_SeededIndex, (int(self), self.seed))


class SeededSampler(WeightedRandomSampler):
    """torch's ``WeightedRandomSampler``, which in addition settles what the workers of a DataLoader draw.

    A worker's own generators live in its process, where no checkpoint reaches them. With ``seeded`` each index carries a seed,
    drawn here: samples are then the same for any number of workers, and a training that goes on after a stop draws what it
    would have drawn without. Without it nothing more is drawn than by torch's class.

    Args:
        weights: of the images; see :func:`sampling_weights`.
        num_samples: draws of an epoch.
        seeded: whether workers draw the samples; :class:`SeededCacheDataset` obeys.
    """

    def __init__(self, weights: Sequence[float], num_samples: int, seeded: bool = False) -> None:
        super().__init__(weights, num_samples)
        self.seeded = seeded

    def __iter__(self) -> Iterator[int]:
        if not self.seeded:
            yield from super().__iter__()
            return
        drawn = list(super().__iter__())
        seeds = torch.randint(0, MAX_SEED, (len(drawn),), dtype=torch.int64).tolist()
        yield from map(_SeededIndex, drawn, seeds)


class SeededCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` for the indices of :class:`SeededSampler`.

    What it keeps is copied before each use, unless the chain of transforms says by ``changes_nothing = True`` that it leaves
    its input alone (:class:`~lazylabels_monai.transforms.PlainCompose`): the copy of a large image takes longer than a crop.
    """

    def set_data(self, data: Sequence[Any]) -> None:
        """Keep other data; MONAI's calls this from the beginning."""
        self.copy_cache = self.copy_cache and not getattr(self.transform, "changes_nothing", False)
        super().set_data(data)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, _SeededIndex):
            seed = index.seed
            for generator in (random.seed, np.random.seed, torch.manual_seed, self.transform.set_random_state):
                generator(seed)
            index = int(index)
        return super().__getitem__(index)


def tell_kept(dataset: Any) -> None:
    """Say where MONAI's ``PersistentDataset`` or one like it takes samples that an earlier run kept on the disk.

    It knows them by the names of their files alone. An ``LMDBDataset`` has filled its folder by now, so that nobody can tell.
    """
    folder = dataset.cache_dir if isinstance(dataset, PersistentDataset) else None
    if folder is not None and any(Path(folder).iterdir()):
        takes = "may take" if isinstance(dataset, LMDBDataset) else "takes"
        logger.warning(
            f"train#dataset {takes} samples from '{folder}' as an earlier run kept them, whatever files and settings (such as "
            "normalization and implied_segmentation) are now: remove that folder where any of them has changed since."
        )


def sampling_weights(items: Sequence[Mapping[str, Any]], shares: Mapping[str, float] | None = None) -> list[float]:
    """Probability of each image to be drawn, so that few strong masks are seen often enough.

    ``{"segmentation": 0.4}`` makes at least four of ten drawn crops come from images that carry a segmentation mask,
    however few they are; where more images than that carry one, nothing changes. Images that carry the same labels are
    drawn equally often. Shares for several tasks are met together by iterative proportional fitting from the uniform
    distribution, the closest one to it that has these shares.

    Args:
        items: what :func:`read_items` returns.
        shares: for each task, the least expected share in (0, 1] of draws from images that carry its label; tasks that
            are not named are left to chance; ``None`` or empty: uniform.

    Returns:
        weights for ``torch.utils.data.WeightedRandomSampler``, their sum is 1.

    Raises:
        ValueError: when there is no item, a task does not exist or a share lies outside (0, 1].
    """
    if not items:
        raise ValueError("sampling_weights needs at least one item: the list of items is empty.")
    weights = np.full(len(items), 1.0 / len(items))
    groups = []
    for task, share in (shares or {}).items():
        if task not in TASKS:
            raise ValueError(f"sampling share for '{task}' must be for one of {list(TASKS)}.")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise ValueError(f"sampling share of '{task}' must be a number in (0, 1], not {share!r}.")
        carries = np.array([bool(item.get(present_key(task), has_key(item, task))) for item in items])
        if not carries.any():
            logger.info("no image to train on has a label for %s: its sampling share of %g is left out.", task, share)
            continue
        groups.append((task, carries, float(share)))
    return _reach(weights, groups).tolist()


def _reach(start: np.ndarray, groups: list[tuple[str, np.ndarray, float]]) -> np.ndarray:
    """Raise the shares that are too small; to raise one may make another one too small."""
    raised: list[tuple[str, np.ndarray, float]] = []
    weights = start
    while short := [group for group in groups if group not in raised and weights[group[1]].sum() < group[2] - 1e-9]:
        raised.append(short[0])
        weights = _rake(start.copy(), raised)
    return weights


def _rake(weights: np.ndarray, groups: list[tuple[str, np.ndarray, float]], rounds: int = 1000) -> np.ndarray:
    """Scale ``weights`` until each group's sum is its share."""
    start = weights.copy()
    for _ in range(rounds):
        for _, carries, share in groups:
            for group, target in ((carries, share), (~carries, 1.0 - share)):
                total = weights[group].sum()
                if total > 0:
                    weights[group] *= target / total
        if weights.sum() <= 0:  # such as two tasks at 1.0 that no image carries together
            weights = start
            break
        weights /= weights.sum()
        if all(abs(weights[carries].sum() - share) < 1e-9 for _, carries, share in groups):
            return weights
    if groups:
        got = ", ".join(f"{task} {weights[carries].sum():.3f} for {share}" for task, carries, share in groups)
        warnings.warn(f"the sampling shares cannot be reached together (got {got}): lower one of them.", stacklevel=3)
    return weights
