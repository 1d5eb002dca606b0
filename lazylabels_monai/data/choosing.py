"""By what the best of a training's weights are chosen: that depends on which labels the validation images carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lazylabels_monai.data.datalist import has_key, load_datalist
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.tasks import TASKS

__all__ = ["BY_DICE", "BY_LOSS", "BY_NOTHING", "OF_WINDOWS", "is_loss", "judged_by", "judged_set_by"]

#: The mean Dice of the validation images with an exact mask chooses; higher is better. Its name as a metric.
BY_DICE = "val_mean_dice"
#: The loss on the marks of the validation images does; lower is better.
BY_LOSS = "val_loss"
#: Nothing does: the last weights are kept.
BY_NOTHING = "nothing"
#: Ends the name of a score of chosen windows, not of whole images.
OF_WINDOWS = "_windows"


def is_loss(name: str) -> bool:
    """Whether a lower value of this metric is better."""
    return name.removesuffix(OF_WINDOWS) == BY_LOSS


def judged_by(validation: Sequence[Mapping[str, Any]], tasks: Sequence[str] = TASKS) -> str:
    """One of :data:`BY_DICE`, :data:`BY_LOSS` and :data:`BY_NOTHING`.

    Args:
        validation: items of this split.
        tasks: what the network learns.
    """
    if "segmentation" in tasks and any(has_key(item, "segmentation") for item in validation):
        return BY_DICE
    return BY_LOSS if any(has_key(item, task) for item in validation for task in tasks) else BY_NOTHING


def judged_set_by(datalist: PathLike | None, tasks: Sequence[str] = TASKS) -> str:
    """:func:`judged_by` of a data set; :data:`BY_DICE` where another program hands the items over (``None``)."""
    if datalist is None:
        return BY_DICE if "segmentation" in tasks else BY_LOSS
    return judged_by(load_datalist(datalist).get("validation", []), tasks)
