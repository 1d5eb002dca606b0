"""Each finding of the datalist's checks has a case that produces it; a sound datalist produces none."""

from __future__ import annotations

import json
import logging
import shutil

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.checking import CheckReport, check_datalist
from lazylabels_monai.data.datalist import (
    SECTIONS,
    DatalistError,
    find_images,
    load_datalist,
    read_items,
    summary_table,
)

H, W = 12, 17
CLASSES = ["air bubble", "ice crystal"]


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (H, W), dtype=np.uint8)


def mask(*values):
    label = np.zeros((H, W), np.uint8)
    for i, value in enumerate(values):
        label[i] = value
    return label


class DataSet:
    """A sound data set: four training, one validation, one test image. Tests break one thing each."""

    def __init__(self, root):
        self.root = root
        self.content = {"classes": list(CLASSES), "training": [], "validation": [], "testing": []}
        self.add("training", "a.png", segmentation=mask(1, 2, 255), detection=mask(1, 2, 255), separation=mask(1))
        self.add("training", "b.png", detection=mask(1, 2), separation=mask(0))
        self.add("training", "c.png", separation=mask(1, 255))
        self.add("training", "d.png", detection=mask(255, 1), instances=mask(7, 8))
        self.add("validation", "e.png", segmentation=mask(1, 2))
        self.add("testing", "f.png", segmentation=mask(1), instances=mask(3, 255))

    def write(self, name, array):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".nii.gz"):
            nib.save(nib.Nifti1Image(array, np.eye(4)), path)
        elif name.endswith(".tif"):
            tifffile.imwrite(path, array)
        else:
            Image.fromarray(array).save(path)

    def add(self, section, name, array=None, **labels):
        count = sum(len(self.content[s]) for s in SECTIONS)
        self.write(f"images/{name}", image(count) if array is None else array)
        item = {"image": f"images/{name}"}
        for key, label in labels.items():
            item[key] = f"{key}/{name}"
            self.write(item[key], label)
        self.content[section].append(item)
        return item

    def save(self):
        (self.root / "datalist.json").write_text(json.dumps(self.content))
        return self.root

    def check(self, **kwargs):
        return check_datalist(self.save(), **kwargs)


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path)


def one(findings, *parts):
    """The single finding holds all of ``parts`` and is one sentence of one line."""
    assert len(findings) == 1, findings
    for part in parts:
        assert part in findings[0]
    assert "\n" not in findings[0]
    assert findings[0].endswith(".")
    assert not findings[0].endswith("..")


# ---------------------------------------------------------------------------------------------- sound


def test_sound_data_set_has_no_finding(data):
    report = data.check(sections=SECTIONS, classes=CLASSES)
    assert report.errors == []
    assert report.warnings == []
    assert report.raise_errors() is report
    assert report.table == summary_table(data.root) == summary_table(data.content)


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


def test_report_logs(data, caplog):
    report = CheckReport(errors=[], warnings=["look here."], table="table")
    with caplog.at_level(logging.INFO, "lazylabels_monai"):
        assert report.log() is report
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "Data set:\ntable"),
        ("WARNING", "look here."),
    ]


# ---------------------------------------------------------------------------------------------- structure


def broken(**changes):
    def change(content):
        content |= changes

    return change


def item(**changes):
    def change(content):
        content["training"][1] |= changes

    return change


def renamed(old, new):
    def change(content):
        content[new] = content.pop(old)

    return change


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
    with pytest.raises(DatalistError, match=r"datalist\.json' does not exist: point dataset_dir to a folder"):
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


# ---------------------------------------------------------------------------------------------- files


def label_case(key, label, *parts, index=0):
    """Replace the label of a training image and expect one error that names it."""

    def change(data):
        name = f"{key}/broken.png"
        data.content["training"][index][key] = name
        if callable(label):
            label(data.root / name)
        else:
            data.write(name, label)

    return change, [f'training[{index}] "{key}": ', f"{key}/broken.png'", *parts]


def image_case(name, write, *parts):
    def change(data):
        data.content["training"][2]["image"] = f"images/{name}"
        write(data.root / "images" / name)

    return change, ['training[2] "image": ', f"images/{name}'", *parts]


