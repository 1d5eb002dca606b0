"""Predicting images one by one: a broken file is named and skipped, finished ones are kept, results appear whole.

Several processes, on one machine or on several that share the folder, may predict the same images into the same folder:
each image is claimed by a lock that ends with its process, so that none is done twice and none is lost by a kill.

What made the results lies beside them (:mod:`lazylabels_monai.stamps`): a folder holds results of one stamp, and an image is
done when that stamp made its results from the image as it is now.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from lazylabels_monai.atomic import clean, has_ended, refusal, remove_tree, written_to
from lazylabels_monai.bundle_folder import find_bundle, find_starter
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import VOLUME_SUFFIXES, file_suffix, is_zarr, read_label, require_readable
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.predicting.large.store import REMEDY, missing_packages
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.results import ResultsFolder
from lazylabels_monai.predicting.stamping import result_paths
from lazylabels_monai.predicting.uncertainty import answer_and_uncertainty, save_uncertainty
from lazylabels_monai.progress import Progress, clock, silent
from lazylabels_monai.result_files import CLASSES_ENDING, image_stem
from lazylabels_monai.stamps import Record, StampError
from lazylabels_monai.trained import bundle_weights, trained_classes

__all__ = ["PredictionReport", "predict"]


@dataclass
class PredictionReport:
    """What :func:`predict` did: names of the images done now and before, and what went wrong by image."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def predict(
    images: str | os.PathLike,
    out: str | os.PathLike,
    bundle: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    overlays: Sequence[str] = (),
    overwrite: bool = False,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    uncertainty: bool = False,
    dropout_samples: int = 0,
    large: bool = False,
    scheduler: str | None = None,
) -> PredictionReport:
    """Predict images by the bundle's ``inference.yaml``; a picture for which there is no memory in tiles (docs/large.md).

    Args:
        images: a file, a folder or a glob pattern, or the folder of an OME-Zarr picture; results of an earlier prediction among
            them are no images.
        out: folder of the results, those that ``inference.yaml`` writes; ``classes.json``, the names of the classes; and
            ``predicted.jsonl``, what made them. An image's files appear together when it is done.
        bundle: folder of the bundle; None: the one that came with the package.
        weights: the weights; default ``models/model.pt`` of the bundle, and where the one that came with the package has
            none, the starter. What the training wrote beside them (classes, network, instance settings) is used.
        overlays: config files merged after ``inference.yaml``.
        overwrite: predict images again that are done already; all that was predicted of them before is replaced.
        overrides: ids of the config and their values.
        progress: called with a line of text per image.
        uncertainty: write that of each task as well (:func:`~lazylabels_monai.predicting.uncertainty.save_uncertainty`):
            three more predictions.
        dropout_samples: for it, that many more with the network's dropout.
        large: predict every picture in tiles.
        scheduler: address of a ``dask.distributed`` scheduler, whose workers predict the tiles; None: this process.

    Returns:
        what was done, what was left as it was, and what failed.

    Raises:
        LazyLabelsError: when there is no image, no bundle or no weights, or two images would write the same files; when ``out``
            holds results that other weights or settings made; when a file of the user's would be replaced; and for
            ``overwrite`` by several processes of ``torchrun``, which would predict each other's images again.
    """
    if overwrite and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise LazyLabelsError(f"several processes cannot overwrite '{out}': name another folder, or remove what is there.")
    if large and uncertainty:
        raise LazyLabelsError("the uncertainty of a picture is not computed in tiles: leave out --uncertainty or --large.")
    paths = [Path(path) for path in find_images(images, progress or silent, zarr=True)]
    weights = Path(weights) if weights is not None else _weights_at_hand(bundle, progress or silent)
    out = Path(out)
    stems: dict[str, Path] = {}
    for path in paths:
        if (first := stems.setdefault(image_stem(path), path)) is not path:
            raise LazyLabelsError(
                f"'{path}' and '{first}' would both write {image_stem(path)}{CLASSES_ENDING}: predict them into two folders."
            )
    given = {"device": _device_of_rank(), **(overrides or {})}
    with written_to(out):
        made_of = {"weights": weights, "bundle": bundle, "overlays": tuple(overlays), "overrides": dict(overrides or {})}
        tiles = _Tiles(large, scheduler, made_of, progress or silent)
        return _predict(paths, out, bundle, weights, overlays, overwrite, given, progress, uncertainty, dropout_samples, tiles)


