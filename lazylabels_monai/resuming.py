"""Whether a training can go on where another stopped: it is compared with what that one was, before anything is written.

| differs | |
|---|---|
| classes, network, tasks, crop size | refused: the weights mean something else |
| class of the optimizer or of its schedule, which weights it has | refused: what it remembers means something else |
| sampling shares, steps in an epoch, a running mean of the weights or none | refused: the epochs counted so far were others |
| an image changed sides, or none of those trained on is there | refused: it would be judged by what it has seen |
| number of epochs, learning rate, other settings, images added or taken away | told, and done |
| weights to begin from that somebody named | told, and without effect |
| rate and settings of a schedule whose rates do not follow from them, such as ReduceLROnPlateau | told, and without effect |
| parts of the config, such as ``optimizer#weight_decay`` or ``loss#_target_`` | told, and done |

Of trainings before this was written down, only classes, network and the checkpoint itself are compared.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from lazylabels_monai.atomic import write_text
from lazylabels_monai.checkpoints import candidates, latest_checkpoint, read_checkpoint
from lazylabels_monai.data.choosing import BY_DICE, BY_LOSS
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.json_values import as_json, shown
from lazylabels_monai.optimizers import (
    asked_options,
    asked_schedule,
    optimizer_differences,
    options_told,
    put_back_options,
    put_back_schedule,
    scaled,
)
from lazylabels_monai.parts import AS_IN_BUNDLE, replaced_parts, running_config
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.trained import WEIGHTS_FILE, built_and_stated, trained_classes, trained_network
from lazylabels_monai.training_file import TRAINING_FILE, noted_beginning, training_facts

__all__ = [
    "Judged",
    "ResumedRates",
    "chosen_otherwise",
    "is_finished",
    "require_same_training",
    "training_record",
    "write_record",
]

logger = logging.getLogger(__name__)

_SECTIONS = ("training", "validation")
#: Settings that a resumed training must share; all others are told.
_SAME = ("sampling_shares",)
#: What network.json says about windows of a prediction, not about the training.
_FREE = ("window_size",)
#: What a score of whole images depends on; chosen windows do not overlap, and their size stands in the score's name.
_COVERING = ("val_window_size", "val_overlap")
#: Parts of the config that make a training what it is, and in which other values than the bundle's are kept.
_PARTS = ("ema", "loss", "optimizer", "lr_scheduler", "train")


def training_record(
    datalist: str | Path | None,
    settings: Mapping[str, Any],
    judged_by: str,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: Any = None,
) -> dict[str, Any]:
    """What a training is, for the one that resumes it. Called in a config, it notes what was replaced in its parts, too.

    Args:
        datalist: of the data set; None where another program hands the images over.
        settings: values of the config by their ids.
        judged_by: what chooses the best weights.
        optimizer, scheduler: of which the kinds are noted.
    """
    content = load_datalist(datalist) if datalist is not None else {}
    images = {s: {item["image"]: item.get("digest") for item in content.get(s, [])} for s in _SECTIONS}
    record = {"judged_by": judged_by, "settings": as_json(dict(settings)), "images": images}
    kinds = {"optimizer": optimizer, "lr_scheduler": scheduler}
    record["kinds"] = {name: type(each).__name__ for name, each in kinds.items() if each is not None}
    if (parts := replaced_parts(_PARTS)) is not None:
        record["parts"] = parts
    return record


def write_record(ckpt_dir: str | Path, record: Mapping[str, Any]) -> None:
    """Keep what :func:`training_record` gave beside the checkpoints."""
    write_text(Path(ckpt_dir) / TRAINING_FILE, json.dumps(record, indent=1) + "\n")


def require_same_training(
    ckpt_dir: str | Path,
    network: torch.nn.Module,
    classes: Sequence[str],
    trained_with: Mapping[str, Any],
    record: Mapping[str, Any],
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: Any = None,
) -> None:
    """Refuse to resume another training, and log what is allowed to differ; nothing is written.

    Args:
        ckpt_dir: folder of the checkpoints; without a readable one there is nothing to compare with.
        network: the network that is to be trained.
        classes: names of its object classes.
        trained_with: values of the config that ``network.json`` keeps.
        record: what :func:`training_record` gave; its settings name max_epochs, crops_per_epoch, batch_size and ema_decay.
        optimizer: the optimizer.
        scheduler: its schedule; one whose rates do not follow from its settings and the epoch goes on as it was.

    Raises:
        LazyLabelsError: naming all that differs and how to go on.
    """
    newest = latest_checkpoint(ckpt_dir)
    if newest is None:
        return
    checkpoint = read_checkpoint(newest)
    settings, before = record["settings"], training_facts(ckpt_dir)
    differs = [
        *_class_differences(ckpt_dir, classes),
        *_network_differences(ckpt_dir, network, trained_with),
        *_setting_differences(before.get("settings", {}), settings),
        *_step_differences(checkpoint, settings),
        *_side_differences(before.get("images", {}), record["images"]),
        *_kind_differences(before.get("kinds", {}), record.get("kinds", {})),
    ] or _state_differences(checkpoint, network, optimizer)
    if differs:
        raise LazyLabelsError(
            f"{newest} belongs to another training, which had {'; '.join(differs)}: to resume it give the same, to train anew "
            "leave --resume out (what is there then moves to previous_<date>/) or name another folder (--output of lazylabels "
            "train, ckpt_dir of the bundle)."
        )
    done, wanted = _epochs(checkpoint), int(settings.get("max_epochs", 0))
    # without weights a kill came just before the end, which only saves them; with candidates, before one of them was chosen
    chosen = (Path(ckpt_dir) / WEIGHTS_FILE).is_file() and not candidates(ckpt_dir)
    if wanted and (done > wanted or (done == wanted and chosen)):
        raise LazyLabelsError(
            f"{newest}: this training has done {done} epochs and max_epochs is {wanted}, so that nothing is left to do: pass "
            f"--max_epochs {done + max(1, done // 2)} to train further, or leave --resume out to train anew."
        )
    options = options_told(checkpoint.get("optimizer", {}), optimizer) if optimizer is not None else {}
    fixed = "" if scheduler is None or asked_schedule(scheduler) else type(scheduler).__name__
    for sentence in [*_told(before, record, options, fixed), *_beginning_told(noted_beginning(ckpt_dir).get("began_from"))]:
        logger.warning(f"resumed with other settings than before: {sentence}")


def is_finished(ckpt_dir: str | Path, max_epochs: int | None) -> bool:
    """Whether a training has done all its epochs and left its weights; False where nobody knows how many there are."""
    if max_epochs is None or not (Path(ckpt_dir) / WEIGHTS_FILE).is_file() or candidates(ckpt_dir):
        return False
    if (newest := latest_checkpoint(ckpt_dir)) is None:
        return False
    return _epochs(read_checkpoint(newest)) >= max_epochs


def _class_differences(ckpt_dir: str | Path, classes: Sequence[str]) -> list[str]:
    if not (Path(ckpt_dir) / CLASSES_FILE).is_file():
        return []
    before = trained_classes(Path(ckpt_dir) / WEIGHTS_FILE)
    return [f"the classes {before}, not {list(classes)}"] if before != list(classes) else []


def _network_differences(ckpt_dir: str | Path, network: torch.nn.Module, trained_with: Mapping[str, Any]) -> list[str]:
    written = trained_network(Path(ckpt_dir) / WEIGHTS_FILE)
    now, before = built_and_stated(written, network, trained_with)
    found = [
        f"{key} {_shown(before[key])}, not {_shown(now[key])}"
        for key in now
        if key in before and key not in _FREE and before[key] != now[key]
    ]
    kind = str(written.get("network_def", {}).get("_target_", "")).rpartition(".")[2]
    if kind and kind != type(network).__name__:
        found.insert(0, f"the network {kind}, not {type(network).__name__}")
    return found


def _setting_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = [
        f"{key} {_shown(before[key])}, not {_shown(now.get(key))}"
        for key in _SAME
        if key in before and before[key] != now.get(key)
    ]
    return found


def _kind_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [f"the {key} {before[key]}, not {name}" for key, name in now.items() if key in before and before[key] != name]


def _step_differences(checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    found = []
    before = checkpoint.get("trainer", {}).get("epoch_length")
    crops, batch = settings.get("crops_per_epoch"), settings.get("batch_size")
    if before and crops and batch and crops // batch != before:
        found.append(f"{before} steps in an epoch, not {crops // batch} (crops_per_epoch / batch_size)")
    mean = float(settings.get("ema_decay", 0)) > 0
    if mean != ("ema" in checkpoint):
        found.append(f"{'no ' if mean else 'a '}running mean of the weights (ema_decay)")
    return found


def _side_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Images that changed sides, or a data set without any of the images."""
    trained, validated = (before.get(section, {}) for section in _SECTIONS)
    training, validation = (now.get(section, {}) for section in _SECTIONS)
    found = []
    if moved := _common(validation, trained):
        found.append(f"trained on images that validate now ({some(moved)}; datalist --keep-splits leaves them where they were)")
    if moved := _common(training, validated):
        found.append(f"images in validation that are trained on now ({some(moved)}; see datalist --keep-splits)")
    if not found and trained and training and not _common(training, trained):
        found.append(f"{len(trained)} training images, none of which is in this data set")
    return found


