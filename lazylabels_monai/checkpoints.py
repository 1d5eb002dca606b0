"""Checkpoints that survive a kill, are never overwritten by a new training, and fail with one sentence."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

import monai.handlers
import torch

from lazylabels_monai.trained import BESIDE

__all__ = [
    "CheckpointSaver",
    "keep_previous_model",
    "latest_checkpoint",
]

logger = logging.getLogger(__name__)


class CheckpointSaver(monai.handlers.CheckpointSaver):
    """MONAI's ``CheckpointSaver``, safe against a kill at any moment.

    MONAI's own writes a checkpoint in place and deletes the best model before it writes the better one. Here each file is
    written beside its target and then renamed, so that there is always a whole one. :attr:`best` is the list of best
    scores with ``state_dict``; saved and restored with a training checkpoint, it keeps a resumed training from
    replacing the best model by a worse one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                saver = checkpoint.save_handler
                saver._atomic = True
                if getattr(saver, "filename", None) is not None:
                    saver.remove = lambda filename: None  # the fixed name is replaced by the next save

    @property
    def best(self) -> Any:
        """The ignite ``Checkpoint`` that keeps the best score."""
        return self._key_metric_checkpoint


def latest_checkpoint(folder: str | Path) -> str | None:
    """Path of the newest readable ``checkpoint_epoch=N.pt`` in ``folder``, or None where there is none."""
    numbered = []
    for path in Path(folder).glob("checkpoint_epoch=*.pt"):
        found = re.fullmatch(r"checkpoint_epoch=(\d+)\.pt", path.name)
        if found:
            numbered.append((int(found.group(1)), path))
    for _, path in sorted(numbered, reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            logger.warning(f"{path} cannot be read ({error}); an earlier checkpoint is tried.")
            continue
        return str(path)
    return None


def keep_previous_model(folder: str | Path, resume: bool) -> None:
    """Before a new training: move what an earlier one left in ``folder`` to ``folder/previous_<date>/``.

    With ``resume`` nothing is moved, unless there is no readable checkpoint: then the training starts anew. Nothing a user
    trained is ever overwritten.
    """
    folder = Path(folder)
    files = [*sorted(folder.glob("*.pt")), *(f for name in BESIDE for f in folder.glob(name))]
    if resume:
        if latest_checkpoint(folder) is not None:
            return
        logger.warning(f"{folder} holds no readable checkpoint_epoch=N.pt to resume from; the training starts anew.")
    if not files:
        return
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(max(file.stat().st_mtime for file in files)))
    target = folder / f"previous_{stamp}"
    number = 1
    while target.exists():
        target = folder / f"previous_{stamp}_{number}"
        number += 1
    target.mkdir()
    for file in files:
        file.rename(target / file.name)
    logger.info(f"{folder} held an earlier training; moved to {target} (--resume True continues one instead).")