def save_pages(path):
    Image.fromarray(image(50)).save(path, save_all=True, append_images=[Image.fromarray(image(51))])


def save_nan(path):
    tifffile.imwrite(path, np.where(image(50) == image(50)[0, 0], np.nan, 1.0).astype(np.float32))


def save_truncated(path):
    Image.fromarray(image(50)).save(path)
    path.write_bytes(path.read_bytes()[:-40])


RGB = np.random.default_rng(1).integers(0, 3, (H, W, 3), dtype=np.uint8)

FILES = {
    "image missing": image_case("x.png", lambda p: None, "does not exist: correct the path"),
    "image truncated": image_case("x.png", save_truncated, "cannot be read as an image", "export it again"),
    "image is text": image_case("x.tif", lambda p: p.write_text("no"), "cannot be read as an image"),
    "unknown format": image_case("x.gif", lambda p: p.write_text("no"), "unknown format: convert it to one of .png"),
    "pages": image_case("x.tif", save_pages, "has 2 pages", "save each page as a file of its own"),
    "nan": image_case("x.tif", save_nan, "NaN or infinite values: replace them"),
    "label missing": label_case(
        "detection", lambda p: None, "does not exist: correct the path (or remove the key if this label was not"
    ),
    "label truncated": label_case("detection", save_truncated, "cannot be read as an image", "export it again"),
    "label colour": label_case("segmentation", RGB, "is a colour picture: save it as gray or palette"),
    "instances colour": label_case("instances", RGB, "is a colour picture"),
    "size": label_case(
        "segmentation", mask(1, 2).T, f"is {H} x {W} but image 'images/a.png' is {W} x {H}: give the label of this"
    ),
    "size of instances": label_case("instances", mask(1, 2)[:-1], f"is {W} x {H - 1} but image"),
    "class": label_case(
        "segmentation", mask(1, 2, 3, 254), 'values 3, 254 where 0 to 2 and 255 (not labelled) are allowed: correct'
    ),
    "class in detection": label_case("detection", mask(1, 4), "has the values 4 where 0 to 2 and 255", '"classes"'),
    "ids for classes": label_case("segmentation", mask(*range(12)), "values 3, 4, 5, 6, 7, ... where", '"instances"'),
    "separation": label_case("separation", mask(1, 2), "the values 2 where 0 to 1 and 255", "mark interfaces with 1"),
    "all background": label_case("segmentation", mask(), "is all background: draw the objects", '"empty": true'),
    "0 and 255": label_case("segmentation", mask(255, 255), "has only 0 and 255", "save object pixels with their"),
    "nothing labelled": label_case("separation", mask(*[255] * H), "is 255 (not labelled) everywhere: label some"),
    "nothing labelled, strong": label_case("segmentation", mask(*[255] * H), "is 255 (not labelled) everywhere"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "parts"), FILES.values(), ids=FILES)
def test_files(data, change, parts):
    change(data)
    report = data.check()
    one(report.errors, *parts)
    with pytest.raises(DatalistError) as error:
        report.raise_errors()
    assert error.value.errors == report.errors


def test_negative_values(data):
    for key in ("detection", "instances"):
        data.write(f"{key}/n.tif", mask(1).astype(np.int16) - 1)
        data.content["training"][3][key] = f"{key}/n.tif"
    errors = data.check().errors
    assert len(errors) == 2
    one(errors[:1], 'training[3] "detection": ', "has the values -1 where 0 to 2")
    one(errors[1:], 'training[3] "instances": ', "'instances/n.tif' has negative ids: number the objects from 1")


def test_empty_flag(data):
    added = data.add("training", "g.png", segmentation=mask())
    assert len(data.check().errors) == 1
    added["empty"] = True
    assert data.check().errors == []
    data.content["training"][0]["empty"] = True
    one(data.check().errors, 'training[0] "segmentation": ', "'segmentation/a.png' has objects", "remove that flag")


def test_no_label_at_all(data):
    del data.content["training"][2]["separation"]
    one(data.check().errors, 'training[2] "image": ', "'images/c.png' has no label at all", "remove the item")
    data.content["training"][2]["instances"] = "instances/d.png"
    assert "has no label at all" in data.check().errors[0]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("absent", [True, False])
