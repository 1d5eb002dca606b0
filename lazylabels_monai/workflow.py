"""What the bundle's configs call before the first epoch: checks, what a training leaves beside its weights, and which images to
predict."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine

from lazylabels_monai.atomic import require_room, written_to
from lazylabels_monai.checkpoints import checkpoints, clean_checkpoints, copy_previous_model, keep_previous_model
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    LABEL_KEYS,
    absolute_path,
    datalist_file,
    find_images,
    has_key,
    load_datalist,
    read_items,
)
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError, is_bundle_program
from lazylabels_monai.locks import FolderLock
from lazylabels_monai.parts import running_config
from lazylabels_monai.provenance import digest_of_files, made
from lazylabels_monai.resuming import chosen_otherwise, write_record
from lazylabels_monai.stopping import stop_by_signals
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import write_classes, write_images, write_network

__all__ = [
    "Beginning",
    "begin_training",
    "claim_folder",
    "dataset_classes",
    "images_to_predict",
    "require_steps",
    "require_training",
    "require_valid",
    "run_alone",
]

logger = logging.getLogger(__name__)


def dataset_classes(datalist: str | Path) -> list[str]:
    """Names of a data set's object classes; those of the built-in data where ``datalist`` is not there (yet).

    Raises:
        DatalistError: when the file cannot be read.
    """
    return list(load_datalist(datalist)["classes"]) if Path(datalist).is_file() else list(CLASS_NAMES)


def require_valid(
    datalist: str | Path, sections: Sequence[str], classes: Sequence[str] | None = None, tasks: Sequence[str] = TASKS
) -> None:
    """Log the summary table and the warnings of a data set, and stop at its errors.

    Raises:
        DatalistError: with one sentence for each finding.
    """
    report = check_datalist(datalist, sections=tuple(sections), classes=classes, tasks=tasks)
    report.raise_errors()
    report.log(logger)


def begin_training(
    ckpt_dir: str | Path,
    network: torch.nn.Module,
    classes: Sequence[str],
    trained_with: Mapping[str, Any],
    resume: bool = False,
    record: Mapping[str, Any] | None = None,
    datalist: str | Path | None = None,
) -> None:
    """Make room for the weights, and write beside them what a prediction must know; of several processes the first does.

    Args:
        ckpt_dir: folder of the weights, made where missing; what an earlier training left there moves aside.
        network: the network that is trained.
        classes: names of the object classes.
        trained_with: values of the config by their ids, for :func:`~lazylabels_monai.trained.write_network`.
        resume: an earlier training goes on, and its files stay.
        record: what a training that resumes this one compares itself with; see :mod:`lazylabels_monai.resuming`.
        datalist: the data set, of whose training images is written what they look like; None: of images without one nothing is.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_rank() > 0:
        return
    Path(ckpt_dir).mkdir(parents=True, exist_ok=True)
    keep_previous_model(ckpt_dir, resume)
    if record is not None:
        if resume and chosen_otherwise(ckpt_dir, record):
            copy_previous_model(ckpt_dir)
        write_record(ckpt_dir, {**record, "made": made(data=None if datalist is None else _data_digest(datalist))})
    write_classes(ckpt_dir, classes)
    write_network(ckpt_dir, network, **trained_with)
    if datalist is not None:
        write_images(ckpt_dir, datalist)


def _data_digest(datalist: str | Path) -> str:
    """Of the files that a training reads; the same data has the same one in any folder."""
    file, content = datalist_file(datalist), load_datalist(datalist)
    names = [
        (f"{section} {number} {key}", absolute_path(file, item[key]))
        for section in ("training", "validation")
        for number, item in enumerate(content.get(section, []))
        for key in ("image", *LABEL_KEYS)
        if has_key(item, key)
    ]
    return digest_of_files(names)


class Beginning:
    """:func:`begin_training`, once and as late as can be: when the training has something to save for the first time.

    Whatever fails before, from a wrong setting to a full memory in the first epoch, leaves an earlier training as it was.

    Args:
        values: those of :func:`begin_training`.
    """

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.begun = False

    def __call__(self) -> None:
        """Begin, where that is not done yet."""
        if not self.begun:
            self.begun = True
            begin_training(**self.values)


