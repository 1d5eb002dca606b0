"""Weights between those that a training began from and those that it came to: the best of them become ``model.pt``.

A few pictures teach a network what is theirs, and it forgets what it knew of others. Between the weights of the beginning and
those of the end lie such that know either: their mean, tensor by tensor (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022, Eq. 1). It costs a validation each, and no training. One image that judges judges by chance, too, so that
weights far from the end must be clearly better (:func:`most_credible`). Where the training helped not at all, as with five
pictures unlike all that are to come, the weights of the beginning win, and a sentence says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from lazylabels_monai.checkpoints import candidate_file, copy_previous_model, save_weights
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.final_choice import FinalChoice
from lazylabels_monai.fine_tuning import FineTuning
from lazylabels_monai.stopping import uninterrupted
from lazylabels_monai.trained import WEIGHTS_FILE, sound_weights
from lazylabels_monai.training_file import note_beginning, noted_beginning
from lazylabels_monai.warm_start import NOTHING, beginning_of

__all__ = ["DOUBT", "SHARES", "Interpolation", "interpolated", "most_credible"]

logger = logging.getLogger(__name__)

#: Shares of the way from the weights of the beginning to those of the end at which weights are scored; the end itself is 1.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: By how much weights of the beginning must score better than those of the end on a single image, for which chance does much;
#: weights between by less, with the square of their distance to the end, and on more images by less, with the root of their
#: number. Of Dice; of a loss, as a share of it. ``starter_choice.yaml`` gave it, on images that are no test images.
DOUBT = 0.1

#: What a training began from that an earlier version stopped, where nobody says it again.
_UNNAMED = "the weights of the beginning"


def interpolated(begun: Mapping[str, Tensor], ended: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """A state dict between two of one network; counts, which have no mean, are those of the end.

    Args:
        begun, ended: of the same names and shapes.
        share: 0 gives ``begun``, 1 ``ended``.
    """
    return {
        name: torch.lerp(begun[name].to(value), value, share) if value.is_floating_point() else value
        for name, value in ended.items()
    }


def most_credible(scores: Mapping[float, float], images: int, is_loss: bool = False, known: bool = False) -> float:
    """The share whose weights are kept: the best score, less what chance may give far from the end (:data:`DOUBT`).

    Args:
        scores: of each share; higher is better.
        images: that judged, 1 or more.
        is_loss: whether the scores are losses with their sign turned.
        known: whether the weights of the beginning found the objects before the first step: nothing speaks against them then.

    Returns:
        the share; of equal ones the nearest to the end.
    """
    scale = abs(scores.get(1.0, max(scores.values()))) if is_loss else 1.0
    doubt = 0.0 if known else DOUBT * scale / math.sqrt(images)
    return max(scores, key=lambda share: (scores[share] - doubt * (1 - share) ** 2, share))


class Interpolation:
    """Ignite handler of a trainer that scores weights between beginning and end, and keeps the :func:`most_credible` of them.

    Nothing is done where nothing validates and of a training that began from nothing. The weights of the beginning are kept
    among the :func:`~lazylabels_monai.checkpoints.candidates` until then: a training that goes on after a stop has them.

    Args:
        choice: has made the best weights of the training ``model.pt`` before this begins; it says what judges, and its share of
            the time is shared with these validations.
        enabled: False does nothing.
        fine_tuning: says whether the weights of the beginning found the objects before the first step; None: they did not.
    """

    def __init__(self, choice: FinalChoice, enabled: bool = True, fine_tuning: FineTuning | None = None) -> None:
        self.choice, self.enabled, self.fine_tuning = choice, enabled and bool(choice.metric), fine_tuning
        self.begun: dict[str, Tensor] | None = None  # until they are saved
        self.begun_from = ""
        self._to_note: str | None = None
        self.share: float | None = None  # of the weights that were chosen

    @property
    def file(self) -> Path:
        """Of the weights of the beginning."""
        return candidate_file(self.choice.folder, 0)

    def begin(
        self, network: torch.nn.Module, init_weights: str | None, classes: Sequence[str], resume_from: str | None = None
    ) -> None:
        """Remember what a training begins from: after :func:`~lazylabels_monai.warm_start.begin_from`, before the first step.

        Args:
            network, init_weights, classes, resume_from: as there. A training that goes on from a checkpoint began from what
                ``training.json`` says, whatever is named now: its weights lie in :attr:`file`; where its end was chosen before,
                they are made once more, as the seed is the same. Weights between that this end chose are kept in
                ``previous_<date>/``: the best score on the way is not theirs.
        """
        before = {} if resume_from is None else noted_beginning(self.choice.folder)
        if before.get("share", 1) not in (None, 1) and idist.get_rank() == 0:
            copy_previous_model(self.choice.folder)
        stopped = resume_from is not None and self.file.is_file()
        if resume_from is not None:  # whatever is said now, it began from these
            said = _UNNAMED if init_weights in (None, "", NOTHING) else init_weights
            init_weights = before.get("began_from") or (said if stopped else NOTHING)
        self._to_note = str(init_weights or NOTHING)
        if not self.enabled or init_weights in (None, "", NOTHING):
            return
        if resume_from is None:
            self.begun = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        elif not stopped:
            try:
                self.begun = beginning_of(network, init_weights, classes)
            except LazyLabelsError as error:
                logger.warning(f"weights between beginning and end are not tried (weight_interpolation): {error}")
                return
        self.begun_from, self.choice.further = str(init_weights), len(SHARES)

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, after the final choice and after who saves its checkpoints."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.keep)
        engine.add_event_handler(Events.COMPLETED, self.choose)

    def keep(self) -> None:
        """Save the weights of the beginning, once there is something else of the training."""
        if self.begun is not None and idist.get_rank() == 0:
            save_weights(self.begun, self.file)
        if self._to_note is not None and idist.get_rank() == 0:
            self._note(self._to_note, None)
        self.begun = self._to_note = None

    def _note(self, began_from: str, share: float | None) -> None:
        if began_from != _UNNAMED:
            note_beginning(self.choice.folder, began_from=began_from, share=share)

    def choose(self, trainer: Engine) -> None:
        """Score the weights at each of :data:`SHARES`, and make the :func:`most_credible` of them ``model.pt``."""
        idist.barrier()
        file = self.choice.folder / WEIGHTS_FILE
        if self.begun_from and self.file.is_file() and file.is_file():
            self._choose_between(sound_weights(self.file), file, trainer.state.epoch)
        idist.barrier()
        if idist.get_rank() == 0:
            self.file.unlink(missing_ok=True)

    def _choose_between(self, begun: Mapping[str, Tensor], file: Path, epochs: int) -> None:
        ended = sound_weights(file)
        images = self.choice.images_at_the_end(epochs, len(self.choice.kept) if self.choice.is_needed else 0)
        weights = {share: interpolated(begun, ended, share) for share in SHARES}
        name, scores = self.choice.score(weights, images)
        known = self.choice.known(scores)
        if not known:
            return
        begun_well = self.fine_tuning is not None and self.fine_tuning.known
        self.share = most_credible(known, len(images), self.choice.judges_by_loss, begun_well)
        best = max(known, key=lambda share: (known[share], share))
        self._say(name, scores, self.choice.described(images), best)
        if self.share < 1 and idist.get_rank() == 0:
            with uninterrupted():
                save_weights(weights[self.share], file)
        if idist.get_rank() == 0:
            self._note(self.begun_from, self.share)

    def _say(self, name: str, scores: Mapping[float, float], what: str, best: float) -> None:
        said = ", ".join(f"{share:.0%} {score:.4f}" for share, score in scores.items())
        doubted = "" if best == self.share else f", as those at {best:.0%} are better by no more than chance may give"
        logger.info(
            f"weights between {self.begun_from} (0%) and the best of the training (100%), {name} on {what}: {said}; "
            f"{WEIGHTS_FILE} holds those at {self.share:.0%}{doubted} (weight_interpolation)."
        )
        if self.share == 0 and idist.get_rank() == 0:
            logger.warning(
                f"the training made nothing better: on the validation images {self.begun_from} scores best as it is, and "
                f"{WEIGHTS_FILE} holds its weights; label more images, or others."
            )