def test_empty_split(data, section, absent):
    data.content[section] = []
    if absent:
        del data.content[section]
    others = [s for s in SECTIONS if s != section]
    assert data.check(sections=others).errors == []
    one(data.check(sections=SECTIONS).errors, f'"{section}" of \'{data.root}', "lists no image: add items")


def test_validation_without_strong_mask(data):
    data.content["validation"][0] = {"image": "images/e.png", "detection": "segmentation/e.png"}
    parts = ('"validation" of \'', 'no "segmentation" mask', "draw the exact mask of at least one validation image")
    one(data.check().errors, *parts)
    assert data.check(sections=["training"]).errors == []
    assert data.check(tasks=["detection"]).errors == []


def test_classes_of_the_configuration(data):
    one(
        data.check(classes=["air bubble"]).errors,
        f'"classes" of \'{data.root}',
        "are ['air bubble', 'ice crystal'] but the configuration says ['air bubble']",
        "pass --classes \"['air bubble', 'ice crystal']\"",
    )


def test_same_image_file(data):
    data.content["training"].append({"image": "images/../images/a.png", "separation": "separation/b.png"})
    data.content["testing"].append({"image": "images/b.png"})
    errors = data.check().errors
    one(errors[:1], 'training[4] "image": ', "listed twice, also as training[0]", "remove one of them")
    one(errors[1:], 'testing[1] "image": ', "'images/b.png' is listed in two splits, also as training[1]")


def test_same_pixels(data):
    data.add("testing", "copy.tif", image(0))
    one(data.check().errors, 'testing[1] "image": ', "'images/copy.tif' has the same pixels as 'images/a.png'")
    data.content["training"].append(data.content["testing"].pop() | {"separation": "separation/a.png"})
    report = data.check()
    assert report.errors == []
    one(report.warnings[:1], 'training[4] "image": ', "'images/copy.tif' has the same pixels", "if that is not meant")
    one(report.warnings[1:], 'training[4] "separation": ', "'separation/a.png' also labels 'images/a.png'")


def test_link_is_the_same_image(data):
    (data.root / "images/link.png").symlink_to(data.root / "images/a.png")
    data.content["testing"].append({"image": "images/link.png"})
    one(data.check().errors, 'testing[1] "image": ', "'images/link.png' is listed in two splits")


def test_all_findings_are_collected(data):
    for i in range(30):
        data.content["training"].append({"image": f"images/none{i}.png", "detection": "detection/a.png"})
    data.content["testing"][0]["segmentation"] = "nowhere.png"
    report = data.check()
    assert len(report.errors) == 31
    with pytest.raises(DatalistError) as error:
        report.raise_errors()
    assert len(str(error.value).splitlines()) == 21
    assert str(error.value).endswith("... and 11 more.")
    with pytest.raises(DatalistError, match=r"and 30 more\.$"):
        report.raise_errors(limit=1)


def test_unknown_section_or_task(data):
    with pytest.raises(ValueError, match=r"sections \['train'\] must be among"):
        data.check(sections=["train"])
    with pytest.raises(ValueError, match=r"tasks \['border'\] must name"):
        data.check(tasks=["border"])


# ---------------------------------------------------------------------------------------------- warnings


def test_task_without_label(data):
    for entry in data.content["training"][:3]:
        entry.pop("separation")
    data.content["training"][2]["detection"] = "detection/b2.png"
    data.write("detection/b2.png", mask(1, 2))
    report = data.check()
    assert report.errors == []
    one(report.warnings, '0 of 4 training images carry "separation"', "leave it out of tasks")
    assert data.check(tasks=["segmentation", "detection"]).warnings == []


def test_images_without_label_for_the_chosen_tasks(data):
    report = data.check(tasks=["segmentation"])
    assert report.errors == []
    one(report.warnings, "3 of 4 training images carry no label for segmentation", "labelled_only=True")


def test_validation_image_without_label(data):
    data.add("validation", "g.png")
    one(data.check().warnings, 'validation[1] "image": ', "'images/g.png' has no label and is judged by nothing")


