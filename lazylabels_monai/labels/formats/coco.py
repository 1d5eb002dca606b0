"""COCO's JSON, also as CVAT and Label Studio write it; masks are those of pycocotools, which defines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.labels.annotations import Annotation, AnnotationError, Mark, NoMarksError, reachable, unusable
from lazylabels_monai.labels.rasterize import Patch

__all__ = ["WRITTEN_HERE", "annotations", "is_coco"]

#: ``description`` of the files that ``export-objects`` writes.
WRITTEN_HERE = "objects exported by Lazy Labels for MONAI"

#: Pixels of the longest side that an image may have.
_LONGEST = 2**24
#: Characters of packed run lengths.
_LONGEST_RUNS = 2 * 10**7
#: Pixels along an outline: pycocotools takes forty bytes for each.
_LONGEST_OUTLINE = 10**7


class _Unusable(ValueError):
    """Why an annotation cannot be used."""


def is_coco(content: Any) -> bool:
    """Whether parsed JSON has COCO's two tables."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def annotations(content: dict, path: Path) -> list[Annotation]:
    """Marks of each image of parsed COCO, in the file's order; an annotation of several parts is one area.

    An annotation of key points alone is left out, ``iscrowd`` makes no difference. What cannot be used (an annotation without
    an outline, of an image or a category that is not there, with damaged run lengths ...) is left out and named, unless
    nothing else is there. Source: https://cocodataset.org/#format-data

    Raises:
        AnnotationError: when a table is missing, or an id is there twice.
        NoMarksError: when every annotation is unusable.
    """
    info = content.get("info")
    is_object = isinstance(info, dict) and info.get("description") == WRITTEN_HERE
    odd: list[str] = []
    images, objects, categories = (_table(content, key, path, odd) for key in ("images", "annotations", "categories"))
    names = {}
    for category in categories:
        if category.get("name") in (None, "") or "id" not in category:
            odd.append(f"category {category.get('id')} has no id and name")
        else:
            names[_key(category["id"])] = str(category["name"])
    sizes: dict[str, tuple[int, int] | None] = {}
    found: dict[str, tuple[str, list[Mark], list[str]]] = {}
    unknown: dict[str, list[tuple[float, float, float, float]]] = {}
    for image in images:
        name, key = image.get("file_name"), _key(image.get("id"))
        if key in found and image.get("id") is not None:
            raise AnnotationError(f"annotation file '{path}': two images have the id {image.get('id')}: give each its own.")
        try:
            if not isinstance(name, str) or not name or image.get("id") is None:
                raise _Unusable("has no file_name and id")
            sizes[key] = _size(image.get("height"), image.get("width"))
            found[key] = (name, [], [])
        except _Unusable as e:
            odd.append(f"image '{name or image.get('id')}' {e}")
    for object in objects:
        key, category = _key(object.get("image_id")), _key(object.get("category_id"))
        if "keypoints" in object and not object.get("segmentation"):
            continue
        try:
            if key not in found:
                raise _Unusable(f"names image {object.get('image_id')}, which the file does not describe")
            if category not in names:
                raise _Unusable(f"names category {object.get('category_id')}, which the file does not describe")
            raster, trimmed = _raster(object, sizes[key])
        except _Unusable as e:
            (found[key][2] if key in found else odd).append(f"annotation {object.get('id')} {e}")
            if (box := _box(object.get("bbox"))) is not None:
                unknown.setdefault(key, []).append(box)
        else:
            id = str(object.get("id"))
            named = Mark("area", names[category], id=id, is_object=is_object, is_class=True)
            found[key][1].append(replace(named, raster=raster, trimmed=trimmed))
    every = [*odd, *(phrase for _, _, phrases in found.values() for phrase in phrases)]
    if every and not any(marks for _, marks, _ in found.values()):
        raise NoMarksError(unusable(path, every))
    made = [Annotation(path, name, sizes[key], *rest, unknown.get(key, ())) for key, (name, *rest) in found.items()]
    # what belongs to no image is told with the first
    return [replace(made[0], left_out=[*odd, *made[0].left_out]), *made[1:]] if odd else made


def _table(content: dict, key: str, path: Path, odd: list[str]) -> list[dict]:
    table = content.get(key)
    if not isinstance(table, list):
        raise AnnotationError(f"annotation file '{path}' has no table '{key}': export it as COCO with masks or polygons.")
    odd += [f"row {number} of '{key}' is no table" for number, row in enumerate(table, 1) if not isinstance(row, dict)]
    return [row for row in table if isinstance(row, dict)]


def _key(id: Any) -> str:
    """Some programs write an id as a number here and as text there, or as 7.0."""
    whole = _whole(id)
    return str(id) if whole is None else str(whole)


def _whole(value: Any) -> int | None:
    """A whole number, also one written as 96.0 or "96" (tables of pandas, MATLAB); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
        return int(value) if isinstance(value, int) else int(number) if number.is_integer() else None
    except (ValueError, OverflowError):
        return None


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W); None where the file does not say, by leaving it out or by 0."""
    if height in (None, 0, "") and width in (None, 0, ""):
        return None
    size = _whole(height), _whole(width)
    if size[0] is None or size[1] is None or min(size) < 1:
        raise _Unusable(f"has the height {height!r} and the width {width!r}, which are no numbers of pixels")
    if size[0] * size[1] >= 2**32 or max(size) > _LONGEST:
        raise _Unusable(f"has more than 2**32 pixels, or a side of more than {_LONGEST}")
    return size


def _box(bbox: Any) -> tuple[float, float, float, float] | None:
    """(row, column, height, width) of COCO's x, y, width, height; None where it has no area."""
    try:
        x, y, width, height = (float(n) for n in bbox)
    except (TypeError, ValueError):
        return None
    return (y, x, height, width) if min(width, height) > 0 and reachable([x, y, width, height]) else None


