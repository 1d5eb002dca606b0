"""Label Studio's own JSON, which alone holds brushed regions: its COCO export leaves them out.

Coordinates are per cent of the image, from its outer corner. Source: https://labelstud.io/guide/export and, for the packed
masks, thi.ng/rle-pack, https://github.com/thi-ng/umbrella
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.images.files import PICTURE_SUFFIXES
from lazylabels_monai.labels.annotations import Annotation, AnnotationError, Mark, NoMarksError, reachable, unusable
from lazylabels_monai.labels.rasterize import Patch, ellipse

__all__ = ["annotations", "is_label_studio"]

#: Regions that are drawn; everything else (choices, texts, ratings) says nothing of pixels.
_DRAWN = ("polygon", "brush", "ellipse", "keypoint", "rectangle")

#: Alpha above which a brushed pixel counts: more than half covered.
_COVERED = 127


class _Unusable(ValueError):
    """Why a region cannot be used."""


def is_label_studio(content: Any) -> bool:
    """Whether parsed JSON is a list of tasks with annotations."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) and isinstance(task.get("data"), dict) and "annotations" in task for task in content)
    )


def annotations(content: list[dict], path: Path) -> list[Annotation]:
    """Marks of each annotation of each task, in the file's order; cancelled ones and predictions are left out.

    Raises:
        AnnotationError: when a task names no image, or several and its regions do not say of which they are.
        NoMarksError: when no region can be used.
    """
    made = []
    usual = _usual_key(content)
    for task in content:
        for result in _results(task):
            for image, regions in _by_picture(task, result, usual, path):
                marks, left_out, size, unknown = _regions(regions)
                if image is None and (marks or left_out):
                    raise AnnotationError(
                        f"annotation file '{path}': task {task.get('id')} names no picture in its data: "
                        "add its file name there."
                    )
                if image is not None:
                    made.append(Annotation(path, image, size, marks, left_out, unknown))
    every = [phrase for annotation in made for phrase in annotation.left_out]
    if every and not any(annotation.marks for annotation in made):
        raise NoMarksError(unusable(path, every))
    if not made:
        raise NoMarksError(f"annotation file '{path}': nobody annotated a picture in this export: take it away.")
    return made


def _results(task: dict) -> Iterator[list]:
    """What each annotation of a task holds."""
    listed = task["annotations"]
    for annotation in listed if isinstance(listed, list) else ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            result = annotation.get("result")
            yield result if isinstance(result, list) else []


def _pictures(task: dict) -> dict[str, str]:
    """The pictures that a task's data name, by their keys."""
    return {key: value for key, value in task["data"].items() if isinstance(value, str) and _is_picture(value)}


def _is_picture(value: str) -> bool:
    return any(suffix in value.lower() for suffix in PICTURE_SUFFIXES)


def _key(region: Any) -> str:
    """What a region says it was drawn on: the tag of the picture, named as the key of the data is."""
    return str(region.get("to_name") or "") if isinstance(region, dict) else ""


def _usual_key(content: list[dict]) -> str | None:
    """The key of the pictures that were labelled, where it is the same one in the whole file."""
    keys: set[str] = set()
    for task in content:
        keys |= {_key(region) for result in _results(task) for region in result} & _pictures(task).keys()
    return keys.pop() if len(keys) == 1 else None


def _by_picture(task: dict, result: list, usual: str | None, path: Path) -> list[tuple[str | None, list]]:
    """The regions of each picture of a task, which may show others beside the one to label.

    Raises:
        AnnotationError: when a region may be of any of them.
    """
    pictures = _pictures(task)
    if not pictures:
        upload = task.get("file_upload")
        return [(upload if isinstance(upload, str) and _is_picture(upload) else None, result)]
    only = next(iter(pictures.values())) if len(set(pictures.values())) == 1 else None
    found: dict[str, list] = {}
    others: dict[str, list] = {}
    for region in result:
        key = _key(region)
        image = pictures.get(key) or (only if key not in task["data"] else None)  # a tag may be named otherwise
        if image is not None:
            found.setdefault(image, []).append(region)
        else:
            others.setdefault(key, []).append(region)
    for key, regions in others.items():
        if any(_regions(regions)[:2]):  # not where it is a text that was labelled beside the picture
            named = ", ".join(f"{name} '{value}'" for name, value in pictures.items())
            of = f"of '{key}'" if key else "without to_name"
            raise AnnotationError(
                f"annotation file '{path}': task {task.get('id')} has regions {of}, and the pictures in its data are "
                f"{named}: leave only the picture that was labelled in its data."
            )
    if not found and (image := only or pictures.get(usual or "")) is not None:
        return [(image, [])]
    return list(found.items())