def test_class_that_no_label_shows(data):
    data.content["classes"].append("ash")
    report = data.check()
    assert report.errors == []
    assert len(report.warnings) == 2
    one(report.warnings[:1], 'class 3 "ash" occurs in no "training" label', "cannot be learnt")
    one(report.warnings[1:], 'class 3 "ash" occurs in no "validation" label', "is not judged")


def test_class_that_validation_does_not_show(data):
    data.write("segmentation/e.png", mask(1))
    one(data.check().warnings, 'class 2 "ice crystal" occurs in no "validation" label under segmentation')


def test_mixed_channels(data):
    data.add("testing", "g.png", RGB)
    one(data.check().warnings, "6 with 2 axes and 1 channels", "1 with 2 axes and 3 channels (such as 'images/g.png')")


# ---------------------------------------------------------------------------------------------- volumes


def volume_set(tmp_path, label_shape):
    rng = np.random.default_rng(0)
    content = {"classes": ["pore"], "training": [], "validation": []}
    data = DataSet.__new__(DataSet)
    data.root, data.content = tmp_path, content
    for section in content:
        if section == "classes":
            continue
        data.write(f"{section}.nii.gz", rng.normal(size=(5, 6, 7)).astype(np.float32))
        data.write(f"{section}_label.nii.gz", rng.integers(0, 2, label_shape).astype(np.uint8))
        content[section] = [{"image": f"{section}.nii.gz", "segmentation": f"{section}_label.nii.gz"}]
    return data


def test_volumes(tmp_path):
    assert volume_set(tmp_path, (5, 6, 7)).check().errors == []


def test_volume_of_another_size(tmp_path):
    errors = volume_set(tmp_path, (7, 6, 5)).check().errors
    assert len(errors) == 2
    one(errors[:1], 'training[0] "segmentation": ', "'training_label.nii.gz' is 7 x 6 x 5 but image", "5 x 6 x 7")


def test_picture_label_on_a_flat_volume(tmp_path):
    """NIfTI has (X, Y), pictures have (H, W): the same size all the same."""
    data = DataSet(tmp_path)
    data.write("images/x.nii.gz", image(40).T)
    data.content["training"][0]["image"] = "images/x.nii.gz"
    assert data.check().errors == []
    data.write("images/x.nii.gz", image(40))
    assert len(data.check().errors) == 3
    assert f"is {W} x {H} but image 'images/x.nii.gz' is {H} x {W}" in data.check().errors[0]


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


# ---------------------------------------------------------------------------------------------- real data


@pytest.mark.real_data
def test_superalloy(data_root, tmp_path):
    folders = {"training": "train", "validation": "val", "testing": "test"}
    content = {"classes": ["secondary", "tertiary"]}
    for section, folder in folders.items():
        names = sorted(p.name for p in (data_root / "superalloy" / folder / "images").glob("*.png"))
        base = data_root / "superalloy" / folder
        content[section] = [{"image": f"{base}/images/{n}", "segmentation": f"{base}/classes/{n}"} for n in names]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    report = check_datalist(tmp_path, SECTIONS, tasks=["segmentation"])
    assert report.errors == report.warnings == []
    assert [line.split()[1] for line in report.table.splitlines()[1:4]] == ["10", "4", "4"]
    # one class too few in the file: every mask is named
    content["classes"].pop()
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    errors = check_datalist(tmp_path, SECTIONS, tasks=["segmentation"]).errors
    assert len(errors) == 18
    assert all("has the values 2 where 0 to 1 and 255" in error for error in errors)


@pytest.mark.real_data
def test_what_people_drew(data_root, tmp_path):
    """Sparse outlines given as instances; given as a strong mask they are refused."""
    base = data_root / "human_lazy/bbbc007"
    names = sorted(p.name for p in (base / "images").glob("*.png"))
    items = [{"image": f"{base}/images/{n}", "instances": f"{base}/sparse/{n}"} for n in names]
    content = {"classes": ["nucleus"], "training": [], "testing": items}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    assert len(items) == 6
    assert check_datalist(tmp_path, ["testing"]).errors == []
    for entry in items:
        entry["segmentation"] = entry.pop("instances")
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    errors = check_datalist(tmp_path, ["testing"]).errors
    assert len(errors) == 6
    assert all('move the file to "instances"' in error for error in errors)