def _raster(object: dict, size: tuple[int, int] | None) -> tuple[Patch, int]:
    """The mask of an annotation; and how many parts without an area it lost."""
    segmentation = object.get("segmentation")
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size), 0
    if not segmentation:
        raise _Unusable("has no outline, so that it has no area" if not object.get("bbox") else "has a box but no outline")
    if isinstance(segmentation, list) and not any(isinstance(part, list) for part in segmentation):
        segmentation = [segmentation]  # one polygon, without the list around it
    try:
        parts = [np.array(part, dtype=float) for part in segmentation]
    except (TypeError, ValueError) as e:
        raise _Unusable("has an outline that is no list of numbers") from e
    if not all(part.size % 2 == 0 and (part.ndim == 1 or part.shape[1:] == (2,)) for part in parts):
        raise _Unusable("has an outline that is no list of x, y")
    if not all(map(reachable, parts)):
        raise _Unusable("has a coordinate that is not finite, or 1e12 and more")
    # contour tracing leaves specks of one or two points beside good parts: they have no area
    whole = [part.reshape(-1, 2) for part in parts if part.size >= 6]
    if not whole:
        raise _Unusable("has an outline of fewer than three points, which has no area")
    return _from_polygons(whole, size), len(parts) - len(whole)


def _from_polygons(parts: Sequence[np.ndarray], size: tuple[int, int] | None) -> Patch:
    """Union of polygons (N, 2) of (x, y): pycocotools gives the run lengths, whatever the image's size costs."""
    from pycocotools import mask as coco_mask

    largest = max(np.abs(part).max() for part in parts)
    if largest > (10 * max(size) + 1000 if size else 2**16):
        raise _Unusable("has an outline far outside its image")
    steps = sum(np.abs(np.diff(part, axis=0, append=part[:1])).max(axis=1).sum() for part in parts)
    if steps > _LONGEST_OUTLINE:
        raise _Unusable(f"has an outline of {steps:.0f} pixels, longer than any that is drawn")
    size = size or (int(largest) + 2, int(largest) + 2)
    # one by one: pycocotools' own union makes room for as many runs as the image has pixels
    drawn = [coco_mask.frPyObjects([part.ravel().tolist()], *size)[0]["counts"].decode() for part in parts]
    starts, stops = (np.concatenate(ends) for ends in zip(*(_ends(np.array(_unpack(runs))) for runs in drawn), strict=True))
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    begins = np.flatnonzero(np.append(True, starts[1:] > reach[:-1])) if len(starts) else np.zeros(0, int)
    return _patch(starts[begins], reach[np.append(begins[1:], len(starts))[: len(begins)] - 1], size)


def _from_runs(segmentation: dict, size: tuple[int, int] | None) -> Patch:
    """Run lengths (columns first, beginning with background), as numbers or packed into text."""
    stated, counts = segmentation.get("size"), segmentation.get("counts")
    if isinstance(stated, (list, tuple)) and len(stated) == 2 and all((_whole(n) or 0) > 0 for n in stated):
        stated = (_whole(stated[0]), _whole(stated[1]))
        size = size or stated
    if stated != size or size is None:
        shown = f"an image of {list(size)}" if size else "an image of unknown size"
        shown_stated = list(stated) if isinstance(stated, tuple) else stated
        raise _Unusable(f"is a mask of size {shown_stated} in {shown} (height, width)")
    if isinstance(counts, str):
        counts = _unpack(counts)
    try:
        runs = np.array(counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as e:
        raise _Unusable("has a mask that is no run lengths") from e
    height, width = size
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise _Unusable(f"has a mask whose run lengths do not add up to {height} × {width} pixels")
    return _patch(*_ends(runs), size)


def _ends(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First pixel and the one behind the last of each run of the foreground, which takes turns with the background."""
    ends = np.cumsum(runs, dtype=np.int64)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    return starts[starts < stops], stops[starts < stops]


def _patch(starts: np.ndarray, stops: np.ndarray, size: tuple[int, int]) -> Patch:
    """The pixels of runs in order, which go down the columns of an image of ``size`` (H, W)."""
    height = size[0]
    if not len(starts):
        return Patch((0, 0, 0, 0), lambda rows, columns: np.zeros((rows, columns), bool))
    first, last = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    starts, stops, top = starts - first * height, stops - first * height, 0
    if (starts // height == (stops - 1) // height).all():  # no run passes from one column to the next: rows can be left out
        columns, top = starts // height, int((starts % height).min())
        lengths, height = stops - starts, int(((stops - 1) % height).max()) + 1 - top
        starts = columns * height + (starts - columns * size[0] - top)
        stops = starts + lengths
    return Patch((top, first, height, last - first), partial(_painted, starts, stops, height))


def _painted(starts: np.ndarray, stops: np.ndarray, height: int, rows: int, columns: int) -> np.ndarray:
    """Mask of the first columns, and rows, of runs through columns of a height."""
    change = np.zeros(columns * height + 1, np.int8)
    within = starts < columns * height
    change[starts[within]] += 1
    change[np.minimum(stops[within], columns * height)] -= 1
    return np.cumsum(change[:-1], dtype=np.int8).reshape(columns, height).T[:rows].astype(bool)


def _unpack(text: str) -> list[int]:
    """Run lengths of COCO's packed text: five bits a character, the lowest first, from the fourth run on as differences."""
    runs: list[int] = []
    value = shift = 0
    if len(text) > _LONGEST_RUNS:
        raise _Unusable("has a mask of more run lengths than any that is drawn")
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise _Unusable("has a mask that is no packed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise _Unusable("has a mask that is no packed run lengths")
    return runs
