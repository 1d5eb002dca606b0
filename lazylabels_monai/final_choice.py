"""The weights that were best on the way are judged again at the end of a training, on more than there was time for on the way.

On the way a training is validated on a few windows (:mod:`lazylabels_monai.data.validation`). That is enough to say which of
its weights may be the best, and too little to say which one is. So the best few are kept as ``candidate_epoch=N.pt``; after the
last epoch each is scored on more windows, or on whole images where that costs little, and the best becomes ``model.pt``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator

from lazylabels_monai.atomic import remove_tree
from lazylabels_monai.checkpoints import candidate_file, candidates, save_weights
from lazylabels_monai.data.choosing import is_loss
from lazylabels_monai.data.validation import ValidationDataset, ValidationSampler
from lazylabels_monai.stopping import uninterrupted
from lazylabels_monai.trained import WEIGHTS_FILE, sound_weights

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["CANDIDATES", "FinalChoice"]

logger = logging.getLogger(__name__)

State = Mapping[str, torch.Tensor]

#: How many of the best weights are kept for the end.
CANDIDATES = 3


class FinalChoice:
    """Ignite handler of a trainer that keeps the best few weights of a training and chooses among them at its end.

    Where whole images are validated on the way it does nothing: that score is the last word.

    Args:
        evaluator: the validation on the way; its network, inferer and metric judge at the end, too.
        images: its images.
        save_dir: folder of ``model.pt``.
        network: whose weights are saved: the one that is trained, or the running mean.
        metric: as ``key_val_metric`` of the evaluator, for scores of the final choice; by the name that the score has on whole
            images.
        writer: TensorBoard writer, or None.
        number: how many are kept.
    """

    def __init__(
        self,
        evaluator: SupervisedEvaluator,
        images: ValidationDataset,
        save_dir: str,
        network: torch.nn.Module,
        metric: Mapping[str, Any] | None = None,
        writer: SummaryWriter | None = None,
        number: int = CANDIDATES,
    ) -> None:
        self.evaluator, self.images, self.folder = evaluator, images, Path(save_dir)
        self.network, self.metric, self.writer, self.number = _inner(network), metric, writer, number
        self.kept: list[tuple[float, int]] = []  # (score, epoch), higher is better, the best first
        self.best: tuple[float, int] | None = None  # whose weights model.pt are
        self.chosen: int | None = None  # the epoch, once the choice is made
        self.judged_on = ""
        self.further = 0  # weights that something else scores at the end, within the same share of the time

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return {"kept": [list(one) for one in self.kept], "best": None if self.best is None else list(self.best)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.kept = [(float(score), int(epoch)) for score, epoch in state["kept"]]
        self.best = None if state["best"] is None else (float(state["best"][0]), int(state["best"][1]))

    def reset(self) -> None:
        """Forget it, as for other validation images."""
        self.kept, self.best = [], None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer; it attaches itself to the evaluator, after whoever saves the best weights there."""
        if self.is_needed:
            self.evaluator.add_event_handler(Events.EPOCH_COMPLETED, self.keep)
            engine.add_event_handler(Events.COMPLETED, self.choose)
        else:
            engine.add_event_handler(Events.COMPLETED, self._clear)  # of a training that was validated otherwise before a stop

    @property
    def is_needed(self) -> bool:
        """Whether the validation on the way leaves something to choose."""
        return not self.images.is_whole and bool(self.metric)

    @property
    def judges_by_loss(self) -> bool:
        """Whether lower scores are better."""
        return any(map(is_loss, self.metric or ()))

    def pixels(self, epochs: int) -> float:
        """Pixels of prediction that the choice takes after so many epochs, about; with what else is scored at the end."""
        number = 0
        if self.is_needed:
            validations = epochs // (self.images.allowance.interval * self.images.every) + 1
            number = min(self.number, validations)
        return (number + self.further) * self.images_at_the_end(epochs, number).pixels if number + self.further else 0

    def images_at_the_end(self, epochs: int, candidates: int) -> ValidationDataset:
        """What judges ``candidates`` weights after so many epochs, where others are scored, too (:attr:`further`)."""
        return self.images.for_the_final_choice(epochs, candidates + self.further)

    def _clear(self, trainer: Engine) -> None:
        if idist.get_rank() == 0:
            for epoch, file in candidates(self.folder).items():
                if epoch > 0:
                    remove_tree(file)

    def keep(self, engine: Engine) -> None:
        """Keep the weights that were just validated, where they are among the best so far."""
        name = engine.state.key_metric_name
        value = engine.state.metrics[name]
        score, epoch = (-value if is_loss(name) else value), engine.state.epoch
        if math.isnan(score):
            return
        if self.best is None or score > self.best[0]:
            self.best = (score, epoch)
        ranked = sorted([*self.kept, (score, epoch)], key=lambda one: (-one[0], one[1]))
        dropped, self.kept = ranked[self.number :], ranked[: self.number]
        if idist.get_rank() > 0:
            return
        with uninterrupted():
            if (score, epoch) in self.kept:
                save_weights(self.network.state_dict(), self._file(epoch))
            for _, other in dropped:
                self._file(other).unlink(missing_ok=True)

    def _file(self, epoch: int) -> Path:
        return candidate_file(self.folder, epoch)

    def choose(self, trainer: Engine) -> None:
        """Score all that was kept on more than on the way, and make the best of it ``model.pt``."""
        idist.barrier()
        files = {epoch: self._file(epoch) for _, epoch in self.kept if self._file(epoch).is_file()}
        if self.best is not None and self.best[1] not in files and (self.folder / WEIGHTS_FILE).is_file():
            files[self.best[1]] = self.folder / WEIGHTS_FILE  # chosen by an earlier end of this training
        if not files:
            return
        images = self.images_at_the_end(trainer.state.epoch, len(files))
        name, scores = self.score(dict(sorted(files.items())), images)
        known = self.known(scores)
        chosen = max(known, key=lambda epoch: (known[epoch], -epoch)) if known else self.best[1]
        what = self.described(images)
        logger.info(
            f"final choice, {name} on {what}: "
            + ", ".join(f"epoch {epoch} {score:.4f}" for epoch, score in scores.items())
            + f"; {WEIGHTS_FILE} holds the weights of epoch {chosen}."
        )
        self.chosen, self.judged_on = chosen, what
        if self.writer is not None:
            for epoch, score in scores.items():
                self.writer.add_scalar(name, score, epoch)
        if idist.get_rank() == 0:
            with uninterrupted():
                if files[chosen].name != WEIGHTS_FILE:
                    save_weights(sound_weights(files[chosen]), self.folder / WEIGHTS_FILE)
                self._clear(trainer)
        idist.barrier()

    def score(self, weights: Mapping[Any, Path | State], images: ValidationDataset) -> tuple[str, dict[Any, float]]:
        """Score weights, and leave the network as it is.

        Args:
            weights: files or state dicts, by whatever names them.
            images: what judges.

        Returns:
            the name of the score, which says whether it is of whole images, and the score of each.
        """
        evaluator = self.evaluator_of(images)
        before = {name: value.clone() for name, value in self.network.state_dict().items()}
        scores: dict[Any, float] = {}
        for number, (key, given) in enumerate(weights.items(), start=1):
            self.network.load_state_dict(sound_weights(given) if isinstance(given, Path) else given)
            evaluator.run(number)
            scores[key] = float(evaluator.state.metrics[evaluator.state.key_metric_name])
        self.network.load_state_dict(before)
        return evaluator.state.key_metric_name + ("" if images.is_whole else "_more_windows"), scores

    def known(self, scores: Mapping[Any, float]) -> dict[Any, float]:
        """The scores that are known, such that the highest is the best."""
        sign = -1 if self.judges_by_loss else 1
        return {key: sign * score for key, score in scores.items() if not math.isnan(score)}

    @staticmethod
    def described(images: ValidationDataset) -> str:
        """What a choice is judged on, in words."""
        if not images.is_whole:
            return f"{images.count} window{'s' * (images.count != 1)} of {len(images)} image{'s' * (len(images) != 1)}"
        return "1 whole image" if len(images) == 1 else f"{len(images)} whole images"

    def evaluator_of(self, images: ValidationDataset) -> SupervisedEvaluator:
        """What scores the network's present weights on these images, and does nothing else."""
        sampler = ValidationSampler(images) if idist.get_world_size() > 1 else None
        engine = self.evaluator
        evaluator = SupervisedEvaluator(
            device=engine.state.device,
            val_data_loader=DataLoader(images, batch_size=1, num_workers=0, sampler=sampler),
            network=engine.network,
            inferer=engine.inferer,
            prepare_batch=engine.prepare_batch,
            postprocessing=None,
            key_val_metric=dict(self.metric),
            metric_cmp_fn=lambda *scores: False,
            amp=engine.amp,
        )
        evaluator.logger = logging.getLogger(f"{__name__}.evaluator")
        evaluator.logger.setLevel(logging.WARNING)  # one line tells all scores
        return evaluator


def _inner(network: torch.nn.Module) -> torch.nn.Module:
    parallel = torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel
    return network.module if isinstance(network, parallel) else network
