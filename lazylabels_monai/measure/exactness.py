"""Which images of a data set can be measured: those with exact masks, and which of them have no ids where others have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lazylabels_monai.data.datalist import SECTIONS, datalist_file, has_key, load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.overrides import expanded
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = ["are_strokes", "in_pieces", "said_in_pieces", "strokes_alone"]

_NAMED = 3
#: Share of an image that nobody labelled, at least, where it is strokes; a narrow band around objects of a mask is less.
_UNLABELLED = 0.25


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
    shown = (classes != BACKGROUND) & (classes != IGNORE)
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


def in_pieces(source: str | Path, names: Sequence[str]) -> list[str]:
    """Names of images without ids in a data set that has ids of others: ``datalist`` keeps none of training images.

    Args:
        source: of the labels.
        names: of the images that matter.
    """
    file = datalist_file(expanded(source))
    if not file.is_file():
        return []
    items = [item for section, items in load_datalist(file).items() if section in SECTIONS for item in items]
    with_ids = {Path(item["image"]).stem for item in items if has_key(item, "instances")}
    if not with_ids:
        return []
    without = {Path(item["image"]).stem for item in items if not has_key(item, "instances") and not item.get("empty")}
    return [name for name in names if name in without - with_ids]


def said_in_pieces(source: str | Path, names: Sequence[str], images: int) -> str:
    """The sentence about images of :func:`in_pieces`, without its remedy and the full stop."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"'{source}' holds no ids of {len(names)} of {images} images ({', '.join(names[:_NAMED])}{more}), as a data set keeps "
        "none of training images, so that their connected pieces are counted, touching objects as one, beside ids of others"
    )
