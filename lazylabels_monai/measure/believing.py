"""Whether label maps are what their names say, before they are measured: a binary or smoothed mask holds no ids."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import datalist_file
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.labels.plausible import Look, Suspicion, look_at, suspect_classes, suspect_ids
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.stamps import require_one_stamp
from lazylabels_monai.tasks import IGNORE

__all__ = ["doubtful_maps", "require_classes", "require_ids"]

#: Side of the middle of a picture that is too large to be read whole.
_MIDDLE = 4096
_LARGE = 2**26

_PIECES = (
    "measure with --ids pieces if each connected piece is an object (touching ones then count as one), or --ids values if one "
    "value is one object indeed"
)
_SMOOTHED = "save it without smoothing (PNG or TIFF, resized with nearest neighbours only)"
_ID_REMEDIES = {
    "ids-binary": _PIECES,
    "ids-classes": _PIECES,
    "ids-pieces": "give each object a number of its own, or measure with --ids values if the pieces are one object",
    "ids-background": "make the background 0, or measure with --ids values if it is an object indeed",
    "ids-outlines": "fill the outlines, or measure with --ids values if objects are that thin",
    "ids-specks": "erase them if they are no objects; if they are: measure with --ids values",
    "label-smoothed": f"{_SMOOTHED}, or measure with --ids values if these are ids all the same",
    "label-picture": f"{_SMOOTHED}, or measure with --ids values if these are ids all the same",
}
_CLASS_REMEDIES = {
    "classes-ids": "put them into masks/ (or name them <name>_instances) if these are ids of objects, else name all --classes",
    "classes-background": "make the background 0, or name all --classes if it is none",
    "ids-outlines": "fill the outlines, as a class map holds the whole object",
}


def doubtful_maps(source: str | Path, names: Sequence[str]) -> set[str]:
    """Names of images whose label maps nobody has looked at: neither a data set's, which ``datalist`` and ``check`` look at,
    nor as ``predict`` left them.

    Args:
        source: of the label maps.
        names: of the images.
    """
    folder = expanded(source)
    if datalist_file(folder).is_file():
        return set()
    if not (folder / RECORDS_FILE).is_file():
        return set(names)
    try:
        stamp, unknown = require_one_stamp(folder, names)
    except LazyLabelsError:  # mixed results, which some refuse and others export
        return set(names)
    return set(unknown) if stamp is not None else set(names)


def require_ids(paths: Sequence[str], warn: Callable[[str], None]) -> None:
    """Refuse maps that are no ids of objects, and tell of those that hardly are.

    Raises:
        MeasureError: with one sentence that names the first.
    """
    read, looks = _looks(paths)
    _refuse(read, suspect_ids(looks), _ID_REMEDIES, warn)


def require_classes(paths: Sequence[str], named: bool, warn: Callable[[str], None]) -> None:
    """Refuse maps that are no classes, and tell of those that hardly are.

    Args:
        paths: of the maps.
        named: whether somebody named the classes.
        warn: is given a sentence.

    Raises:
        MeasureError: with one sentence that names the first.
    """
    read, looks = _looks(paths)
    if looks and {value for look in looks for value in look.values.tolist()} == {IGNORE}:
        more = f" (and {len(read) - 1} more likewise)" if len(read) > 1 else ""
        raise MeasureError(
            f"'{read[0]}' holds no class but only 255{more}, which means not labelled: save objects as 1 instead of 255 if it "
            "is a binary mask."
        )
    suspicions = suspect_classes(looks, named=named)
    asked = [s for s in suspicions if not (named and s.code == "classes-background")]
    _refuse(read, asked, _CLASS_REMEDIES, warn)


def _refuse(
    paths: Sequence[str], suspicions: Sequence[Suspicion], remedies: dict[str, str], warn: Callable[[str], None]
) -> None:
    for sure in (True, False):
        same = [s for s in suspicions if s.sure is sure]
        for code in dict.fromkeys(s.code for s in same):
            first, *others = (s for s in same if s.code == code)
            more = f" (and {len(others)} more of the {len(paths)} likewise)" if others else ""
            verb = "has" if sure else "may be meant, but has"
            sentence = f"'{paths[first.index]}' {verb} {first.what}{more}: {remedies.get(code, _SMOOTHED)}."
            if sure:
                raise MeasureError(sentence)
            warn(sentence)


def _looks(paths: Sequence[str]) -> tuple[list[str], list[Look]]:
    """At those maps that can be looked at; the others are told by who measures them."""
    if not paths:
        return [], []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        pairs = [(path, look) for path, look in zip(paths, pool.map(_look, paths), strict=True) if look is not None]
    return [path for path, _ in pairs], [look for _, look in pairs]


def _look(path: str) -> Look | None:
    try:
        label = _read(path)
    except LazyLabelsError:
        return None
    return look_at(label) if label.size and label.dtype.kind in "uib" and label.min() >= 0 else None


def _read(path: str) -> np.ndarray:
    sides = extent(path)
    if sides is None or math.prod(sides) <= _LARGE:
        return read_label(path)
    regions = open_regions(path, label=True)
    try:
        starts = [max(0, (n - _MIDDLE) // 2) for n in regions.shape]
        return regions[tuple(slice(s, min(n, s + _MIDDLE)) for s, n in zip(starts, regions.shape, strict=True))]
    finally:
        regions.close()
