"""Which images can be measured: of a data set those with exact masks; and which have no ids, or no classes, where others do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from lazylabels_monai.data.datalist import SECTIONS, datalist_file, has_key, load_datalist
from lazylabels_monai.errors import LazyLabelsError, some_of
from lazylabels_monai.images.files import read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.stamps import Records, as_recorded
from lazylabels_monai.tasks import IGNORE, is_marked

__all__ = [
    "Maps",
    "are_strokes",
    "in_pieces",
    "remedy_for_classes",
    "remedy_for_pieces",
    "said_in_pieces",
    "said_without_classes",
    "strokes_alone",
    "without_classes",
]

#: Share of an image that nobody labelled, at least, where it is strokes; a narrow band around objects of a mask is less.
_UNLABELLED = 0.25
#: Pixels of an id map that is not read to see whether it holds an object.
_LARGE = 2**26


class Maps(Protocol):
    """The label maps of an image: :class:`~lazylabels_monai.measure.finding.LabelledImage`."""

    name: str
    instances: str | None
    classes: str | None


def strokes_alone(source: str | Path, classes: dict[str, str]) -> set[str]:
    """Names of images of a data set whose segmentation is strokes and no mask; none where the source is no data set.

    Args:
        source: of the labels.
        classes: file of the class map by name, of images without ids.
    """
    if not datalist_file(expanded(source)).is_file():
        return set()
    found = set()
    for name, path in classes.items():
        try:
            strokes = are_strokes(read_label(path))
        except LazyLabelsError:  # told by who measures it
            continue
        if strokes:
            found.add(name)
    return found


def are_strokes(classes: np.ndarray) -> bool:
    """Whether objects end at pixels that nobody labelled, as strokes do; those of a mask end at others or at the background.

    Args:
        classes: (H, W) or (D, H, W) class map, 255 = not labelled.
    """
    shown = is_marked(classes)
    if np.mean(classes == IGNORE) < _UNLABELLED:
        return False
    if not shown.any():
        return True
    open_ends = ends = 0
    for axis in range(classes.ndim):
        here, there = (np.moveaxis(classes, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        inside = [np.moveaxis(shown, axis, 0)[part] for part in (slice(None, -1), slice(1, None))]
        edge = inside[0] != inside[1]
        ends += int(np.count_nonzero(edge))
        open_ends += int(np.count_nonzero(edge & ((here == IGNORE) | (there == IGNORE))))
    return 2 * open_ends > ends


def in_pieces(source: str | Path, found: Sequence[Maps]) -> list[str]:
    """Names of images whose connected pieces would be counted beside true ids of others.

    A data set has such: ``datalist`` keeps no ids of training images. In a folder somebody removed ids, or has not drawn all.

    Args:
        source: of the labels.
        found: the images that matter.
    """
    file = datalist_file(expanded(source))
    if not file.is_file():
        some = any(image.instances is not None for image in found)
        return [image.name for image in found if some and image.instances is None and _shows_objects(image.classes)]
    items = [item for section, items in load_datalist(file).items() if section in SECTIONS for item in items]
    with_ids = {Path(item["image"]).stem for item in items if has_key(item, "instances")}
    if not with_ids:
        return []
    without = {Path(item["image"]).stem for item in items if not has_key(item, "instances") and not item.get("empty")}
    return [image.name for image in found if image.name in without - with_ids]


def _shows_objects(path: str | None) -> bool:
    """Whether a class map holds a class: where nothing is, no id is missing."""
    if path is None:
        return False
    try:
        classes = read_label(path)
    except LazyLabelsError:  # told by who measures it
        return False
    return bool(is_marked(classes).any())


def said_in_pieces(source: str | Path, names: Sequence[str], images: int) -> str:
    """The sentence about images of :func:`in_pieces`, without its remedy and the full stop."""
    why = ", as a data set keeps none of training images" if datalist_file(expanded(source)).is_file() else ""
    return (
        f"'{source}' holds no ids of {len(names)} of {images} images ({some_of(names)}){why}, so that their connected pieces "
        "are counted, touching objects as one, beside ids of others"
    )


def remedy_for_pieces(source: str | Path, image: Maps) -> str:
    """What to do about images of :func:`in_pieces` in a folder, of which ``image`` is one, without the full stop."""
    record = Records(expanded(source)).images.get(image.name)
    corrected = record is not None and image.classes is not None and not as_recorded(record, Path(image.classes))
    again = "" if corrected else _again(source)  # which would leave a corrected class map as it is, or lose the correction
    return f"add their ids{again}, or move their class maps away, such as '{image.classes}', to leave them out"


def without_classes(found: Sequence[Maps], names: Sequence[str]) -> list[str]:
    """Names of images with objects and no class map, where there are several classes that these can be of.

    Args:
        found: the images that matter.
        names: of the classes.
    """
    if len(names) < 2:
        return []
    return [image.name for image in found if image.classes is None and _shows_ids(image.instances)]


def _shows_ids(path: str | None) -> bool:
    if path is None:
        return False
    try:
        sides = extent(path)
        return (sides is not None and math.prod(sides) > _LARGE) or bool((read_label(path) > 0).any())
    except LazyLabelsError:  # told by who measures it
        return False


def said_without_classes(source: str | Path, found: Sequence[Maps], missing: Sequence[str], names: Sequence[str]) -> str:
    """The sentence about images of :func:`without_classes`, without its remedy and the full stop."""
    return (
        f"'{source}' holds no class map of {len(missing)} of {len(found)} images ({some_of(missing)}), which says of what "
        f"class ({', '.join(names)}) each object is"
    )


def remedy_for_classes(source: str | Path, found: Sequence[Maps], missing: Sequence[str]) -> str:
    """What to do about images of :func:`without_classes`, without the full stop."""
    first = next(image for image in found if image.name == missing[0])
    one = "" if any(image.classes is not None for image in found) else ", or name the one class of all by --classes"
    return f"add them{_again(source)}, or move their ids away, such as '{first.instances}', to leave them out{one}"


def _again(source: str | Path) -> str:
    return " (predict them again into this folder)" if (expanded(source) / RECORDS_FILE).is_file() else ""