def _predict(
    paths: list[Path],
    out: Path,
    bundle: str | os.PathLike | None,
    weights: Path,
    overlays: Sequence[str],
    overwrite: bool,
    given: dict[str, Any],
    progress: Progress | None,
    uncertainty: bool,
    dropout_samples: int,
    tiles: _Tiles,
) -> PredictionReport:
    _clean(out)
    partial = out / f"{_PARTIAL}{platform.node()}_{os.getpid()}"
    given = {key: value for key, value in given.items() if value is not None} | {"output_dir": str(partial)}
    model = Model(weights, bundle, overlays, given, needed_only=not uncertainty)
    samples = dropout_samples if uncertainty else None
    stamp = model.stamp.having(uncertainty=None if samples is None else {"dropout_samples": samples})
    state = ResultsFolder(out, stamp, overwrite, weights)
    say = progress or silent
    report = PredictionReport()
    try:
        state.begin(paths, trained_classes(weights), lambda path: _answers_alike(model, path, partial, out), say)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report.skipped = [] if overwrite else [str(path) for path in paths if state.is_done(path)]
    to_do = [path for path in paths if str(path) not in report.skipped]
    if report.skipped:
        say(f"{len(report.skipped)} of {len(paths)} images are done already (--overwrite predicts them again)")
    if not to_do:
        state.end()
        state.tell_twice(paths, say)
        return report

    start, before = time.monotonic(), len(report.skipped)
    try:
        while to_do:
            elsewhere = []
            for path in to_do:
                with _claimed(out, path) as ours:
                    if not ours:
                        elsewhere.append(path)
                        continue
                    if not overwrite and state.is_done(path):
                        report.skipped.append(str(path))
                        continue
                    failure = None if overwrite else state.why_kept(path)
                    if failure is None:
                        failure = _predict_one(model, path, partial, state, samples, tiles)
                if failure is None:
                    report.done.append(str(path))
                else:  # one bad image must not cost the others
                    report.failed[str(path)] = failure
                number = len(report.done) + len(report.failed) + len(report.skipped)
                spent = time.monotonic() - start
                eta = clock(spent / (len(report.done) + len(report.failed)) * (len(paths) - number))
                result = f"{spent:.1f} s, ETA {eta}" if failure is None else f"FAILED: {failure}"
                say(f"{number - before}/{len(paths) - before} {path.name}, {result}")
            to_do = elsewhere
            if to_do:
                time.sleep(_PATIENCE)  # a process that is killed leaves its image to the others
        shutil.rmtree(out / _CLAIMS, ignore_errors=True)  # every image is done or broken: no claim means anything any more
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        state.end()
    state.tell_twice(paths, say)
    return report


def _weights_at_hand(bundle: str | os.PathLike | None, say: Progress) -> Path:
    """The bundle's own weights; the starter where none were named, neither weights nor a bundle that should hold some."""
    own = bundle_weights(find_bundle(bundle))
    if own.is_file() or bundle is not None:
        return own
    say('no weights are named: the starter, trained on microscopy of many kinds, marks what it takes for an "object"')
    return find_starter()


#: Begin of the names of folders in which an image's results are made; machine and process follow.
_PARTIAL = ".partial_"


def _clean(out: Path) -> None:
    """Remove what processes left that were killed."""
    clean(out)
    for folder in out.glob(f"{_PARTIAL}*_*"):
        node, _, process = folder.name.removeprefix(_PARTIAL).rpartition("_")
        if folder.is_dir() and node == platform.node() and process.isdecimal() and has_ended(node, int(process), folder):
            remove_tree(folder)


#: Begin of the name of the folder in which a picture is predicted in tiles; its name follows.
WORK = ".large_"

#: Folder of the locks in the folder of the results.
_CLAIMS = ".claims"

#: Seconds between looks at images that other processes are at.
_PATIENCE = 0.5


def _device_of_rank() -> str | None:
    """The GPU of a process that ``torchrun`` started; None leaves it to the config."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and torch.cuda.is_available() else None


@contextmanager
def _claimed(out: Path, path: Path) -> Iterator[bool]:
    """Hold the claim to an image; False where another process holds it. The operating system ends a dead process's claims."""
    claim = FileLock(out / _CLAIMS / image_stem(path))
    try:
        (out / _CLAIMS).mkdir(exist_ok=True)
        claim.acquire(timeout=0)
    except (Timeout, FileNotFoundError):  # the latter: another process has finished everything just now
        yield False
        return
    try:
        yield True
    finally:
        claim.release()


