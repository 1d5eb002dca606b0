"""Objects from maps: drawings whose answer is known, and loops that say the same more slowly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor

from lazylabels_monai.data.synthetic import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import (
    InstanceSettings,
    component_instances,
    distance_instances,
    instance_classes,
    read_settings,
    separate_objects,
    three_map_instances,
    write_settings,
)
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.transforms import SaveInstancesd, SeparateObjectsd


def one_hot(classes, count):
    return np.stack([classes == k for k in range(count)]).astype(np.float32)


def discs(*circles, shape=(60, 90)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.uint8)
    for row, column, radius in circles:
        out[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 1
    return out


def maps_of(made, classes=3):
    """What a network that makes no mistake would give."""
    lines = interfaces(made["instances"])
    return made["classes"], one_hot(made["classes"], classes), one_hot(lines, 2)


def test_perfect_maps_give_the_true_objects():
    made = make_image((200, 240), seed=5)
    found = three_map_instances(*maps_of(made), min_marker=1)
    truth = made["instances"]
    ids = [i for i in np.unique(truth) if i and (truth == i).sum() > 60]
    best = []
    for i in ids:
        overlap = np.bincount(found[truth == i])
        j = overlap[1:].argmax() + 1
        best.append(overlap[j] / ((truth == i) | (found == j)).sum())
    assert len(ids) > 20
    assert np.mean(np.array(best) > 0.7) > 0.9
    assert component_instances(made["classes"]).max() < found.max(), "touching objects are parted"


def test_a_patch_of_another_class_does_not_part_an_object():
    classes = np.zeros((20, 30), np.uint8)
    classes[4:16, 3:27] = 1
    classes[7:13, 8:14] = 2
    none = one_hot(np.zeros_like(classes), 2)
    found = three_map_instances(classes, one_hot(classes, 3), none)
    assert found.max() == 1
    assert instance_classes(found, classes).tolist() == [0, 1]


def test_thresholds_decide_what_is_detected_and_what_is_an_interface():
    mask = np.zeros((20, 41), np.uint8)
    mask[5:15, 2:39] = 1
    detection = one_hot(mask, 2) * 0.7
    detection[0] = 1 - detection[1]
    separation = np.zeros((2, 20, 41), np.float32)
    separation[1, :, 20] = 0.4
    separation[0] = 1 - separation[1]

    def count(**settings):
        return separate_objects(mask, detection, separation, InstanceSettings(**settings)).max()

    assert count() == 1, "0.4 is no interface at a threshold of 0.5"
    assert count(separation_threshold=0.3) == 2
    detection[1, :, 20:] = 0.2
    detection[0] = 1 - detection[1]
    assert count(separation_threshold=0.3) == 1, "one half is not detected any more"
    assert count(separation_threshold=0.3, detection_threshold=0.1) == 2


def test_cut_leaves_a_line_between_objects():
    mask = np.ones((12, 21), np.uint8)
    separation = np.zeros((2, 12, 21), np.float32)
    separation[1, :, 10] = 0.9
    separation[0] = 1 - separation[1]
    whole = three_map_instances(mask, one_hot(mask, 2), separation)
    cut = three_map_instances(mask, one_hot(mask, 2), separation, cut=True)
    assert whole.max() == cut.max() == 2
    assert (whole > 0).all()
    assert (cut[:, 10] == 0).all()


def test_a_component_without_a_marker_stays_one_object():
    mask = discs((20, 20, 10), (20, 60, 10))
    detection = one_hot(mask, 2)
    detection[:, :, 40:] = np.array([0.9, 0.1])[:, None, None]
    found = three_map_instances(mask, detection, one_hot(np.zeros_like(mask), 2))
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert found.max() == 2


def test_distance_parts_two_overlapping_discs():
    mask = discs((30, 30, 15), (30, 55, 15))
    assert component_instances(mask).max() == 1
    found = distance_instances(mask, min_distance=8)
    assert found.max() == 2
    assert found[30, 30] != found[30, 55]
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert distance_instances(np.zeros((5, 6), np.uint8)).max() == 0


def test_holes_and_specks_go_by_size():
    mask = discs((30, 30, 20))
    mask[30, 30] = 0  # a hole of one pixel
    mask[28:32, 38:42] = 0  # one of sixteen
    mask[2, 80] = 1
    mask[25:36, 0] = 1  # at the border: what lies behind it is unknown
    for function in (component_instances, distance_instances):
        found = function(mask, min_size=1, max_hole=1)
        assert found.max() >= 1
        assert found[30, 30] > 0, "filled"
        assert found[29, 39] == 0, "too large to be filled"
        assert found[2, 80] == 0, "a speck"
    assert component_instances(mask, max_hole=16)[29, 39] > 0
    between = discs((30, 30, 12), (30, 56, 12))
    between[29:32, 43] = 0
    assert (component_instances(between, max_hole=50)[29:32, 43] == 0).all(), "a gap of two objects is no hole of one"


@pytest.mark.parametrize("seed", range(5))
def test_class_of_an_object_is_that_of_most_pixels(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 7, (15, 17))
    segmentation = rng.choice([0, 1, 2, 255], (15, 17)).astype(np.uint8)
    ids[segmentation == 2] = np.where(ids[segmentation == 2] == 3, 0, ids[segmentation == 2])
    got = instance_classes(ids, segmentation)
    for i in range(1, ids.max() + 1):
        votes = {c: int(((ids == i) & (segmentation == c)).sum()) for c in (1, 2)}
        assert got[i] == max(votes, key=lambda c: (votes[c], -c))
    assert got[0] == 0


def test_the_same_maps_give_the_same_objects_on_plateaus():
    mask = np.ones((30, 40), np.uint8)
    flat = np.full((2, 30, 40), 0.5, np.float32)
    detection = flat.copy()
    detection[:, 5:9, 5:9] = detection[:, 20:24, 30:34] = np.array([0.1, 0.9])[:, None, None]
    detection[0][detection[0] == 0.5] = 0.6
    first = three_map_instances(mask, detection, flat)
    assert first.max() == 2
    assert all((three_map_instances(mask, detection, flat) == first).all() for _ in range(3))


def test_volumes():
    mask = np.zeros((12, 14, 20), np.uint8)
    mask[2:10, 2:12, 2:9] = mask[2:10, 2:12, 11:18] = 1
    assert separate_objects(mask).max() == 2
    assert distance_instances(mask, 4).max() == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "magic"}, "method 'magic' does not exist: use one of three maps"),
        ({"detection_threshold": 1.0}, r"detection_threshold 1.0 must lie between 0 and 1"),
        ({"separation_threshold": 0}, r"separation_threshold 0 must lie between 0 and 1"),
        ({"min_size": -1}, "min_size -1 must be 0 pixels or more"),
        ({"min_distance": 0}, "min_distance 0 must be 1 pixels or more"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(LazyLabelsError, match=message):
        InstanceSettings(**values)


def test_settings_lie_beside_the_weights(tmp_path):
    checkpoint = tmp_path / "model.pt"
    assert read_settings(checkpoint) == InstanceSettings()
    assert read_settings(checkpoint, "distance") == InstanceSettings(method="distance")
    chosen, second = InstanceSettings(method="components", min_size=40, cut=True), InstanceSettings(min_marker=3)
    path = write_settings(checkpoint, [chosen, second], f1=0.5)
    assert read_settings(checkpoint) == read_settings(checkpoint, "components") == chosen
    assert read_settings(checkpoint, "three maps") == second
    assert read_settings(checkpoint, "distance") == InstanceSettings(method="distance")
    assert json.loads(path.read_text())["f1"] == 0.5
    path.write_text('{"best": "components", "methods": {"components": {"min_sise": 4}}}')
    with pytest.raises(LazyLabelsError, match=r"instances\.json names the setting 'min_sise'"):
        read_settings(checkpoint)
    path.write_text("no json")
    with pytest.raises(LazyLabelsError, match=r"instances\.json cannot be read"):
        read_settings(checkpoint)


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
    ids = torch.arange(300 * 300).reshape(1, 300, 300)
    sample = {"image": MetaTensor(torch.zeros(1, 300, 300), meta={"filename_or_obj": "many.png"}), "instances": ids}
    SaveInstancesd("instances", str(tmp_path))(sample)
    written = tifffile.imread(tmp_path / "many_instances.tif")
    assert written.dtype == np.uint32
    np.testing.assert_array_equal(written, ids[0].numpy().T)


@pytest.mark.parametrize("slices", [3, 4, 5])
def test_volumes_of_few_slices_are_no_colour_pictures(tmp_path, slices):
    ids = torch.arange(6 * 7 * slices).reshape(1, 6, 7, slices)
    sample = {"image": MetaTensor(torch.zeros(1, 6, 7, slices), meta={"filename_or_obj": "v.nii.gz"}), "instances": ids}
    SaveInstancesd("instances", str(tmp_path))(sample)
    with tifffile.TiffFile(tmp_path / "v_instances.tif") as file:
        assert len(file.pages) == slices
        np.testing.assert_array_equal(file.asarray(), ids[0].numpy().T)
