"""What the engines hand to the network, the loss and the metrics."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from lazylabels_monai.engines import PrepareEvaluationBatch, PrepareTrainingBatch
from lazylabels_monai.tasks import TASKS, present_key


def batch(spatial=(6, 9)) -> dict:
    """Two collated samples of distinct values; the second has no exact mask."""
    made = {"image": MetaTensor(torch.arange(2.0 * 3 * 54).reshape(2, 3, *spatial)), "name": ["a", "b"]}
    for number, key in enumerate((*TASKS, "instances")):
        made[key] = MetaTensor(torch.full((2, 1, *spatial), number, dtype=torch.uint8 if number < 3 else torch.int32))
        made[present_key(key)] = torch.tensor([1, int(key != "segmentation")])
    return made


def test_training_is_given_the_labels_and_flags_of_its_tasks_as_plain_tensors():
    given = batch()
    image, target = PrepareTrainingBatch(["separation", "segmentation"])(given, device="cpu")
    assert set(target) == {"segmentation", "segmentation_present", "separation", "separation_present"}
    assert not any(isinstance(value, MetaTensor) for value in (image, *target.values()))
    assert torch.equal(image, given["image"].as_tensor())
    assert target["segmentation_present"].tolist() == [1, 0]
    assert (target["separation"] == 2).all()
    assert target["separation"].dtype == torch.uint8


def test_flags_may_be_lists():
    given = batch() | {present_key("detection"): [True, False]}
    _, target = PrepareTrainingBatch(["detection"])(given, device="cpu")
    assert target["detection_present"].tolist() == [True, False]


def test_tasks_that_are_none_are_refused():
    with pytest.raises(ValueError, match="must name each of"):
        PrepareTrainingBatch(["contours"])


@pytest.mark.parametrize("prepare", [PrepareTrainingBatch, PrepareEvaluationBatch])
@pytest.mark.parametrize("channels_last", [False, True])
def test_channels_come_last_in_memory_where_asked_for(prepare, channels_last):
    image, _ = prepare(channels_last=channels_last)(batch(), device="cpu")
    assert image.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert torch.equal(image, batch()["image"].as_tensor())  # the values stand where they stood
    volume = batch((3, 3, 6))
    assert prepare(channels_last=True)(volume, device="cpu")[0].shape == volume["image"].shape  # volumes stay as they are


def test_evaluation_is_given_the_image_and_all_truth_in_one_tensor():
    image, truth = PrepareEvaluationBatch()(batch(), device="cpu", dtype=torch.float64)
    assert (type(image), image.dtype) == (torch.Tensor, torch.float64)
    assert (type(truth), truth.dtype, tuple(truth.shape)) == (torch.Tensor, torch.int32, (2, 4, 6, 9))
    assert [int(truth[:, channel].unique()) for channel in range(4)] == [0, 1, 2, 3]
