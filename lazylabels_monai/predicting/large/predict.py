"""Predict one picture of any size, tile by tile (docs/large.md).

The stages, each of which is done tile by tile, and goes on after a kill with the tiles that are missing:

| stage | what a tile gives |
|---|---|
| intensities | how often each value occurs; sums: the normalization is that of the whole picture |
| maps | the network's answer: class map, landscape of the watershed, where objects and interfaces are seen |
| objects | pieces; the watershed; final numbers |
| files | tiled BigTIFF and OME-Zarr of classes and objects, the table of objects, a small picture |
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from PIL import Image

from lazylabels_monai.atomic import remove_tree, whole_file
from lazylabels_monai.data.checking.marks import mark_diameter
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.appearance import object_size_fault
from lazylabels_monai.images.axes import from_channels_last
from lazylabels_monai.images.faults import image_sentence
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.images.pixel_size import read_pixel_size
from lazylabels_monai.images.regions import Regions, is_zarr, open_regions, zarr_pixel_size
from lazylabels_monai.images.stored import ReadError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.predicting.large.intensities import Counts, Moments, Normalization, as_network_sees
from lazylabels_monai.predicting.large.objects import HALO, Maps, Stitching, flags_of, kind_of
from lazylabels_monai.predicting.large.running import Runner, runner
from lazylabels_monai.predicting.large.store import (
    Store,
    chunk_side,
    ome_levels,
    ome_metadata,
    require_packages,
    write_tiff,
    zarr_array,
)
from lazylabels_monai.predicting.large.table import object_table, tile_sums
from lazylabels_monai.predicting.large.tiling import Place, Tiling
from lazylabels_monai.predicting.large.windows import answer_tile
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, OBJECTS_ENDING, OVERLAY_ENDING, image_stem
from lazylabels_monai.spreadsheets import cells
from lazylabels_monai.stamps import file_digest
from lazylabels_monai.tasks import BACKGROUND, INTERFACE, task_slices
from lazylabels_monai.transforms.intensities import CLIPPED, clips

__all__ = ["SIDE", "Job", "predict_large", "work"]

logger = logging.getLogger(__name__)

#: Side of a tile in pixels.
SIDE = 2048
#: Tiles of a picture at most: a whole slide has a thousand, and a file that claims more than this is wrong about itself.
_MOST = 1_000_000
#: Longest side of the picture that shows the outlines.
_OVERVIEW = 2048
#: Rows of the table that are written at once.
_ROWS = 20_000
#: Pre-processing that can be done part by part, by the classes' names, in this order.
_STREAMED = ("LoadImaged", "JudgeImaged", "MatchChannelsd", "ClipIntensityPercentilesd", "NormalizeIntensityd")
#: What a part of a picture would be blamed for, and the picture is not.
_OF_THE_WHOLE = ("image-tiny", "image-constant", "image-few-levels", "image-bar", "image-saturated")


@dataclass(frozen=True)
class Job:
    """All that a worker must know; of plain values, so that it can be sent.

    Args:
        image: path of the picture.
        folder: of the unfinished work.
        weights, bundle, overlays, overrides: as for :class:`~lazylabels_monai.predicting.model.Model`, the last as JSON.
        side, halo: of tiles and around them.
        shape: (H, W) of the picture.
        channels: that the network takes.
        settings: of the objects, as JSON.
        clipped: whether intensities are clipped at percentiles.
        copied: whether the picture was copied into the folder, since its file can only be unpacked whole.
    """

    image: str
    folder: str
    weights: str
    bundle: str | None
    overlays: tuple[str, ...]
    overrides: str
    side: int
    halo: int
    shape: tuple[int, int]
    channels: int
    num_classes: int
    tasks: tuple[str, ...]
    settings: str
    clipped: bool
    copied: bool


class _Context:
    """What the stages of one job use, opened once in a process."""

    def __init__(self, job: Job, model: Model | None = None) -> None:
        self.job, self._model = job, model
        self.store = Store(Path(job.folder))
        self.tiling = Tiling(job.shape, job.side)
        self.settings = InstanceSettings(**json.loads(job.settings))
        self.three = {"detection", "separation"} <= set(job.tasks)
        self.kind = kind_of(self.settings, self.three)
        self.slices = task_slices(job.num_classes, job.tasks)

    @property
    def model(self) -> Model:
        if self._model is None:
            job = self.job
            self._model = Model(job.weights, job.bundle, job.overlays, json.loads(job.overrides))
        return self._model

    @cached_property
    def regions(self) -> Regions:
        if not self.job.copied:
            return open_regions(self.job.image)
        array = self.store.array("image/pixels")
        return Regions(
            self.job.image,
            self.job.shape,
            0 if array.ndim == 2 else array.shape[2],
            array.dtype,
            lambda rows, columns: np.asarray(array[rows, columns]),
        )

    def image(self, place: Place) -> np.ndarray:
        """(C, h, w) float32 of rows and columns, not normalised."""
        return as_network_sees(self.regions[place], self.job.channels, self.job.image)

    def array(self, name: str, dtype: Any) -> Any:
        """An array of the whole picture, whose chunks belong to one tile each."""
        return self.store.array(name, self.job.shape, dtype, chunk_side(self.job.side))

    @cached_property
    def maps(self) -> Maps:
        floats = {"flood": ("height",), "whole": ("nothing", "interface") if self._reads_probabilities else ()}
        return Maps(
            self.array("maps/classes", np.uint8),
            self.array("objects/pieces", np.int32),
            self.array("objects/objects", np.int32),
            flags=self.array("maps/flags", np.uint8) if self.kind == "flood" else None,
            markers=self.array("objects/markers", np.int32) if self.kind == "flood" else None,
            **{name: self.array(f"maps/{name}", np.float32) for name in floats.get(self.kind, ())},
        )

    @property
    def _reads_probabilities(self) -> bool:
        return self.three and self.settings.route == "three maps"

    @cached_property
    def stitching(self) -> Stitching:
        return Stitching(self.tiling, self.maps, self.settings, self.three, self.job.halo)

    def make_arrays(self) -> None:
        """Before any worker needs them, so that no two make the same."""
        if self.job.copied and not self.store.is_done("image/copy", "all"):
            source = open_regions(self.job.image)
            shape = (*self.job.shape, *([source.channels] if source.channels else []))
            pixels = _pixels(self.store.folder / "image" / "pixels", shape, source.dtype, chunk_side(self.job.side))
            for index in range(len(self.tiling)):
                place = self.tiling.tile(index)
                pixels[place] = source[place]
            source.close()
            self.store.finish("image/copy", "all", {})
        self.maps, self.array("objects/ids", np.uint32)

    # ------------------------------------------------------------------------------------------------------ intensities

    @cached_property
    def bounds(self) -> np.ndarray | None:
        return self.store.given("intensities/bounds", "all")["bounds"] if self.job.clipped else None

    @cached_property
    def normalization(self) -> Normalization:
        found = self.store.given("intensities/normalization", "all")
        return Normalization(self.bounds, found["mean"], found["deviation"], bool(found["constant"]))

    @cached_property
    def wanted(self) -> list[tuple[int, int]]:
        return [tuple(pair) for pair in self.store.given("intensities/wanted", "all")["wanted"].tolist()]

    def upper(self, index: int) -> dict[str, Any]:
        image = self.image(self.tiling.tile(index))
        counts = Counts.empty(len(image))
        if self.job.clipped:
            counts.add_upper(image)
        return {"upper": counts.upper, "low": image.min((1, 2)), "high": image.max((1, 2))}

    def lower(self, index: int) -> dict[str, Any]:
        image = self.image(self.tiling.tile(index))
        counts = Counts.empty(len(image))
        counts.add_lower(image, self.wanted)
        return {f"{channel}_{upper}": found for (channel, upper), found in counts.lower.items()}

    def moments(self, index: int) -> dict[str, Any]:
        return vars(Moments.of(self.image(self.tiling.tile(index)), self.bounds, self._origin))

    @property
    def _origin(self) -> np.ndarray:
        return np.zeros(self.job.channels) if self.bounds is None else self.bounds.astype(np.float64).mean(1)

    def all_upper(self) -> dict[str, Any]:
        counts = Counts.empty(self.job.channels)
        for index in range(len(self.tiling)):
            counts.upper += self.store.given("intensities/upper", index)["upper"]
        wanted = counts.wanted(CLIPPED) if self.job.clipped else []
        return {"wanted": np.array(wanted, np.int64).reshape(-1, 2), "upper": counts.upper}

    def all_lower(self) -> dict[str, Any]:
        counts = Counts(self.store.given("intensities/wanted", "all")["upper"], {})
        for index in range(len(self.tiling)):
            given = self.store.given("intensities/lower", index)
            for pair in self.wanted:
                counts.lower[pair] = counts.lower.get(pair, 0) + given["{}_{}".format(*pair)]
        return {"bounds": counts.percentiles(CLIPPED)}

    def all_moments(self) -> dict[str, Any]:
        zeros = np.zeros(self.job.channels)
        total, low, high = Moments(0, zeros, zeros), zeros + np.inf, zeros - np.inf
        for index in range(len(self.tiling)):
            found = self.store.given("intensities/moments", index)
            total = total.plus(Moments(int(found["count"]), found["total"], found["squares"]))
            ends = self.store.given("intensities/upper", index)
            low, high = np.minimum(low, ends["low"]), np.maximum(high, ends["high"])
        if self.bounds is not None:
            low, high = (np.clip(values, self.bounds[:, 0], self.bounds[:, 1]) for values in (low, high))
        found = Normalization.of(total, self.bounds, self._origin, bool((low == high).all()))
        return {"mean": found.mean, "deviation": found.deviation, "constant": found.constant}

    # ------------------------------------------------------------------------------------------------------------- maps

    def answer(self, index: int) -> dict[str, Any]:
        place, maps = self.tiling.tile(index), self.maps
        found = self._answer(place)
        parts = {task: found[channels] for task, channels in self.slices.items()}
        maps.classes[place] = parts["segmentation"].argmax(0).astype(np.uint8)
        if self.kind == "flood":
            maps.height[place] = parts["separation"][INTERFACE] + parts["detection"][BACKGROUND]
            maps.flags[place] = flags_of(parts["detection"], parts["separation"], self.settings)
        elif maps.nothing is not None:
            maps.nothing[place], maps.interface[place] = parts["detection"][BACKGROUND], parts["separation"][INTERFACE]
        return {}

    def _answer(self, place: Place) -> np.ndarray:
        if self.normalization.constant:  # nothing can be seen: as the inferer says of small pictures
            found = np.zeros(
                (sum(s.stop - s.start for s in self.slices.values()), *(p.stop - p.start for p in place)), np.float32
            )
            for channels in self.slices.values():
                found[channels.start] = 1
            return found
        model = self.model
        with torch.inference_mode(), torch.autocast(model.device.type, enabled=model.amp and model.device.type == "cuda"):
            return answer_tile(
                lambda window: self.normalization(self.image(window)),
                self.job.shape,
                place,
                model.inferer,
                model.network,
                model.device,
            )

    # ---------------------------------------------------------------------------------------------------------- objects

    @cached_property
    def joined(self) -> dict[str, np.ndarray]:
        return self.store.given("objects/join", "all")

    @cached_property
    def numbered(self) -> dict[str, np.ndarray]:
        return self.store.given("objects/number", "all")

    def label(self, index: int) -> dict[str, Any]:
        return self.stitching.label(index)

    def join(self) -> dict[str, Any]:
        return self.stitching.join([self.store.given("objects/label", index) for index in range(len(self.tiling))])

    def whole(self, piece: int) -> dict[str, Any]:
        return self.stitching.whole(piece, self.joined)

    def grow(self, index: int) -> dict[str, Any]:
        place = self.tiling.tile(index)
        pieces = self.stitching.whole_pieces(self.joined)
        boxes = self.joined["pieces_boxes"][pieces]
        near = (boxes[:, 0] < place[0].stop) & (boxes[:, 2] > place[0].start)
        near &= (boxes[:, 1] < place[1].stop) & (boxes[:, 3] > place[1].start)
        whole = {piece: self.store.given("objects/whole", piece) for piece in np.array(pieces, int)[near].tolist()}
        return self.stitching.grow(index, self.joined, whole)

    def number(self) -> dict[str, Any]:
        return self.stitching.number([self.store.given("objects/grow", i) for i in range(len(self.tiling))], self.joined)

    def finish(self, index: int) -> dict[str, Any]:
        place = self.tiling.tile(index)
        ids = self.stitching.finish(index, self.joined, self.numbered)
        self.array("objects/ids", np.uint32)[place] = ids
        return tile_sums(ids, np.asarray(self.maps.classes[place]), place, self.job.num_classes)


def _pixels(path: Path, shape: tuple[int, ...], dtype: np.dtype, chunk: int) -> Any:
    import zarr

    chunks = (*(min(chunk, side) for side in shape[:2]), *shape[2:])
    return zarr.create_array(store=str(path), shape=shape, chunks=chunks, dtype=dtype, zarr_format=2, overwrite=True)


#: The last one is enough: a process works at one picture at a time.
_contexts: dict[Job, _Context] = {}


def _context(job: Job) -> _Context:
    if job not in _contexts:
        _contexts.clear()
        _contexts[job] = _Context(job)
    return _contexts[job]


def work(job: Job, stage: str, index: int | str) -> None:
    """Do one part of a stage, unless it is done: what dask's workers call."""
    context = _context(job)
    if context.store.is_done(stage, index):
        return
    function: Callable[..., Mapping[str, Any]] = getattr(context, stage.rpartition("/")[2])
    context.store.finish(stage, index, function(index))


