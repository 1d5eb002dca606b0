"""What the images of a training look like, read from its data set once, for what lies beside the weights."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.data.checking.images import CLEAR_CONTRAST, contrast
from lazylabels_monai.data.checking.marks import mark_diameter
from lazylabels_monai.data.datalist import LABEL_KEYS, absolute_path, datalist_file, has_key, load_datalist
from lazylabels_monai.images.appearance import Appearance, Seen, appearance, sum_up
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import ReadError, read_image_and_dims, read_label
from lazylabels_monai.images.pixel_size import PixelSizeError, mean_size, read_pixel_size

__all__ = ["seen_images"]


def seen_images(datalist: str | Path) -> Seen:
    """What the training images of a data set look like, those that carry a label.

    Args:
        datalist: the file or its folder. What cannot be read is left out: the checks before a training name it.

    Returns:
        their statistics; the diameters are those of ids or of an exact mask's pieces, as rough marks are smaller than objects.
    """
    file = datalist_file(datalist)
    items = [item for item in load_datalist(file).get("training", []) if any(has_key(item, key) for key in LABEL_KEYS)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = [one for one in pool.map(lambda item: _look(item, file), items) if one is not None]
    sizes = [one["pixel_size"] for one in found if one["pixel_size"] is not None]
    diameters = [one["diameter"] for one in found if one["diameter"] is not None]
    contrasts = [c for one in found if (c := one["contrast"]) is not None and abs(c) >= CLEAR_CONTRAST]
    return sum_up(
        [one["appearance"] for one in found if one["appearance"] is not None],
        images=len(found),
        types=tuple(sorted({one["type"] for one in found})),
        pixel_size=(min(sizes), max(sizes)) if sizes else None,
        diameter=(min(diameters), max(diameters)) if diameters else None,
        contrast={"brighter": sum(c > 0 for c in contrasts), "darker": sum(c < 0 for c in contrasts)},
    )


def _look(item: dict[str, Any], file: Path) -> dict[str, Any] | None:
    path = absolute_path(file, item["image"])
    try:
        image, dims = read_image_and_dims(path)
    except ReadError:
        return None
    labels = {}
    for key in LABEL_KEYS:
        own = absolute_path(file, item[key]) if has_key(item, key) else None
        try:
            label = like_image(read_label(own), own, path) if own is not None else None
        except ReadError:
            label = None
        if label is not None and label.shape == image.shape[:dims]:
            labels[key] = label
    exact = {key: labels[key] for key in ("instances", "segmentation") if key in labels}
    look: Appearance | None = appearance(image, dims)
    return {
        "appearance": look,
        "type": str(np.dtype(image.dtype)),
        "pixel_size": _pixel_size(item, path),
        "diameter": mark_diameter(exact),
        "contrast": contrast(image, dims, labels),
    }


def _pixel_size(item: dict[str, Any], path: str) -> float | None:
    try:
        stated = mean_size(item.get("pixel_size"))
        return read_pixel_size(path) if stated is None else stated
    except PixelSizeError:
        return None
