"""A data set, or a window's project, as the source of another: its file says what counts, other marks are laid over that."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lazylabels_monai.data.building import BuildError, BuildOptions, build_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.project import Project
from tests.data.building.drawing import SHAPE, _coco, _draw, _feature, _ids, _image, _masks, _save, _square

SECTIONS = ("training", "validation", "testing")


def _items(out):
    content = json.loads((out / "datalist.json").read_text())
    return {item["image"].rsplit("/", 1)[-1][0]: (section, item) for section in SECTIONS for item in content[section]}


def _classes(out):
    return json.loads((out / "datalist.json").read_text())["classes"]


def _label(out, name, key):
    return read_label(out / _items(out)[name][1][key])


@pytest.fixture
def corrected(folder, tmp_path):
    """A data set of ids of which a window changed the exact masks: less of object 2, all of 9 gone, another one drawn."""
    _masks(folder)
    out = tmp_path / "d"
    build_datalist(folder, out, BuildOptions(classes=["cell"], validation=2))
    with Project.open(out) as project:
        for entry in project.images:
            mask = project.labels.read(entry, "segmentation").copy()
            mask[5:20, 30:35], mask[28:36, 8:16], mask[25:32, 30:50] = 0, 0, 1
            project.labels.save(entry, "segmentation", mask)
    return out


def test_a_data_set_that_was_corrected_in_a_window_is_read_by_its_file(corrected, tmp_path):
    stale = [name for name, (_, item) in _items(corrected).items() if "instances" in item]
    assert stale
    assert all((corrected / "instances" / f"{name}.png").is_file() for name in stale)  # ids of before lie there
    build_datalist(corrected, tmp_path / "d2", BuildOptions())
    before, after = _items(corrected), _items(tmp_path / "d2")
    assert {name: section for name, (section, _) in after.items()} == {name: section for name, (section, _) in before.items()}
    assert _classes(tmp_path / "d2") == ["cell"]
    for name, (_, item) in before.items():
        assert set(after[name][1]) == set(item)
        for key in set(item) & {"segmentation", "detection", "separation"}:
            np.testing.assert_array_equal(_label(tmp_path / "d2", name, key), _label(corrected, name, key))
        if "instances" in item:
            pairs = np.stack([_label(folder, name, "instances").ravel() for folder in (corrected, tmp_path / "d2")])
            assert len(np.unique(pairs, axis=1).T) == 1 + 3  # one to one


def test_what_a_person_wrote_of_an_image_goes_along(corrected, tmp_path):
    """Without its pixel size the sizes of its objects would be in pixels from then on."""
    file = corrected / "datalist.json"
    content = json.loads(file.read_text())
    for section in SECTIONS:
        for item in content[section]:
            item.update(pixel_size="200 nm", id=f"sample {item['image']}")
    file.write_text(json.dumps(content))
    build_datalist(corrected, tmp_path / "d2", BuildOptions())
    before, after = _items(corrected), _items(tmp_path / "d2")
    assert {name: (item["pixel_size"], item["id"]) for name, (_, item) in after.items()} == {
        name: ("200 nm", item["id"]) for name, (_, item) in before.items()
    }


def _project(folder, count=5):
    with Project.open(folder, create=True, classes=("cell",)) as project:
        drawn = np.full(SHAPE, 255, np.uint8)
        drawn[2:10, 2:10] = 1
        for entry in project.images[:count]:
            project.labels.save(entry, "segmentation", drawn)


def test_splits_that_nobody_drew_are_drawn(folder, tmp_path):
    """A window puts all pictures into training; without others no training could choose its weights."""
    _project(folder)
    summary = build_datalist(folder, tmp_path / "new", BuildOptions(validation=2))
    sections = {name: section for name, (section, _) in _items(tmp_path / "new").items()}
    assert sorted(sections.values()) == ["training"] * 3 + ["validation"] * 2
    assert not any("keep their split" in note for note in summary.notes)
    for options in (BuildOptions(overwrite=True), BuildOptions(overwrite=True, keep_splits=tmp_path / "new")):
        build_datalist(folder, tmp_path / "new", options)  # what validated does not train now
        assert {name: section for name, (section, _) in _items(tmp_path / "new").items()} == sections


def test_values_go_by_the_names_of_the_data_set(folder, tmp_path):
    with Project.open(folder, create=True, classes=("crystal", "bubble")) as project:
        for entry in project.images:
            drawn = np.full(SHAPE, 255, np.uint8)
            drawn[2:10, 2:10], drawn[20:30, 20:40] = 1, 2
            project.labels.save(entry, "detection", drawn)
    build_datalist(folder, tmp_path / "same", BuildOptions())
    build_datalist(folder, tmp_path / "other", BuildOptions(classes=["bubble", "crystal"]))
    assert _classes(tmp_path / "same") == ["crystal", "bubble"]
    assert _classes(tmp_path / "other") == ["bubble", "crystal"]
    for name in "abcde":
        there = read_label(folder / "detection" / f"{name}.png")
        np.testing.assert_array_equal(_label(tmp_path / "same", name, "detection"), there)
        swapped = np.array([0, 2, 1, *[0] * 252, 255])[there]
        np.testing.assert_array_equal(_label(tmp_path / "other", name, "detection"), swapped)
    with pytest.raises(LazyLabelsError, match=r"class 'bubble' of .*--classes, or say what it is with --names"):
        build_datalist(folder, tmp_path / "less", BuildOptions(classes=["crystal"]))
    build_datalist(folder, tmp_path / "less", BuildOptions(classes=["crystal"], names={"": {"bubble": "crystal"}}))
    assert set(np.unique(_label(tmp_path / "less", "a", "detection"))) == {1, 255}


def test_marks_of_another_program_are_laid_over_what_the_window_drew(folder, tmp_path):
    """Window: an exact mask of one object and an inner region, else nothing. Elsewhere: an outline that touches the one."""
    with Project.open(folder, create=True, classes=("cell",)) as project:
        for entry in project.images:
            mask, inner = np.full(SHAPE, 255, np.uint8), np.full(SHAPE, 255, np.uint8)
            mask[5:15, 5:15], mask[0:5, :] = 1, 0
            inner[25:30, 40:45] = 1
            project.labels.save(entry, "segmentation", mask)
            project.labels.save(entry, "detection", inner)
    _draw(tmp_path / "fiji", _feature("cell", "Polygon", _square(15, 5, 10, 10)), names="abc", kind="exact")
    build_datalist(folder, tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "fiji" / "exact")]))
    for name in "abcde":
        there, now = (_label(out, name, "segmentation") for out in (folder, tmp_path / "new"))
        inner = _label(tmp_path / "new", name, "detection")
        assert (inner[25:30, 40:45] == 1).all()
        assert (now[there != 255] == there[there != 255]).all()
        if name in "abc":
            assert (now[5:15, 15:25] == 1).all()
            assert (now[30:, :] == 255).all()  # what neither says stays open
            assert (inner[5:15, 15:25] == 1).any()
            assert (_label(tmp_path / "new", name, "separation")[7:13, 14:16] == 1).any()  # they touch
        else:
            np.testing.assert_array_equal(now, there)
            assert "separation" not in _items(tmp_path / "new")[name][1]


@pytest.mark.parametrize("with_ids", [True, False])
def test_an_area_to_ignore_opens_the_labels_below_it(corrected, tmp_path, with_ids):
    if not with_ids:
        shutil.rmtree(corrected / "instances")
        file = corrected / "datalist.json"
        content = json.loads(file.read_text())
        for section in SECTIONS:
            content[section] = [{k: v for k, v in item.items() if k != "instances"} for item in content[section]]
        file.write_text(json.dumps(content))
    area = _square(18, 2, 8, 20)  # some of the two objects, their interface and background
    _draw(tmp_path / "fiji", _feature("ignore", "Polygon", area), names="ab", kind="exact")
    build_datalist(corrected, tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "fiji" / "exact")]))
    opened = np.zeros(SHAPE, bool)
    opened[2:22, 18:26] = True
    for name in "abcde":
        for key in ("segmentation", "detection", "separation"):
            there, now = (_label(folder, name, key) for folder in (corrected, tmp_path / "new"))
            np.testing.assert_array_equal(now, np.where(opened & (name in "ab"), 255, there))
        if name in "ab":
            assert "instances" not in _items(tmp_path / "new")[name][1]  # as of other images that are not known altogether


def test_what_cannot_be_read_elsewhere_opens_nothing(corrected, tmp_path):
    """A box without an outline says nothing of what the data set knows."""
    _coco(tmp_path / "boxes.json", ["a.png", "b.png"])
    content = json.loads((tmp_path / "boxes.json").read_text())
    content["annotations"].append({"id": 9, "image_id": 0, "category_id": 7, "segmentation": [], "bbox": [18, 2, 8, 20]})
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    build_datalist(corrected, tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "boxes.json")]))
    there, now = (_label(folder, "a", "segmentation")[2:22, 20:26] for folder in (corrected, tmp_path / "new"))
    np.testing.assert_array_equal(now, there)


def test_a_neighbour_of_an_object_drawn_anew_stays(folder, tmp_path):
    """Images to train on have no ids: interfaces part what touches there, and an object may lie in one altogether."""
    ids = np.zeros(SHAPE, np.uint16)
    ids[5:35, 5:25], ids[5:35, 25:40], ids[20:22, 50:52] = 1, 2, 3
    _masks(folder, label=ids)
    build_datalist(folder, tmp_path / "d", BuildOptions(classes=["cell"], validation=2))
    for name, (_, item) in _items(tmp_path / "d").items():
        separation = _label(tmp_path / "d", name, "separation").copy()
        separation[19:23, 49:53] = 1
        _save(tmp_path / "d" / item["separation"], separation)
    _draw(tmp_path / "fiji", _feature("cell", "Polygon", _square(6, 6, 19, 28)), kind="exact")
    summary = build_datalist(tmp_path / "d", tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "fiji" / "exact")]))
    assert any("5 objects of" in note and "drawn anew" in note for note in summary.notes)
    assert len({section for section, _ in _items(tmp_path / "new").values()}) == 2
    for name in "abcde":
        mask = _label(tmp_path / "new", name, "segmentation")
        assert (mask[5:35, 25:40] == 1).all()
        assert (mask[20:22, 50:52] == 1).all()
        assert (mask[6:34, 6:25] == 1).all()
        assert (mask[5, 5:24] != 1).all()  # of the one before


def test_an_object_drawn_anew_is_one_object(corrected, tmp_path):
    _draw(tmp_path / "fiji", _feature("cell", "Polygon", _square(6, 6, 14, 14)), kind="exact")
    summary = build_datalist(corrected, tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "fiji" / "exact")]))
    assert any("5 objects of" in note and "drawn anew" in note for note in summary.notes)
    name = next(name for name, (_, item) in _items(tmp_path / "new").items() if "instances" in item)
    ids = _label(tmp_path / "new", name, "instances")
    assert len(np.unique(ids)) == 1 + 3
    assert (ids[5, 5:19] == 0).all()  # no crescent of the object of before


def test_pictures_of_the_folder_that_it_does_not_name_take_marks(folder, tmp_path):
    with Project.open(folder, create=True, classes=("cell",)) as project:
        drawn = np.full(SHAPE, 255, np.uint8)
        drawn[2:10, 2:10] = 1
        for entry in project.images[:2]:
            project.labels.save(entry, "segmentation", drawn)
    _draw(tmp_path / "fiji", _feature("cell", "Polygon", _square(15, 5, 10, 10)), names="de", kind="exact")
    build_datalist(folder, tmp_path / "new", BuildOptions(labels=[("exact", tmp_path / "fiji" / "exact")]))
    assert set(_items(tmp_path / "new")) == set("abde")
    assert (_label(tmp_path / "new", "d", "segmentation")[30:, :] == 0).all()  # as for any folder of images


def test_an_image_that_is_another_one_now_is_refused(corrected, tmp_path):
    _save(corrected / "images" / "a.png", _image(77))
    with pytest.raises(LazyLabelsError, match=r"a\.png' shows other pixels than the image that was labelled in"):
        build_datalist(corrected, tmp_path / "new", BuildOptions())
    assert not (tmp_path / "new").exists()


def test_a_project_without_its_datalist_is_refused(corrected, tmp_path):
    (corrected / "datalist.json").unlink()
    with pytest.raises(BuildError, match=r"window, which left project\.json, but datalist\.json.*put it back"):
        build_datalist(corrected, tmp_path / "new", BuildOptions())


def test_a_datalist_of_another_program_says_nothing(folder, tmp_path):
    _masks(folder)
    (folder / "datalist.json").write_text(json.dumps({"training": [{"image": "a.png", "label": "b.png"}]}))
    build_datalist(folder, tmp_path / "new", BuildOptions(classes=["cell"]))
    assert set(_items(tmp_path / "new")) == set("abcde")
    content = {"classes": ["cell"], "training": [{"image": "a.png", "label": "b.png"}]}
    (folder / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(LazyLabelsError, match='unknown key "label"'):
        build_datalist(folder, tmp_path / "new2", BuildOptions(classes=["cell"]))


def test_a_data_set_that_links_its_images(folder, tmp_path):
    _masks(folder)
    build_datalist(folder, tmp_path / "d", BuildOptions(classes=["cell"], link=True))
    build_datalist(tmp_path / "d", tmp_path / "d2", BuildOptions())
    shutil.rmtree(folder)
    assert set(_items(tmp_path / "d2")) == set("abcde")
    name = next(name for name, (_, item) in _items(tmp_path / "d2").items() if "instances" in item)
    assert len(np.unique(_label(tmp_path / "d2", name, "instances"))) == len(np.unique(_ids()))