def predict_large(
    model: Model,
    image: str | os.PathLike,
    out: str | os.PathLike,
    result: str | os.PathLike,
    *,
    classes: tuple[str, ...],
    given: Mapping[str, Any],
    scheduler: str | None = None,
    side: int = SIDE,
    halo: int = HALO,
    say: Progress = silent,
) -> None:
    """Predict a picture tile by tile, with the answer of the whole one; what an earlier call did not finish is gone on with.

    Args:
        model: the network.
        image: a picture's file, or the folder of an OME-Zarr image.
        out: folder of the unfinished work; the caller's to remove.
        result: empty folder for the finished files: ``<name>_pred.tif``, ``<name>_instances.tif``, ``<name>_pred.zarr``,
            ``<name>_instances.zarr``, ``<name>_objects.csv``, ``<name>_overlay.png``.
        classes: their names.
        given: ``weights``, ``bundle``, ``overlays`` and ``overrides`` by which ``model`` was made: workers make their own.
        scheduler: address of a ``dask.distributed`` scheduler; None: this process.
        side, halo: of tiles, and around them, in pixels.
        say: is told how far it has come.

    Raises:
        LazyLabelsError: where the extra is missing, the picture cannot be read in parts, or its bundle prepares pictures in
            another way than part by part.
    """
    require_packages()
    parse = model.workflow.parser.get_parsed_content
    steps = [type(step).__name__ for step in model.preprocessing.transforms]
    if any(step not in _STREAMED for step in steps):
        other = next(step for step in steps if step not in _STREAMED)
        raise LazyLabelsError(
            f"the bundle prepares images with {other}, which cannot be done part by part: cut '{image}' into smaller images."
        )
    regions = open_regions(image)
    if (tiles := math.prod(Tiling(regions.shape, side).grid)) > _MOST:
        regions.close()
        raise ReadError(
            f"image '{image}' claims to have {regions.shape[0]} x {regions.shape[1]} pixels, {tiles} tiles of {side} x {side}, "
            f"where {_MOST} are the most: correct its size, or cut it into smaller images."
        )
    copied = regions.whole
    folder = Path(out)
    settings = parse("instance_settings")
    job = Job(
        str(image),
        str(folder),
        str(given["weights"]),
        None if given.get("bundle") is None else str(given["bundle"]),
        tuple(map(str, given.get("overlays", ()))),
        json.dumps(dict(given.get("overrides") or {}), default=str),
        side,
        halo,
        tuple(map(int, regions.shape)),
        model.channels,
        model.num_classes,
        model.tasks,
        json.dumps(asdict(settings), sort_keys=True),
        clips(parse("normalization")),
        copied,
    )
    regions.close()
    del regions
    context = _Context(job, model)
    _contexts.clear()
    _contexts[job] = context
    try:
        if context.store.begin(_plan(job, model)):
            say(f"  goes on where it was stopped ({folder.name})")
        context.make_arrays()
        with runner(scheduler, say) as run:
            _run(context, run)
        _files(context, classes, say)
        _move(context, Path(result))
    finally:
        _contexts.clear()
        if not copied and "regions" in context.__dict__:
            context.regions.close()


