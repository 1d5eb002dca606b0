"""COCO's JSON, also as CVAT and Label Studio write it; masks are those of pycocotools, which defines them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lazylabels_monai.labels.annotations import Annotation, AnnotationError, Mark

__all__ = ["annotations", "image_names", "is_coco"]


class _Unusable(ValueError):
    """Why an annotation cannot be used, and what to do."""


def is_coco(content: Any) -> bool:
    """Whether parsed JSON has COCO's two tables."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def image_names(image: str) -> tuple[str, ...]:
    """Names under which the image of a COCO file may be found, the likeliest first.

    The name as given, without its folders, and without the eight hexadecimal digits that Label Studio puts before it.

    >>> image_names("images/0a1b2c3d-cell.png")
    ('images/0a1b2c3d-cell.png', '0a1b2c3d-cell.png', 'cell.png')
    """
    whole = image.replace("\\", "/").lstrip("/")
    name = PurePosixPath(whole).name
    return tuple(dict.fromkeys([whole, name, re.sub(r"^[0-9a-f]{8}-(?=.)", "", name)]))


def annotations(content: dict, path: Path) -> list[Annotation]:
    """Marks of each image of parsed COCO, in the file's order; an annotation of several parts is one area.

    An annotation of key points alone is left out, ``iscrowd`` makes no difference. Source: https://cocodataset.org/#format-data

    Raises:
        AnnotationError: when a table or a value is missing or damaged, or an annotation is a box without an outline.
    """
    images, objects, categories = (_table(content, key, path) for key in ("images", "annotations", "categories"))
    names = {}
    for category in categories:
        if not isinstance(category.get("name"), str) or "id" not in category:
            raise AnnotationError(f"annotation file '{path}': a category has no id and name: export it again.")
        names[_key(category["id"])] = category["name"]
    marks: dict[str, list[Mark]] = {}
    sizes = {}
    for image in images:
        name, key = image.get("file_name"), _key(image.get("id"))
        size = image.get("height"), image.get("width")
        if not isinstance(name, str) or not name or not all(isinstance(n, int) and n > 0 for n in size):
            raise AnnotationError(f"annotation file '{path}': image '{name}' lacks its name, height or width: export it again.")
        if size[0] * size[1] >= 2**32:
            raise AnnotationError(f"annotation file '{path}': image '{name}' has more than 2**32 pixels: split it.")
        if key in marks:
            raise AnnotationError(f"annotation file '{path}': two images have the id {image['id']}: give each its own.")
        marks[key], sizes[key] = [], size
    for object in objects:
        key, category = _key(object.get("image_id")), _key(object.get("category_id"))
        where = f"annotation file '{path}': annotation {object.get('id')}"
        if key not in marks:
            raise AnnotationError(f"{where} names image {object.get('image_id')}, which the file lacks: export it again.")
        if category not in names:
            raise AnnotationError(f"{where} names category {object.get('category_id')}, which the file lacks: export it again.")
        if "keypoints" in object and not object.get("segmentation"):
            continue
        try:
            raster = _raster(object, sizes[key])
        except _Unusable as e:
            raise AnnotationError(f"{where} {e}.") from e
        marks[key].append(Mark("area", names[category], raster=raster, id=str(object.get("id"))))
    return [Annotation(path, image["file_name"], sizes[_key(image["id"])], marks[_key(image["id"])]) for image in images]


def _table(content: dict, key: str, path: Path) -> list[dict]:
    table = content.get(key)
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise AnnotationError(f"annotation file '{path}' has no table '{key}': export it again as COCO.")
    return table


def _key(id: Any) -> str:
    """Some programs write an id as a number here and as text there."""
    return str(id)


def _raster(object: dict, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    segmentation = object.get("segmentation")
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size)
    if not segmentation:
        raise _Unusable("has a box but no outline: draw its outline or delete it, then export again")
    try:
        parts = [np.array(part, dtype=float) for part in segmentation]
    except (TypeError, ValueError) as e:
        raise _Unusable("has an outline that is no list of numbers: export it again") from e
    if not all(part.ndim == 1 and part.size >= 6 and part.size % 2 == 0 and np.isfinite(part).all() for part in parts):
        raise _Unusable("has an outline that is no list of three or more x, y: export it again")
    return _from_polygons([part.reshape(-1, 2) for part in parts], size)


def _from_polygons(parts: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Union of polygons (N, 2) of (x, y): pycocotools gives the run lengths, whatever the image's size costs."""
    from pycocotools import mask as coco_mask

    if max(np.abs(part).max() for part in parts) > 10 * max(size) + 1000:
        raise _Unusable("has an outline far outside its image: export it again")
    runs = coco_mask.merge(coco_mask.frPyObjects([part.ravel().tolist() for part in parts], *size))
    return _from_runs({"size": size, "counts": runs["counts"].decode()}, size)


def _from_runs(segmentation: dict, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Run lengths (columns first, beginning with background), as numbers or packed into text."""
    stated, counts = segmentation.get("size"), segmentation.get("counts")
    if stated not in (size, list(size)):
        raise _Unusable(f"is a mask of size {stated} in an image of {list(size)} (height, width): export it again")
    if isinstance(counts, str):
        counts = _unpack(counts)
    try:
        runs = np.array(counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as e:
        raise _Unusable("has a mask that is no run lengths: export it again") from e
    height, width = size
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise _Unusable(f"has a mask whose run lengths do not add up to {height} × {width} pixels: export it again")
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return np.zeros((0, 0), bool), (0, 0)
    first, last = int(starts[0] // height), int((stops[-1] - 1) // height) + 1
    starts, stops, top = starts - first * height, stops - first * height, 0
    if (starts // height == (stops - 1) // height).all():  # no run passes from one column to the next: rows can be left out
        columns, top = starts // height, int((starts % height).min())
        lengths, height = stops - starts, int(((stops - 1) % height).max()) + 1 - top
        starts = columns * height + (starts - columns * size[0] - top)
        stops = starts + lengths
    change = np.zeros((last - first) * height + 1, np.int8)
    change[starts] += 1
    change[stops] -= 1
    mask = np.cumsum(change[:-1], dtype=np.int8).reshape(last - first, height).T.astype(bool)
    return mask, (top, first)


def _unpack(text: str) -> list[int]:
    """Run lengths of COCO's packed text: five bits a character, the lowest first, from the fourth run on as differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise _Unusable("has a mask that is no packed run lengths: export it again")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise _Unusable("has a mask that is no packed run lengths: export it again")
    return runs
