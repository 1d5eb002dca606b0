"""The files of a large prediction, each written part by part."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lazylabels_monai.atomic import remove_tree, whole_file
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.images.pixel_size import PixelSizeError, read_pixel_size
from lazylabels_monai.images.regions import Regions
from lazylabels_monai.predicting.large.stages import Context
from lazylabels_monai.predicting.large.store import ome_levels, ome_metadata, write_tiff, zarr_array
from lazylabels_monai.predicting.large.table import object_table
from lazylabels_monai.progress import Progress
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, OBJECTS_ENDING, OVERLAY_ENDING, image_stem
from lazylabels_monai.spreadsheets import cells

__all__ = ["Wanted", "wanted_files", "write_files"]

#: Longest side of the picture that shows the outlines.
_OVERVIEW = 2048
#: Suffixes of the class map, the usual one first.
_TIFF = (".tif", ".tiff")
#: Rows of the table that are written at once.
_ROWS = 20_000


@dataclass(frozen=True)
class Wanted:
    """Which files the config asks for.

    Args:
        instances: ids of the objects, and with them their table.
        overlay: the picture with the outlines.
        suffix: of the class map, a TIFF file's.
    """

    instances: bool
    overlay: bool
    suffix: str


def wanted_files(setting: Callable[[str], Any], image: str | os.PathLike) -> Wanted:
    """What a config says of the files of a picture.

    Args:
        setting: gives the value of an id of ``inference.yaml``.
        image: for messages.

    Raises:
        LazyLabelsError: for what is not made in tiles.
    """
    in_tiles, suffix, postfix = f"'{image}' is predicted in tiles, of which", setting("output_ext"), setting("output_postfix")
    if setting("save_probabilities"):
        raise LazyLabelsError(f"{in_tiles} no probability maps are written: leave out --probabilities.")
    if f"_{postfix}" != CLASSES_ENDING:
        raise LazyLabelsError(
            f"{in_tiles} the class map has a name of its own by which it is found again, and output_postfix {postfix} gives "
            f"another: set it to {CLASSES_ENDING[1:]}, and rename the files afterwards."
        )
    # .png is what the config says where nobody says anything, and no such file can be written part by part
    if suffix not in (*_TIFF, ".png"):
        raise LazyLabelsError(
            f"{in_tiles} the class map is written part by part, which output_ext {suffix} does not allow: set it to {_TIFF[0]}."
        )
    return Wanted(bool(setting("save_instances")), bool(setting("save_overlay")), suffix if suffix in _TIFF else _TIFF[0])


def write_files(context: Context, classes: tuple[str, ...], wanted: Wanted, say: Progress) -> None:
    """The files of the result, one after the other; those that are whole already stay."""
    job, store = context.job, context.store
    name, folder = image_stem(job.image), store.folder / "files" / "made"
    folder.mkdir(parents=True, exist_ok=True)
    size = None
    with suppress(PixelSizeError):  # of no square pixels: whoever measures in micrometres says so
        size = read_pixel_size(job.image)
    count = int(context.numbered["count"])
    unproven = int(context.numbered["unproven"])
    ids, found = context.array("objects/ids", np.uint32), context.maps.classes
    wide = np.uint16 if count <= 65535 else np.uint32

    def table() -> None:
        tiles = (store.given("objects/finish", index) for index in range(len(context.tiling)))
        rows = object_table(tiles, count, job.shape, classes, name, size)
        with whole_file(folder / f"{name}{OBJECTS_ENDING}.csv") as stream:
            for first in range(0, max(1, count), _ROWS):  # each cell is an object of its own, of which millions need gigabytes
                part, options = cells(rows[first : first + _ROWS]), {"float_format": "%.8g", "lineterminator": os.linesep}
                # a file's name may hold bytes that are no text
                stream.write(part.to_csv(index=False, header=not first, **options).encode("utf-8", "backslashreplace"))

    made: dict[str, Callable[[], None]] = {}
    made[f"{name}{CLASSES_ENDING}.zarr"] = lambda: _pyramid(folder / f"{name}{CLASSES_ENDING}.zarr", found, name, size)
    if wanted.overlay:
        made[f"{name}{OVERLAY_ENDING}.png"] = lambda: _overview(context, folder, name)
    if wanted.instances:
        made[f"{name}{INSTANCES_ENDING}.zarr"] = lambda: _pyramid(folder / f"{name}{INSTANCES_ENDING}.zarr", ids, name, size)
        made[f"{name}{OBJECTS_ENDING}.csv"] = table
        made[f"{name}{INSTANCES_ENDING}.tif"] = lambda: write_tiff(folder / f"{name}{INSTANCES_ENDING}.tif", ids, wide, size)
    class_map = f"{name}{CLASSES_ENDING}{wanted.suffix}"
    made[class_map] = lambda: write_tiff(folder / class_map, found, np.uint8, size)
    for number, (file, make) in enumerate(made.items()):
        if not store.is_done("files/done", number):
            remove_tree(folder / file)
            make()
            store.finish("files/done", number, {})
    say(f"  {count} objects")
    if unproven:
        say(
            f"  {unproven} pixels of objects larger than {context.stitching.largest} pixels are not proven to be as in one "
            "piece (docs/large.md)"
        )


def _pyramid(folder: Path, finest: Any, name: str, pixel_size: float | None) -> None:
    """An OME-Zarr group of label maps; the finest level is copied as it is, the others take every second pixel."""
    levels = ome_levels(finest.shape)
    # a kill leaves chunks behind that zarr was just writing, under names of their own
    shutil.copytree(finest.store.root, folder / "0", ignore=shutil.ignore_patterns("*.partial"))
    for number, shape in enumerate(levels[1:], 1):
        before = zarr_array(folder / str(number - 1))
        array = zarr_array(folder / str(number), shape, finest.dtype)
        for top in range(0, shape[0], 1024):
            rows = slice(2 * top, min(2 * (top + 1024), before.shape[0]))
            array[top : top + 1024] = np.asarray(before[rows])[::2, ::2]
    ome_metadata(folder, name, len(levels), pixel_size)


def _overview(context: Context, folder: Path, name: str) -> None:
    """The whole picture, small, with the outlines of its objects."""
    step = math.ceil(max(context.job.shape) / _OVERVIEW)
    shape, regions = context.job.shape, context.regions
    results = context.maps.classes, context.array("objects/ids", np.uint32)
    maps = [Regions("", shape, 0, a.dtype, lambda r, c, a=a: np.asarray(a[r, c])) for a in results]
    picture = overlay_contours(regions.every(step), *(values.every(step) for values in maps))
    Image.fromarray(picture).save(folder / f"{name}{OVERLAY_ENDING}.png")