def _plan(job: Job, model: Model) -> dict[str, dict[str, Any]]:
    """What each group of stages depends on, in their order."""
    settings = json.loads(job.settings)
    kind = kind_of(InstanceSettings(**settings), {"detection", "separation"} <= set(job.tasks))
    thresholds = {name: settings[name] for name in ("detection_threshold", "separation_threshold")}
    stamp = {name: value for name, value in model.stamp.settings.items() if name != "instance_settings"}
    return {
        "image": {"digest": file_digest(job.image), "shape": job.shape, "side": job.side},
        "intensities": {"channels": job.channels, "clipped": job.clipped},
        "maps": {"weights": model.stamp.weights, "stamp": stamp, "kind": kind, "route": settings["route"], **thresholds},
        "objects": {"settings": settings, "halo": job.halo},
        "files": {},
    }


def _run(context: _Context, run: Runner) -> None:
    """All stages but the last, in their order."""
    job, store, tiles = context.job, context.store, range(len(context.tiling))

    def parts(stage: str, indices: Any = tiles, name: str = "", threads: int = 1) -> None:
        missing = [(job, stage, index) for index in indices if not store.is_done(stage, index)]
        run(name or stage.rpartition("/")[2], work, missing, threads)

    def once(stage: str, function: Callable[[], Mapping[str, Any]]) -> None:
        if not store.is_done(stage, "all"):
            store.finish(stage, "all", function())

    threads = 1 if context.model.device.type == "cpu" and torch.get_num_threads() == 1 else 2
    parts("intensities/upper", name="intensities")
    if job.clipped:
        once("intensities/wanted", context.all_upper)
        parts("intensities/lower", name="intensities")
        once("intensities/bounds", context.all_lower)
    parts("intensities/moments", name="intensities")
    once("intensities/normalization", context.all_moments)
    if not all(store.is_done("maps/answer", index) for index in tiles):
        _judge_image(context)
    parts("maps/answer", name="network")
    _give_back()
    parts("objects/label", name="pieces", threads=threads)
    once("objects/join", context.join)
    parts("objects/whole", context.stitching.whole_pieces(context.joined), "large pieces")
    parts("objects/grow", name="objects", threads=threads)
    once("objects/number", context.number)
    parts("objects/finish", name="numbers", threads=threads)


