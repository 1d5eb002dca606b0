"""What the check says about marks: each finding has a case that produces it; sound marks produce none."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.data.checking import CODES
from lazylabels_monai.data.checking.marks import mark_diameter, mark_extent, mark_faults, pieces
from tests.data.checking.cases import MARKS, DataSet, H, W, erased, sound


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


def test_sound_set_has_no_finding(data):
    report = data.check()
    assert report.findings == []
    assert report.errors == report.warnings == []
    assert report.as_dict() == {"errors": 0, "warnings": 0, "findings": []}


# ---------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize("largest", [2**31, 2**62, 2**63, 2**64 - 1])
def test_ids_of_any_size_are_judged_alike(largest):
    _, labels = sound(0)
    MARKS["mark over two objects"][0](labels)
    expected = [(fault.code, fault.pixels) for fault in mark_faults(labels)]
    assert expected
    ids = labels["instances"].astype(np.uint64)
    labels["instances"] = np.where(ids > 0, np.uint64(largest) - ids, 0).astype(np.uint64)
    assert [(fault.code, fault.pixels) for fault in mark_faults(labels)] == expected


@pytest.mark.parametrize(("change", "code", "key", "objects", "location"), MARKS.values(), ids=MARKS)
def test_marks(data, change, code, key, objects, location):
    _, labels = sound(0)
    change(labels)
    for name in ("segmentation", "detection", "separation", "instances"):
        data.write(f"{name}/0.png", labels[name])
    report = data.check()
    assert [f.code for f in report.findings] == [code]
    found = report.findings[0]
    assert (found.level, found.section, found.index, found.key) == (CODES[code].level, "training", 0, key)
    assert (found.image, found.file) == ("images/0.png", f"{key}/0.png")
    assert (found.objects, found.location) == (objects, location)
    assert found.pixels > 0
    sentences = report.errors if found.level == "error" else report.warnings
    assert sentences == [found.message]
    assert f"training[0] \"{key}\": file '{key}/0.png' has " in found.message
    assert found.message.endswith(f": {CODES[code].remedy}.")
    assert "{" not in found.message
    assert "\n" not in found.message
    # what a training asks for stays as quick, and as quiet, as it was
    assert data.check(marks=False).findings == []


def test_ids_of_what_is_background_in_the_mask_are_told():
    _, labels = sound(0)
    erased(labels)
    (fault,) = [fault for fault in mark_faults(labels) if fault.code == "ids-disagree"]
    assert (fault.key, fault.objects, fault.pixels, fault.location) == ("instances", 1, 400, (60, 70))
    labels["segmentation"][60:80, 70:90] = 255  # not labelled: it may be there
    assert not [fault for fault in mark_faults(labels) if fault.code == "ids-disagree"]


def test_labels_of_another_image_are_one_finding():
    _, labels = sound(0)
    labels["segmentation"], labels["instances"] = labels["segmentation"][:, ::-1], labels["instances"][:, ::-1]
    faults = mark_faults(labels)
    assert [f.code for f in faults] == ["strong-disagrees-inner"]
    assert faults[0].objects > faults[0].of / 2


def test_unlabelled_areas_are_nobodys_fault():
    _, labels = sound(0)
    labels["detection"][50:] = 255  # only the upper half was looked at
    assert mark_faults(labels) == []
    _, labels = sound(0)
    del labels["instances"]
    labels["segmentation"][:, 28:34] = 255  # cuts objects, leaving slices of two pixels
    assert mark_faults(labels) == []


def test_slips_of_the_hand_are_no_finding():
    _, labels = sound(0)
    labels["separation"][60:67, 19:21] = 1  # ends inside the mark
    labels["detection"][60:64, 14] = 2  # a thin tail up to the border
    labels["separation"][10:30, 33:35] = 1  # touches the edge of a mark
    assert mark_faults(labels) == []


def test_scribble_beside_a_waist_is_no_finding():
    """It cuts a lobe off at the waist, which is two pixels wide there; across the lobe it does not pass for a graze."""
    labels = {key: np.zeros((H, W), np.uint8) for key in ("detection", "separation")}
    labels["detection"][20:40, 20:40] = labels["detection"][20:40, 50:70] = 1
    labels["detection"][20:22, 40:50] = 1
    labels["separation"][10:30, 44:47] = 1
    assert mark_faults(labels) == []
    labels["separation"][10:60, 30:33] = 1
    assert [f.code for f in mark_faults(labels)] == ["inner-crosses-interface"]


def test_needles_are_no_slivers():
    mask = np.zeros((H, W), np.uint8)
    for y in range(5, 90, 8):
        mask[y : y + 3, 10:100] = 1
    assert mark_faults({"segmentation": mask}) == []
    mask[3:30, 102:118] = 1  # a few thick objects among them change nothing
    assert mark_faults({"segmentation": mask}) == []


def test_objects_cut_by_the_border_are_no_slivers():
    mask = np.zeros((H, W), np.uint8)
    mask[0:2, 70:110] = mask[30, 0] = 1
    for x in range(5, 110, 20):  # thick ones, so that thinness is not in the objects' nature
        mask[60:75, x : x + 15] = 1
    assert mark_faults({"segmentation": mask}) == []


def test_scribbles_separate_marks_of_volumes_too():
    labels = {key: np.zeros((20, 30, 12), np.uint8) for key in ("detection", "separation")}
    labels["detection"][4:14, 4:24, 2:9] = 1
    assert mark_faults(labels) == []
    labels["separation"][:, 13:15] = 1
    faults = mark_faults(labels)
    assert [(f.code, f.objects, f.location) for f in faults] == [("inner-crosses-interface", 1, (4, 13, 2))]


def test_pieces_and_diameter():
    label = np.array([[1, 1, 0, 2], [0, 0, 1, 2], [255, 255, 0, 0]])
    found, classes = pieces(label)
    assert found.tolist() == [[1, 1, 0, 3], [0, 0, 2, 3], [0, 0, 0, 0]]
    assert classes.tolist() == [0, 1, 1, 2]
    disc = np.hypot(*np.mgrid[-20:21, -20:21]) <= 10
    assert mark_diameter({"detection": disc.astype(np.uint8)}) == pytest.approx(20, abs=0.5)
    assert mark_diameter({"detection": np.zeros((4, 4), np.uint8)}) is None


# ---------------------------------------------------------------------------------------------- real data


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "masks"), [("superalloy", "classes"), ("emps", "masks"), ("nuclei_fluo", "masks")])
def test_marks_made_from_real_masks_are_sound(data_root, name, masks):
    """Labels as :mod:`lazylabels_monai.labels` draws them: no error, and next to no warning."""
    from lazylabels_monai.images.files import read_label
    from lazylabels_monai.labels.inner import inner_regions
    from lazylabels_monai.labels.interfaces import interfaces

    faults = []
    files = sorted((data_root / name / "train" / masks).glob("*.png"))[:10]
    assert len(files) == 10
    for file in files:
        exact = read_label(file)
        ids = exact if masks == "masks" else pieces(exact)[0]
        classes = (exact > 0).astype(np.uint8) if masks == "masks" else exact
        labels = {"segmentation": classes, "detection": inner_regions(ids, classes), "separation": interfaces(ids)}
        faults += mark_faults(labels)
    assert [f for f in faults if CODES[f.code].level == "error"] == []
    assert len(faults) <= 2


def test_extent_of_marks():
    label = np.zeros((10, 20), np.uint8)
    assert mark_extent({"segmentation": label}) is None
    assert mark_extent({}) is None
    label[2, 3] = label[5, 8] = 1
    label[9, 19] = 255
    assert mark_extent({"segmentation": label, "separation": np.ones_like(label)}) == (0.5, 2)
    assert mark_extent({"instances": label}) == (0.95, 3)
