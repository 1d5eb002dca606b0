"""What is written of a prediction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.images.files import read_label
from lazylabels_monai.instances import (
    InstanceSettings,
)
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.transforms import (
    SaveInstancesd,
    SaveOverlayd,
    SaveProbabilitiesd,
    SeparateObjectsd,
    SplitTasksd,
)


def _image(*shape):
    return MetaTensor(torch.rand(shape), meta={"filename_or_obj": "folder/a.png"})


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


@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_has_the_colours_of_the_file(tmp_path, channels):
    """Pink tissue stays pink, although each channel is normalised on its own, or all become one gray."""
    picture = np.random.default_rng(0).integers(0, 60, (4, 6, 3)) + np.array([190, 60, 150])
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "a.png")
    seen = torch.randn(channels, 6, 4)
    sample = {
        "image": MetaTensor(seen, meta={"filename_or_obj": str(tmp_path / "a.png")}),
        "pred": torch.zeros(1, 6, 4, dtype=torch.uint8),
    }
    SaveOverlayd("pred", str(tmp_path))(sample)
    shown = np.asarray(Image.open(tmp_path / "a_overlay.png")).astype(float)
    assert np.corrcoef(shown.ravel(), picture.ravel())[0, 1] > 0.99
    sample["image"] = MetaTensor(torch.randn(3, 8, 4), meta=sample["image"].meta)  # another size: not that of this answer
    sample["pred"] = torch.zeros(1, 8, 4, dtype=torch.uint8)
    SaveOverlayd("pred", str(tmp_path))(sample)
    assert Image.open(tmp_path / "a_overlay.png").size == (8, 4)


def one_hot(classes, count):
    return np.stack([classes == k for k in range(count)]).astype(np.float32)


def maps_of(made, classes=3):
    """What a network that makes no mistake would give."""
    lines = interfaces(made["instances"])
    return made["classes"], one_hot(made["classes"], classes), one_hot(lines, 2)


def test_transforms_write_ids_as_the_image_lies(tmp_path):
    made = make_image((40, 64), seed=1)
    segmentation, detection, separation = (torch.as_tensor(np.asarray(m)) for m in maps_of(made))
    sample = {
        "image": MetaTensor(torch.zeros(1, 64, 40), meta={"filename_or_obj": "folder/a.png"}),
        "pred": segmentation.T[None],
        "detection_probability": detection.permute(0, 2, 1),
        "separation_probability": separation.permute(0, 2, 1),
    }
    done = SaveInstancesd("instances", str(tmp_path))(SeparateObjectsd("pred")(sample))
    assert done["instances"].shape == (1, 64, 40)
    written = tifffile.imread(tmp_path / "a_instances.tif")
    assert written.shape == (40, 64)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, done["instances"][0].numpy().T)
    assert "instances" not in sample


def test_more_than_65535_objects(tmp_path):
    """From maps to the file and back: 265 x 265 squares, numbered row by row of the array."""
    number = torch.arange(1, 265 * 265 + 1).reshape(265, 265)
    expected = torch.zeros(265 * 4, 265 * 4, dtype=torch.int64)
    for row, column in itertools.product(range(3), repeat=2):
        expected[row::4, column::4] = number
    mask = (expected > 0).to(torch.uint8)
    sample = {
        "image": MetaTensor(torch.zeros(1, *mask.shape), meta={"filename_or_obj": "many.png"}),
        "pred": mask[None],
        "detection_probability": torch.stack([1 - mask, mask]),
        "separation_probability": torch.stack([torch.ones_like(mask), torch.zeros_like(mask)]),
    }
    separate = SeparateObjectsd("pred", InstanceSettings(min_marker=0, min_size=0))
    SaveInstancesd("instances", str(tmp_path))(separate(sample))
    path = tmp_path / "many_instances.tif"
    assert tifffile.imread(path).dtype == np.uint32
    np.testing.assert_array_equal(read_label(path), expected.numpy().T)


@pytest.mark.parametrize("slices", [3, 4, 5])
def test_volumes_of_few_slices_are_no_colour_pictures(tmp_path, slices):
    ids = torch.arange(6 * 7 * slices).reshape(1, 6, 7, slices)
    sample = {"image": MetaTensor(torch.zeros(1, 6, 7, slices), meta={"filename_or_obj": "v.nii.gz"}), "instances": ids}
    SaveInstancesd("instances", str(tmp_path))(sample)
    with tifffile.TiffFile(tmp_path / "v_instances.tif") as file:
        assert len(file.pages) == slices
        np.testing.assert_array_equal(file.asarray(), ids[0].numpy().T)
