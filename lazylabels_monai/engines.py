"""What MONAI's engines need to know about samples with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines import PrepareBatch, SupervisedEvaluator

from lazylabels_monai.data.validation import WINDOWS_KEY, ValidationDataset
from lazylabels_monai.metrics import stack_truth
from lazylabels_monai.networks.quick import in_predicting_order
from lazylabels_monai.tasks import TASKS, present_key, validate_tasks

__all__ = ["PrepareEvaluationBatch", "PrepareTrainingBatch", "Validator"]


def _image(batch: dict[str, Any], device: Any, non_blocking: bool, channels_last: bool, **kwargs: Any) -> torch.Tensor:
    image = batch["image"].to(device=device, non_blocking=non_blocking, **kwargs)
    # a plain tensor: MetaTensor's bookkeeping costs time at every operation of the network
    image = image.as_tensor() if isinstance(image, MetaTensor) else image
    return image.contiguous(memory_format=torch.channels_last) if channels_last and image.ndim == 4 else image


class PrepareTrainingBatch(PrepareBatch):
    """Collated samples -> ``(image, target)`` for :class:`~lazylabels_monai.losses.MaskedMultiTaskLoss`.

    Args:
        tasks: the tasks to train.
        channels_last: give the network (B, C, H, W) images in channels-last memory format.
    """

    def __init__(self, tasks: Sequence[str] = TASKS, channels_last: bool = False) -> None:
        self.tasks = validate_tasks(tasks)
        self.channels_last = channels_last

    def __call__(
        self, batchdata: dict[str, Any], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the image (B, C, spatial...) and a dictionary of labels (B, 1, spatial...) and flags (B,)."""
        target = {}
        for task in self.tasks:
            label = batchdata[task].to(device=device, non_blocking=non_blocking)
            target[task] = label.as_tensor() if isinstance(label, MetaTensor) else label
            flag = present_key(task)
            target[flag] = torch.as_tensor(batchdata[flag]).to(device=device, non_blocking=non_blocking)
        return _image(batchdata, device, non_blocking, self.channels_last, **kwargs), target


class PrepareEvaluationBatch(PrepareBatch):
    """Collated samples -> ``(image, stacked truth)`` for the metrics of :mod:`lazylabels_monai.metrics`.

    Args:
        channels_last: give the network (B, C, H, W) images in channels-last memory format.
    """

    def __init__(self, channels_last: bool = False) -> None:
        self.channels_last = channels_last

    def __call__(
        self, batchdata: dict[str, Any], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Any, ...]:
        """Return the image (B, C, spatial...) and the truth (B, 4, spatial...); the truth stays on the CPU.

        Of windows side by side (:class:`~lazylabels_monai.data.validation.ValidationDataset`), one sample at a time, also what
        the inferer must know of them.
        """
        truth = stack_truth(batchdata, dim=1)
        truth = truth.as_tensor() if isinstance(truth, MetaTensor) else truth
        image = _image(batchdata, device, non_blocking, self.channels_last, **kwargs)
        if WINDOWS_KEY not in batchdata:
            return image, truth
        return image, truth, (), {WINDOWS_KEY: int(batchdata[WINDOWS_KEY])}


class Validator(SupervisedEvaluator):
    """MONAI's ``SupervisedEvaluator`` that leaves out validations which would cost a training too large a share of its time.

    On a CPU the network predicts in the order of memory that is faster for it, and goes on in that of the training.

    Args:
        images: say after which epochs one is due.
        last_epoch: is always validated.
        args, kwargs: those of ``SupervisedEvaluator``.
    """

    def __init__(
        self, *args: Any, images: ValidationDataset | None = None, last_epoch: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.images, self.last_epoch = images, last_epoch

    def is_due(self, epoch: int) -> bool:
        """Whether :meth:`run` validates after this epoch."""
        return self.images is None or epoch == self.last_epoch or self.images.due(epoch)

    def run(self, global_epoch: int = 1) -> None:
        """Validate, where it is due after this epoch."""
        if self.is_due(global_epoch):
            with in_predicting_order(self.network):
                super().run(global_epoch)
