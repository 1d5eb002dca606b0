"""Dictionary transforms: absent labels, implied segmentation, what comes from outside an image, channels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import BorderPadd, Compose, RandAffined
from PIL import Image

from lazylabels_monai.tasks import IGNORE, TASKS, present_key
from lazylabels_monai.transforms import (
    DecodeIgnoredd,
    EncodeIgnoredd,
    FillMissingLabelsd,
    MatchChannelsd,
    SaveOverlayd,
    SaveProbabilitiesd,
    SplitTasksd,
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


def test_channels_are_matched():
    colour = torch.rand(3, 4, 5)
    gray = MatchChannelsd("image", 1)({"image": colour})["image"]
    as_pil = Image.fromarray((colour.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).convert("L")
    assert np.abs(gray[0].numpy() * 255 - np.asarray(as_pil)).max() < 1.5
    assert MatchChannelsd("image", 3)({"image": gray})["image"].shape == (3, 4, 5)
    assert MatchChannelsd("image", 3)({"image": colour})["image"] is colour
    with pytest.raises(ValueError, match=r"a\.png: key 'image' has 2 channels.*--in_channels 2"):
        MatchChannelsd("image", 1)({"image": _image(2, 4, 5)})


def test_prediction_files(tmp_path):
    """Overlay and probabilities are written in rows and columns, whatever MONAI's axis order."""
    probabilities = torch.zeros(8, 6, 4)  # MONAI's (C, W, H): a picture of 4 rows and 6 columns
    probabilities[0] = 0.6
    probabilities[2, 5, 1] = 0.9  # column 5, row 1
    sample = SplitTasksd("pred", num_classes=3)({"image": _image(1, 6, 4), "pred": probabilities})
    assert sample["pred"].dtype == torch.uint8
    assert sample["pred"].nonzero().tolist() == [[0, 5, 1]]
    SaveOverlayd("pred", str(tmp_path))(sample)
    SaveProbabilitiesd(TASKS, str(tmp_path))(sample)
    assert np.asarray(Image.open(tmp_path / "a_overlay.png")).shape == (4, 6, 3)
    stack = tifffile.imread(tmp_path / "a_segmentation_probability.tif")
    assert stack.shape == (3, 4, 6)
    assert stack[2, 1, 5] == np.float32(0.9)
    assert tifffile.imread(tmp_path / "a_separation_probability.tif").shape == (2, 4, 6)
