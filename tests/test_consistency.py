"""The mean teacher: what it adds to the loss, stated again in numpy, and what is given to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from lazylabels_monai.consistency import MeanTeacherInferer, MeanTeacherLoss
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.tasks import TASKS


def batch(seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(seed)
    logits = torch.randn(2, 16, 6, 5)  # 3 + 3 + 2 of the network, then of the teacher
    target = {task: torch.randint(0, 2, (2, 1, 6, 5)) for task in TASKS}
    target["segmentation"][0, 0, :4] = 255
    return logits, target


def test_difference_counts_where_the_segmentation_is_unknown():
    logits, target = batch()
    loss = MeanTeacherLoss(num_classes=3, consistency=0.7, ramp_steps=0)
    parts = loss.task_losses(logits, target)
    own, teacher = logits[:, :8].numpy(), logits[:, 8:].numpy()
    squares = sum(((softmax(own[:, a:b], 1) - softmax(teacher[:, a:b], 1)) ** 2).sum(1) for a, b in ((0, 3), (3, 6), (6, 8)))
    expected = 0.7 * squares[0, :4].sum() / squares.size
    assert float(parts["consistency"]) == pytest.approx(expected, rel=1e-5)
    plain = MaskedMultiTaskLoss(num_classes=3).task_losses(logits[:, :8], target)
    assert {task: float(parts[task]) for task in TASKS} == {task: float(part) for task, part in plain.items()}


def test_weight_grows_over_the_ramp():
    logits, target = batch()
    loss = MeanTeacherLoss(num_classes=3, ramp_steps=4)
    found = [float(loss.task_losses(logits, target)["consistency"]) for _ in range(6)]
    np.testing.assert_allclose(np.array(found) / found[-1], [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-5)


def test_teacher_sees_a_mirrored_view_and_gets_no_gradient():
    network, teacher = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 3, padding=1)
    image = torch.randn(1, 1, 8, 6)
    views = {tuple(dims): teacher(image.flip(dims)).flip(dims).detach() for dims in ([], [2], [3], [2, 3])}
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        found = MeanTeacherInferer(teacher)(image, network)
        torch.testing.assert_close(found[:, :2], network(image))
        seen |= {dims for dims, view in views.items() if torch.allclose(found[:, 2:], view, atol=1e-6)}
    assert len(seen) == 4
    found.sum().backward()
    assert network.weight.grad is not None
    assert teacher.weight.grad is None


@pytest.mark.parametrize("values", [{"consistency": -1.0}, {"ramp_steps": -1}])
def test_ill_arguments(values):
    with pytest.raises(ValueError, match="must be 0 or more"):
        MeanTeacherLoss(num_classes=3, **values)