def _regions(
    result: list,
) -> tuple[list[Mark], list[str], tuple[int, int] | None, list[tuple[float, float, float, float]]]:
    names: dict[str, str] = {}  # a region drawn by one tag and named by another has two entries of one id
    for region in result:
        value = region.get("value") if isinstance(region, dict) else None
        if isinstance(value, dict) and (name := _name(region, value)):
            names[str(region.get("id"))] = name
    marks, left_out, size, unknown = [], [], None, []
    done = set()
    for region in result:
        kind = str(region.get("type", "")).removesuffix("labels") if isinstance(region, dict) else ""
        value = region.get("value") if isinstance(region, dict) else None
        if kind not in _DRAWN and not (isinstance(value, dict) and {"points", "rle", "x"} & set(value)):
            continue
        id = str(region.get("id"))
        if id in done:
            continue
        done.add(id)
        try:
            height, width = _size(region)
            mark = _mark(value, (height, width), names.get(id, ""), id, region)
            marks.append(replace(mark, is_class=bool(mark.name)))
            size = size or (height, width)
        except (_Unusable, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as e:
            reason = e if isinstance(e, _Unusable) else f"cannot be used ({type(e).__name__}: {e})"
            left_out.append(f"region '{id}' {reason}")
            if kind == "rectangle" and isinstance(value, dict) and isinstance(e, _Unusable):
                unknown += _boxes(value, region)
    return marks, left_out, size, unknown


def _boxes(value: dict, region: dict) -> list[tuple[float, float, float, float]]:
    """(row, column, height, width) of a box, at most one; a turned one's upright box is not worked out."""
    try:
        down, right = int(region["original_height"]) / 100, int(region["original_width"]) / 100
        x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
    except (KeyError, TypeError, ValueError, OverflowError):
        return []
    box = (y * down, x * right, height * down, width * right)
    return [box] if min(box[2:]) > 0 and reachable(box) and not value.get("rotation") else []


def _name(region: dict, value: dict) -> str:
    for key in (str(region.get("type")), "labels"):
        if key.endswith("labels") and isinstance(value.get(key), list) and value[key]:
            return ", ".join(map(str, value[key]))
    return ""


def _size(region: dict) -> tuple[int, int]:
    height, width = int(region["original_height"]), int(region["original_width"])
    if min(height, width) < 1 or height * width >= 2**32:
        raise _Unusable(f"is of an image of {width} x {height} pixels")
    if region.get("image_rotation"):
        raise _Unusable("was drawn on a rotated view of its image")
    return height, width


def _mark(value: dict, size: tuple[int, int], name: str, id: str, region: dict) -> Mark:
    if not isinstance(value, dict):
        raise _Unusable("holds nothing that is drawn")
    scale = np.array(size) / 100
    if value.get("format") == "rle" or "rle" in value:
        return Mark("area", name, raster=_brushed(value["rle"], size), id=id)
    if "points" in value:
        points = np.array(value["points"], float).reshape(-1, 2)[:, ::-1] * scale
        if len(points) < 3:
            raise _Unusable(f"has {len(points)} points, and so no area")
        return Mark("area", name, polygons=[[_finite(points)]], id=id)
    centre = _finite(np.array([value["y"], value["x"]], float) * scale)
    if "radiusX" in value:
        turn = np.deg2rad(float(value.get("rotation") or 0))
        along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
        axes = _finite(np.array([value["radiusX"] * scale[1], value["radiusY"] * scale[0]], float))
        return Mark("area", name, polygons=[[ellipse(centre, along * axes[0], across * axes[1])]], id=id)
    if str(region.get("type", "")).startswith("keypoint"):
        return Mark("point", name, points=centre[None], id=id)
    raise _Unusable("is a box without an outline")


def _finite(points: np.ndarray) -> np.ndarray:
    if not reachable(points):
        raise _Unusable("has a coordinate that is not finite, or 1e12 and more")
    return points


def _brushed(packed: Any, size: tuple[int, int]) -> Patch:
    """Mask of a packed picture of red, green, blue, alpha: its alpha."""
    lengths, values = _unpack(packed, 4 * size[0] * size[1])
    ends = np.cumsum(lengths)
    drawn = values > _COVERED
    # alpha is every fourth value: pixels from the first one at or behind a run's start to the last before its end
    first, last = (ends - lengths) // 4, ends // 4
    starts, stops = first[drawn], last[drawn]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        raise _Unusable("has no pixel, and so no area")
    width = size[1]
    top, bottom = int(starts[0] // width), int((stops[-1] - 1) // width) + 1
    left, right = 0, width
    if (starts // width == (stops - 1) // width).all():  # no run passes from one row to the next
        left, right = int((starts % width).min()), int(((stops - 1) % width).max()) + 1

    def make(rows: int, columns: int) -> np.ndarray:
        change = np.zeros(rows * width + 1, np.int32)
        here = starts - top * width < rows * width
        np.add.at(change, starts[here] - top * width, 1)
        np.add.at(change, np.minimum(stops[here] - top * width, rows * width), -1)
        return (np.cumsum(change[:-1]) > 0).reshape(rows, width)[:, left : left + columns]

    return Patch((top, left, bottom - top, right - left), make)


def _unpack(packed: Any, expected: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and values of the runs of thi.ng/rle-pack: after a head, runs of one value and stretches of single ones, bit by
    bit."""
    if not isinstance(packed, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in packed):
        raise _Unusable("has a mask that is no list of bytes")
    bits = "".join(f"{byte:08b}" for byte in packed)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(bits):
            raise _Unusable("has a mask that ends early")
        return int(bits[at - count : at], 2)

    total, word = take(32), take(5) + 1
    if total != expected or word != 8:
        raise _Unusable(f"has a mask of {total} values where {expected} are expected")
    sizes = [take(4) + 1 for _ in range(4)]
    lengths: list[int] = []
    values: list[int] = []
    filled = 0
    while filled < total:
        same = take(1)
        count = take(sizes[take(2)]) + 1
        if filled + count > total:
            raise _Unusable("has a mask that is longer than its image")
        lengths += [count] if same else [1] * count
        values += [take(word)] if same else [take(word) for _ in range(count)]
        filled += count
    return np.array(lengths, np.int64), np.array(values, np.uint8)