def _state_differences(
    checkpoint: Mapping[str, Any], network: torch.nn.Module, optimizer: torch.optim.Optimizer | None
) -> list[str]:
    """What would not load; only looked for where all that has a name is the same."""
    before = {key: tuple(value.shape) for key, value in checkpoint.get("model", {}).items()}
    now = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if first := next((key for key in {**now, **before} if before.get(key) != now.get(key)), None):
        return [f"another network ({first} of shape {before.get(first, 'none')}, not {now.get(first, 'none')})"]
    return optimizer_differences(checkpoint.get("optimizer", {}), optimizer) if optimizer is not None else []


def _epochs(checkpoint: Mapping[str, Any]) -> int:
    trainer = checkpoint.get("trainer", {})
    return int(trainer.get("iteration", 0)) // max(1, int(trainer.get("epoch_length") or 1))


def _told(
    before: Mapping[str, Any], now: Mapping[str, Any], options: Mapping[str, tuple[Any, Any]], fixed: str = ""
) -> list[str]:
    """What differs and is allowed, a sentence each.

    Args:
        before, now: the records.
        options: settings of the optimizer, now and before.
        fixed: name of a schedule that goes on as the checkpoint has it.
    """
    sentences = [
        f"{key} is {_shown(value)}, it was {_shown(before['settings'][key])}."
        for key, value in now["settings"].items()
        if key in before.get("settings", {}) and before["settings"][key] != value
    ]
    sentences += [f"optimizer#{key} is {_shown(value)}, it was {_shown(old)}." for key, (value, old) in options.items()]
    sentences += _parts_told(before.get("parts"), now.get("parts"), [f"optimizer#{key}" for key in options])
    if fixed:
        without = f" That is without effect, as {fixed} goes on where it was: leave --resume out to train anew with it."
        rates = ("learning_rate ", "lr_decay ", "fine_tuning_rate ", "lr_scheduler#", "optimizer#lr ")
        sentences = [sentence + without * sentence.startswith(rates) for sentence in sentences]
    for section in _SECTIONS:
        old, new = before.get("images", {}).get(section), now["images"][section]
        if old is None:
            continue
        added, gone = len(new) - len(_common(new, old)), len(old) - len(_common(old, new))
        if added or gone:
            sentences.append(f"{added} {section} images are new, {gone} are no longer there.")
    if before and _otherwise(before, now):
        sentences.append(
            "the best weights are chosen anew, as the validation differs; those so far are kept in previous_<date>/, too."
        )
    return sentences


