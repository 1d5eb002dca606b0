"""The loss against a double loop over samples and pixels, and at its edges: nothing labelled, huge logits, bfloat16."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from lazylabels_monai.losses import MaskedMultiTaskLoss, ProbabilityLoss
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.tasks import IGNORE, TASKS, num_task_classes, present_key, task_slices, total_channels

NUM_CLASSES = 3

# which samples of a batch of four carry which label
PRESENT = {"segmentation": [1, 0, 0, 1], "detection": [1, 1, 0, 1], "separation": [1, 1, 1, 1]}


def make_batch(spatial=(5, 4), present=None, num_classes=NUM_CLASSES, dtype=torch.float32, seed=0):
    """Logits and labels: absent labels are all 255, of the others some pixels are, and so is one whole separation."""
    generator = torch.Generator().manual_seed(seed)
    present = PRESENT if present is None else present
    batch = len(next(iter(present.values())))
    logits = torch.randn(batch, total_channels(num_classes), *spatial, generator=generator, dtype=dtype) * 3
    target = {}
    for task in TASKS:
        label = torch.randint(0, num_task_classes(task, num_classes), (batch, 1, *spatial), generator=generator)
        label[torch.rand(label.shape, generator=generator) < 0.3] = IGNORE
        flag = torch.tensor(present[task])
        label[flag == 0] = IGNORE
        target[task], target[present_key(task)] = label, flag
    target["separation"][2:3] = IGNORE  # present, but its crop holds no labelled pixel
    return logits, target


def absent_batch(spatial=(5, 4)):
    return make_batch(spatial, present={task: [0, 0] for task in TASKS})


def double_loop(
    logits, target, task_weights=None, class_weights=None, normalization="batch", pixel_mean="labelled", num_classes=NUM_CLASSES
):
    """Eq. 6 and Algorithm 1, one sample and one pixel at a time."""
    logits = logits.double().numpy()
    parts = {}
    for task, channels in task_slices(num_classes).items():
        alpha = (task_weights or {}).get(task, 1.0)
        weights = (class_weights or {}).get(task, [1.0] * (channels.stop - channels.start))
        total, carriers = 0.0, 0
        for i in range(len(logits)):
            scores = logits[i, channels].reshape(channels.stop - channels.start, -1)
            label = target[task][i].numpy().reshape(-1)
            summed, divisor, labelled = 0.0, 0.0, 0
            for pixel in range(label.size):
                if label[pixel] == IGNORE or not target[present_key(task)][i]:
                    continue
                log_norm = np.log(sum(math.exp(score) for score in scores[:, pixel]))
                summed += weights[label[pixel]] * (log_norm - scores[label[pixel], pixel])
                divisor += weights[label[pixel]]
                labelled += 1
            if divisor > 0:
                share = labelled / label.size if pixel_mean == "all" else 1.0
                total, carriers = total + share * summed / divisor, carriers + 1
        parts[task] = alpha * total / (len(logits) if normalization == "batch" else max(carriers, 1))
    return parts


@pytest.mark.parametrize("normalization", ["batch", "labelled"])
@pytest.mark.parametrize("task_weights", [None, {"detection": 0.5, "separation": 3.0}], ids=["alpha1", "alpha"])
@pytest.mark.parametrize(
    "class_weights", [None, {"separation": [1.0, 5.0], "segmentation": (0.5, 2.0, 0.0)}], ids=["plain", "weighted"]
)
@pytest.mark.parametrize("spatial", [(5, 4), (3, 4, 2)], ids=["2d", "3d"])
@pytest.mark.parametrize("pixel_mean", ["labelled", "all"])
def test_equals_double_loop(normalization, task_weights, class_weights, spatial, pixel_mean):
    logits, target = make_batch(spatial)
    arguments = {
        "task_weights": task_weights,
        "class_weights": class_weights,
        "normalization": normalization,
        "pixel_mean": pixel_mean,
    }
    expected = double_loop(logits, target, **arguments)
    loss = MaskedMultiTaskLoss(NUM_CLASSES, **arguments)
    parts = loss.task_losses(logits, target)
    assert {task: part.item() for task, part in parts.items()} == pytest.approx(expected, rel=1e-5)
    assert list(parts) == list(TASKS)

    logits.requires_grad_()
    total = loss(logits, target)
    assert total.shape == ()
    assert total.item() == pytest.approx(sum(expected.values()), rel=1e-5)
    assert {task: part.item() for task, part in loss.last_parts.items()} == pytest.approx(expected, rel=1e-5)
    assert not any(part.requires_grad for part in loss.last_parts.values())


def test_one_labelled_image_is_a_torch_cross_entropy():
    logits, target = make_batch(present={"segmentation": [1], "detection": [0], "separation": [0]})
    weights = [0.2, 1.0, 3.0]
    expected = torch.nn.CrossEntropyLoss(torch.tensor(weights), ignore_index=IGNORE)(
        logits[:, :3], target["segmentation"][:, 0]
    )
    loss = MaskedMultiTaskLoss(NUM_CLASSES, class_weights={"segmentation": weights})
    torch.testing.assert_close(loss(logits, target), expected)


@pytest.mark.parametrize("normalization", ["batch", "labelled"])
def test_pixels_without_a_label_have_no_gradient(normalization):
    logits, target = make_batch()
    logits.requires_grad_()
    MaskedMultiTaskLoss(NUM_CLASSES, normalization=normalization)(logits, target).backward()
    for task, channels in task_slices(NUM_CLASSES).items():
        moved = (logits.grad[:, channels] != 0).any(dim=1, keepdim=True)
        assert torch.equal(moved, target[task] != IGNORE)


def test_flag_wins_over_what_an_absent_label_holds():
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    expected = loss(logits, target)
    target["segmentation"][1] = 1
    target["detection"][2] = 77  # not even a class
    torch.testing.assert_close(loss(logits, target), expected)


def test_without_flags_every_label_is_present():
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    torch.testing.assert_close(loss(logits, {task: target[task] for task in TASKS}), loss(logits, target))


@pytest.mark.parametrize("flag", [torch.bool, torch.float32, torch.uint8])
@pytest.mark.parametrize("label", [torch.uint8, torch.int32, torch.float32])
def test_types_of_labels_and_flags(flag, label):
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    expected = loss(logits, target)
    for task in TASKS:
        target[task] = target[task].to(label)
        target[present_key(task)] = target[present_key(task)].to(flag)[:, None]
    torch.testing.assert_close(loss(logits, target), expected)


def test_metatensors():
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    expected = loss(logits, target)
    meta = MetaTensor(logits, meta={"filename_or_obj": list("abcd")}).requires_grad_()
    meta.is_batch = True
    result = loss(meta, {key: MetaTensor(value) for key, value in target.items()})
    torch.testing.assert_close(result, expected)
    assert not isinstance(result, MetaTensor)
    result.backward()
    assert meta.grad.abs().sum() > 0


@pytest.mark.parametrize("tasks", [("segmentation",), ("detection", "segmentation"), ("separation",)])
def test_fewer_tasks(tasks):
    logits, target = make_batch()
    everything = MaskedMultiTaskLoss(NUM_CLASSES).task_losses(logits, target)
    channels = torch.cat([logits[:, task_slices(NUM_CLASSES)[task]] for task in TASKS if task in tasks], dim=1)
    total = MaskedMultiTaskLoss(NUM_CLASSES, tasks=tasks)(channels, target)
    torch.testing.assert_close(total, sum(everything[task] for task in tasks))


@pytest.mark.parametrize("normalization", ["batch", "labelled"])
@pytest.mark.parametrize("absent", TASKS)
def test_absent_task_gives_its_head_a_zero_gradient(absent, normalization):
    torch.manual_seed(0)
    network = MultiTaskUNet(channels=(4, 6), num_multitask_blocks=1)
    _, target = make_batch((8, 8), present={task: [int(task != absent)] * 3 for task in TASKS})
    loss = MaskedMultiTaskLoss(NUM_CLASSES, normalization=normalization)
    loss(network(torch.rand(3, 1, 8, 8)), target).backward()
    assert loss.last_parts[absent] == 0
    for task, head in network.heads.items():
        for parameter in head.parameters():
            assert parameter.grad is not None
            assert (parameter.grad == 0).all() == (task == absent)


@pytest.mark.parametrize("class_weights", [None, {"segmentation": [1, 2, 3]}])
@pytest.mark.parametrize("normalization", ["batch", "labelled"])
def test_batch_without_labels_is_zero_and_trains_on(normalization, class_weights):
    torch.manual_seed(0)
    network = MultiTaskUNet(channels=(4, 6), num_multitask_blocks=1)
    before = {key: value.clone() for key, value in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    _, target = absent_batch((8, 8))
    loss = MaskedMultiTaskLoss(NUM_CLASSES, normalization=normalization, class_weights=class_weights)
    total = loss(network(torch.rand(2, 1, 8, 8)), target)
    assert total.item() == 0.0
    total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad == 0).all(), name
    optimizer.step()
    for key, value in network.named_parameters():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("value", [1e30, float("inf"), -float("inf")])
@pytest.mark.parametrize("absent", [False, True])
def test_huge_logits_stay_finite(value, absent):
    logits, target = absent_batch() if absent else make_batch()
    logits[:, ::2] = value
    logits.requires_grad_()
    total = MaskedMultiTaskLoss(NUM_CLASSES)(logits, target)
    total.backward()
    assert total.isfinite()
    assert logits.grad.isfinite().all()
    assert (total == 0) == absent


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_logits(dtype):
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    logits = logits.to(dtype)
    total = loss(logits, target)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, loss(logits.float(), target), rtol=0, atol=0)


def test_autocast():
    torch.manual_seed(0)
    network = MultiTaskUNet(channels=(4, 6), num_multitask_blocks=1)
    image = torch.rand(4, 1, 8, 8)
    _, target = make_batch((8, 8))
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    expected = loss(network(image), target)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(image)
        total = loss(logits, target)
    assert logits.dtype == torch.bfloat16
    assert total.dtype == torch.float32
    total.backward()
    torch.testing.assert_close(total, expected, rtol=0.03, atol=0)
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("task", "value", "dtype", "message"),
    [
        ("segmentation", 3, torch.int64, r"label of segmentation holds the value 3 but .* from 0 to 2, or 255"),
        ("detection", -1, torch.int64, "label of detection holds the value -1 "),
        ("separation", 2, torch.uint8, "label of separation holds the value 2 but .* from 0 to 1"),
        ("separation", 0.5, torch.float32, "label of separation holds the value 0.5 "),
        ("detection", float("nan"), torch.float32, "label of detection holds the value nan "),
    ],
)
def test_label_that_is_no_class(task, value, dtype, message):
    logits, target = make_batch()
    target[task] = target[task].to(dtype)
    target[task][0, 0, 1, 1] = value
    with pytest.raises(ValueError, match=message):
        MaskedMultiTaskLoss(NUM_CLASSES)(logits, target)
    target[task][0, 0, 1, 1] = IGNORE
    unchecked = MaskedMultiTaskLoss(NUM_CLASSES, check_labels=False)
    torch.testing.assert_close(unchecked(logits, target), MaskedMultiTaskLoss(NUM_CLASSES)(logits, target))


def test_bad_shapes():
    logits, target = make_batch()
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    with pytest.raises(ValueError, match="input has 7 channels but must have 8"):
        loss(logits[:, :7], target)
    target["detection"] = target["detection"][:, 0]
    with pytest.raises(ValueError, match=r"label of detection has shape \(4, 5, 4\) but must have one channel"):
        loss(logits, target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes 1 must count the background too"),
        ({"tasks": ("depth",)}, r"tasks \['depth'\] must name each of"),
        ({"normalization": "mean"}, "normalization 'mean' must be 'batch' or 'labelled'"),
        ({"task_weights": {"depth": 1.0}}, r"task_weights names \['depth'\] but may name only"),
        ({"task_weights": {"detection": -1.0}}, r"task_weights\['detection'\] -1.0 must be a finite number"),
        ({"task_weights": {"detection": math.nan}}, r"task_weights\['detection'\] nan must be a finite number"),
        ({"class_weights": {"depth": [1.0]}}, r"class_weights names \['depth'\] but may name only"),
        ({"class_weights": {"separation": [1.0] * 3}}, r"class_weights\['separation'\] .* must hold 2 finite numbers"),
        ({"class_weights": {"detection": [1, 1, -1]}}, r"class_weights\['detection'\] .* must hold 3 finite numbers"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskedMultiTaskLoss(**{"num_classes": NUM_CLASSES, **arguments})


def soft_dice_loops(logits, target, num_classes=NUM_CLASSES, smooth=1e-5):
    """1 - Dice of each task over the labelled pixels of the whole batch, the mean over its object classes, pixel by pixel."""
    logits = logits.double().numpy()
    parts = {}
    for task, channels in task_slices(num_classes).items():
        losses = []
        for value in range(1, channels.stop - channels.start):
            both, predicted, true = 0.0, 0.0, 0.0
            for i in range(len(logits)):
                scores = logits[i, channels].reshape(channels.stop - channels.start, -1)
                label = target[task][i].numpy().reshape(-1)
                for pixel in range(label.size):
                    if label[pixel] == IGNORE or not target[present_key(task)][i]:
                        continue
                    p = math.exp(scores[value, pixel]) / sum(math.exp(score) for score in scores[:, pixel])
                    both, predicted, true = both + p * (label[pixel] == value), predicted + p, true + (label[pixel] == value)
            losses.append(1 - (2 * both + smooth) / (predicted + true + smooth))
        parts[task] = sum(losses) / len(losses)
    return parts


@pytest.mark.parametrize("normalization", ["batch", "labelled"])
@pytest.mark.parametrize("spatial", [(5, 4), (3, 4, 2)], ids=["2d", "3d"])
def test_dice_loss_is_added_to_the_cross_entropy(normalization, spatial):
    logits, target = make_batch(spatial)
    alpha = {"detection": 0.5, "separation": 3.0}
    cross_entropy = double_loop(logits, target, task_weights=alpha, normalization=normalization)
    dice = soft_dice_loops(logits, target)
    expected = {task: cross_entropy[task] + 0.7 * alpha.get(task, 1.0) * dice[task] for task in TASKS}
    loss = MaskedMultiTaskLoss(NUM_CLASSES, task_weights=alpha, normalization=normalization, dice_weight=0.7)
    parts = {task: part.item() for task, part in loss.task_losses(logits, target).items()}
    assert parts == pytest.approx(expected, rel=1e-5)


def test_dice_loss_leaves_pixels_without_a_label_alone():
    logits, target = make_batch()
    logits.requires_grad_()
    MaskedMultiTaskLoss(NUM_CLASSES, dice_weight=1.0)(logits, target).backward()
    for task, channels in task_slices(NUM_CLASSES).items():
        moved = (logits.grad[:, channels] != 0).any(dim=1, keepdim=True)
        assert torch.equal(moved, target[task] != IGNORE)

    logits, target = absent_batch()
    logits.requires_grad_()
    loss = MaskedMultiTaskLoss(NUM_CLASSES, dice_weight=1.0)(logits, target)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_the_loss_of_probabilities_is_that_of_their_logits_image_by_image():
    """Against the double loop: what validation measures where no image has an exact mask."""
    logits, target = make_batch()
    probabilities = torch.cat([logits[:, c].softmax(1) for c in task_slices(NUM_CLASSES).values()], dim=1)
    instances = torch.full_like(target["detection"], -1)
    truth = torch.cat([*(target[task] for task in TASKS), instances], dim=1)
    for task in TASKS:
        absent = target[f"{task}_present"].reshape(-1) == 0
        truth[absent, TASKS.index(task)] = IGNORE
    found = ProbabilityLoss(MaskedMultiTaskLoss(NUM_CLASSES))(probabilities, truth)
    assert found.shape == (len(logits),)
    for i, value in enumerate(found):
        one = {key: label[i : i + 1] for key, label in target.items()}
        expected = sum(double_loop(logits[i : i + 1], one).values())
        if all((truth[i, TASKS.index(task)] == IGNORE).all() for task in TASKS):
            assert torch.isnan(value)
        else:
            assert value.item() == pytest.approx(expected, rel=1e-5)


def test_an_image_without_a_mark_says_nothing_and_a_lost_probability_not_everything():
    loss = ProbabilityLoss(MaskedMultiTaskLoss(num_classes=3))
    truth = torch.full((2, 4, 4, 4), IGNORE)
    truth[0, 1, 0, 0] = 1
    probabilities = torch.full((2, 8, 4, 4), 1 / 3)
    probabilities[0, 4] = 0.0
    first, second = loss(probabilities, truth)
    assert first.item() < 100
    assert torch.isnan(second)
