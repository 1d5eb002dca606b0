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
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lazylabels_monai.atomic import remove_tree
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.images.stored import ReadError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.overrides import expanded
from lazylabels_monai.predicting.large.files import wanted_files, write_files
from lazylabels_monai.predicting.large.judging import judge_image, judge_objects
from lazylabels_monai.predicting.large.objects import HALO, kind_of
from lazylabels_monai.predicting.large.running import Runner, runner
from lazylabels_monai.predicting.large.stages import Context, Job, forget, keep, work
from lazylabels_monai.predicting.large.store import require_packages
from lazylabels_monai.predicting.large.tiling import Tiling
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.stamps import file_digest
from lazylabels_monai.transforms.intensities import clips

__all__ = ["SIDE", "predict_large"]

#: Side of a tile in pixels.
SIDE = 2048
#: Tiles of a picture at most: a whole slide has a thousand, and a file that claims more than this is wrong about itself.
_MOST = 1_000_000
#: Pre-processing that can be done part by part, by the classes' names, in this order.
_STREAMED = ("LoadImaged", "JudgeImaged", "MatchChannelsd", "ClipIntensityPercentilesd", "NormalizeIntensityd")


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
            ``<name>_instances.zarr``, ``<name>_objects.csv``, ``<name>_overlay.png``, as far as the config wants them.
        classes: their names.
        given: ``weights``, ``bundle``, ``overlays`` and ``overrides`` by which ``model`` was made: workers make their own.
        scheduler: address of a ``dask.distributed`` scheduler; None: this process.
        side, halo: of tiles, and around them, in pixels.
        say: is told how far it has come.

    Raises:
        LazyLabelsError: where the extra is missing, the picture cannot be read in parts, its bundle prepares pictures in
            another way than part by part, or a file is wanted that is not made in tiles.
    """
    require_packages()
    parse = model.workflow.parser.get_parsed_content
    steps = [type(step).__name__ for step in model.preprocessing.transforms]
    if any(step not in _STREAMED for step in steps):
        other = next(step for step in steps if step not in _STREAMED)
        raise LazyLabelsError(
            f"the bundle prepares images with {other}, which cannot be done part by part: cut '{image}' into smaller images."
        )
    files = wanted_files(parse, image)
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
        _absolute(image),
        _absolute(folder),
        _absolute(given["weights"]),
        None if given.get("bundle") is None else _absolute(given["bundle"]),
        tuple(map(_absolute, given.get("overlays", ()))),
        json.dumps(dict(given.get("overrides") or {}), default=str),
        side,
        halo,
        tuple(map(int, regions.shape)),
        model.channels,
        model.num_classes,
        model.answered,
        json.dumps(asdict(settings), sort_keys=True),
        clips(parse("normalization")),
        copied,
    )
    regions.close()
    del regions
    context = Context(job, model)
    keep(context)
    try:
        if context.store.begin(_plan(job, model)):
            say(f"  goes on where it was stopped ({folder.name})")
        context.make_arrays()
        with runner(scheduler, say) as run:
            _run(context, run)
        write_files(context, classes, files, say)
        judge_objects(context)
        _move(context, Path(result))
    finally:
        forget()
        if not copied and "regions" in context.__dict__:
            context.regions.close()


def _absolute(path: str | os.PathLike) -> str:
    return os.path.abspath(expanded(path))


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


def _run(context: Context, run: Runner) -> None:
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
        judge_image(context)
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


def _move(context: Context, result: Path) -> None:
    """Hand the finished files over; from here on a kill makes them anew from what the stages gave."""
    remove_tree(context.store.folder / "files" / "done")
    result.mkdir(parents=True, exist_ok=True)
    for file in sorted((context.store.folder / "files" / "made").iterdir()):
        os.replace(file, result / file.name)