def _parts_told(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None, said: Sequence[str]) -> list[str]:
    if before is None or now is None:  # a training of an earlier version
        return []
    old, new = ({path: shown(value) for path, value in parts.items()} for parts in (before, now))
    return [
        f"{path} is {new.get(path, AS_IN_BUNDLE)}, it was {old.get(path, AS_IN_BUNDLE)}."
        for path in {**old, **new}
        if path not in said and before.get(path, ...) != now.get(path, ...)
    ]


def _beginning_told(began_from: str | None) -> list[str]:
    """Of weights that a person named to begin from, and where the training began from others; an expression is a preset's."""
    asked = (running_config() or {}).get("init_weights")
    if began_from is None or asked in (None, "") or str(asked).startswith("$"):
        return []
    if asked == began_from or Path(str(asked)).resolve() == Path(began_from).resolve():
        return []
    return [
        f"init_weights {_shown(asked)} is without effect, as a resumed training goes on from its own weights; it began from "
        f"{_shown(began_from)}: leave --resume out to begin anew."
    ]


def chosen_otherwise(ckpt_dir: str | Path, record: Mapping[str, Any]) -> bool:
    """Whether the scores of the training before cannot be compared with those to come: of other images, windows or kind."""
    before = training_facts(ckpt_dir)
    return bool(before) and _otherwise(before, record)


def _otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    old, new = before.get("images", {}).get("validation", {}), now["images"]["validation"]
    images = len(_common(old, new)) != len(old) or len(_common(new, old)) != len(new)
    if images or before.get("judged_by", now["judged_by"]) != now["judged_by"]:
        return True
    covered, covers = before.get("settings", {}), now["settings"]
    is_whole = now["judged_by"] in (BY_DICE, BY_LOSS)
    return is_whole and any(covered[key] != covers[key] for key in _COVERING if key in covered and key in covers)


