"""What a network knows stays where nobody marked: checked against sums written out, and in a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lazylabels_monai.anchoring import Agreement, AnchoredInferer, AnchoredLoss
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.tasks import IGNORE, TASKS, task_slices


def labels(size=(2, 1, 3, 4), value=IGNORE):
    return {task: torch.full(size, value) for task in TASKS}


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def test_the_divergence_is_that_of_background_or_not_at_unmarked_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 16, 3, 4, generator=generator)
    target = labels()
    target["detection"][0, 0, 1] = 2
    loss = AnchoredLoss(num_classes=3, anchor_weight=0.5, task_weights={"separation": 2.0})
    expected = dict.fromkeys(TASKS, 0.0)
    for task, channels in task_slices(3).items():
        for b, i, j in np.ndindex(2, 3, 4):
            if target[task][b, 0, i, j] == IGNORE:
                p = softmax(logits[b, :8, i, j].numpy()[channels].astype(float))[0]
                q = softmax(logits[b, 8:, i, j].numpy()[channels].astype(float))[0]
                expected[task] += q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
        expected[task] *= 0.5 * (2 if task == "separation" else 1) / 24
    marks = MaskedMultiTaskLoss(num_classes=3, task_weights={"separation": 2.0}).task_losses(logits[:, :8], target)
    found = loss.task_losses(logits, target)
    for task in TASKS:
        assert float(found[task]) == pytest.approx(float(marks[task]) + expected[task], rel=1e-4)
    assert float(loss(logits, target)) == pytest.approx(sum(float(part) for part in found.values()))


def test_nothing_is_held_where_all_is_marked_or_the_answers_agree():
    same = torch.randn(2, 8, 3, 4)
    plain, anchored = MaskedMultiTaskLoss(num_classes=3), AnchoredLoss(num_classes=3)
    for target in (labels(), labels(value=1)):
        other = same if (target["detection"] == IGNORE).all() else torch.randn(2, 8, 3, 4)
        assert torch.allclose(anchored(torch.cat([same, other], 1), target), plain(same, target), atol=1e-6)
        assert torch.equal(anchored(same, target), plain(same, target))
    # classes may part
    parted = same.clone()
    parted[:, 1:3] = torch.log_softmax(torch.randn(2, 2, 3, 4), 1) + same[:, 1:3].logsumexp(1, keepdim=True)
    assert float(anchored(torch.cat([parted, same], 1), labels())) == pytest.approx(0, abs=1e-6)


def test_the_anchor_stays_as_the_network_was():
    network = torch.nn.Conv2d(1, 8, 1)
    inferer, image = AnchoredInferer(network), torch.randn(2, 1, 3, 4)
    before = network(image).detach()
    with torch.no_grad():
        network.weight += 1
    both = inferer(image, network)
    assert torch.equal(both[:, 8:], before)
    assert torch.equal(both[:, :8], network(image))
    assert both.requires_grad
    assert not any(parameter.requires_grad for parameter in inferer.anchor.parameters())
    assert torch.equal(AnchoredInferer(None)(image, network), network(image))


def test_a_weight_must_be_a_number():
    with pytest.raises(ValueError, match="anchor_weight"):
        AnchoredLoss(num_classes=2, anchor_weight=-1.0)


def test_the_agreement_is_the_share_of_marked_objects_that_the_anchor_finds():
    agreement = Agreement()
    assert agreement.share is None
    answers = torch.zeros(2, 3, 2, 4)
    answers[:, 2, :, :2] = 1  # an object of some kind in the left half
    marks = torch.full((2, 2, 4), IGNORE)
    marks[0, 0, :3], marks[0, 1, 3] = 1, 0  # two of three pixels; background is not asked for
    agreement.add("separation", answers, marks)
    assert agreement.crops == 0
    agreement.add("detection", answers, marks)
    assert (agreement.crops, agreement.share) == (1, pytest.approx(2 / 3))  # the second sample has no marks
    marks[1, :, 3] = 2  # nothing of it is found
    agreement.add("segmentation", answers, marks)
    assert (agreement.crops, agreement.share) == (3, pytest.approx((2 / 3 + 2 / 3 + 0) / 3))


def test_the_loss_asks_the_anchor_and_not_the_network():
    loss, target = AnchoredLoss(num_classes=2), labels(value=1)
    own, anchor = torch.zeros(2, 6, 3, 4), torch.zeros(2, 6, 3, 4)
    own[:, [1, 3]], anchor[:, [0, 2]] = 5, 5
    loss(torch.cat([own, anchor], 1), target)
    assert loss.agreement.share == 0
    assert loss.agreement.crops == 4
