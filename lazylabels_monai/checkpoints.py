"""Checkpoints that survive a kill, are never overwritten by a new training, and fail with one sentence."""

from __future__ import annotations

import filecmp
import logging
import math
import operator
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import monai.handlers
import torch
from ignite.engine import Engine
from monai.engines.utils import default_metric_cmp_fn
from torch import Tensor

from lazylabels_monai.atomic import clean, remove_tree, whole_file, written_to
from lazylabels_monai.data.choosing import is_loss
from lazylabels_monai.digests import saving, settle
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.guards import not_finite, require_finite
from lazylabels_monai.stopping import uninterrupted
from lazylabels_monai.tensor_files import read_tensors
from lazylabels_monai.trained import BESIDE, WEIGHTS_FILE
from lazylabels_monai.training_file import TRAINING_FILE

__all__ = [
    "CheckpointLoader",
    "CheckpointSaver",
    "best_score",
    "better",
    "candidate_file",
    "candidates",
    "checkpoints",
    "clean_checkpoints",
    "copy_previous_model",
    "keep_previous_model",
    "latest_checkpoint",
    "read_checkpoint",
    "save_weights",
]

logger = logging.getLogger(__name__)

#: Parts of a checkpoint that earlier versions did not write, or that another machine has no use for.
_OPTIONAL = ("judged", "random", "scaler", "fine_tuning")


class CheckpointLoader(monai.handlers.CheckpointLoader):
    """MONAI's ``CheckpointLoader`` that reads checkpoints of earlier versions, too: what they do not hold begins anew."""

    def __call__(self, engine: Engine) -> None:
        """Load the checkpoint into the objects of ``load_dict``."""
        held = read_checkpoint(self.load_path)
        missing = [key for key in _OPTIONAL if key in self.load_dict and not held.get(key)]
        del held
        if "random" in missing:
            logger.warning(
                f"{self.load_path} was written by an earlier version and holds no random states: from here on other crops are "
                "drawn than in a training without a stop."
            )
        self.load_dict = {key: value for key, value in self.load_dict.items() if key not in missing}
        super().__call__(engine)


