"""What the check says about images: each finding has a case that produces it."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.data.checking import CODES
from lazylabels_monai.data.checking.images import odd_contrasts
from lazylabels_monai.images.judging import image_faults
from tests.data.checking.cases import IMAGES, DataSet, H, W, noise, sound


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


@pytest.mark.parametrize("code", IMAGES)
def test_images(data, code):
    image, text = IMAGES[code]
    if code == "image-tiny":
        labels = {key: label[:63, :] for key, label in sound(0)[1].items()}
        labels = {key: np.pad(label, ((0, 0), (0, 80))) for key, label in labels.items()}
        assert [f.code for f in image_faults(image, 2)] == [code]
    else:
        labels = sound(0)[1]
    item = {"image": data.write("images/x.png", image)}
    item |= {key: data.write(f"{key}/x.png", label) for key, label in labels.items() if key == "separation"}
    data.content["training"].append(item)
    report = data.check()
    assert [f.code for f in report.findings] == [code]
    assert text in report.findings[0].message
    assert report.findings[0].level == CODES[code].level
    assert report.findings[0].file == "images/x.png"


def test_inverted_image(data):
    for _ in range(8):
        data.add("training")
    assert data.check().findings == []
    image, _ = sound(len(data.content["training"]) + 1)
    data.add("training", 255 - image)
    report = data.check()
    assert [(f.code, f.index) for f in report.findings] == [("image-inverted", 12)]
    assert "has objects darker than their background where 13 of 14 images have them brighter" in report.warnings[0]


def test_mixed_contrast_is_no_finding():
    """Bright-field and dark-field images together, as in emps."""
    assert odd_contrasts([2.0] * 6 + [-2.0] * 4) == {}
    assert odd_contrasts([2.0] * 19 + [-0.3]) == {}
    assert list(odd_contrasts([2.0] * 19 + [None, -2.0])) == [20]


def test_object_size(data):
    big = np.zeros((H, W), np.uint8)
    big[:, 4:115] = 1
    item = {"image": data.write("images/x.png", noise()), "segmentation": data.write("segmentation/x.png", big)}
    data.content["training"].append(item)
    report = data.check()
    assert [f.code for f in report.findings] == ["object-size-differs"]
    assert "has objects of 116 pixels median diameter where the images' median is 23" in report.warnings[0]


def test_pixel_size(data):
    for items in (data.content["training"], data.content["validation"]):
        for item in items:
            item["pixel_size"] = [0.5, 0.5]
    data.content["training"][2]["pixel_size"] = 0.9
    assert data.check().findings == []
    data.content["training"][2]["pixel_size"] = 1.1
    report = data.check(marks=False)  # costs nothing, so that a training says it, too
    assert [f.code for f in report.findings] == ["pixel-size-differs"]
    assert (
        "training[2] \"pixel_size\": file 'images/2.png' has pixel size 1.1 where the images' median is 0.5"
        in report.warnings[0]
    )


def test_a_training_judges_each_image_too(data):
    """What shows in an image alone costs little: the check before the first epoch says it, as `check` does."""
    data.add("training", IMAGES["image-outliers"][0])
    report = data.check(marks=False)
    assert [f.code for f in report.findings] == ["image-outliers"]
