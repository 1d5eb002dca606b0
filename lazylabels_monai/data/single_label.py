"""Lazy labels as one label map with a value for "unknown", which is what programs with a single output learn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import filled
from lazylabels_monai.data.datalist import SECTIONS, load_datalist, read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import PathLike, read_image_and_dims, read_label
from lazylabels_monai.labels.implied import segmentation_of_inner_regions
from lazylabels_monai.result_files import image_stem
from lazylabels_monai.tasks import IGNORE, INTERFACE, TASKS

__all__ = ["export_single_labels", "single_label"]


def single_label(labels: dict[str, np.ndarray], interface: int, background_margin: float | None = 1.0) -> np.ndarray:
    """One map of what an image's labels say about its pixels.

    An exact mask is taken as it is; without one, inner regions have their class, and pixels far from all of them
    are background (:func:`~lazylabels_monai.labels.implied.segmentation_of_inner_regions`), as in training here. An interface
    scribble is drawn over both.

    Args:
        labels: (H, W) maps by task, those that the image has.
        interface: value of an interface, one above the last class.
        background_margin: in depths of the nearest inner region; None leaves the background of such images open.

    Returns:
        (H, W) uint8: 0 background, 1.. classes, ``interface``, 255 unknown.

    Raises:
        ValueError: for an image without any label.
    """
    if not labels:
        raise ValueError("an image without labels has no label map.")
    maps = {task: array.astype(np.uint8) for task, array in labels.items()}
    if "segmentation" in maps:
        made = maps["segmentation"].copy()
    elif "detection" in maps:
        made = segmentation_of_inner_regions(maps["detection"], background_margin)
    else:
        made = np.full(next(iter(maps.values())).shape, IGNORE, np.uint8)
    if "separation" in maps:
        made[maps["separation"] == INTERFACE] = interface
    return made


def export_single_labels(dataset_dir: PathLike, out: PathLike, background_margin: float | None = 1.0) -> dict[str, int]:
    """Write a data set as ``<section>/images/*.tif`` and ``<section>/labels/*.png``; ``dataset.json`` says the values.

    Training labels are those of :func:`single_label`; validation and testing have images only, so that nobody trains on
    what judges.

    Args:
        dataset_dir: a data set of 2D images.
        out: folder to make.
        background_margin: as in :func:`single_label`.

    Returns:
        number of images by section.

    Raises:
        LazyLabelsError: when ``out`` is there already, or an image is a volume.
    """
    out = Path(out)
    if out.exists():
        raise LazyLabelsError(f"'{out}' is there already: name another folder.")
    classes = list(load_datalist(dataset_dir)["classes"])
    interface = len(classes) + 1
    counts: dict[str, int] = {}
    with filled(out) as temporary:
        for section in SECTIONS:
            items = read_items(dataset_dir, section, labelled_only=section == "training")
            counts[section] = len(items)
            for part in ("images", "labels") if section == "training" else ("images",):
                (temporary / section / part).mkdir(parents=True)
            for item in items:
                image, dims = read_image_and_dims(item["image"])
                if dims != 2:
                    raise LazyLabelsError(f"'{item['image']}' is a volume: only 2D images are exported.")
                stem = image_stem(item["image"])
                tifffile.imwrite(temporary / section / "images" / f"{stem}.tif", image)
                if section == "training":
                    labels = {task: _label(item[task], item["image"], image.shape[:2]) for task in TASKS if task in item}
                    made = single_label(labels, interface, background_margin)
                    Image.fromarray(made).save(temporary / section / "labels" / f"{stem}.png")
        about = {"classes": classes, "background": 0, "interface": interface, "unknown": IGNORE, "images": counts}
        (temporary / "dataset.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return counts


def _label(path: str, image: str, shape: tuple[int, ...]) -> np.ndarray:
    """A label in its image's order of axes."""
    label = like_image(read_label(path), path, image)
    if label.shape != tuple(shape):
        raise LazyLabelsError(
            f"'{path}' has the shape {label.shape} and its image '{image}' {tuple(shape)}: give one of that size."
        )
    return label
