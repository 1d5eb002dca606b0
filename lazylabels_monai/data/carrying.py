"""What people wrote of the pictures into a data set goes along when a command makes it again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lazylabels_monai.data.datalist import HAND_KEYS, SECTIONS, DatalistError, absolute_path, load_datalist
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image_and_dims

__all__ = ["carry_on", "digest_of"]


def carry_on(
    replaced: Path | None, items: Sequence[tuple[str, dict[str, Any]]], named: Path | None = None, made: Path | None = None
) -> list[str]:
    """Give new items what people wrote of their pixels into the datalist that is replaced, then into one that is named.

    Args:
        replaced: the one of before, which may be missing; None where nothing is replaced.
        items: the new ones with the names of their images; what they have stays.
        named: another one, which may be missing.
        made: the datalist of the new items, written or not; None where all of them have digests.

    Returns:
        what to say about it, a sentence each.
    """
    files = {os.path.realpath(file): file for file in (named, replaced) if file is not None and file.is_file()}
    notes = []
    for file in sorted(files.values(), key=lambda file: file != replaced):
        try:
            notes += _carry_on(file, items, file == replaced, made)
        except DatalistError:  # refused already, unless the user wants nothing of its splits
            notes.append(f"'{file}' cannot be read, so that no {' or '.join(HAND_KEYS)} of its images goes along.")
    return notes


def _carry_on(file: Path, items: Sequence[tuple[str, dict[str, Any]]], replaced: bool, made: Path | None) -> list[str]:
    content = load_datalist(file)
    left: dict[str, list[dict[str, Any]]] = {}
    for item in (item for section in SECTIONS for item in content.get(section, [])):
        if _by_hand(item):
            left.setdefault(_pixels(item, file), []).append(item)
    if not left:
        return []
    given, other, rest = [], [], []
    pixels = [(name, item, _pixels(item, made)) for name, item in items]
    for by_name in (True, False):  # of images of the same pixels each its own
        for name, item, digest in pixels if by_name else rest:
            same = left.get(digest, []) if digest else []
            before = next((b for b in same if not by_name or Path(b["image"]).stem.lower() == name.lower()), None)
            if before is not None:
                same.remove(before)
                written = _by_hand(before)
                given.append({key: value for key, value in written.items() if key not in item})
                differ = {key: value for key, value in written.items() if item.get(key, value) != value}
                other += [{"image": before["image"], **differ}] * bool(differ)
                item.update(given[-1])
            elif by_name:
                rest.append((name, item, digest))
    notes = []
    if given := [keys for keys in given if keys]:
        notes.append(f"{_keys(given)} kept from '{file}' (by content, whatever their names are).")
    if replaced and other:
        notes.append(
            f"{_keys(other)} in '{file}' not kept, as the data set that this one is made of says another: write it there, too, "
            f"if it holds for {some([item['image'] for item in other])}."
        )
    if replaced and (lost := [item for same in left.values() for item in same]):
        notes.append(
            f"{_keys(lost)} in '{file}' not kept, as no image of the data set has the same pixels now: write again what "
            f"holds for {some([item['image'] for item in lost])}."
        )
    return notes


def _by_hand(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in HAND_KEYS if item.get(key) is not None}


def _keys(items: Sequence[dict[str, Any]]) -> str:
    """Such as "the id and the pixel_size of 3 images"."""
    keys = [key for key in HAND_KEYS if any(item.get(key) is not None for item in items)]
    return f"{' and '.join(f'the {key}' for key in keys)} of {len(items)} image{'s' * (len(items) > 1)}"


def _pixels(item: dict[str, Any], file: Path | None) -> str:
    return item.get("digest") or ("" if file is None else digest_of(Path(absolute_path(file, item["image"]))))


def digest_of(path: Path) -> str:
    """Of an image's pixels, for a data set made before these were written down; "" where it cannot be read any more."""
    try:
        return pixel_digest(read_image_and_dims(path)[0])
    except LazyLabelsError:
        return ""
