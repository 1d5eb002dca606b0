"""Which images validate and test, where the folders do not say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lazylabels_monai.data.building.options import BuildError

__all__ = ["ImageToPlace", "draw_sections"]


@dataclass(frozen=True)
class ImageToPlace:
    """What the draw needs to know about an image.

    Args:
        name: of the image.
        section: split that its folder says; None where there is no such folder.
        digest: of its pixels; images with the same pixels stay together.
        rank: 3 with an exact mask of the whole image, 2 of a part of it, 1 with scribbles of objects, 0 without any of them.
    """

    name: str
    section: str | None
    digest: str
    rank: int


def draw_sections(
    candidates: Sequence[ImageToPlace], validation: int | float | str, test: int | float | str, seed: int
) -> dict[str, str]:
    """Give each image a split; validation and test images are drawn from those with the best masks.

    The best model is chosen by Dice against masks, so an image without one would validate nothing. A share leaves at
    least half of the images with a mask to training; a count is taken at its word.

    Args:
        candidates: the images.
        validation: count or share for validation, unless folders say which images validate.
        test: likewise for testing.
        seed: of the draw.

    Returns:
        section of each image by name.

    Raises:
        BuildError: when there are too few images with a mask.
    """
    sections = {c.name: c.section or "training" for c in candidates}
    fixed = {c.section for c in candidates}
    pool = [c for c in candidates if sections[c.name] == "training"]
    for key, (section, share) in enumerate((("validation", validation), ("testing", test))):
        if section in fixed or not pool:
            continue
        count = _count(share, pool, section)
        chosen = _drawn(pool, count, seed + key)
        if count and not chosen:
            raise BuildError(
                f"no image is left for {section} (images with the same pixels stay together): give more images with an exact "
                f"mask, or pass --{'test' if section == 'testing' else section} 0."
            )
        for candidate in chosen:
            sections[candidate.name] = section
        pool = [c for c in pool if sections[c.name] == "training"]
    return sections


def _count(value: int | float | str, pool: Sequence[ImageToPlace], section: str) -> int:
    option = "--test" if section == "testing" else "--validation"
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not number >= 0 or (number >= 1 and number != int(number)):
        raise BuildError(f"{option} {value} must be a whole number of images, or a share below 1.")
    able = sum(c.rank > 0 for c in pool)
    if number == 0:
        return 0
    if not able:
        raise BuildError(
            f"none of the {len(pool)} images has an exact mask or scribbles of the objects, and {section} needs one (without "
            f"it the best model cannot be chosen): draw the exact mask of an image or two, or pass {option} 0."
        )
    if len(pool) == 1:
        raise BuildError(
            f"'{pool[0].name}' is the only image, and {section} needs one of its own: cut it into two, or pass {option} 0."
        )
    if number >= 1:
        if number > able or number >= len(pool):
            raise BuildError(
                f"{option} {value}: {able} of {len(pool)} images have a mask, and training needs one, too: ask for fewer."
            )
        return int(number)
    return min(max(1, int(number * len(pool) + 0.5)), max(1, able // 2))


def _drawn(pool: Sequence[ImageToPlace], count: int, seed: int) -> list[ImageToPlace]:
    groups: dict[str, list[ImageToPlace]] = {}
    for candidate in sorted(pool, key=lambda c: c.name):
        groups.setdefault(candidate.digest, []).append(candidate)
    order = np.random.default_rng([seed, 11]).permutation(len(groups))
    listed = [list(groups.values())[k] for k in order]
    listed = sorted((g for g in listed if min(c.rank for c in g) > 0), key=lambda g: -min(c.rank for c in g))
    chosen: list[ImageToPlace] = []
    for group in listed:
        if len(chosen) + len(group) <= count and len(chosen) + len(group) < len(pool):
            chosen += group
    return chosen
