"""Each finding about an item's files has a case that produces it."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.datalist import (
    DatalistError,
)
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from tests.data.checking.cases import DataSet as SoundSet
from tests.data.checking.cases import elsewhere
from tests.data.small_set import RGB, DataSet, H, W, image, mask, one


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path)


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


def save_of_kind(kind, value):
    """As a file whose other values are fine: finite in the file, but not where a network works."""
    return lambda path: tifffile.imwrite(path, np.where(image(50) == image(50)[0, 0], value, image(50)).astype(kind))


def save_truncated(path):
    Image.fromarray(image(50)).save(path)
    path.write_bytes(path.read_bytes()[:-40])


FILES = {
    "image missing": image_case("x.png", lambda p: None, "does not exist: correct the path"),
    "image truncated": image_case("x.png", save_truncated, "cannot be read as an image", "export it again"),
    "image is text": image_case("x.tif", lambda p: p.write_text("no"), "cannot be read as an image"),
    "unknown format": image_case("x.gif", lambda p: p.write_text("no"), "unknown format: convert it to one of .png"),
    "pages": image_case("x.tif", save_pages, "has 2 pages", "save each page as a file of its own"),
    "nan": image_case("x.tif", save_nan, "NaN or infinite values: replace them"),
    "no data": image_case("x.tif", save_of_kind(np.float32, -3.4028235e38), "values such as -3.4e+38", "without data"),
    "beyond float32": image_case("x.tif", save_of_kind(np.float64, 1e300), "values such as 1e+300", "without data"),
    "constant in float32": image_case("x.tif", lambda p: tifffile.imwrite(p, 1e12 + image(50) / 255.0), "all of one value"),
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


def test_a_volumes_label_of_another_grid(tmp_path):
    """Another order of the same voxels is none; what many images share is one sentence."""
    data = DataSet(tmp_path / "set")
    data.content = {"classes": ["pore"], "training": [], "validation": []}
    for number, section in enumerate(("training",) * 4 + ("validation",)):
        data.content[section].append(elsewhere(data.root, number))
    report = data.check(tasks=["segmentation"])
    assert [(f.code, f.section, f.index, f.key) for f in report.findings] == [
        ("label-elsewhere", section, index, "segmentation")
        for section, index in [("training", i) for i in range(4)] + [("validation", 0)]
    ]
    one(report.errors, '"segmentation" of 5 images has another place in space than its image', "resample_from_to")
    data.content["training"] = data.content["training"][:1]
    errors = data.check(tasks=["segmentation"]).errors
    assert len(errors) == 2
    one(
        errors[:1],
        "training[0] \"segmentation\": file 'label0.nii.gz' has another",
        "voxels of 2 x 2 x 2 mm, those of the image 2 x 1",
    )
    with pytest.raises(DatalistError, match="save it with the image's affine"):
        data.check(tasks=["segmentation"]).raise_errors()
    for section in ("training", "validation"):
        data.content[section] = [elsewhere(data.root, 9, canonical=True)]
    data.content["training"][0]["image"], old = "copy.nii.gz", data.content["training"][0]["image"]
    volume = nibabel.load(data.root / old)
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj) + 1, volume.affine), data.root / "copy.nii.gz")
    assert data.check(tasks=["segmentation"], marks=True).errors == []


def test_picture_label_on_a_flat_volume(tmp_path):
    """NIfTI has (X, Y), pictures have (H, W): the same size all the same."""
    data = DataSet(tmp_path)
    data.write("images/x.nii.gz", image(40).T)
    data.content["training"][0]["image"] = "images/x.nii.gz"
    assert data.check().errors == []
    data.write("images/x.nii.gz", image(40))
    assert len(data.check().errors) == 3
    assert f"is {W} x {H} but image 'images/x.nii.gz' is {H} x {W}" in data.check().errors[0]


@pytest.mark.parametrize("marks", [False, True])
def test_a_picture_that_is_not_the_one_of_the_labels_is_told(tmp_path, marks):
    data = SoundSet(tmp_path / "set")
    for item in data.content["training"]:
        item["digest"] = pixel_digest(read_image(data.root / item["image"]))
    data.content["validation"][0]["digest"] = "made by hand"
    assert data.check(marks=marks).findings == []
    first, second = (data.root / item["image"] for item in data.content["training"][:2])
    first.rename(data.root / "there.png")
    second.rename(first)
    (data.root / "there.png").rename(second)
    found = [finding for finding in data.check(marks=marks).findings if finding.code == "image-replaced"]
    assert [(f.level, f.section, f.index, f.key) for f in found] == [("warning", "training", n, "image") for n in (0, 1)]
    assert found[0].message == (
        'training[0] "image": file \'images/0.png\' has other pixels than those that the labels were made for ("digest"): put '
        'the picture of before back, or give labels of this one; if they fit it, remove the key "digest".'
    )
