"""What the engines hand to the network, the loss and the metrics."""

from __future__ import annotations

import warnings

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from lazylabels_monai import precision
from lazylabels_monai.engines import PrepareEvaluationBatch, PrepareTrainingBatch, Validator
from lazylabels_monai.tasks import TASKS, present_key
from tests.helpers import ROOT


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


def test_a_validation_predicts_in_channels_last_order_and_leaves_the_training_in_its_own():
    seen = []

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, image):
            seen.append(self.conv.weight.is_contiguous(memory_format=torch.channels_last))
            return self.conv(image)

    network = Network()
    loader, prepare = [batch()], PrepareEvaluationBatch()
    evaluator = Validator(device="cpu", val_data_loader=loader, network=network, prepare_batch=prepare, decollate=False)
    evaluator.run(1)
    assert seen == [True]
    assert network.conv.weight.is_contiguous()


@pytest.mark.parametrize(
    ("device", "dims", "bfloat16", "expected"),
    [
        ("cpu", 2, False, False),
        ("cpu", 2, True, True),
        ("cuda", 2, False, True),
        ("mps", 2, False, True),
        ("cpu", 3, True, False),
        ("cuda", 3, False, False),
    ],
)
def test_training_steps_are_in_channels_last_order_where_that_is_faster(monkeypatch, device, dims, bfloat16, expected):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: bfloat16)
    parser = ConfigParser()
    parser.read_config(ROOT / "bundle" / "configs" / "train.yaml")
    parser.update({"device": device, "spatial_dims": dims, "cpu_bfloat16": True})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the processor has none
        assert parser.get_parsed_content("channels_last") is expected
