"""Folders as other programs and published sets lay them out."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.checking import check_datalist
from tests.data.building.drawing import SHAPE, _ids, _image, _save

COLOURS = {0: (0, 0, 0), 1: (250, 50, 83), 2: (36, 179, 83), 9: (61, 61, 245)}


def _coloured(values, table):
    picture = np.zeros((*SHAPE, 3), np.uint8)
    for value, colour in table.items():
        picture[values == value] = colour
    return picture


def _pixels(summary, label):
    items = [item for section in ("training", "validation") for item in summary.datalist[section]]
    names = [item["image"].rsplit("/", 1)[-1].split(".")[0] for item in items]
    return {name: label(name, "segmentation") for name in names}


@pytest.mark.parametrize("flat", [False, True])
def test_images_in_subfolders(tmp_path, build, flat):
    home = tmp_path / "set" if flat else tmp_path / "set" / "images"
    for number, (plate, name) in enumerate((p, n) for p in ("plate1", "plate2", "deep/er") for n in "ab"):
        _save(home / plate / f"{name}.png", _image(number))
        _save(tmp_path / "set" / "masks" / plate / f"{name}.png", np.where(_ids() == 9, number + 1, 0).astype(np.uint16))
    summary, label = build(tmp_path / "set")
    assert set(_pixels(summary, label)) == {f"{p}_{n}" for p in ("plate1", "plate2", "deep_er") for n in "ab"}
    assert all(((_ids() == 9) == mask).all() for mask in _pixels(summary, label).values())


def test_subfolders_beside_images_are_named(folder, build):
    for name in "abcde":
        _save(folder / "masks" / f"{name}.png", _ids())
    _save(folder / "images" / "more" / "f.png", _image(9))
    summary, _ = build()
    assert any("1 pictures in 'more' are left out" in note for note in summary.notes)


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_an_image_and_a_file_an_object(tmp_path, build, split):
    """Data Science Bowl 2018."""
    for number, name in enumerate("abc"):
        home = tmp_path / "set" / split / name
        _save(home / "images" / f"{name}.png", _image(number))
        for id in (1, 2, 9):
            _save(home / "masks" / f"{id}f00.png", ((_ids() == id) * 255).astype(np.uint8))
    _save(tmp_path / "set" / split / "c" / "masks" / "none.png", np.zeros(SHAPE, np.uint8))
    if split:
        _save(tmp_path / "set" / "val" / "images" / "v.png", _image(7))
        _save(tmp_path / "set" / "val" / "masks" / "v.png", _ids())
    summary, label = build(tmp_path / "set")
    for mask in _pixels(summary, label).values():
        np.testing.assert_array_equal(mask, _ids() > 0)
    assert label("a", "separation")[12, 20] == 1  # two touching objects are two
    assert check_datalist(tmp_path / "out").errors == []


def test_pictures_beside_folders_of_images_are_named(tmp_path, build):
    for number, name in enumerate("abc"):
        _save(tmp_path / "set" / name / "images" / f"{name}.png", _image(number))
        _save(tmp_path / "set" / name / "masks" / f"{name}.png", _ids())
    _save(tmp_path / "set" / "d" / "d.png", _image(4))
    summary, _ = build(tmp_path / "set")
    assert any("the pictures in 'd' are left out" in note for note in summary.notes)


def test_a_folder_of_objects_for_each_image(folder, build):
    for name in "abcde":
        for id in (1, 2, 9):
            _save(folder / "masks" / name / f"object{id}.png", (_ids() == id).astype(np.uint8))
    _, label = build()
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)
    assert label("a", "separation")[12, 20] == 1


def test_objects_of_several_values_are_refused(folder, build):
    for name in "abcde":
        for id in (1, 2):
            _save(folder / "masks" / name / f"object{id}.png", _ids())
    with pytest.raises(Exception, match="has 4 values, where a picture of one object has 0 and one other"):
        build()


@pytest.mark.parametrize("images", ["JPEGImages", "images"])
def test_cvats_segmentation_mask(tmp_path, build, images):
    home = tmp_path / "set"
    for number, name in enumerate("abcd"):
        _save(home / images / f"{name}.png", _image(number))
        _save(home / "SegmentationObject" / f"{name}.png", _coloured(_ids(), COLOURS))
        classes = np.select([_ids() == 2, _ids() > 0], [2, 1], 0)
        _save(home / "SegmentationClass" / f"{name}.png", _coloured(classes, {1: (250, 50, 83), 2: (9, 9, 200)}))
    (home / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:250,50,83::\nbud:9,9,200::\n")
    summary, label = build(home)
    assert summary.datalist["classes"] == ["bud", "cell"]
    np.testing.assert_array_equal(label("a", "segmentation"), np.select([_ids() == 2, _ids() > 0], [1, 2], 0))
    assert label("a", "separation")[12, 20] == 1


@pytest.mark.parametrize("kind", ["masks", "segmentation", "detection"])
def test_minus_one_is_not_labelled(folder, build, kind):
    values = _ids().astype(np.int16) if kind == "masks" else (_ids() > 0).astype(np.int16)
    values[:8] = -1
    (folder / kind).mkdir()
    for name in "abcde":
        tifffile.imwrite(folder / kind / f"{name}.tif", values)
    _, label = build(validation=0 if kind == "detection" else 1)
    task = "detection" if kind == "detection" else "segmentation"
    expected = np.where(values == -1, 255, values > 0)
    np.testing.assert_array_equal(label("a", task), expected)


def test_other_negative_values_mean_nothing(folder, build):
    (folder / "masks").mkdir()
    for name in "abcde":
        tifffile.imwrite(folder / "masks" / f"{name}.tif", _ids().astype(np.int16) - 2)
    with pytest.raises(Exception, match="has the value -2"):
        build()


def test_cellposes_files_beside_their_images(tmp_path, build):
    for number, name in enumerate("abcd"):
        _save(tmp_path / "set" / f"{name}.png", _image(number))
        np.save(tmp_path / "set" / f"{name}_seg.npy", {"masks": _ids(), "flows": [np.zeros(3)], "filename": "C:\\a.png"})
        _save(tmp_path / "set" / f"{name}_cp_output.png", _image(20 + number))
        tifffile.imwrite(tmp_path / "set" / f"{name}_flows.tif", np.zeros((*SHAPE, 3), np.uint8))
    summary, label = build(tmp_path / "set")
    assert set(_pixels(summary, label)) == set("abcd")
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)
    _save(tmp_path / "set" / "a_cp_masks.png", _ids())
    with pytest.raises(BuildError, match=r"'a_seg\.npy' both are masks of image 'a\.png': name one of them with --labels"):
        build(tmp_path / "set", tmp_path / "two")
    _, label = build(tmp_path / "set", labels=[("masks", tmp_path / "set" / "*_seg.npy")], overwrite=True)
    np.testing.assert_array_equal(label("b", "segmentation"), _ids() > 0)


def test_labels_beside_images_of_a_kind_that_nobody_said(tmp_path, build):
    for number, name in enumerate("abcd"):
        _save(tmp_path / "set" / f"{name}.png", _image(number))
        _save(tmp_path / "set" / f"{name}_mask.png", _ids())
    with pytest.raises(BuildError, match=r"looks like a label .* 'masks=(.*)'") as caught:
        build(tmp_path / "set")
    pattern = str(caught.value).split("'masks=")[1].split("'")[0]
    _, label = build(tmp_path / "set", labels=[("masks", pattern)])
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)


def test_masks_beside_images_that_lie_in_no_folder_of_their_own(tmp_path, build):
    for number, name in enumerate("abcd"):
        _save(tmp_path / "set" / f"{name}.png", _image(number))
        _save(tmp_path / "set" / "masks" / f"{name}.png", _ids())
    _, label = build(tmp_path / "set")
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)


def test_label_studios_brush_pictures_name_no_image(folder, build):
    for number in range(3):
        _save(folder / "segmentation" / f"task-{number}-annotation-4-by-1-tag-Cell-0.png", _ids().astype(np.uint8))
    with pytest.raises(BuildError, match="does not say of which image: export the project as JSON"):
        build()
    with pytest.raises(BuildError, match="does not say of which image"):
        build(labels=[("masks", folder / "segmentation")])


def test_files_of_objects_beside_each_other_are_told_where_to_go(folder, build):
    for name in "abcde":
        for id in (1, 2, 9):
            _save(folder / "masks" / f"{name}_{id}.png", (_ids() == id).astype(np.uint8))
    with pytest.raises(BuildError, match=r"look like a file for each object: .* such as '(.*)'") as caught:
        build()
    assert str(caught.value).endswith(f"masks{os.sep}a{os.sep}'.")
    for path in list((folder / "masks").iterdir()):
        (folder / "masks" / path.name[0]).mkdir(exist_ok=True)
        path.rename(folder / "masks" / path.name[0] / path.name)
    _, label = build()
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)


def test_the_pattern_that_is_advised_reaches_all_subfolders(tmp_path, build):
    for number, place in enumerate(("A/1", "A/2", "B/1")):
        _save(tmp_path / "set" / f"{place}.png", _image(number))
        _save(tmp_path / "set" / f"{place}_mask.png", _ids())
    with pytest.raises(BuildError, match="looks like a label") as caught:
        build(tmp_path / "set")
    pattern = str(caught.value).split("'masks=")[1].split("'")[0]
    summary, label = build(tmp_path / "set", labels=[("masks", pattern)])
    assert set(_pixels(summary, label)) == {"A_1", "2", "B_1"}