def claim_folder(ckpt_dir: str | Path, rank: int = 0, output_dir: str | Path | None = None) -> None:
    """Before anything else of a training: refuse a folder that another one writes into, or that cannot be written.

    A program that only trains (``python -m monai.bundle``) says from now on by SIGTERM and Ctrl-C how the training goes on.

    Args:
        ckpt_dir: the folder of the weights.
        rank: of this process; the first one looks for all.
        output_dir: that of the curves, where it is another one.

    Raises:
        InUseError: when another training writes there.
        LazyLabelsError: when nothing can be written there.
    """
    folder = Path(ckpt_dir)
    if is_bundle_program():
        before = set(_written(folder))
        stop_by_signals(lambda: _kept(folder, before) if rank == 0 else None)
    if rank == 0:
        for place in dict.fromkeys([folder, Path(output_dir or folder)]):
            with written_to(place):
                lock = _lock(place)
                try:
                    require_room(place)
                finally:
                    lock.release()


def run_alone(trainer: Engine, ckpt_dir: str | Path, rank: int = 0) -> None:
    """Train while no other training can write into the folder of the weights; what a killed one left there is removed.

    Args:
        trainer: what is run.
        ckpt_dir: the folder.
        rank: of this process; the first one keeps others out for all.

    Raises:
        InUseError: when another training has begun there; nothing was changed then.
        LazyLabelsError: when the disk is full or write-protected.
    """
    with written_to(ckpt_dir):
        if rank > 0:
            trainer.run()
            return
        lock = _lock(Path(ckpt_dir))
        try:
            clean_checkpoints(ckpt_dir)
            trainer.run()
        finally:
            lock.release()


def _lock(folder: Path) -> FolderLock:
    remedy = "wait for it, stop it, or name another folder (--output of lazylabels train, ckpt_dir of the bundle)"
    return FolderLock(folder, "training", remedy, ".training.lock")


def _written(folder: Path) -> list[tuple[str, int]]:
    """Names and times of the checkpoints."""
    return [(path.name, path.stat().st_mtime_ns) for _, path in checkpoints(folder)]


def _kept(folder: Path, before: set[tuple[str, int]]) -> str:
    now = _written(folder)
    if set(now) - before:
        return f"'{folder / now[-1][0]}' keeps the training up to its last whole epoch; --resume True goes on there."
    if now:
        return f"no epoch was finished, and '{folder}' is as it was before; the same command begins again."
    return f"no epoch was finished, so that '{folder}' holds no checkpoint; the same command begins again."


def require_steps(crops_per_epoch: int, batch_size: int) -> None:
    """Refuse an epoch without a step, which would train nothing in silence.

    Raises:
        LazyLabelsError: naming both settings.
    """
    if crops_per_epoch < batch_size:
        raise LazyLabelsError(
            f"batch_size {batch_size} is more than the {crops_per_epoch} crops of an epoch (crops_per_epoch), so that no step "
            f"would be made: pass --crops_per_epoch {batch_size} or more, or a smaller --batch_size."
        )


#: Files whose `initialize` is not that of a training, by the id that runs them.
_NO_TRAINING = {"evaluating": "evaluate.yaml", "inferring": "inference.yaml"}


def require_training() -> None:
    """Refuse to train by a config that begins as an evaluation or a prediction does: it would go on from the finished weights
    without the checks of a training, and let the test images choose.

    Raises:
        LazyLabelsError: with the remedy.
    """
    other = next((name for name in _NO_TRAINING if name in (running_config() or {})), None)
    if other is not None:
        raise LazyLabelsError(
            f"{_NO_TRAINING[other]} is among the config files, so that nothing is trained: leave it out of --config_file, or "
            f"write 'run {other}'."
        )


def images_to_predict(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Items ``{"image": path}``: a data set's testing images, otherwise all images of a folder, a pattern or one file.

    Raises:
        DatalistError: when there is no image.
    """
    datalist = Path(dataset_dir) / FILE_NAME
    if datalist.is_file():
        return [{"image": item["image"]} for item in read_items(datalist, "testing")]
    return [{"image": path} for path in find_images(str(dataset_dir))]
