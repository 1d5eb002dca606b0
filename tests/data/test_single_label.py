"""Lazy labels as one map for programs with a single output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.data.single_label import export_single_labels, single_label
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image, read_label

UNKNOWN = 255


def two_marks() -> dict[str, np.ndarray]:
    """An inner region of class 1 and one of class 2, each 5 x 5 pixels, and a scribble that touches the first."""
    detection = np.zeros((21, 41), np.uint8)
    detection[8:13, 8:13], detection[8:13, 20:25] = 1, 2
    separation = np.zeros((21, 41), np.uint8)
    separation[9:12, 12:17] = 1
    return {"detection": detection, "separation": separation}


def test_marks_have_their_class_far_pixels_are_background_and_a_scribble_lies_over_both():
    marks = two_marks()
    made = single_label(marks, interface=3)
    expected = np.full((21, 41), UNKNOWN)
    # a region of 5 x 5 is 3 pixels deep: background from 3 + 2 pixels on, by the nearest region
    places = [np.argwhere(marks["detection"] == value) for value in (1, 2)]
    for place in np.ndindex(expected.shape):
        distance = min(np.sqrt(((other - place) ** 2).sum(1)).min() for other in places)
        expected[place] = 0 if distance >= 5 else UNKNOWN
    expected[marks["detection"] > 0] = marks["detection"][marks["detection"] > 0]
    expected[marks["separation"] == 1] = 3
    assert made.dtype == np.uint8
    assert np.array_equal(made, expected)
    assert {0, 1, 2, 3, UNKNOWN} == set(np.unique(made))


def test_the_background_may_stay_open():
    made = single_label(two_marks(), interface=3, background_margin=None)
    assert set(np.unique(made)) == {1, 2, 3, UNKNOWN}


def test_an_exact_mask_is_taken_as_it_is():
    marks = two_marks()
    mask = np.random.default_rng(0).integers(0, 3, (21, 41)).astype(np.uint8)
    mask[0] = UNKNOWN
    made = single_label({**marks, "segmentation": mask}, interface=3)
    assert np.array_equal(made, np.where(marks["separation"] == 1, 3, mask))
    assert np.array_equal(single_label({"segmentation": mask}, interface=3), mask)


def test_scribbles_alone_say_nothing_of_classes():
    made = single_label({"separation": two_marks()["separation"]}, interface=3)
    assert np.array_equal(made, np.where(two_marks()["separation"] == 1, 3, UNKNOWN))


def test_an_image_without_labels_has_no_map():
    with pytest.raises(ValueError, match="without labels"):
        single_label({}, interface=3)


# ------------------------------------------------------------------------------------------------ whole data sets


def test_export_has_labels_of_training_images_and_images_of_all(tiny_data, tmp_path):
    out = tmp_path / "out"
    counts = export_single_labels(tiny_data, out)
    assert counts == {"training": 4, "validation": 2, "testing": 2}
    about = json.loads((out / "dataset.json").read_text())
    classes = json.loads((tiny_data / "datalist.json").read_text())["classes"]
    assert about == {"classes": classes, "background": 0, "interface": 3, "unknown": UNKNOWN, "images": counts}
    for section in counts:
        for item in read_items(tiny_data, section):
            stem = Path(item["image"]).stem
            assert np.array_equal(tifffile.imread(out / section / "images" / f"{stem}.tif"), read_image(item["image"]))
            assert (out / section / "labels" / f"{stem}.png").is_file() == (section == "training")
            if section == "training":
                made = np.asarray(Image.open(out / section / "labels" / f"{stem}.png"))
                labels = {task: read_label(item[task]) for task in ("segmentation", "detection", "separation") if task in item}
                assert np.array_equal(made, single_label(labels, 3))
    assert not (out / "testing" / "labels").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_images_without_any_label_are_left_out(tiny_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    content = json.loads((data / "datalist.json").read_text())
    content["training"][1] = {"image": content["training"][1]["image"]}
    (data / "datalist.json").write_text(json.dumps(content))
    assert export_single_labels(data, tmp_path / "out")["training"] == 3
    assert len(list((tmp_path / "out" / "training" / "images").iterdir())) == 3


def test_a_folder_that_is_there_is_left_alone(tiny_data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(LazyLabelsError, match="is there already"):
        export_single_labels(tiny_data, out)
    assert list(out.iterdir()) == []


def test_volumes_are_refused_and_nothing_is_left_behind(tmp_path):
    import nibabel

    data = tmp_path / "data"
    data.mkdir()
    for name in ("image", "mask"):
        nibabel.save(nibabel.Nifti1Image(np.ones((6, 7, 8), np.uint8), np.eye(4)), data / f"{name}.nii.gz")
    item = {"image": "image.nii.gz", "segmentation": "mask.nii.gz"}
    content = {"classes": ["grain"], "training": [item], "validation": [], "testing": []}
    (data / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(LazyLabelsError, match=r"image\.nii\.gz.*volume"):
        export_single_labels(data, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_command_exports_with_the_background_open_on_request(tiny_data, tmp_path):
    for name, options in (("closed", []), ("open", ["--open-background"])):
        done = CliRunner().invoke(app, ["export", str(tiny_data), str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
        assert "4 training, 2 validation, 2 testing" in done.output
    weak = [item for item in read_items(tiny_data, "training") if "segmentation" not in item and "detection" in item]
    assert weak
    for item in weak:
        stem = Path(item["image"]).stem
        closed, opened = (np.asarray(Image.open(tmp_path / n / "training/labels" / f"{stem}.png")) for n in ("closed", "open"))
        assert not (opened == 0).any()
        assert np.array_equal(np.where(closed == 0, UNKNOWN, closed), opened)
