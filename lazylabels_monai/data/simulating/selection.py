"""Which images get which label: counts or hours of work as a person gives them, and draws by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lazylabels_monai.data.simulating.items import SimulationError

__all__ = ["fitting", "hours_of_work", "image_count", "shuffled"]


def image_count(value: int | float | str, total: int, what: str, most: int | None = None) -> int:
    """Number of images that ``value`` asks for.

    Args:
        value: a whole number of 1 or more is a count (so ``1``, ``1.0`` and ``"1"`` are one image); a number between 0
            and 1 is a share, rounded, of at least one image; ``"all"`` is every image; 0 is none.
        total: images there are, of which a share is taken.
        what: name of the parameter, for the error.
        most: images that a count may ask for, where it is not ``total``.

    Raises:
        SimulationError: when ``value`` is neither, or more than there is.
    """
    if isinstance(value, str) and value.strip().lower() == "all":
        return total
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not number >= 0 or (number >= 1 and number != int(number)):
        raise SimulationError(f"{what} {value!r} must be a whole number of images, a share between 0 and 1, or 'all'.")
    most = total if most is None else most
    if number >= 1 and number > most:
        raise SimulationError(f"{what} {value} is more than the {most} training images there are: ask for fewer or for 'all'.")
    if number >= 1:
        return int(number)
    return min(total, max(1, int(number * total + 0.5))) if number > 0 else 0


def shuffled(names: Sequence[str], *seeds: int) -> list[str]:
    """The names in a random order that depends on nothing but the names and the seeds."""
    ordered = sorted(names)
    return [ordered[k] for k in np.random.default_rng(list(seeds)).permutation(len(ordered))]


def hours_of_work(value: int | float | str) -> float | None:
    """Hours that ``"2.5h"`` asks for; None for anything else, which :func:`image_count` reads."""
    text = value.strip().lower() if isinstance(value, str) else ""
    try:
        hours = float(text.removesuffix("h")) if text.endswith("h") else -1.0
    except ValueError:
        hours = -1.0
    return hours if 0 <= hours < float("inf") else None


def fitting(names: Sequence[str], seconds: Callable[[str], float], budget: float) -> list[str]:
    """What a person with ``budget`` seconds labels: in the given order, past images that take longer than is left.

    The work ends when less is left than half of an average image takes; to fill up the rest with images of next to no
    objects would make the labelled images unlike the others.

    Args:
        names: images.
        seconds: what each takes.
        budget: seconds, 0 or more.

    Returns:
        names whose seconds are at most ``budget`` together.
    """
    costs = {name: seconds(name) for name in names}
    least = sum(costs.values()) / len(costs) / 2 if costs else 0.0
    chosen, left = [], budget
    for name, cost in costs.items():
        if left < least:
            break
        if cost <= left:
            chosen.append(name)
            left -= cost
    return chosen
