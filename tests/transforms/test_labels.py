"""Transforms of labels: absent ones, and what comes from outside an image."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import BorderPadd, Compose, LoadImaged, RandAffined

from lazylabels_monai.images.places import ElsewhereError
from lazylabels_monai.images.readers import MicroscopyReader
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


def _volumes(tmp_path, label_affine=None):
    """A volume and its label, which is stored canonically or at another place; both as the bundle loads them."""
    values = np.arange(1, 61, dtype=np.uint8).reshape(3, 4, 5)
    affine = np.array([[0, -0.7, 0, 5], [0.5, 0, 0, -3], [0, 0, -2.0, 11], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), tmp_path / "image.nii.gz")
    label = nibabel.Nifti1Image(values, affine)
    label = nibabel.as_closest_canonical(label) if label_affine is None else nibabel.Nifti1Image(values, label_affine)
    nibabel.save(label, tmp_path / "label.nii.gz")
    files = {key: str(tmp_path / "label.nii.gz") for key in ("segmentation", "instances")}
    options = {"ensure_channel_first": True, "image_only": True}
    load = Compose(
        [
            LoadImaged("image", reader=MicroscopyReader(), **options),
            LoadImaged(list(files), reader=MicroscopyReader(label=True), dtype=torch.int32, **options),
        ]
    )
    return load({"image": str(tmp_path / "image.nii.gz"), **files})


def test_labels_of_a_volume_lie_as_the_volume_does(tmp_path):
    loaded = _volumes(tmp_path)
    sample = FillMissingLabelsd(instances_key="instances")(loaded)
    for key in ("segmentation", "instances"):
        assert not np.array_equal(loaded[key].shape, sample["image"].shape)
        assert torch.equal(torch.as_tensor(sample[key]), torch.as_tensor(sample["image"]).int())
        assert torch.equal(sample[key].affine, sample["image"].affine)
        assert sample[key].dtype == torch.int32
        assert sample[key].meta["filename_or_obj"].endswith("label.nii.gz")


def test_a_volumes_label_of_another_grid_is_refused(tmp_path):
    with pytest.raises(ElsewhereError, match=r"label\.nii\.gz' has another place in space"):
        FillMissingLabelsd()(_volumes(tmp_path, np.diag([3.0, 1, 1, 1])))


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
