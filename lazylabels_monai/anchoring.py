"""Keeping what a network knows while it learns from a few marks: where nobody marked, it shall answer as it did at first.

A handful of marks says little, and much of it one-sidedly: inner regions without background, interfaces without what is none.
A network that already finds most objects forgets within seconds what the marks do not repeat. So the network as it began
answers, too, and the difference counts at unmarked pixels: learning without forgetting (Li & Hoiem 2016) on the images at
hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lazylabels_monai.inferers import AutocastInferer
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.tasks import BACKGROUND, IGNORE, is_marked

__all__ = ["Agreement", "AnchoredInferer", "AnchoredLoss"]


class AnchoredInferer(AutocastInferer):
    """The network's logits and, behind them, those of the network as it was when this was made.

    Args:
        network: that begins from weights; None: there is nothing to keep, and the logits come alone.
        enabled: bfloat16 autocast, as in :class:`~lazylabels_monai.inferers.AutocastInferer`.
    """

    def __init__(self, network: nn.Module | None, enabled: bool = False) -> None:
        super().__init__(enabled)
        self.anchor = None if network is None else deepcopy(network).eval().requires_grad_(False)

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits (B, 2K, spatial...) of an image (B, C, spatial...); (B, K, spatial...) where there is no anchor."""
        own = super().__call__(inputs, network, *args, **kwargs)
        if self.anchor is None:
            return own
        with torch.no_grad():
            anchor = super().__call__(inputs, self.anchor)
        return torch.cat([own, anchor], dim=1)


class Agreement:
    """How much of the objects that a person marked an anchor finds.

    Attributes:
        crops: with marks of objects so far.
    """

    #: Whose labels say where objects are; an interface is none.
    TASKS = ("segmentation", "detection")

    def __init__(self) -> None:
        self.crops = 0
        self._found = 0.0

    def add(self, task: str, anchor: Tensor, label: Tensor) -> None:
        """Take the anchor's logits (B, K, spatial...) of a task and the labels (B, spatial...), 255 where nobody marked."""
        if task not in self.TASKS:
            return
        marked = is_marked(label)
        pixels = marked.flatten(1).sum(1)
        found = (marked & (anchor.argmax(1) != BACKGROUND)).flatten(1).sum(1)
        self.crops += int((pixels > 0).sum())
        self._found += float((found / pixels.clamp_min(1)).sum())

    @property
    def share(self) -> float | None:
        """Of the marked pixels those that the anchor calls an object, the mean of the crops; None before the first mark."""
        return self._found / self.crops if self.crops else None


class AnchoredLoss(MaskedMultiTaskLoss):
    """:class:`~lazylabels_monai.losses.MaskedMultiTaskLoss`, and the divergence from the anchor's answer where nobody marked.

    What is compared is the probability of the background (of separation: of no interface), so that classes which begin alike
    are free to part. The divergence counts at pixels that the task has no label for and is divided by all pixels, as with
    ``pixel_mean="all"``; it is part of the task's loss.

    Args:
        anchor_weight: of an unmarked pixel, 0 or more.
        args, kwargs: those of ``MaskedMultiTaskLoss``.

    Attributes:
        agreement: of the anchor with the marks so far.

    Raises:
        ValueError: when an argument is out of its range.
    """

    def __init__(self, *args: Any, anchor_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= anchor_weight < float("inf"):
            raise ValueError(f"anchor_weight {anchor_weight} must be a finite number from 0 up.")
        self.anchor_weight = anchor_weight
        self.agreement = Agreement()

    def task_losses(self, input: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts of each task for logits (B, 2K, spatial...), the anchor's last; or (B, K, spatial...) without."""
        if input.shape[1] == self.num_channels:
            return super().task_losses(input, target)
        own, anchor = input.chunk(2, dim=1)
        parts = super().task_losses(own, target)
        for task, channels in self.slices.items():
            label = self._labels(task, own, target)
            self.agreement.add(task, anchor[:, channels], label)
            unmarked = label == IGNORE
            divergence = _divergence(own[:, channels].float(), anchor[:, channels].float())
            parts[task] = parts[task] + self.anchor_weight * self.task_weights[task] * (divergence * unmarked).mean()
        return parts


def _divergence(own: Tensor, anchor: Tensor) -> Tensor:
    """Kullback-Leibler divergence of "background or not" from the anchor's, (B, spatial...), for logits (B, K, spatial...)."""
    own, anchor = (
        torch.stack([logits[:, BACKGROUND], logits[:, BACKGROUND + 1 :].logsumexp(1)], 1) for logits in (own, anchor)
    )
    return F.kl_div(own.log_softmax(1), anchor.log_softmax(1), log_target=True, reduction="none").sum(1)
