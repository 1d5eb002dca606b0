"""Which images validate and test, where neither the folders nor an earlier data set say so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lazylabels_monai.data.building.earlier import held_out
from lazylabels_monai.data.building.options import BuildError

__all__ = ["ImageToPlace", "draw_sections", "notes_on_splits", "same_pixels_apart"]

_VERBS = {"training": "train", "validation": "validate", "testing": "test"}
_OPTIONS = {"validation": "--validation", "testing": "--test"}


@dataclass(frozen=True)
class ImageToPlace:
    """What the draw needs to know about an image.

    Args:
        name: of the image.
        section: split that its folder says; None where there is no such folder.
        digest: of its pixels; images with the same pixels stay together.
        rank: 3 with an exact mask of the whole image, 2 of a part of it, 1 with scribbles of objects, 0 without any of them.
        earlier: split that it has in an earlier data set, which it keeps unless folders say otherwise; None for a new one.
        predicted: whether its mask is a prediction that nobody has changed.
    """

    name: str
    section: str | None
    digest: str
    rank: int
    earlier: str | None = None
    predicted: bool = False


def draw_sections(
    candidates: Sequence[ImageToPlace], validation: int | float | str, test: int | float | str, seed: int
) -> dict[str, str]:
    """Give each image a split; validation and test images are drawn from those with the best masks.

    The best model is chosen by Dice against masks, so an image without one would validate little; where no image has one,
    images with rough marks validate. Predictions that nobody has changed come last: a model that repeats them would win. A
    share takes none of them where people made masks, and leaves at least half of those to training, but takes the last one; a
    count is taken at its word. An image that has a split already keeps it, and new ones fill up what is asked for. The draw
    goes by the content of the images: what they are called, and which others there are, says nothing.

    Args:
        candidates: the images; those of the same pixels in one folder.
        validation: count or share for validation, unless folders say which images validate.
        test: likewise for testing.
        seed: of the draw.

    Returns:
        section of each image by name.

    Raises:
        BuildError: when there are too few images.
    """
    fixed = {c.section for c in candidates}
    sections = {c.name: _first_section(c, fixed) for c in candidates}
    _join(candidates, sections)
    drawable = [c for c in candidates if c.section in (None, "training")]
    old = {c.digest for c in drawable if c.earlier}
    for key, (section, share) in enumerate((("validation", validation), ("testing", test))):
        # the share for testing is one of what validation left
        pool = [c for c in drawable if sections[c.name] in ("training", section) or (key == 0 and c.earlier)]
        if section in fixed or not pool:
            continue
        have = sum(sections[c.name] == section for c in pool)
        try:
            wanted = _count(share, pool, section)
        except _TooFewError:
            if not old:
                raise
            continue  # what is kept was possible once; `notes_on_splits` says what is missing
        new = [c for c in pool if sections[c.name] == "training" and c.digest not in old]
        if float(share) < 1 and any(c.rank and not c.predicted for c in drawable):
            predicted = {c.digest for c in pool if c.predicted}
            new = [c for c in new if c.digest not in predicted]
        training = sum(sections[c.name] == "training" for c in pool)
        rough = not any(c.rank for c in pool)  # no image has a mask: then all are as good
        chosen = _drawn(new, wanted - have, seed + key, training - 1, 0 if rough else 1)
        if wanted and not chosen and not have and not old:
            raise BuildError(
                f"no image is left for {section} (images with the same pixels stay together): give more images with an exact "
                f"mask, or pass {_OPTIONS[section]} 0."
            )
        sections.update({c.name: section for c in chosen})
    if old and "training" not in sections.values():
        raise BuildError(
            "every image that is left validates or tests, as it did before, so that none is left to train on: add images, or "
            "pass --keep-splits none to draw all splits anew."
        )
    return sections


def _first_section(candidate: ImageToPlace, fixed: set[str | None]) -> str:
    """Where an image stands before the draw: as its folder says, as it did before, or in training."""
    if candidate.section not in (None, "training") or candidate.earlier in fixed:
        return candidate.section or "training"
    return candidate.earlier or "training"


def _join(candidates: Sequence[ImageToPlace], sections: dict[str, str]) -> None:
    """Images of the same pixels stand where the first of them stood, so that none is on two sides."""
    together: dict[str, list[ImageToPlace]] = {}
    for candidate in candidates:
        together.setdefault(candidate.digest, []).append(candidate)
    for group in together.values():
        known = [sections[c.name] for c in group if c.earlier or c.section not in (None, "training")]
        if known:
            sections.update({c.name: held_out(known) for c in group})


def same_pixels_apart(candidates: Sequence[ImageToPlace]) -> dict[str, str]:
    """Images whose pixels stand in another split's folder, too, and are to be left out there; the other's name by theirs.

    The copy that is held out stays (testing before validation before training), so that what was judged on it still counts.
    """
    stays: dict[str, ImageToPlace] = {}
    for candidate in candidates:
        first = stays.setdefault(candidate.digest, candidate)
        order = [first.section or "training", candidate.section or "training"]
        if order[0] != order[1] and held_out(order) == order[1]:
            stays[candidate.digest] = candidate
    return {
        c.name: stays[c.digest].name for c in candidates if (c.section or "training") != (stays[c.digest].section or "training")
    }


def notes_on_splits(
    candidates: Sequence[ImageToPlace],
    sections: Mapping[str, str],
    shares: Mapping[str, int | float | str],
    kept_from: str,
) -> list[str]:
    """What is kept of an earlier data set and what that leaves undone, a sentence each; none where nothing is.

    Args:
        candidates: the images.
        sections: split of each, by name.
        shares: count or share that was asked for, by split.
        kept_from: how to call the earlier data set.
    """
    old = [c for c in candidates if c.earlier]
    if not old:
        return []
    notes = [
        f"{len(old)} of {len(candidates)} images keep their split of {kept_from} (by content, whatever their names are); "
        "--keep-splits none draws all anew."
    ]
    moved = [c for c in old if sections[c.name] != c.earlier]
    for c in moved:
        now = sections[c.name]
        seen = "; a model trained before has seen it" if c.earlier == "training" else ""
        notes.append(f"'{c.name}' had to {_VERBS[c.earlier]} before and now has to {_VERBS[now]}, as its folder says{seen}.")
    fixed = {c.section for c in candidates}
    drawable = [c for c in candidates if c.section in (None, "training")]
    for section, share in shares.items():
        if section in fixed:
            continue
        have = sum(sections[c.name] == section for c in drawable)
        left = [c for c in drawable if section == "validation" or sections[c.name] != "validation"]
        verb = f"{have} image{'s' * (have != 1)} {_VERBS[section]}{'s' * (have == 1)}"
        try:
            wanted = _count(share, left, section)
        except _TooFewError:
            wanted = have if have else 1
        if have < wanted:
            notes.append(
                f"{verb} where {wanted} would: only new images with a mask that people made can join, as the others have been "
                "trained on."
            )
        elif have > wanted:
            notes.append(f"{verb} where {_OPTIONS[section]} {share} asks for {wanted}: those of before stay.")
    return notes


class _TooFewError(BuildError):
    """There are too few images for what is asked."""


def _count(value: int | float | str, pool: Sequence[ImageToPlace], section: str) -> int:
    """How many images of ``pool`` are asked for."""
    option = _OPTIONS[section]
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not number >= 0 or (number >= 1 and number != int(number)):
        raise BuildError(f"{option} {value} must be a whole number of images, or a share below 1.")
    able = sum(c.rank > 0 for c in pool) or len(pool)
    if number == 0:
        return 0
    if len(pool) == 1:
        raise _TooFewError(
            f"'{pool[0].name}' is the only image, and {section} needs one of its own: cut it into two, or pass {option} 0."
        )
    if number >= 1:
        if number > able or number >= len(pool):
            raise _TooFewError(
                f"{option} {value}: {able} of {len(pool)} images have a mask, and training needs one, too: ask for fewer."
            )
        return int(number)
    made = sum(c.rank > 0 and not c.predicted for c in pool) or able
    return min(max(1, int(number * len(pool) + 0.5)), max(1, made // 2))


def _drawn(new: Sequence[ImageToPlace], count: int, seed: int, most: int, rank: int) -> list[ImageToPlace]:
    """At most ``count`` of the new images and never more than ``most``, of this rank at least, people's best masks first."""
    groups: dict[str, list[ImageToPlace]] = {}
    for candidate in sorted(new, key=lambda c: c.name):
        groups.setdefault(candidate.digest, []).append(candidate)
    able = [group for group in groups.values() if min(c.rank for c in group) >= rank]

    def place(group: list[ImageToPlace]) -> tuple[bool, int, bytes]:
        drawn = hashlib.blake2b(f"{seed} {group[0].digest}".encode(), digest_size=16).digest()
        return any(c.predicted for c in group), -min(c.rank for c in group), drawn

    chosen: list[ImageToPlace] = []
    for group in sorted(able, key=place):
        if len(chosen) + len(group) <= min(count, most):
            chosen += group
    return chosen