class CheckpointSaver(monai.handlers.CheckpointSaver):
    """MONAI's ``CheckpointSaver``, safe against a kill at any moment.

    MONAI's own writes a checkpoint in place and deletes the best model before it writes the better one. Here each file is
    written beside its target and then renamed, so that there is always a whole one. :attr:`best` is the list of best
    scores with ``state_dict``; saved and restored with a training checkpoint, it keeps a resumed training from
    replacing the best model by a worse one. A score that cannot be known (NaN) is worse than any other, and of two of them
    the later counts, so that the last weights are kept until there is a score.

    Args:
        before_first_save: called once, before this writes anything: what is to happen only when a training has something to
            show. Several savers may share one.
        args, kwargs: those of MONAI's.
    """

    def __init__(self, *args: Any, before_first_save: Callable[[], object] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_first_save, self._adopted = before_first_save, False
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                saver = checkpoint.save_handler
                saver._save_func = _save
                if getattr(saver, "filename", None) is not None:
                    saver.remove = lambda filename: None  # the fixed name is replaced by the next save
                    saver._save_func = partial(_save_with_digest, saver._save_func)

    @property
    def best(self) -> Any:
        """The ignite ``Checkpoint`` that keeps the best score."""
        return self._key_metric_checkpoint

    def _begin(self) -> None:
        """What comes before a file is written: weights that are worth nothing replace none, and begin no training."""
        require_finite(self.save_dict)
        if self.before_first_save is not None:
            self.before_first_save()
            self.before_first_save = None

    def metrics_completed(self, engine: Engine) -> None:
        """Save the model where it is the best so far."""
        self._begin()
        saved = self.best._saved
        if saved and math.isnan(saved[0].priority):
            self.best.reset()
        name = engine.state.key_metric_name
        if not saved and math.isnan(engine.state.metrics[name]):
            logger.warning(
                f"{name} cannot be known: no validation image shows an object; the last weights are kept until it is."
            )
        with uninterrupted():
            super().metrics_completed(engine)

    def interval_completed(self, engine: Engine) -> None:
        """Save a checkpoint to resume from."""
        self._begin()
        with uninterrupted():
            if not self._adopted:
                self._adopt(engine.state.epoch)
                self._adopted = True
            super().interval_completed(engine)

    def _adopt(self, epoch: int) -> None:
        """Count the checkpoints from before a stop among those to keep, so that a resumed training leaves as many as any."""
        interval = self._interval_checkpoint
        if interval.n_saved is None:
            return
        before = [(number, path.name) for number, path in checkpoints(Path(self.save_dir)) if number < epoch]
        while len(before) > interval.n_saved:
            interval.save_handler.remove(before.pop(0)[1])
        interval._saved = [interval.Item(*item) for item in before]

    def completed(self, engine: Engine) -> None:
        """Save the last weights."""
        self._begin()
        with uninterrupted():
            super().completed(engine)

    def exception_raised(self, engine: Engine, e: Exception) -> None:
        """Save nothing: a training that failed replaces no weights (MONAI's would)."""
        raise e


def _save(checkpoint: Mapping[str, Any], path: Path, save: Callable[..., None]) -> None:
    """Save a checkpoint whole or not at all, under a hidden name that a later training knows to clean up."""
    with written_to(path.parent), whole_file(path) as file:
        save(checkpoint, file)


def _save_with_digest(save: Callable[..., None], content: Any, path: Path, write: Callable[..., None]) -> None:
    """Save weights that keep their name, by ``save``, and their digest beside them."""
    save(content, path, saving(path, write))
    settle(path)


def save_weights(state: Mapping[str, Any], path: Path) -> None:
    """Save a state dict as weights in the place of those before, whole or not at all; ``model.pt`` with its digest."""
    if path.name == WEIGHTS_FILE:
        _save_with_digest(_save, state, path, torch.save)
    else:
        _save(state, path, torch.save)


def candidate_file(folder: str | Path, epoch: int) -> Path:
    """Where the weights of an epoch are kept for :func:`candidates`."""
    return Path(folder) / f"candidate_epoch={epoch}.pt"


def candidates(folder: str | Path) -> dict[int, Path]:
    """Files ``candidate_epoch=N.pt`` by N: weights that are kept until the end of a training, which chooses among them; those
    of epoch 0 are the ones that it began from.
    """
    files = Path(folder).glob("candidate_epoch=*.pt")
    found = [(re.fullmatch(r"candidate_epoch=(\d+)\.pt", path.name), path) for path in files]
    return dict(sorted((int(match.group(1)), path) for match, path in found if match))


def best_score(engine: Engine) -> float:
    """The key metric of an evaluator, negative where lower is better: for ``EarlyStopHandler``.

    ignite takes NaN for better than any other, and would begin to count anew: after a score that is known it is the worst.
    Before there is one, nothing gets better or worse, and nothing is counted.
    """
    name, state = engine.state.key_metric_name, engine.state
    score = -state.metrics[name] if is_loss(name) else state.metrics[name]
    known = getattr(state, "best_metric_epoch", -1) > 0 and not math.isnan(state.best_metric)
    return -math.inf if known and math.isnan(score) else score


def better(judged_by: str) -> Callable[[float, float], bool]:
    """Whether a score is better than the best so far, for MONAI's evaluators; any number is better than NaN."""
    compare = operator.lt if is_loss(judged_by) else default_metric_cmp_fn
    return lambda score, best: compare(score, best) or (math.isnan(best) and not math.isnan(score))


def latest_checkpoint(folder: str | Path) -> str | None:
    """Path of the newest readable ``checkpoint_epoch=N.pt`` in ``folder``, or None where there is none."""
    for _, path in reversed(checkpoints(Path(folder))):
        try:
            state = read_checkpoint(path)
        except LazyLabelsError as error:
            logger.warning(f"{error} An earlier checkpoint is tried.")
            continue
        if bad := not_finite({name: state.get(name, {}) for name in ("model", "ema")}):
            logger.warning(f"{path} holds NaN or infinite weights ({bad[0]} the first); an earlier checkpoint is tried.")
            continue
        return str(path)
    return None


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Number and path of each ``checkpoint_epoch=N.pt``, the newest last."""
    found = [(re.fullmatch(r"checkpoint_epoch=(\d+)\.pt", path.name), path) for path in folder.glob("checkpoint_epoch=*.pt")]
    return sorted((int(match.group(1)), path) for match, path in found if match)


def clean_checkpoints(folder: str | Path) -> None:
    """Remove what killed trainings left half written in a folder, earlier versions' too; for who keeps others out of it."""
    folder = Path(folder)
    clean(folder)
    for path in folder.glob("tmp*"):  # as ignite named them: no suffix, and the begin of a file that torch saves
        if re.fullmatch(r"tmp[a-z0-9_]{8}", path.name) and path.is_file() and _is_saved_by_torch(path):
            remove_tree(path)


def _is_saved_by_torch(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except OSError:
        return False
    return begin.startswith(b"PK\x03\x04") and b"archive/" in begin


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a training saved to go on from: ``model`` and, of trainings of ours, ``optimizer``, ``trainer``, ...

    Raises:
        LazyLabelsError: when the file cannot be read, or is no checkpoint.
    """
    found = read_tensors(path)
    model = found.get("model") if isinstance(found, dict) else None
    parts = [found[key] for key in ("optimizer", "lr_scheduler", "trainer", "ema") if key in found] if model else []
    whole = isinstance(model, Mapping) and bool(model) and all(isinstance(value, Tensor) for value in model.values())
    if not whole or not all(isinstance(part, Mapping) for part in parts):
        raise LazyLabelsError(f"{path}: this is no checkpoint of a training, which holds its weights under 'model'.")
    return found


def keep_previous_model(folder: str | Path, resume: bool) -> None:
    """Before a new training: move what an earlier one left in ``folder`` to ``folder/previous_<date>/``.

    With ``resume`` nothing is moved, unless there is no readable checkpoint: then the training starts anew. Nothing a user
    trained is ever overwritten.
    """
    folder = Path(folder)
    if resume:
        if latest_checkpoint(folder) is not None:
            return
        logger.warning(f"{folder} holds no readable checkpoint_epoch=N.pt to resume from; the training starts anew.")
    files = _trained_files(folder)
    if not files:
        return
    with uninterrupted():
        target = _previous(folder, files)
        for file in [*files, *folder.glob(TRAINING_FILE)]:
            file.rename(target / file.name)
    logger.info(f"{folder} held an earlier training; moved to {target} (--resume True continues one instead).")


def copy_previous_model(folder: str | Path) -> None:
    """Keep a copy of ``model.pt`` and what belongs to it in ``folder/previous_<date>/``, before a better one is chosen anew.

    Weights that such a folder holds already are not copied again.
    """
    folder = Path(folder)
    files = [file for file in _trained_files(folder) if not file.name.startswith(("checkpoint_", "candidate_"))]
    model = folder / WEIGHTS_FILE
    kept = folder.glob(f"previous_*/{WEIGHTS_FILE}") if model.is_file() else ()
    if not files or any(filecmp.cmp(path, model, shallow=False) for path in kept):
        return
    target = _previous(folder, files)
    for file in files:
        shutil.copy2(file, target / file.name)
    logger.info(f"the best weights so far are kept in {target}.")


def _trained_files(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*.pt")), *(f for name in BESIDE for f in folder.glob(name))]


def _previous(folder: Path, files: Sequence[Path]) -> Path:
    """A new folder for an earlier training, named by when it was written last."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(max(file.stat().st_mtime for file in files)))
    target = folder / f"previous_{stamp}"
    number = 1
    while target.exists():
        target = folder / f"previous_{stamp}_{number}"
        number += 1
    target.mkdir()
    return target
