"""Predicting images one by one: a broken file is named and skipped, finished ones are kept, results appear whole.

Several processes, on one machine or on several that share the folder, may predict the same images into the same folder:
each image is claimed by a lock that ends with its process, so that none is done twice and none is lost by a kill.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from lazylabels_monai.bundle_folder import find_bundle, find_starter
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError, explain
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.uncertainty import answer_and_uncertainty, save_uncertainty
from lazylabels_monai.progress import Progress, clock, silent
from lazylabels_monai.result_files import CLASSES_ENDING, ENDINGS, image_stem
from lazylabels_monai.trained import bundle_weights, trained_classes, write_classes

__all__ = ["PredictionReport", "predict"]

logger = logging.getLogger(__name__)


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
) -> PredictionReport:
    """Predict images by the bundle's ``inference.yaml``.

    Args:
        images: a file, a folder or a glob pattern.
        out: folder of the results, those that ``inference.yaml`` writes, and ``classes.json``, the names of the classes. An
            image's files appear together when it is done.
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

    Returns:
        what was done, what was left as it was, and what failed.

    Raises:
        LazyLabelsError: when there is no image, no bundle or no weights, or two images would write the same files; and for
            ``overwrite`` by several processes of ``torchrun``, which would predict each other's images again.
    """
    if overwrite and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise LazyLabelsError(f"several processes cannot overwrite '{out}': name another folder, or remove what is there.")
    paths = [Path(path) for path in find_images(images)]
    weights = Path(weights) if weights is not None else _weights_at_hand(bundle, progress or silent)
    out = Path(out)
    stems: dict[str, Path] = {}
    for path in paths:
        if (first := stems.setdefault(image_stem(path), path)) is not path:
            raise LazyLabelsError(
                f"'{path}' and '{first}' would both write {image_stem(path)}{CLASSES_ENDING}: predict them into two folders."
            )
    report = PredictionReport()
    report.skipped = [] if overwrite else [str(path) for path in paths if _is_done(out, path)]
    to_do = [path for path in paths if str(path) not in report.skipped]
    say = progress or silent
    if report.skipped:
        say(f"{len(report.skipped)} of {len(paths)} images are done already (--overwrite predicts them again)")
    if not to_do:
        return report

    given = {"device": _device_of_rank(), **(overrides or {})}
    partial = out / f".partial_{platform.node()}_{os.getpid()}"
    given = {key: value for key, value in given.items() if value is not None} | {"output_dir": str(partial)}
    model = Model(weights, bundle, overlays, given)
    out.mkdir(parents=True, exist_ok=True)
    write_classes(out, trained_classes(weights))  # so that measurements and reports call them by their names
    start, before = time.monotonic(), len(report.skipped)
    try:
        while to_do:
            elsewhere = []
            for path in to_do:
                with _claimed(out, path) as ours:
                    if not ours:
                        elsewhere.append(path)
                        continue
                    if not overwrite and _is_done(out, path):
                        report.skipped.append(str(path))
                        continue
                    failure = _predict_one(model, path, partial, out, dropout_samples if uncertainty else None)
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
    return report


def _weights_at_hand(bundle: str | os.PathLike | None, say: Progress) -> Path:
    """The bundle's own weights; the starter where none were named, neither weights nor a bundle that should hold some."""
    own = bundle_weights(find_bundle(bundle))
    if own.is_file() or bundle is not None:
        return own
    say('no weights are named: the starter, trained on microscopy of many kinds, marks what it takes for an "object"')
    return find_starter()


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


def _predict_one(model: Model, path: Path, partial: Path, out: Path, dropout_samples: int | None) -> str | None:
    """Predict an image, with its uncertainty unless ``dropout_samples`` is None; what went wrong in a sentence, or None."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        sample = model.load(path)
        if dropout_samples is None:
            model.write(sample, model.answer(sample))
        else:
            answer, maps = answer_and_uncertainty(model, sample, dropout_samples=dropout_samples)
            model.write(sample, answer)
            save_uncertainty(maps, partial, image_stem(path))
        _move_in(partial, out, path)
    except Exception as error:
        return explain(error)
    return None


def _is_done(out: Path, path: Path) -> bool:
    return any(file.is_file() for file in _files(out, path, CLASSES_ENDING))


def _files(out: Path, path: Path, ending: str) -> list[Path]:
    """Where a prediction of this ending may lie."""
    return [out / f"{image_stem(path)}{ending}{suffix}" for suffix in (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)]


def _move_in(partial: Path, out: Path, path: Path) -> None:
    """Put an image's files in place of those of an earlier prediction, of which none stays.

    The file that says that the image is done goes first and comes last, so that a kill leaves an image that is not done.
    """
    for ending in ENDINGS:
        for old in _files(out, path, ending):
            old.unlink(missing_ok=True)
    for file in sorted(partial.iterdir(), key=lambda f: (f.stem.endswith(CLASSES_ENDING), f.name)):
        os.replace(file, out / file.name)
