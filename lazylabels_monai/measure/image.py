"""One row per object of an instance label map, and what the statistics need of an image. Two dimensions only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.pixel_size import parse_pixel_size
from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.labels.objects import instances_from_classes, object_classes
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = [
    "MAX_TILES",
    "PROPERTIES",
    "TILE_SIDES",
    "ImageMeasurements",
    "MeasureError",
    "border_weights",
    "checked_maps",
    "measure_image",
    "measure_objects",
    "unit_name",
]

#: Tiles along one side of an image, at most. More and smaller ones share more objects: with 5 the intervals of the area
#: fraction hold 87 % instead of 95 % on the built-in data (tools/coverage.py), with 3 it is 93 %.
MAX_TILES = 3

#: A tile's side is at least this many times the mean side of the objects' bounding boxes.
TILE_SIDES = 1.5

#: What scikit-image calls a property: the column, and the power of the pixel size in it.
PROPERTIES = {
    "area": ("area_{u}2", 2),
    "equivalent_diameter_area": ("equivalent_diameter_{u}", 1),
    "centroid-0": ("centroid_row_px", 0),
    "centroid-1": ("centroid_col_px", 0),
    "bbox-0": ("bbox_row_min_px", 0),
    "bbox-1": ("bbox_col_min_px", 0),
    "bbox-2": ("bbox_row_max_px", 0),
    "bbox-3": ("bbox_col_max_px", 0),
    "axis_major_length": ("major_axis_{u}", 1),
    "axis_minor_length": ("minor_axis_{u}", 1),
    "eccentricity": ("eccentricity", 0),
    "solidity": ("solidity", 0),
    "perimeter_crofton": ("perimeter_{u}", 1),
}


#: Which map a mean is of.
_MAPS = {
    "mean_intensity": "image",
    "mean_probability": "probability",
    "mean_entropy": "uncertainty",
    "mean_mutual_information": "uncertainty",
}


class MeasureError(LazyLabelsError):
    """Labels that cannot be measured as they are; the message says which and what to do.

    Args:
        message: the sentence.
        maps: arguments of :func:`measure_image` that it is about, for those who know their files; () where that is nobody's.
    """

    def __init__(self, message: str, maps: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.maps = tuple(maps)


@dataclass(frozen=True)
class ImageMeasurements:
    """What the statistics need of one image.

    Attributes:
        name: of the image.
        objects: rows of :func:`measure_objects` with the image's name in the first column.
        shape: (H, W) in pixels.
        pixel_size: micrometres, or None.
        class_names: names of the classes 1, 2, ...
        tile_pixels: (R, C) labelled pixels of each tile of a regular grid.
        tile_class_pixels: (classes, R, C) pixels of each object class in each tile.
    """

    name: str
    objects: pd.DataFrame
    shape: tuple[int, int]
    pixel_size: float | None
    class_names: tuple[str, ...]
    tile_pixels: np.ndarray
    tile_class_pixels: np.ndarray

    @property
    def unit(self) -> str:
        """Unit of length, as in the columns' names: "um" or "px"."""
        return unit_name(self.pixel_size)


def unit_name(pixel_size: float | None) -> str:
    """Unit of length in columns' names: "um", or "px" where the pixel size is unknown."""
    return "px" if pixel_size is None else "um"


