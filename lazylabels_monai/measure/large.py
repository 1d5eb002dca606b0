"""Measure one picture too large for the memory, tile by tile: the columns and the numbers of :mod:`.image`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from lazylabels_monai.images.pixel_size import parse_pixel_size
from lazylabels_monai.images.regions import Regions, open_regions
from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.measure.image import (
    MAX_TILES,
    PROPERTIES,
    TILE_SIDES,
    ImageMeasurements,
    MeasureError,
    border_weights,
    checked_maps,
    unit_name,
)
from lazylabels_monai.predicting.large.table import tile_sums
from lazylabels_monai.predicting.large.tiling import Place, Tiling, inside
from lazylabels_monai.tasks import IGNORE

__all__ = ["measure_large"]

#: Side of a tile, and how far an object may reach beyond it and be measured with it.
SIDE, REACH = 2048, 256
#: Pixels of an object's box that are looked at in full; of a larger one every second, third, ... pixel.
_IN_FULL = 2**26


def measure_large(
    instances: str,
    classes: str | None,
    image: str | None,
    pixel_size: float | str | None = None,
    gap: int = 2,
    min_size: int = 1,
    name: str = "",
    class_names: Sequence[str] | None = None,
    side: int = SIDE,
    reach: int = REACH,
) -> ImageMeasurements:
    """:func:`~lazylabels_monai.measure.image.measure_image` of files that are read in tiles.

    The numbers are the same to the last digits but for objects whose box has more than 67 million pixels: their axes, solidity
    and perimeter are those of a coarser picture of them.

    Args:
        instances: file of the ids.
        classes: file of the class map; None gives every object class 1.
        image: file of the intensities.
        pixel_size, gap, min_size, name, class_names: as there.
        side, reach: of the tiles, and beyond them, in pixels.

    Raises:
        MeasureError: for maps of different sizes, values that are no ids or classes, unlabelled pixels, classes without a name
            and objects without a class.
    """
    ids = open_regions(instances, label=True)
    maps = [None if path is None else open_regions(path, label=path is classes) for path in (classes, image)]
    for regions, path in zip(maps, (classes, image), strict=True):
        if regions is not None and regions.shape != ids.shape:
            raise MeasureError(
                f"file '{path}' has the shape {regions.shape} and the instances '{instances}' {ids.shape}: use maps of one "
                "image."
            )
    work = _Work(ids, *maps, Tiling(ids.shape, side), reach, name, gap)
    try:
        return work.measured(None if pixel_size is None else parse_pixel_size(pixel_size), class_names, min_size)
    finally:
        for regions in (ids, *maps):
            if regions is not None:
                regions.close()


class _Work:
    def __init__(
        self,
        ids: Regions,
        classes: Regions | None,
        image: Regions | None,
        tiling: Tiling,
        reach: int,
        name: str,
        gap: int,
    ) -> None:
        self.ids, self.classes, self.image, self.tiling = ids, classes, image, tiling
        self.reach, self.name, self.gap = reach, name, gap

    def measured(self, pixel_size: float | None, class_names: Sequence[str] | None, min_size: int) -> ImageMeasurements:
        sums = self._sums()
        names = tuple(class_names) if class_names else tuple(f"class {k}" for k in range(1, max(self.top, 1) + 1))
        if self.top > len(names):
            raise MeasureError(
                f"image '{self.name}' has class {self.top}, but the classes are {', '.join(names)}: name as many as the labels "
                "hold.",
                ["classes"],
            )
        pixels = sums["votes"].sum(1)
        kept = pixels >= min_size
        sums = {key: value[kept] for key, value in sums.items()}
        if (sums["votes"][:, 1:].sum(1) == 0).any():
            raise MeasureError(f"image '{self.name}': an object has no pixel of a class in the class map.", ["classes"])
        shape, boxes = self.ids.shape, sums["boxes"]
        table = self._properties(sums["ids"], boxes)
        unit, scale = unit_name(pixel_size), 1.0 if pixel_size is None else pixel_size
        object_classes = sums["votes"][:, 1:].argmax(1) + 1
        columns: dict[str, np.ndarray] = {"image": np.full(len(kept[kept]), self.name, object), "id": sums["ids"]}
        columns |= {"class": object_classes, "class_name": np.array(names, object)[object_classes - 1]}
        for key, (column, power) in PROPERTIES.items():
            columns[column.format(u=unit)] = table[key] * scale**power if power else table[key]
        if self.image is not None:
            columns["mean_intensity"] = sums["intensity"] / pixels[kept]
        weights = border_weights(table, shape, None)
        columns |= {"touches_border": weights == 0, "neighbours": self._neighbours(sums["ids"]), "border_weight": weights}
        counts = self._tile_pixels(boxes, len(names))
        return ImageMeasurements(self.name, pd.DataFrame(columns), shape, pixel_size, names, counts.sum(0), counts[1:])

    # ------------------------------------------------------------------------------------------------------------ passes

    def _tiles(self) -> Iterator[Place]:
        for index in range(len(self.tiling)):
            yield self.tiling.tile(index)

    def _shown(self, place: Place, ids: np.ndarray) -> np.ndarray:
        """Classes of a part; without a class map 1 on objects.

        Raises:
            MeasureError: for unlabelled pixels.
        """
        if self.classes is None:
            return (ids > 0).astype(np.uint8)
        shown = self.classes[place]
        if (shown == IGNORE).any():
            raise MeasureError(
                f"image '{self.name}' has unlabelled pixels (255), which are not measured in tiles: cut it into smaller images."
            )
        return shown

    def _sums(self) -> dict[str, np.ndarray]:
        """By object, sorted by id: votes, boxes, sums of intensities."""
        found: list[dict[str, np.ndarray]] = []
        self.top = 0
        for place in self._tiles():
            ids = self.ids[place]
            shown = checked_maps(ids, self._shown(place, ids), f"image '{self.name}': ")[1]
            self.top = max(self.top, int(shown.max(initial=0)))
            part = tile_sums(ids, shown, place, 256)
            part["votes"] = part["votes"][:, : self.top + 1]
            if self.image is not None:
                values = self.image[place].astype(np.float64)
                values = values.mean(axis=2) if values.ndim == 3 else values
                index = np.searchsorted(part["ids"], ids[ids > 0])
                part["intensity"] = np.bincount(index, values[ids > 0], minlength=len(part["ids"]))
            found.append(part)
        ids = np.unique(np.concatenate([part["ids"] for part in found]))
        votes = np.zeros((len(ids), max(self.top, 1) + 1), np.int64)  # a column for class 1 also where no pixel has a class
        out = {"ids": ids, "votes": votes, "intensity": np.zeros(len(ids))}
        out["boxes"] = np.tile(np.array([np.iinfo(np.int64).max] * 2 + [0, 0]), (len(ids), 1))
        for part in found:
            at = np.searchsorted(ids, part["ids"])
            out["votes"][at, : part["votes"].shape[1]] += part["votes"]
            out["intensity"][at] += part.get("intensity", 0)
            out["boxes"][at, :2] = np.minimum(out["boxes"][at, :2], part["boxes"][:, :2])
            out["boxes"][at, 2:] = np.maximum(out["boxes"][at, 2:], part["boxes"][:, 2:])
        return out

    def _properties(self, ids: np.ndarray, boxes: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of ``regionprops_table`` by object."""
        out = {key: np.zeros(len(ids)) for key in PROPERTIES}
        far = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) > self.reach
        for place in self._tiles():
            begin = (boxes[:, 0] >= place[0].start) & (boxes[:, 0] < place[0].stop)
            begin &= (boxes[:, 1] >= place[1].start) & (boxes[:, 1] < place[1].stop)
            own = np.flatnonzero(begin & ~far)
            if own.size:
                window = tuple(
                    slice(p.start, min(size, p.stop + self.reach)) for p, size in zip(place, self.ids.shape, strict=True)
                )
                read = self.ids[window]
                at = np.minimum(np.searchsorted(ids[own], read), own.size - 1)
                compact = np.where(ids[own][at] == read, at + 1, 0).astype(np.int32)
                self._put(out, own, compact, window, 1)
            for index in np.flatnonzero(begin & far):
                top, left, bottom, right = boxes[index]
                step = max(1, math.ceil(math.sqrt((bottom - top) * (right - left) / _IN_FULL)))
                self._put(
                    out, np.array([index]), self._alone(ids[index], boxes[index], step), (slice(top, 0), slice(left, 0)), step
                )
        for number, key in enumerate(("bbox-0", "bbox-1", "bbox-2", "bbox-3")):
            out[key] = boxes[:, number]
        return out

    def _put(self, out: dict[str, np.ndarray], own: np.ndarray, compact: np.ndarray, window: Place, step: int) -> None:
        names = list(dict.fromkeys(key.partition("-")[0] for key in PROPERTIES))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = regionprops_table(compact, properties=names)
        for key, (_, power) in PROPERTIES.items():
            out[key][own] = table[key] * step**power
        for axis, part in enumerate(window):
            out[f"centroid-{axis}"][own] = table[f"centroid-{axis}"] * step + part.start

    def _alone(self, number: int, box: np.ndarray, step: int) -> np.ndarray:
        """One object in its box, of every ``step``-th pixel."""
        top, left, bottom, right = box
        band = step * max(1, 1024 // step)
        parts = [self.ids[start : min(start + band, bottom), left:right][::step, ::step] for start in range(top, bottom, band)]
        return (np.concatenate(parts) == number).astype(np.int32)

    def _neighbours(self, ids: np.ndarray) -> np.ndarray:
        """How many objects each is in contact with."""
        pairs = [np.zeros((0, 2), np.int64)]
        for index in range(len(self.tiling)):
            window = self.tiling.window(index, self.gap + 3)
            read = self.ids[window]
            at = np.minimum(np.searchsorted(ids, read), max(len(ids) - 1, 0))
            known = np.where(ids[at] == read, read, 0) if len(ids) else np.zeros_like(read)
            present = np.unique(known)
            present = present[present > 0]
            compact = np.where(known > 0, np.searchsorted(present, known) + 1, 0).astype(np.int32)
            found = touching_pairs(compact, self.gap)
            if len(found):
                pairs.append(present[found - 1].astype(np.int64))
        unique = np.unique(np.concatenate(pairs), axis=0)
        return np.bincount(np.searchsorted(ids, unique.ravel()), minlength=len(ids))

    def _tile_pixels(self, boxes: np.ndarray, classes: int) -> np.ndarray:
        """(classes + 1, R, C) pixels of each class in each tile of the statistics."""
        sides = boxes[:, 2:] - boxes[:, :2]
        side = float(np.mean([sides[:, 0].mean(), sides[:, 1].mean()])) if len(boxes) else 1.0
        grid = [int(np.clip(n / (TILE_SIDES * side), 1, MAX_TILES)) for n in self.ids.shape]
        cuts = [np.linspace(0, n, k + 1).round().astype(int) for n, k in zip(self.ids.shape, grid, strict=True)]
        out = np.zeros((classes + 1, *grid), np.int64)
        for place in self._tiles():
            shown = self._shown(place, self.ids[place]) if self.classes is None else self.classes[place]
            for row in range(grid[0]):
                for column in range(grid[1]):
                    cell = tuple(
                        slice(max(p.start, c[k]), min(p.stop, c[k + 1]))
                        for p, c, k in zip(place, cuts, (row, column), strict=True)
                    )
                    if all(part.stop > part.start for part in cell):
                        found = np.bincount(shown[inside(cell, place)].ravel(), minlength=classes + 1)
                        out[:, row, column] += found[: classes + 1]
        return out
