"""Each finding about the set as a whole has a case that produces it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from lazylabels_monai.data.checking import CODES, check_datalist
from lazylabels_monai.data.datalist import (
    SECTIONS,
)
from tests.data.small_set import RGB, DataSet, image, mask, one
from tests.labels.mistaken import MISTAKEN, binary, edges, objects, picture


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("absent", [True, False])
def test_empty_split(data, section, absent):
    data.content[section] = []
    if absent:
        del data.content[section]
    others = [s for s in SECTIONS if s != section]
    assert data.check(sections=others).errors == []
    if section == "validation":  # a training does without, and it is said; an evaluation of it does not
        assert data.check(sections=SECTIONS).errors == []
        parts = ('"validation" lists no image', "weights of the last epoch", "add an image with an exact mask")
        assert any(all(part in warning for part in parts) for warning in data.check(sections=SECTIONS).warnings)
        one(data.check(sections=["validation"]).errors, "lists no image: add items")
        return
    one(data.check(sections=SECTIONS).errors, f'"{section}" of \'{data.root}', "lists no image: add items")


def test_validation_without_strong_mask(data):
    data.content["validation"][0] = {"image": "images/e.png", "detection": "segmentation/e.png"}
    parts = (
        '"validation" has no "segmentation" mask',
        "lowest loss on the marks",
        "draw the exact mask of one validation image",
    )
    report = data.check()
    assert report.errors == []
    assert any(all(part in warning for part in parts) for warning in report.warnings)
    assert any("weights of the last epoch" in warning for warning in data.check(tasks=["separation"]).warnings)


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


def test_unknown_section_or_task(data):
    with pytest.raises(ValueError, match=r"sections \['train'\] must be among"):
        data.check(sections=["train"])
    with pytest.raises(ValueError, match=r"tasks \['border'\] must name"):
        data.check(tasks=["border"])


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


@pytest.fixture
def marked(tmp_path):
    """Three training images with inner regions, scribbles and an exact mask, and one of validation; all is labelled."""
    data = DataSet(tmp_path / "marked")
    data.content |= {section: [] for section in SECTIONS}
    for name in ("a", "b", "c"):
        data.add("training", f"{name}.png", segmentation=mask(1, 2), detection=mask(1, 2), separation=mask(1))
    data.add("validation", "d.png", segmentation=mask(1, 2), detection=mask(1, 2))
    assert (data.check().errors, data.check().warnings) == ([], [])
    return data


@pytest.mark.parametrize(("key", "remedy"), [("detection", "with their class, such as 1"), ("separation", "with 1")])
def test_marks_saved_as_not_labelled(marked, key, remedy):
    """Binary pictures of 0 and 255, as ImageJ saves them, teach that nothing is there."""

    def said(name):
        return [f"'{key}/{name}.png' has only 0 and 255, and 255 means not labelled", remedy]

    marked.write(f"{key}/b.png", mask(255, 255))
    report = marked.check()  # the others say what is meant: it is to be looked at
    assert report.errors == []
    one(report.warnings, f'training[1] "{key}": ', *said("b"))
    for name in ("a", "c"):
        marked.write(f"{key}/{name}.png", mask(255, 255))
    errors = marked.check().errors
    assert len(errors) == 3
    for error, name, index in zip(errors, ("a", "b", "c"), range(3), strict=True):
        one([error], f'training[{index}] "{key}": ', *said(name))
    assert {finding.code for finding in marked.check().findings if finding.level == "error"} == {"mask-empty"}


@pytest.mark.parametrize("key", ["detection", "separation"])
def test_what_is_not_labelled_on_purpose(marked, key):
    """No marks and much that nobody looked at; 255 beside marks; 255 where the exact mask says so; scribbles not drawn."""
    marked.write(f"{key}/b.png", np.where(np.arange(mask().size).reshape(mask().shape) < 900, 0, 255).astype(np.uint8))
    marked.write("segmentation/c.png", mask(1, 2, 255))
    marked.write(f"{key}/c.png", mask(0, 0, 255))
    assert (marked.check().errors, marked.check().warnings) == ([], [])
    marked.write("segmentation/c.png", mask(1, 2))
    assert len(marked.check().warnings) == 1
    marked.write(f"{key}/a.png", mask(1, 255))
    assert not any(finding.code == "mask-empty" for finding in marked.check().findings)
    marked.write("separation/a.png", mask(255, 255))
    for name in ("b", "c"):
        marked.write(f"separation/{name}.png", mask(255))
    assert len(marked.check().errors) == 3
    marked.content["simulation"] = {"interface_share": 0.0, "missed": "ignore"}
    assert marked.check().errors == []


def test_class_that_no_inner_region_shows(marked):
    """The exact masks show it, which does not teach detection."""
    for name in ("a", "b", "c"):
        marked.write(f"detection/{name}.png", mask(1))
    report = marked.check()
    assert report.errors == []
    one(report.warnings, 'class 2 "ice crystal" occurs in no "training" label under detection', "inner regions")
    assert marked.check(tasks=["segmentation", "separation"]).warnings == []
    for item in marked.content["training"]:
        del item["detection"]
    assert not any(finding.code == "class-without-label" for finding in marked.check().findings)


def test_mixed_channels(data):
    data.add("testing", "g.png", RGB)
    warnings = [text for text in data.check().warnings if "different values only" not in text]  # g.png has three
    one(warnings, "6 with 2 axes and 1 channels", "1 with 2 axes and 3 channels (such as 'images/g.png')")


def check_labels(root, make, key, classes=("object",), count=4, **build):
    """Findings about labels that ``make`` makes of ids."""
    root.mkdir(exist_ok=True)
    items = []
    for number in range(count):
        label = np.asarray(make(objects(number)))
        gray = np.resize(picture(objects(number), number), label.shape)
        tifffile.imwrite(root / f"image{number}.tif", gray)
        tifffile.imwrite(root / f"label{number}.tif", label.astype(np.uint16))
        items.append({"image": f"image{number}.tif", key: f"label{number}.tif"})
    content = {"classes": list(classes), "training": [], "testing": items, "build": build}
    (root / "datalist.json").write_text(json.dumps(content))
    report = check_datalist(root, ["testing"], marks=True)
    found = [finding for finding in report.findings if finding.key == key and not finding.code.startswith("mask-")]
    unmarked = check_datalist(root, ["testing"]).findings
    assert {finding.code for finding in unmarked} <= {"image-tiny"}  # a training looks at no label, as before
    return found, report


@pytest.mark.parametrize(("make", "code", "sure"), MISTAKEN.values(), ids=MISTAKEN)
def test_instances_that_are_no_ids(tmp_path, make, code, sure):
    found, report = check_labels(tmp_path, make, "instances")
    assert [finding.code for finding in found] == [code] * 4
    assert {finding.level for finding in found} == {"error" if sure else "warning"} == {CODES[code].level}
    assert "testing[0] \"instances\": file 'label0.tif' has " in found[0].message
    (sentence,) = (said for said in (report.errors if sure else report.warnings) if code in said)
    assert sentence.startswith('"instances" of 4 images has ')
    # who built the data set said so
    if code.startswith("ids"):
        assert check_labels(tmp_path, make, "instances", ids="values")[0] == []


def test_what_may_be_meant_is_a_warning(tmp_path):
    """One drawn object in two parts; a class that lies between two others along every edge."""
    parts = MISTAKEN["0 and 1"][0]
    assert {f.level for f in check_labels(tmp_path, parts, "instances", ids=None)[0]} == {"warning"}

    def ringed(ids):
        return np.where(ids > 0, 2, 0) - edges(ids)

    found, _ = check_labels(tmp_path, ringed, "segmentation", "ab")
    assert [(finding.code, finding.level) for finding in found] == [("label-smoothed", "warning")] * 4


def test_sound_instances(tmp_path):
    assert check_labels(tmp_path, lambda ids: ids, "instances")[0] == []


def test_classes_that_are_object_ids(tmp_path):
    names = [f"object{number}" for number in range(1, 9)]
    found, _ = check_labels(tmp_path, lambda ids: ids, "segmentation", names)
    assert [finding.code for finding in found] == ["classes-ids"] * 4
    assert check_labels(tmp_path, lambda ids: ids, "segmentation", list("abcdefgh"))[0] == []


def test_classes_without_a_background(tmp_path):
    found, _ = check_labels(tmp_path, lambda ids: binary(ids, 1) + 1, "segmentation", "ab")
    assert [(finding.code, finding.level) for finding in found] == [("classes-background", "warning")] * 4
    said = {"names": {"segmentation": {"1": "a", "2": "b"}}}
    assert check_labels(tmp_path, lambda ids: binary(ids, 1) + 1, "segmentation", "ab", **said)[0] == []


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_marks_of_smaller_pictures_lie_in_the_corner_of_all(tmp_path, scale):
    """Labels drawn on pictures of 60 x 80 pixels, whose images were saved larger afterwards; ids, classes and regions."""
    data = DataSet(tmp_path)
    data.content |= {section: [] for section in SECTIONS}
    for number, section in enumerate(("training", "training", "validation", "testing")):
        drawn = np.zeros((60 * scale, 80 * scale), np.uint8)
        for k in range(4):
            drawn[6 + 13 * k : 12 + 13 * k, 60 - 7 * number : 74 - 7 * number] = 1
        picture = np.random.default_rng(number).integers(0, 256, drawn.shape, dtype=np.uint8)
        key = ("segmentation", "detection", "segmentation", "instances")[number]
        data.add(section, f"{number}.png", picture, **{key: drawn})
    found = [finding for finding in data.check(marks=True).findings if finding.code == "marks-in-corner"]
    assert len(found) == (scale > 1)
    assert all("'images/0.png', 'images/1.png', 'images/2.png' and 1 more" in finding.message for finding in found)


def test_one_mark_elsewhere_or_few_marks_say_nothing_about_the_corner(tmp_path):
    for far, count, expected in ((False, 4, 1), (True, 4, 0), (False, 3, 0)):
        data = DataSet(tmp_path / f"{far}{count}")
        data.content |= {section: [] for section in SECTIONS}
        for number in range(3):
            drawn = np.zeros((120, 160), np.uint8)
            for k in range(count):
                drawn[4 + 12 * k : 9 + 12 * k, 60:74] = 1
            if far and number == 2:
                drawn[100:110, 100:110] = 1
            picture = np.random.default_rng(number).integers(0, 256, drawn.shape, dtype=np.uint8)
            data.add("training", f"{number}.png", picture, segmentation=drawn)
        codes = [finding.code for finding in data.check(marks=True).findings]
        assert codes.count("marks-in-corner") == expected