@dataclass(frozen=True)
class _Tiles:
    """Which pictures are predicted in tiles, and how.

    Args:
        always: every picture.
        scheduler: see :func:`predict`.
        given: what workers make the model of.
        say: is told.
    """

    always: bool
    scheduler: str | None
    given: dict[str, Any]
    say: Progress

    def wanted(self, model: Model, path: Path) -> bool:
        """Whether a picture is predicted in tiles.

        Raises:
            LazyLabelsError: where it should be, and cannot.
        """
        if is_zarr(path) or (self.always and file_suffix(path) not in VOLUME_SUFFIXES):
            return True
        try:
            model.require_room(path)
        except LazyLabelsError as error:
            if file_suffix(path) in VOLUME_SUFFIXES:
                raise
            if missing_packages():
                raise LazyLabelsError(f"{str(error).removesuffix('.')}; or predict it in tiles: {REMEDY}.") from error
            return True
        return False

    def predict(self, model: Model, path: Path, out: Path, partial: Path) -> None:
        """Predict a picture in tiles.

        Raises:
            LazyLabelsError: see :func:`~lazylabels_monai.predicting.large.predict.predict_large`.
        """
        from lazylabels_monai.predicting.large import predict as tiles

        sides = extent(path) or open_regions(path).shape
        kept = "as Zarr pictures are" if is_zarr(path) else "as the memory does not hold it whole"
        why = "as asked for" if self.always else kept
        self.say(f"{path.name}: {' x '.join(map(str, sides))} pixels, predicted in tiles of {tiles.SIDE} x {tiles.SIDE}, {why}")
        names = tuple(trained_classes(self.given["weights"]))
        options = {"classes": names, "given": self.given, "scheduler": self.scheduler, "side": tiles.SIDE, "say": self.say}
        tiles.predict_large(model, path, out, partial, **options)


def _predict_one(
    model: Model, path: Path, partial: Path, state: ResultsFolder, dropout_samples: int | None, tiles: _Tiles
) -> str | None:
    """Predict an image, with its uncertainty unless ``dropout_samples`` is None; what went wrong in a sentence, or None."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if not is_zarr(path):
            require_readable(path)
        record = Record.of(state.stamp, path, state.out)
        if dropout_samples is None and tiles.wanted(model, path):
            unfinished = state.out / f"{WORK}{image_stem(path)}"
            tiles.predict(model, path, unfinished, partial)  # what is done of it stays, whatever goes wrong
            state.move_in(partial, path, record)
            remove_tree(unfinished)
            return None
        if dropout_samples is not None:
            if is_zarr(path):
                raise LazyLabelsError(
                    f"'{path}' is predicted in tiles, as Zarr pictures are, of which no uncertainty is computed: leave out "
                    "--uncertainty, or save it as TIFF."
                )
            model.require_room(path, uncertainty=True)
        sample, record = model.load(path), replace(record, pixels=file_pixels(path))
        if dropout_samples is None:
            model.write(sample, model.answer(sample))
        else:
            answer, maps = answer_and_uncertainty(model, sample, dropout_samples=dropout_samples)
            model.write(sample, answer)
            save_uncertainty(maps, partial, image_stem(path))
        state.move_in(partial, path, record)
    except StampError:  # of all that follow, too
        raise
    except Exception as error:
        if os.access(path, os.R_OK) and (refused := refusal(error, state.out)) is not None:
            raise refused from error  # the disk is full or write-protected: so it is for all that follow
        return explain(error)
    return None


def _answers_alike(model: Model, path: Path, partial: Path, out: Path) -> bool | None:
    """Whether the class map that lies there is what the model says of the image; None where that cannot be told."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        sample = model.load(path)
        model.write(sample, model.answer(sample))
        found = [result_paths(folder, path, [CLASSES_ENDING]) for folder in (out, partial)]
        files = [next(filter(os.path.isfile, paths)) for paths in found]
        there, now = map(read_label, files)
    except Exception:  # the image or the map is broken: whoever comes to it will say so
        return None
    # another processor rounds otherwise, which turns a pixel on a border
    return there.shape == now.shape and float((there == now).mean()) > _ALIKE


#: Share of pixels in which two machines agree about an image.
_ALIKE = 0.995
