"""Consistency under augmentation: what nobody labelled is taught by the running mean of the network's own weights.

The mean teacher of Tarvainen & Valpola 2017 ("Mean teachers are better role models"), pixel by pixel: the teacher answers
for a mirrored view of the crop, mirrored back, and the network shall answer alike where the exact segmentation is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lazylabels_monai.inferers import AutocastInferer, task_softmax
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.tasks import IGNORE

__all__ = ["MeanTeacherInferer", "MeanTeacherLoss"]


class MeanTeacherInferer(AutocastInferer):
    """The network's logits and, behind them, those of the teacher for the mirrored image, mirrored back.

    Args:
        teacher: network whose weights are the running mean; gets no gradient.
        enabled: bfloat16 autocast, as in :class:`~lazylabels_monai.inferers.AutocastInferer`.
    """

    def __init__(self, teacher: nn.Module, enabled: bool = False) -> None:
        super().__init__(enabled)
        self.teacher = teacher

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits (B, 2K, spatial...) of an image (B, C, spatial...)."""
        student = super().__call__(inputs, network, *args, **kwargs)
        dims = [2 + i for i in range(inputs.ndim - 2) if torch.rand(()) < 0.5]
        with torch.no_grad():
            teacher = super().__call__(inputs.flip(dims), self.teacher).flip(dims)
        return torch.cat([student, teacher], dim=1)


class MeanTeacherLoss(MaskedMultiTaskLoss):
    """:class:`~lazylabels_monai.losses.MaskedMultiTaskLoss` and the mean squared difference from the teacher's probabilities.

    The difference counts at pixels whose segmentation is not labelled, summed over all tasks' classes, divided by all pixels
    as with ``pixel_mean="all"``. Its weight grows linearly from 0 over ``ramp_steps`` steps, as the teacher knows nothing at
    first.

    Args:
        consistency: weight of the difference, 0 or more.
        ramp_steps: steps until it has its full weight.
        args, kwargs: those of ``MaskedMultiTaskLoss``.

    Raises:
        ValueError: when an argument is out of its range.
    """

    def __init__(self, *args: Any, consistency: float = 1.0, ramp_steps: int = 200, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= consistency < float("inf") or ramp_steps < 0:
            raise ValueError(f"consistency {consistency} and ramp_steps {ramp_steps} must be 0 or more.")
        self.consistency, self.ramp_steps, self.steps = consistency, ramp_steps, 0

    def task_losses(self, input: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts of each task for logits (B, 2K, spatial...), the teacher's last, and ``consistency``."""
        student, teacher = input.chunk(2, dim=1)
        num_classes = self._num_classes("segmentation")
        difference = task_softmax(student, num_classes, list(self.slices)) - task_softmax(
            teacher, num_classes, list(self.slices)
        )
        unknown = self._labels("segmentation", student, target) == IGNORE
        self.steps += 1
        weight = self.consistency * min(1.0, self.steps / max(self.ramp_steps, 1))
        part = weight * (difference.square().sum(1) * unknown).mean()
        return super().task_losses(student, target) | {"consistency": part}
