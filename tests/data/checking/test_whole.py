"""Each finding about the set as a whole has a case that produces it."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.datalist import (
    SECTIONS,
)
from tests.data.small_set import RGB, DataSet, image, mask, one


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


def test_mixed_channels(data):
    data.add("testing", "g.png", RGB)
    warnings = [text for text in data.check().warnings if "different values only" not in text]  # g.png has three
    one(warnings, "6 with 2 axes and 1 channels", "1 with 2 axes and 3 channels (such as 'images/g.png')")
