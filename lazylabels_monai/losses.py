"""The loss over whatever tasks each image is labelled for: Eq. 6 and Algorithm 1 of Ke et al. 2020."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.losses import MaskedDiceLoss
from monai.networks.utils import one_hot
from torch import Tensor, nn

from lazylabels_monai.tasks import (
    IGNORE,
    TASKS,
    num_task_classes,
    present_key,
    require_num_classes,
    task_slices,
    total_channels,
    validate_tasks,
)

__all__ = ["MaskedMultiTaskLoss", "ProbabilityLoss"]

#: Logits beyond this are clipped: an infinite one (float16 overflows at 65504) would make NaN of every other.
LOGIT_LIMIT = 1.0e4


class MaskedMultiTaskLoss(nn.Module):
    """Cross entropy over the tasks that each sample is labelled for: Eq. 6 and Algorithm 1 of Ke et al. 2020.

    ::

        L = 1/m sum_i sum_k alpha_k [i in T_k] mean over the labelled pixels of sample i of CE(prediction_k, label_k)

    A sample without a label for a task enters as zero times its prediction. It is not left out, so every head has a
    gradient in every step, which distributed training needs, and a batch without labels gives 0 and zero gradients.
    The same holds for a label without a labelled pixel.

    With ``dice_weight`` w each task's cross entropy is joined by w times its Dice loss over the labelled pixels of the whole
    batch, the mean over the classes but the background (MONAI's ``MaskedDiceLoss``; nnU-Net, Isensee et al. 2021, has both
    with equal weights): objects that are a few pixels of a crop then count as much as large ones. A class that no labelled
    pixel of the batch has costs up to 1 where it is predicted on labelled pixels, and nothing where none is labelled.

    Args:
        num_classes: classes of segmentation and detection, with the background.
        tasks: the tasks in the network's output.
        task_weights: alpha_k for each task; 1 for a task that is not named.
        class_weights: for a task, the weight of each of its classes. The mean over a sample's pixels is then the
            weighted mean, as in ``torch.nn.CrossEntropyLoss``.
        normalization: "batch" divides by the batch size m, as in the paper; a rare label then counts as often as it
            occurs. "labelled" divides each task by the number of samples with a labelled pixel for it (in this
            process), so that a task counts the same in every batch that has it.
        pixel_mean: "labelled" takes the mean over a sample's labelled pixels, so that a few marks weigh as much as a whole
            mask. "all" divides by all of its pixels: each labelled pixel of a batch then weighs the same, and a sample
            counts by the share of it that is labelled.
        dice_weight: weight of the Dice loss beside the cross entropy, 0 or more; 0 is the paper's loss.
        check_labels: whether to raise an error for label values that are no class. It costs one wait for the GPU each
            step, as does reading the loss; without it such a value is an error of torch's own, on a GPU a fatal one.

    Raises:
        ValueError: when an argument is out of its range.

    Examples:
        >>> loss = MaskedMultiTaskLoss(num_classes=3)
        >>> target = {task: torch.full((2, 1, 8, 8), 255) for task in ("segmentation", "detection", "separation")}
        >>> target["detection"][0, 0, 2:4, 2:4] = 1  # a mark in one sample; nothing else is labelled
        >>> loss(torch.zeros(2, 8, 8, 8), target)  # log(3) / 2
        tensor(0.5493)
    """

    def __init__(
        self,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        task_weights: Mapping[str, float] | None = None,
        class_weights: Mapping[str, Sequence[float]] | None = None,
        normalization: str = "batch",
        pixel_mean: str = "labelled",
        dice_weight: float = 0.0,
        check_labels: bool = True,
    ) -> None:
        super().__init__()
        require_num_classes(num_classes)
        if normalization not in ("batch", "labelled"):
            raise ValueError(f"normalization '{normalization}' must be 'batch' or 'labelled'.")
        if pixel_mean not in ("labelled", "all"):
            raise ValueError(f"pixel_mean '{pixel_mean}' must be 'labelled' or 'all'.")
        if not 0 <= dice_weight < float("inf"):
            raise ValueError(f"dice_weight {dice_weight} must be a finite number from 0 up.")
        tasks = validate_tasks(tasks)
        task_weights, class_weights = dict(task_weights or {}), dict(class_weights or {})
        for name, weights in (("task_weights", task_weights), ("class_weights", class_weights)):
            if not set(weights) <= set(tasks):
                raise ValueError(f"{name} names {sorted(weights)} but may name only the tasks {list(tasks)}.")
        for task, alpha in task_weights.items():
            if not 0 <= alpha < float("inf"):
                raise ValueError(f"task_weights['{task}'] {alpha} must be a finite number from 0 up.")
        for task, weights in class_weights.items():
            count = num_task_classes(task, num_classes)
            if len(weights) != count or not all(0 <= weight < float("inf") for weight in weights):
                raise ValueError(f"class_weights['{task}'] {list(weights)} must hold {count} finite numbers from 0 up.")
            self.register_buffer(_buffer(task), torch.tensor([float(weight) for weight in weights]), persistent=False)

        self.num_channels = total_channels(num_classes, tasks)
        self.slices = task_slices(num_classes, tasks)
        self.task_weights = {task: float(task_weights.get(task, 1.0)) for task in tasks}
        self.normalization = normalization
        self.pixel_mean = pixel_mean
        self.dice_weight = float(dice_weight)
        self.dice = MaskedDiceLoss(include_background=False, batch=True)
        self.check_labels = check_labels
        #: each task's part of the last result, detached, for logging
        self.last_parts: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """The loss, a scalar: the sum of :py:meth:`task_losses`.

        Args:
            input: logits of shape BKHW[D], the network's output.
            target: for each task its label map of shape B1HW[D], with 255 where a pixel is not labelled, and under
                ``"<task>_present"`` a flag of shape B or B1, 0 where a sample has no label for the task. Without this
                key all have one.

        Raises:
            ValueError: when a shape does not fit or, with ``check_labels``, when a label value is no class.
        """
        parts = self.task_losses(input, target)
        self.last_parts = {task: part.detach() for task, part in parts.items()}
        return torch.stack(list(parts.values())).sum()

    def task_losses(self, input: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's part of the loss, a scalar, with its weight alpha_k; see :py:meth:`forward`."""
        if input.shape[1] != self.num_channels:
            raise ValueError(
                f"input has {input.shape[1]} channels but must have {self.num_channels}, the classes of all tasks."
            )
        input = _plain(input)
        input = input.to(torch.promote_types(input.dtype, torch.float32)).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        labels = {task: self._labels(task, input, target) for task in self.slices}
        if self.check_labels:
            self._check(labels)
        return {task: self._task_loss(task, input[:, self.slices[task]], labels[task]) for task in self.slices}

    def _labels(self, task: str, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """Label map of shape BHW[D], 255 in the samples that have no label for the task."""
        label = _plain(target[task]).to(input.device)
        if label.shape != (input.shape[0], 1, *input.shape[2:]):
            raise ValueError(
                f"the label of {task} has shape {tuple(label.shape)} but must have one channel and the batch and "
                f"spatial size of the input, {tuple(input.shape)}."
            )
        label = label.squeeze(1) if label.is_floating_point() else label.squeeze(1).long()
        if present_key(task) not in target:
            return label
        present = torch.as_tensor(_plain(target[present_key(task)]), device=label.device)
        return label.where(present.reshape(-1, *[1] * (label.ndim - 1)) > 0, torch.full_like(label, IGNORE))

    def _check(self, labels: dict[str, Tensor]) -> None:
        """Raise an error when a label value is no class; waits for the device once for all tasks."""
        wrong = {}
        for task, label in labels.items():
            known = (label >= 0) & (label < self._num_classes(task)) | (label == IGNORE)
            if label.is_floating_point():
                known &= label == label.round()
            wrong[task] = ~known
        if torch.stack([mask.any() for mask in wrong.values()]).any():
            task = next(task for task, mask in wrong.items() if mask.any())
            value = labels[task][wrong[task]][0].item()
            raise ValueError(
                f"the label of {task} holds the value {value} but each pixel must be a class from 0 to "
                f"{self._num_classes(task) - 1}, or {IGNORE} where it is not labelled."
            )

    def _num_classes(self, task: str) -> int:
        return self.slices[task].stop - self.slices[task].start

    def _task_loss(self, task: str, logits: Tensor, label: Tensor) -> Tensor:
        label = label.long()
        labelled = label != IGNORE
        weight = getattr(self, _buffer(task), None)
        if weight is None:
            pixel_weight = labelled.to(logits.dtype)
        else:
            weight = weight.to(logits)
            pixel_weight = weight[label.where(labelled, 0)] * labelled
        loss = F.cross_entropy(logits, label, weight, ignore_index=IGNORE, reduction="none")

        total = pixel_weight.flatten(1).sum(1)  # zero where nothing is labelled, and so is the sum of losses there
        sample_loss = loss.flatten(1).sum(1) / total.where(total > 0, 1)
        if self.pixel_mean == "all":
            sample_loss = sample_loss * labelled.flatten(1).to(loss.dtype).mean(1)
        if self.normalization == "batch":
            mean = sample_loss.mean()
        else:
            mean = sample_loss.sum() / labelled.flatten(1).any(1).sum().clamp_min(1)
        if self.dice_weight > 0:
            truth = one_hot(label.where(labelled, 0).unsqueeze(1), logits.shape[1])
            mean = mean + self.dice_weight * self.dice(logits.softmax(1), truth, labelled.unsqueeze(1))
        return self.task_weights[task] * mean


def _buffer(task: str) -> str:
    """Name of the buffer that holds a task's class weights."""
    return f"{task}_class_weights"


def _plain(value: Tensor) -> Tensor:
    """A tensor without MONAI's metadata."""
    return value.as_tensor() if isinstance(value, MetaTensor) else value


class ProbabilityLoss:
    """:class:`MaskedMultiTaskLoss` of blended probabilities against stacked truths: what validation measures without a mask.

    Args:
        loss: the loss of the logits; of log-probabilities, which are logits, too, it is the same.

    Examples:
        >>> loss = ProbabilityLoss(MaskedMultiTaskLoss(num_classes=3))
        >>> truth = torch.full((1, 4, 8, 8), 255)
        >>> truth[0, 1, 2:4, 2:4] = 1  # a mark; nothing else is labelled
        >>> loss(torch.full((1, 8, 8, 8), 1 / 3), truth)  # log(3)
        tensor([1.0986])
    """

    def __init__(self, loss: MaskedMultiTaskLoss) -> None:
        self.loss = loss

    def __call__(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """The loss of each sample (B,); NaN where none of the tasks has a labelled pixel, which says nothing.

        Args:
            probabilities: (B, sum of classes, spatial...), those of each task sum to 1.
            truth: (B, 4, spatial...) integer, as :func:`~lazylabels_monai.metrics.stack_truth` makes it.
        """
        values = []
        for p, t in zip(_plain(probabilities), _plain(truth), strict=True):
            target = {task: t[None, None, TASKS.index(task)] for task in self.loss.slices}
            known = any(bool((label != IGNORE).any()) for label in target.values())
            # a probability that fell to 0 in rounding must not outweigh all others
            value = self.loss(
                p[None].clamp_min(torch.finfo(torch.float32).tiny).log(), {k: v.to(p.device) for k, v in target.items()}
            )
            values.append(value if known else torch.full_like(value, torch.nan))
        return torch.stack(values)
