"""How often which image is drawn in training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazylabels_monai.data.datalist import has_key
from lazylabels_monai.tasks import TASKS, present_key

__all__ = ["sampling_weights"]


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
        if not carries.any() or (carries.all() and share < 1):
            who = "no image carries" if not carries.any() else "every image carries"
            warnings.warn(f"sampling share {share} of '{task}' is left out: {who} this label.", stacklevel=2)
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