def _give_back() -> None:
    """Give the network's memory back to the system, which glibc keeps for later: the stages after it need their own."""
    with suppress(OSError, AttributeError, TypeError):  # elsewhere there is none to ask
        ctypes.CDLL(None).malloc_trim(0)


def _middle(shape: tuple[int, int], side: int = 2048) -> Place:
    """Rows and columns of the middle."""
    starts = [max(0, (size - side) // 2) for size in shape]
    return tuple(slice(start, min(size, start + side)) for start, size in zip(starts, shape, strict=True))


def _judge_image(context: _Context) -> None:
    """What JudgeImaged says of the middle of the picture, but for what only the whole can be blamed for."""
    for step in context.model.preprocessing.transforms:
        if type(step).__name__ == "JudgeImaged":
            values = from_channels_last(context.regions[_middle(context.job.shape)].astype(np.float32))
            shown = MetaTensor(torch.from_numpy(values), meta={"filename_or_obj": context.job.image})
            for fault in step.faults(shown):
                if fault.code not in _OF_THE_WHOLE:
                    logger.warning(image_sentence(fault, Path(context.job.image).name))


# ---------------------------------------------------------------------------------------------------------------- files


def _files(context: _Context, classes: tuple[str, ...], say: Progress) -> None:
    """The files of the result, one after the other; those that are whole already stay."""
    job, store = context.job, context.store
    name, folder = image_stem(job.image), store.folder / "files" / "made"
    folder.mkdir(parents=True, exist_ok=True)
    size = zarr_pixel_size(Path(job.image)) if is_zarr(job.image) else read_pixel_size(job.image)
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

    made: dict[str, Callable[[], None]] = {
        f"{name}{CLASSES_ENDING}.zarr": lambda: _pyramid(folder / f"{name}{CLASSES_ENDING}.zarr", found, name, size),
        f"{name}{INSTANCES_ENDING}.zarr": lambda: _pyramid(folder / f"{name}{INSTANCES_ENDING}.zarr", ids, name, size),
        f"{name}{OVERLAY_ENDING}.png": lambda: _overview(context, folder, name),
        f"{name}{OBJECTS_ENDING}.csv": table,
        f"{name}{INSTANCES_ENDING}.tif": lambda: write_tiff(folder / f"{name}{INSTANCES_ENDING}.tif", ids, wide, size),
        f"{name}{CLASSES_ENDING}.tif": lambda: write_tiff(folder / f"{name}{CLASSES_ENDING}.tif", found, np.uint8, size),
    }
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
    _judge_objects(context)


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


def _overview(context: _Context, folder: Path, name: str) -> None:
    """The whole picture, small, with the outlines of its objects."""
    step = math.ceil(max(context.job.shape) / _OVERVIEW)
    shape, regions = context.job.shape, context.regions
    maps = [Regions("", shape, 0, a.dtype, lambda r, c, a=a: np.asarray(a[r, c])) for a in _results(context)]
    picture = overlay_contours(regions.every(step), *(values.every(step) for values in maps))
    Image.fromarray(picture).save(folder / f"{name}{OVERLAY_ENDING}.png")


def _results(context: _Context) -> tuple[Any, Any]:
    return context.maps.classes, context.array("objects/ids", np.uint32)


def _judge_objects(context: _Context) -> None:
    """What JudgeObjectsd says, of the middle of the picture."""
    for step in context.model.postprocessing.transforms:
        if type(step).__name__ == "JudgeObjectsd" and step.seen is not None:
            ids = np.asarray(context.array("objects/ids", np.uint32)[_middle(context.job.shape)]).astype(np.int32)
            fault = object_size_fault(mark_diameter({"instances": ids}), step.seen)
            if fault is not None:
                logger.warning(image_sentence(fault, Path(context.job.image).name))


def _move(context: _Context, result: Path) -> None:
    """Hand the finished files over; from here on a kill makes them anew from what the stages gave."""
    remove_tree(context.store.folder / "files" / "done")
    result.mkdir(parents=True, exist_ok=True)
    for file in sorted((context.store.folder / "files" / "made").iterdir()):
        os.replace(file, result / file.name)
