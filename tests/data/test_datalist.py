"""The datalist: its structure, its items, the images of a folder."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import (
    DatalistError,
    find_images,
    load_datalist,
    read_items,
)
from tests.data.small_set import DataSet, broken, image, item, one, renamed


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path)


# ---------------------------------------------------------------------------------------------- sound


def test_table(data):
    rows = [line.split() for line in data.check().table.splitlines()]
    assert rows[0] == ["images", "segmentation", "detection", "separation", "instances", "no", "label"]
    assert rows[1] == ["training", "4", "1", "3", "3", "1", "0"]
    assert rows[2] == ["validation", "1", "1", "0", "0", "0", "0"]
    assert rows[3] == ["testing", "1", "1", "0", "0", "1", "0"]
    assert data.check().table.splitlines()[4] == "classes: 0 background, 1 air bubble, 2 ice crystal"


def test_table_counts_unlabelled(data):
    data.add("testing", "g.png")
    assert data.check().table.splitlines()[3].split() == ["testing", "2", "1", "0", "0", "1", "1"]
    assert data.check().errors == []


def test_free_keys(data):
    data.content |= {"simulation": {"seed": 0}, "name": "ice", "licence": "CC0", "numbers": [1, 2]}
    data.content["training"][0] |= {"id": "x", "pixel_size": [0.1, 0.1], "separation": None}
    assert data.check().errors == []
    assert "separation" not in read_items(data.root, "training")[0]


# ---------------------------------------------------------------------------------------------- structure


STRUCTURE = {
    "typo in section": (renamed("validation", "validatoin"), ['"validatoin" in', 'did you mean "validation"']),
    "short section": (renamed("validation", "val"), ['"val" in', 'did you mean "validation"']),
    "other section": (broken(extra=[{"image": "a"}]), ['"extra" in', "name the split one of training, validation"]),
    "section no list": (broken(training={"image": "a"}), ['"training" in', "is a JSON object: make it a list"]),
    "item no object": (broken(testing=["a.png"]), ["testing[0] in", "is a text: make it an object"]),
    "typo in key": (item(segmantation="a"), ["training[1] in", 'key "segmantation": did you mean "segmentation"']),
    "other tool's key": (item(label="a"), ["training[1] in", 'key "label": did you mean "segmentation"']),
    "unknown key": (item(weather="a"), ["training[1] in", 'key "weather": use image, segmentation']),
    "no image": (item(image=None), ["training[1] in", 'has no "image": add the path']),
    "list for a path": (item(detection=["a"]), ["training[1] in", 'has a list under "detection": give one path']),
    "number for a path": (item(image=3), ["training[1] in", 'has a number under "image": give one path']),
    "blank path": (item(separation=" "), ["training[1] in", 'has a text under "separation"']),
    "empty no flag": (item(empty="yes"), ["training[1] in", 'has a text under "empty": write true or false']),
    "classes missing": (lambda c: c.pop("classes"), ['"classes" is missing in', "add the names"]),
    "classes empty": (broken(classes=[]), ['"classes" in', "must be a non-empty list of names"]),
    "classes a number": (broken(classes=2), ['"classes" in', "must be a non-empty list of names"]),
    "classes with numbers": (broken(classes=["a", 2]), ['"classes" in', "must be a non-empty list of names"]),
    "classes repeat": (broken(classes=["a", "b", "a"]), ['"classes" in', "repeats ['a']: give every class"]),
    "background": (broken(classes=["Background", "a"]), ['"classes" in', "lists the background", "leave it out"]),
    "code": (broken(classes=["a", "$b"]), ['"classes" in', "holds '$b': let no name begin with $"]),
    "too many": (broken(classes=[f"c{i}" for i in range(255)]), ['"classes" in', "are 255: at most 254"]),
}


@pytest.mark.parametrize(("change", "parts"), STRUCTURE.values(), ids=STRUCTURE)
def test_structure(data, change, parts):
    change(data.content)
    data.save()
    with pytest.raises(DatalistError) as error:
        load_datalist(data.root)
    one(error.value.errors, *parts, f"'{data.root / 'datalist.json'}'")
    assert str(error.value) == error.value.errors[0]
    report = check_datalist(data.root)
    assert report.errors == error.value.errors
    assert report.table == ""


def test_all_structure_findings_at_once(data):
    item(segmantation="a", image=3)(data.content)
    renamed("testing", "test")(data.content)
    data.save()
    with pytest.raises(DatalistError) as error:
        load_datalist(data.root)
    assert len(error.value.errors) == 3


def test_json_syntax_names_the_line(tmp_path):
    (tmp_path / "datalist.json").write_text('{"classes": ["a"],\n "training": [\n {"image": "a.png",}]}')
    with pytest.raises(DatalistError, match=r"datalist\.json' is no valid JSON at line 3, column \d+ .*: correct"):
        load_datalist(tmp_path)
    (tmp_path / "datalist.json").write_text("[]")
    with pytest.raises(DatalistError, match=r"datalist\.json' must hold a JSON object .*, not a list"):
        load_datalist(tmp_path)
    (tmp_path / "datalist.json").write_bytes(b'{"classes": ["\xff"]}')
    with pytest.raises(DatalistError, match=r"datalist\.json' cannot be read .*save it as UTF-8"):
        load_datalist(tmp_path)


def test_missing_datalist(tmp_path):
    with pytest.raises(
        DatalistError, match=r"holds no datalist\.json: name a data set .*, or make one .* `lazylabels datalist "
    ):
        load_datalist(tmp_path)
    with pytest.raises(DatalistError, match=r"nowhere/datalist\.json' does not exist"):
        load_datalist(tmp_path / "nowhere")


def test_file_or_folder(data):
    data.save()
    assert load_datalist(data.root) == load_datalist(data.root / "datalist.json") == data.content
    shutil.move(data.root / "datalist.json", data.root / "other.json")
    assert load_datalist(str(data.root / "other.json")) == data.content


# ---------------------------------------------------------------------------------------------- items


def test_read_items(data):
    items = read_items(data.save(), "training")
    root = data.root
    assert items[1] == {
        "image": str(root / "images/b.png"),
        "detection": str(root / "detection/b.png"),
        "separation": str(root / "separation/b.png"),
        "segmentation_present": 0,
        "detection_present": 1,
        "separation_present": 1,
    }
    assert items[3]["instances"] == str(root / "instances/d.png")
    assert [i["segmentation_present"] for i in items] == [1, 0, 0, 0]


def test_read_items_of_some_tasks(data):
    items = read_items(data.save() / "datalist.json", "training", ["segmentation"])
    assert [sorted(i) for i in items] == [
        ["image", "segmentation", "segmentation_present"],
        ["image", "segmentation_present"],
        ["image", "segmentation_present"],
        ["image", "instances", "segmentation_present"],
    ]
    assert read_items(data.root, "training", ["segmentation"], labelled_only=True) == items[:1]


def test_read_items_takes_one_label_for_another(data):
    file = data.save() / "datalist.json"
    stand_in = {"segmentation": "detection"}
    marked = [raw for raw in data.content["training"] if "detection" in raw]
    assert any("segmentation" in raw for raw in marked)  # an own label that must not be taken
    items = read_items(file, "training", ["segmentation"], labelled_only=True, labels=stand_in)
    assert [item["segmentation"] for item in items] == [str(data.root / raw["detection"]) for raw in marked]
    assert all(item["segmentation_present"] == 1 and "detection" not in item for item in items)
    both = read_items(file, "training", ["segmentation", "detection"], labels=stand_in)
    assert [item.get("segmentation") for item in both] == [item.get("detection") for item in both]
    assert read_items(file, "training", ["separation"], labels=stand_in) == read_items(file, "training", ["separation"])
    for wrong in ({"segmentation": "border"}, {"border": "detection"}):
        with pytest.raises(ValueError, match=r"labels .*border.* must name tasks of"):
            read_items(file, "training", labels=wrong)
    for raw in data.content["training"]:
        raw.pop("detection", None)
    data.save()
    with pytest.raises(DatalistError, match="lists no image with a label for detection"):
        read_items(file, "training", ["segmentation"], labelled_only=True, labels=stand_in)


def test_read_items_keeps_absolute_paths(data, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "z.png"
    Image.fromarray(image(99)).save(elsewhere)
    data.content["testing"].append({"image": str(elsewhere), "pixel_size": 2, "id": "z"})
    data.content["testing"].append({"image": "images/../images/f.png"})
    items = read_items(data.save(), "testing", ["detection"])
    assert items[1] == {"image": str(elsewhere), "detection_present": 0}
    assert items[2]["image"] == str(data.root / "images/f.png")


@pytest.mark.parametrize(("written", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_read_items_finds_names_in_another_unicode_form(data, written, there):
    """As Macs' disks, archives and shares change them."""
    raw, name = data.content["training"][1], "pr\u00fcf.png"
    for key in ("image", "detection"):
        file = data.root / raw[key]
        file.rename(file.with_name(unicodedata.normalize(there, name)))
        raw[key] = f"{file.parent.name}/{unicodedata.normalize(written, name)}"
    found = read_items(data.save(), "training")[1]
    assert Path(found["image"]).is_file()
    assert Path(found["detection"]).is_file()
    assert not check_datalist(data.root).errors