def measure_objects(
    instances: np.ndarray,
    classes: np.ndarray | None = None,
    image: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    pixel_size: float | str | None = None,
    gap: int = 2,
    uncertainty: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure every object of a label map.

    Args:
        instances: (H, W) ids of any integer type, 0 = no object. An id in several parts is one object.
        classes: (H, W) class map, 0 = background, 255 = not labelled; an object's class is that of most of its pixels.
            None gives every object class 1.
        image: (H, W) or (H, W, C) intensities, for ``mean_intensity``; channels are averaged.
        probability: (H, W) probability of the class shown, for ``mean_probability``.
        pixel_size: side of a square pixel in micrometres, or text such as "120 nm"; None measures in pixels.
        gap: two objects with at most this many pixels between them are in contact; see
            :func:`~lazylabels_monai.labels.interfaces.touching_pairs`.
        uncertainty: (2, H, W) entropy and mutual information of the segmentation
            (:mod:`lazylabels_monai.predicting.uncertainty`), for ``mean_entropy`` and ``mean_mutual_information``.

    Returns:
        a row per object in the order of the ids; columns ``id``, ``class``, ``area_um2`` (``_px2`` without a pixel size),
        ``equivalent_diameter_um`` (of the disc of the same area), ``centroid_row_px``, ``centroid_col_px``,
        ``bbox_row_min_px`` ... ``bbox_col_max_px`` (half open), ``major_axis_um``, ``minor_axis_um`` (of the ellipse of the
        same second moments), ``eccentricity``, ``solidity`` (area by that of the convex hull), ``perimeter_um`` (Crofton's
        formula in four directions), ``mean_intensity``, ``mean_probability``, ``mean_entropy``, ``mean_mutual_information``
        (each only where its map is given), ``touches_border``, ``neighbours`` (objects in contact), ``border_weight``
        (1 / chance that an object of this bounding box lies wholly inside, 0 for one that touches the border; see
        :func:`~lazylabels_monai.measure.statistics.summarize`). Never NaN, as long as the maps hold none.

    Raises:
        MeasureError: for arrays that are no 2D labels, shapes that differ, and objects without any pixel of a class.

    Example:
        >>> square = np.pad(np.ones((10, 10), int), 5)
        >>> measure_objects(square, pixel_size="500 nm")["area_um2"].tolist()
        [25.0]
    """
    return _measured(*checked_maps(instances, classes), image, probability, uncertainty, pixel_size, gap, "")


def _measured(
    instances: np.ndarray,
    classes: np.ndarray | None,
    image: np.ndarray | None,
    probability: np.ndarray | None,
    uncertainty: np.ndarray | None,
    pixel_size: float | str | None,
    gap: int,
    where: str,
) -> pd.DataFrame:
    """:func:`measure_objects` of checked labels; ``where`` begins the errors."""
    pixel_size = None if pixel_size is None else parse_pixel_size(pixel_size)
    unit, scale = unit_name(pixel_size), 1.0 if pixel_size is None else pixel_size
    # consecutive ids: scikit-image's time and memory grow with the largest one
    ids = np.unique(instances)
    ids = ids[ids != 0]
    compact = np.where(instances == 0, 0, np.searchsorted(ids, instances) + 1).astype(np.int32)

    names = list(dict.fromkeys(key.partition("-")[0] for key in PROPERTIES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hull of a single row of pixels, whose solidity is 1 all the same
        table = regionprops_table(compact, properties=names)
    columns: dict[str, np.ndarray] = {"id": ids.astype(np.int64), "class": _object_classes(compact, classes, ids, where)}
    for key, (name, power) in PROPERTIES.items():
        columns[name.format(u=unit)] = table[key] * scale**power if power else table[key]
    maps = {"mean_intensity": image, "mean_probability": probability}
    if uncertainty is not None:
        maps["mean_entropy"], maps["mean_mutual_information"] = uncertainty
    for name, values in maps.items():
        if values is not None:
            columns[name] = _means(compact, np.asarray(values), ids.size, f"{where}the map for {name}", _MAPS[name])
    weights = border_weights(table, instances.shape, None if classes is None else classes != IGNORE)
    columns["touches_border"] = weights == 0
    pairs = touching_pairs(compact, gap)
    columns["neighbours"] = np.bincount(pairs.ravel(), minlength=ids.size + 1)[1:]
    columns["border_weight"] = weights
    return pd.DataFrame(columns)


def measure_image(
    instances: np.ndarray | None,
    classes: np.ndarray | None = None,
    image: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    pixel_size: float | str | None = None,
    gap: int = 2,
    min_size: int = 1,
    name: str = "",
    class_names: Sequence[str] | None = None,
    uncertainty: np.ndarray | None = None,
) -> ImageMeasurements:
    """Measure one image: its objects, and the pixels of each class.

    Args:
        instances: (H, W) ids, 0 = no object; None takes the connected components of each class.
        classes, image, probability, pixel_size, gap, uncertainty: as for :func:`measure_objects`.
        min_size: objects of fewer pixels are left out; their pixels still count for the area fraction.
        name: of the image.
        class_names: of the classes 1, 2, ...; default "class 1", ...

    Returns:
        The measurements, for :func:`~lazylabels_monai.measure.statistics.summarize`.

    Raises:
        MeasureError: as for :func:`measure_objects`, and for a class that has no name.
    """
    where = f"image '{name}': "
    if instances is None:
        if classes is None:
            raise MeasureError(f"image '{name}' has neither instances nor classes: give one of them.")
        instances = instances_from_classes(checked_maps(classes, None, where, "classes")[0])
    instances, classes = checked_maps(instances, classes, where)
    shown = (instances > 0).astype(np.uint8) if classes is None else classes
    top = int(shown[shown != IGNORE].max(initial=0))
    names = tuple(class_names) if class_names else tuple(f"class {k}" for k in range(1, max(top, 1) + 1))
    if top > len(names):
        raise MeasureError(
            f"image '{name}' has class {top}, but the classes are {', '.join(names)}: name as many as the labels hold.",
            ["classes"],
        )
    if min_size > 1:
        kept, inverse, sizes = np.unique(instances, return_inverse=True, return_counts=True)
        instances = np.where(sizes >= min_size, kept, 0)[inverse].reshape(instances.shape)
    objects = _measured(instances, classes, image, probability, uncertainty, pixel_size, gap, where)
    objects.insert(0, "image", name)
    objects.insert(3, "class_name", [names[k - 1] for k in objects["class"]])

    sides = [objects[f"bbox_{axis}_max_px"] - objects[f"bbox_{axis}_min_px"] for axis in ("row", "col")]
    side = float(np.mean(sides)) if len(objects) else 1.0
    grid = [int(np.clip(n / (TILE_SIDES * side), 1, MAX_TILES)) for n in instances.shape]
    cuts = [np.linspace(0, n, k + 1).round().astype(int)[:-1] for n, k in zip(instances.shape, grid, strict=True)]

    def per_tile(mask: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(mask.astype(np.int64), cuts[0], axis=0), cuts[1], axis=1)

    return ImageMeasurements(
        name,
        objects,
        instances.shape,
        None if pixel_size is None else parse_pixel_size(pixel_size),
        names,
        per_tile(shown != IGNORE),
        np.stack([per_tile(shown == k) for k in range(1, len(names) + 1)]),
    )


def checked_maps(
    instances: np.ndarray, classes: np.ndarray | None, where: str = "", given: str = "instances"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Ids and classes (H, W) as arrays, the classes uint8.

    Args:
        instances: ids, or the classes where these are all there is.
        classes: None where there are none.
        where: begins each message.
        given: what the first was given as.

    Raises:
        MeasureError: for other shapes, and values that are no ids or classes.
    """
    instances = np.asarray(instances)
    if instances.ndim != 2 or 0 in instances.shape:
        raise MeasureError(
            f"{where}labels of shape {instances.shape} are no 2D image: measure slices of a volume one by one.", [given]
        )
    if instances.dtype.kind not in "uib" or instances.min() < 0:
        raise MeasureError(f"{where}labels must be whole numbers from 0: give one id for each object and 0 outside.", [given])
    if classes is None:
        return instances, None
    classes = np.asarray(classes)
    if classes.shape != instances.shape:
        raise MeasureError(
            f"{where}the class map has the shape {classes.shape} and the instances {instances.shape}: use maps of one image.",
            ["classes", "instances"],
        )
    if classes.dtype.kind not in "uib" or classes.min() < 0 or classes.max() > IGNORE:
        raise MeasureError(f"{where}classes must be whole numbers from 0 to 255: give one class for each pixel.", ["classes"])
    return instances, classes.astype(np.uint8)


def _object_classes(compact: np.ndarray, classes: np.ndarray | None, ids: np.ndarray, where: str) -> np.ndarray:
    result = np.array(list(object_classes(compact, classes).values()), dtype=np.int64)
    if (result == BACKGROUND).any():
        bad = ids[result == BACKGROUND]
        raise MeasureError(
            f"{where}object {bad[0]} ({bad.size} in all) has no pixel of a class in the class map: use maps of one prediction.",
            ["classes", "instances"],
        )
    return result


def _means(compact: np.ndarray, values: np.ndarray, count: int, what: str, given: str) -> np.ndarray:
    if values.shape[:2] != compact.shape or values.ndim > 3:
        raise MeasureError(
            f"{what} has the shape {values.shape} and the labels {compact.shape}: use maps of one image.",
            [given, "instances", "classes"],
        )
    values = values.astype(np.float64)
    values = values.mean(axis=2) if values.ndim == 3 else values
    sums = np.bincount(compact.ravel(), weights=values.ravel(), minlength=count + 1)[1:]
    return sums / np.bincount(compact.ravel(), minlength=count + 1)[1:]


def border_weights(table: dict[str, np.ndarray], shape: tuple[int, int], valid: np.ndarray | None) -> np.ndarray:
    """Miles-Lantuejoul weights: labelled pixels by the number of places where an object's bounding box lies wholly inside.

    Wholly inside: neither a pixel on the image's edge nor a neighbour of an unlabelled one. An object on the outermost
    pixels cannot be told from a cut one, so a box of h x w pixels has (H - h - 1) (W - w - 1) places, where the continuous
    formula says (H - h) (W - w).
    """
    top, left, bottom, right = (table[f"bbox-{k}"] for k in range(4))
    height, width = bottom - top, right - left
    inside = (top > 0) & (left > 0) & (bottom < shape[0]) & (right < shape[1])
    weights = np.zeros(len(top))
    if valid is None or valid.all():
        places = (shape[0] - height - 1.0) * (shape[1] - width - 1.0)
        weights[inside] = shape[0] * shape[1] / places[inside]
        return weights
    unlabelled = np.pad((~valid).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def blocked(t: slice | int, left: slice | int, b: slice | int, r: slice | int) -> np.ndarray:
        return unlabelled[b, r] - unlabelled[t, r] - unlabelled[b, left] + unlabelled[t, left]

    for h, w in set(zip(height[inside].tolist(), width[inside].tolist(), strict=True)):
        rows, cols = shape[0] - h - 1, shape[1] - w - 1  # places of the box with one pixel around it
        free = blocked(slice(0, rows), slice(0, cols), slice(h + 2, h + 2 + rows), slice(w + 2, w + 2 + cols)) == 0
        places = np.count_nonzero(free)
        same = np.flatnonzero(inside & (height == h) & (width == w))
        same = same[free[top[same] - 1, left[same] - 1]]
        weights[same] = np.count_nonzero(valid) / max(places, 1)
    return weights
