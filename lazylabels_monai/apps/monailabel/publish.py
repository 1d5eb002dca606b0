"""From the folder that a training wrote to the weights that are served."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import torch

from lazylabels_monai.apps.monailabel.store import keep_learnt
from lazylabels_monai.checkpoints import latest_checkpoint, read_checkpoint
from lazylabels_monai.digests import digest_file, replace_weights, require_whole
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.trained import BESIDE, IMAGES_FILE, NETWORK_FILE, WEIGHTS_FILE

__all__ = ["publish"]

logger = logging.getLogger(__name__)


def publish(training: str | Path, models: str | Path, keep_last: bool = False) -> Path:
    """Serve what a training made; the weights served before are kept in ``models/previous_<date>/``.

    ``model.pt`` is replaced in one step, so that a server always finds a whole one and loads it with the next image.

    Args:
        training: the training's ``ckpt_dir``; its weights move away, its newest checkpoints are removed.
        models: folder of the ``model.pt`` that is served.
        keep_last: take the last weights instead of the best on validation; also done where none were validated.

    Returns:
        the folder that the weights from before went to.

    Raises:
        LazyLabelsError: when the training left no weights.
    """
    training, models = Path(training), Path(models)
    best, last = training / WEIGHTS_FILE, latest_checkpoint(training)
    if keep_last or not best.is_file():
        if last is None:
            raise LazyLabelsError(f"{training}: the training left no weights; train for one epoch or more.")
        state = read_checkpoint(last)
        digest_file(best).unlink(missing_ok=True)
        torch.save(state.get("ema", state["model"]), best)
    require_whole(best)
    previous = _previous(models)
    for name in (WEIGHTS_FILE, *BESIDE):
        if (models / name).is_file():
            shutil.copy2(models / name, previous / name)
    for name in (CLASSES_FILE, NETWORK_FILE):
        os.replace(training / name, models / name)
    if (training / IMAGES_FILE).is_file():
        os.replace(training / IMAGES_FILE, models / IMAGES_FILE)
    else:  # that of the weights from before says nothing about these
        (models / IMAGES_FILE).unlink(missing_ok=True)
    keep_learnt(training, models)
    replace_weights(best, models / WEIGHTS_FILE)
    digest_file(best).unlink(missing_ok=True)
    for checkpoint in training.glob("checkpoint_epoch=*.pt"):
        checkpoint.unlink()
    logger.info(f"{models / WEIGHTS_FILE} is new; the weights from before are in {previous}.")
    return previous


def _previous(models: Path) -> Path:
    stamp, number = time.strftime("previous_%Y%m%d_%H%M%S"), 0
    while True:
        folder = models / (f"{stamp}_{number}" if number else stamp)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        return folder
