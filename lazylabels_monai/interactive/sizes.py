"""The sizes of the objects on the screen: the rows, and the file, of ``lazylabels measure``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lazylabels_monai.atomic import write_text, written_to
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.images.pixel_size import agreed_pixel_size, parse_pixel_size, read_pixel_size
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.measure.folder import objects_csv
from lazylabels_monai.measure.image import measure_image, unit_name
from lazylabels_monai.result_files import image_stem

__all__ = ["Distribution", "class_map", "distribution", "pixel_size_of", "table", "write_csv"]


def class_map(objects: np.ndarray, classes: np.ndarray | Mapping[int, int]) -> np.ndarray:
    """The class of each pixel's object, (H, W) uint8; 0 outside.

    Args:
        objects: (H, W) ids.
        classes: class by id, an array or a mapping; ids that are not in it are of class 1.
    """
    by_id = np.ones(int(np.max(objects, initial=0)) + 1, np.uint8)
    pairs = classes.items() if isinstance(classes, Mapping) else enumerate(classes)
    for number, value in pairs:
        if number < len(by_id) and value > 0:
            by_id[number] = value
    by_id[0] = 0
    return by_id[objects]


def pixel_size_of(project: Project, entry: ImageEntry, else_size: str | float | None = None) -> float | None:
    """Micrometres of an image's pixels, as its file or its item in the datalist states them.

    Args:
        project: of the image.
        entry: the image.
        else_size: micrometres, or text such as "120 nm", where neither states them; None: nobody knows.

    Raises:
        PixelSizeError: when they differ.
    """
    sizes: dict[str, float | None] = {f"file '{entry.path}'": read_pixel_size(entry.path)}
    if (stated := project.records.item(entry).get("pixel_size")) is not None:
        sizes[f"the key pixel_size in {FILE_NAME}"] = parse_pixel_size(stated)
    stated = agreed_pixel_size(sizes, entry.name)
    return stated if stated is not None or else_size is None else parse_pixel_size(else_size)


def table(
    objects: np.ndarray,
    classes: np.ndarray | Mapping[int, int],
    pixel_size: float | str | None = None,
    *,
    name: str = "",
    class_names: Sequence[str] | None = None,
    picture: np.ndarray | None = None,
) -> pd.DataFrame:
    """A row for each object, as ``lazylabels measure`` writes it.

    Args:
        objects: (H, W) ids.
        classes: class by id; see :func:`class_map`.
        pixel_size: micrometres, or text such as "120 nm"; None measures in pixels.
        name: of the image; its stem, as ``measure`` has it, is in the first column.
        class_names: of the classes 1, 2, ...
        picture: (H, W[, C]), for the mean intensities.

    Raises:
        MeasureError: for arrays that are no labels of one image.
    """
    shown = class_map(objects, classes)
    image = image_stem(name) if name else ""
    return measure_image(objects, shown, picture, None, pixel_size, name=image, class_names=class_names).objects


@dataclass(frozen=True)
class Distribution:
    """How many objects are how large.

    Args:
        edges: (n + 1,) of the bins.
        counts: (n,) by class name.
        column: what was counted, with its unit.
        median: of all objects; NaN without any.
    """

    edges: np.ndarray
    counts: dict[str, np.ndarray]
    column: str
    median: float


def distribution(rows: pd.DataFrame, pixel_size: float | str | None = None, bins: int = 20) -> Distribution:
    """The distribution of the equivalent diameters.

    Args:
        rows: of :func:`table`, of one or more images.
        pixel_size: that they were made with.
        bins: how many.
    """
    unit = unit_name(None if pixel_size is None else parse_pixel_size(pixel_size))
    column = f"equivalent_diameter_{unit}"
    values = rows[column].to_numpy(float) if len(rows) else np.zeros(0)
    edges = np.histogram_bin_edges(values, bins, (0.0, float(values.max(initial=1.0))))
    groups = rows.groupby("class_name", sort=False) if len(rows) else ()
    counts = {str(name): np.histogram(part[column], edges)[0] for name, part in groups}
    return Distribution(edges, counts, column, float(np.median(values)) if len(values) else float("nan"))


def write_csv(tables: Iterable[pd.DataFrame], file: str | os.PathLike) -> Path:
    """Write rows as the ``objects.csv`` of ``lazylabels measure``, in one step.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    file = Path(file)
    with written_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, objects_csv(pd.concat(list(tables), ignore_index=True)))
    return file