def _common(images: Mapping[str, str | None], others: Mapping[str, str | None]) -> list[str]:
    """Names of ``images`` that are among ``others``: by content where both are known, else by name."""
    digests = {digest for digest in others.values() if digest}
    return [
        name
        for name, digest in images.items()
        if (digest and digest in digests) or (name in others and not (digest and others[name]))
    ]


class Judged:
    """What validations have said so far: the best score and its epoch, and what early stopping has counted.

    Args:
        evaluator: MONAI's evaluator of the validation images.
        early_stop: MONAI's ``EarlyStopHandler``; attached or not.
        final_choice: what it keeps for the end; None: nothing.
    """

    def __init__(self, evaluator: Any, early_stop: Any = None, final_choice: Any = None) -> None:
        self.evaluator, self.early_stop, self.final_choice = evaluator, early_stop, final_choice

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        state, counted = self.evaluator.state, getattr(self.early_stop, "_handler", None)
        return {
            "best_metric": state.best_metric,
            "best_metric_epoch": state.best_metric_epoch,
            "early_stop": None if counted is None else dict(counted.state_dict()),
            "final_choice": None if self.final_choice is None else self.final_choice.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        counted = getattr(self.early_stop, "_handler", None)
        if counted is not None and state["early_stop"] is not None:
            counted.load_state_dict(state["early_stop"])
        if self.final_choice is not None and state.get("final_choice") is not None:  # not in checkpoints of earlier versions
            self.final_choice.load_state_dict(state["final_choice"])

    def reset(self) -> None:
        """Forget it, as for other validation images."""
        self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = -1, -1
        counted = getattr(self.early_stop, "_handler", None)
        if counted is not None:
            counted.reset()
        if self.final_choice is not None:
            self.final_choice.reset()


class ResumedRates:
    """After a checkpoint was loaded, optimizer and learning rate are those that were asked for, not those of before.

    A checkpoint brings the optimizer's settings and rate and the schedule's length along, so that another ``--learning_rate``,
    ``--max_epochs`` or ``--optimizer#weight_decay`` would be without effect. Attach it after MONAI's ``CheckpointLoader``.

    Args:
        optimizer: the optimizer.
        scheduler: its schedule; one whose rates do not follow from its settings and the epoch is left alone.
        best: the saver's ignite ``Checkpoint`` of the best score, which is forgotten where ``anew`` says so.
        anew: whether earlier scores cannot be compared with those to come.
        judged: what else is forgotten then.
        loss: the loss; where it counts ``steps``, it goes on counting from those that were done.
        fine_tuning: by whose ``factor`` the rates were multiplied when the training began, and are again.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        best: Any = None,
        anew: bool = False,
        judged: Judged | None = None,
        loss: Any = None,
        fine_tuning: Any = None,
    ) -> None:
        self.optimizer, self.scheduler, self.anew, self.fine_tuning = optimizer, scheduler, anew, fine_tuning
        self.scores = [scores for scores in (best, judged) if scores is not None]
        self.loss = loss
        self.options, self.schedule = asked_options(optimizer), asked_schedule(scheduler)

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Put back what the checkpoint replaced.

        Raises:
            LazyLabelsError: when the schedule ends before the training.
        """
        for scores in self.scores if self.anew else ():
            scores.reset()
        if hasattr(self.loss, "steps"):
            self.loss.steps = engine.state.iteration
        last = getattr(self.scheduler, "total_steps", None)  # of torch's OneCycleLR, which a checkpoint brings back
        if isinstance(last, int) and (engine.state.max_epochs or 0) > last:
            raise LazyLabelsError(
                f"lr_scheduler is a {type(self.scheduler).__name__} of {last} epochs, as it was when the training began, and "
                f"cannot go on after them: pass --max_epochs {last}, or leave --resume out to train anew."
            )
        put_back_options(self.optimizer, self.options)
        factor = getattr(self.fine_tuning, "factor", 1.0)
        put_back_schedule(self.scheduler, scaled(self.schedule, factor))
        if factor < 1 and self.schedule:
            logger.info(
                f"the learning rate is {self.fine_tuning.rate:g} at most (fine_tuning_rate), as when this training began: the "
                "weights that it began from found the objects."
            )


def _shown(value: Any) -> str:
    return json.dumps(value)
