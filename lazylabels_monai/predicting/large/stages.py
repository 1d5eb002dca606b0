"""What the stages of a large prediction do, each for one tile or for what all tiles gave."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.regions import Regions, open_regions
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.predicting.large.intensities import Counts, Moments, Normalization, as_network_sees
from lazylabels_monai.predicting.large.objects import Maps, Stitching, flags_of, kind_of
from lazylabels_monai.predicting.large.store import Store, chunk_side
from lazylabels_monai.predicting.large.table import tile_sums
from lazylabels_monai.predicting.large.tiling import Place, Tiling
from lazylabels_monai.predicting.large.windows import answer_tile
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import BACKGROUND, INTERFACE, task_slices
from lazylabels_monai.transforms.intensities import CLIPPED

__all__ = ["Context", "Job", "forget", "keep", "work"]


@dataclass(frozen=True)
class Job:
    """All that a worker must know; of plain values, so that it can be sent.

    Args:
        image: path of the picture; this and all others are absolute, as workers are started in folders of their own.
        folder: of the unfinished work.
        weights, bundle, overlays, overrides: as for :class:`~lazylabels_monai.predicting.model.Model`, the last as JSON.
        side, halo: of tiles and around them.
        shape: (H, W) of the picture.
        channels: that the network takes.
        tasks: that are answered, in channel order.
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


class Context:
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
            self._model = Model(job.weights, job.bundle, job.overlays, json.loads(job.overrides), needed_only=True)
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
_contexts: dict[Job, Context] = {}


def keep(context: Context) -> None:
    """Let :func:`work` use it in this process."""
    _contexts.clear()
    _contexts[context.job] = context


def forget() -> None:
    """Keep none."""
    _contexts.clear()


def _require_seen(job: Job) -> None:
    """Refuse to begin where what the job names is not there.

    Raises:
        LazyLabelsError: naming the machine and the file.
    """
    for path in (job.folder, job.weights, *(() if job.copied else (job.image,))):
        if not os.path.exists(path):
            raise LazyLabelsError(
                f"the dask worker on '{platform.node()}' does not see '{path}': give that machine the same folders under the "
                "same names, or stop the worker, and give the same command again; what is done stays."
            )


def work(job: Job, stage: str, index: int | str) -> None:
    """Do one part of a stage, unless it is done: what dask's workers call."""
    if job not in _contexts:
        _require_seen(job)
        keep(Context(job))
    context = _contexts[job]
    if context.store.is_done(stage, index):
        return
    function: Callable[..., Mapping[str, Any]] = getattr(context, stage.rpartition("/")[2])
    context.store.finish(stage, index, function(index))