def test_read_items_refuses(data):
    data.content["testing"] = []
    data.save()
    with pytest.raises(DatalistError, match=r'section "test" does not exist: use one of training'):
        read_items(data.root, "test")
    with pytest.raises(DatalistError, match=r"\"testing\" of '.*' lists no image: add items"):
        read_items(data.root, "testing")
    with pytest.raises(DatalistError, match=r"\"validation\" of '.*' lists no image with a label for separation"):
        read_items(data.root, "validation", ["separation"], labelled_only=True)
    with pytest.raises(ValueError, match=r"tasks \['border'\] must name"):
        read_items(data.root, "training", ["border"])


# ---------------------------------------------------------------------------------------------- find_images


def test_find_images(tmp_path):
    for name in ("b.png", "a.TIF", "c.nii.gz", "d.txt", ".hidden.png", "sub/e.mha", "f.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = [str(tmp_path / n) for n in ("a.TIF", "b.png", "c.nii.gz", "f.jpg")]
    assert find_images(tmp_path) == expected
    assert find_images(str(tmp_path / "*.png")) == [str(tmp_path / "b.png")]
    assert find_images(tmp_path / "**/*.mha") == [str(tmp_path / "sub/e.mha")]
    assert find_images(tmp_path / "c.nii.gz") == [str(tmp_path / "c.nii.gz")]
    for nothing in (tmp_path / "d.txt", tmp_path / "none", tmp_path / "*.bmp"):
        with pytest.raises(DatalistError, match=r"' holds no image: give a file, a folder or a pattern of \.png"):
            find_images(nothing)


@pytest.mark.parametrize("suffix", ["png", "tif", "nii.gz"])
@pytest.mark.parametrize("pattern", ["", "*"], ids=["folder", "pattern"])
def test_a_folder_named_like_an_image_is_told_of(tmp_path, caplog, suffix, pattern):
    (tmp_path / "a.png").write_bytes(b"")
    assert find_images(tmp_path / pattern, pytest.fail) == [str(tmp_path / "a.png")]
    (tmp_path / f"x.{suffix}").mkdir()
    (tmp_path / ".hidden.png").mkdir()
    (tmp_path / "folder").mkdir()
    said = []
    assert find_images(tmp_path / pattern, said.append) == [str(tmp_path / "a.png")]
    (sentence,) = said
    assert f"x.{suffix}" in sentence
    assert "is a folder" in sentence
    assert "hidden" not in sentence
    find_images(tmp_path / pattern)
    assert sentence in caplog.text
    (tmp_path / f"y.{suffix}").mkdir()
    find_images(tmp_path / pattern, said.append)
    assert "1 more" in said[-1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatalistError, match=rf"holds no image.*x\.{suffix}"):
        find_images(tmp_path / pattern)


def test_zarr_pictures_are_images_for_those_who_read_them(tmp_path):
    """Not those that a prediction wrote, and those inside of a picture neither."""
    for name in ("b.zarr", "b_pred.zarr", "b_instances.zarr", "b_overview", ".hidden.zarr"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / ".zgroup").write_text("{}")
        (tmp_path / name / "0" / ".zarray").write_text("{}")
    for name in ("a.png", "b_pred.tif", "b_instances.tif"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes").mkdir()
    assert find_images(tmp_path) == [str(tmp_path / "a.png")]
    assert find_images(tmp_path, zarr=True) == [str(tmp_path / name) for name in ("a.png", "b.zarr", "b_overview")]
    for source in (tmp_path / "b.zarr", f"{tmp_path}/*.zarr"):
        assert find_images(source, zarr=True) == [str(tmp_path / "b.zarr")]
    found = [str(tmp_path / name) for name in ("a.png", "b.zarr", "b_overview")]
    assert find_images(f"{tmp_path}/**", zarr=True) == found  # and not the levels in them
    assert find_images(tmp_path / "b.zarr" / "0", zarr=True) == [str(tmp_path / "b.zarr" / "0")]
    assert find_images(tmp_path / "b_pred.zarr", zarr=True) == [str(tmp_path / "b_pred.zarr")]
    with pytest.raises(DatalistError, match=r"holds no image: .*\.mhd, \.zarr\."):
        find_images(tmp_path / "notes", zarr=True)
