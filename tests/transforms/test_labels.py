"""Transforms of labels: absent ones, and what comes from outside an image."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import BorderPadd, Compose, RandAffined

from lazylabels_monai.tasks import IGNORE, TASKS, present_key
from lazylabels_monai.transforms import (
    DecodeIgnoredd,
    EncodeIgnoredd,
    FillMissingLabelsd,
)


def _image(*shape):
    return MetaTensor(torch.rand(shape), meta={"filename_or_obj": "folder/a.png"})


def test_absent_labels_are_filled_and_flagged():
    given = torch.zeros((1, 5, 7), dtype=torch.uint8)
    sample = FillMissingLabelsd(instances_key="instances")({"image": _image(1, 5, 7), "detection": given})
    assert [sample[present_key(task)] for task in TASKS] == [0, 1, 0]
    assert (sample["segmentation"] == IGNORE).all()
    assert sample["segmentation"].shape == (1, 5, 7)
    assert torch.equal(torch.as_tensor(sample["detection"]), given)
    assert (sample["instances"] == -1).all()


def test_samples_with_different_labels_collate():
    fill = FillMissingLabelsd()
    label = MetaTensor(torch.ones((1, 4, 6), dtype=torch.uint8))
    samples = [fill({"image": _image(1, 4, 6), task: label}) for task in TASKS] + [fill({"image": _image(1, 4, 6)})]
    batch = list_data_collate(samples)
    for position, task in enumerate(TASKS):
        assert batch[task].shape == (4, 1, 4, 6)
        assert batch[present_key(task)].tolist() == [float(i == position) for i in range(4)]


def test_label_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"key 'detection' has the size \(5, 6\).*a\.png.*\(5, 7\)"):
        FillMissingLabelsd()({"image": _image(1, 5, 7), "detection": torch.zeros(1, 5, 6)})


@pytest.mark.parametrize("angle", [0.4, 0.7854])
def test_pixels_from_outside_are_not_labelled(angle):
    """A rotated label of one class holds that class and 255, never class 0; inside it stays whole."""
    label = torch.ones((1, 24, 32), dtype=torch.uint8)
    turn = Compose(
        [
            EncodeIgnoredd("label"),
            BorderPadd("label", spatial_border=4, mode="constant"),
            RandAffined("label", prob=1.0, rotate_range=(angle, angle), mode="nearest", padding_mode="zeros"),
            DecodeIgnoredd("label"),
        ]
    )
    turned = turn({"label": label})["label"]
    assert set(turned.unique().tolist()) == {1, IGNORE}
    assert turned.shape == (1, 32, 40)
    assert (turned[0, 14:18, 17:23] == 1).all()


def test_encoding_round_trip():
    label = torch.tensor([[[0, 1, 254, IGNORE]]], dtype=torch.uint8)
    coded = EncodeIgnoredd("a")({"a": label})
    assert coded["a"].tolist() == [[[1, 2, 255, 0]]]
    assert torch.equal(DecodeIgnoredd("a")(coded)["a"], label)
