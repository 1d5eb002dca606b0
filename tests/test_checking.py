"""What ``check`` says about marks and images: each finding has a case that produces it; a sound set produces none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.checking import CODES, check_datalist
from lazylabels_monai.data.checking.images import image_faults, odd_contrasts
from lazylabels_monai.data.checking.marks import mark_diameter, mark_faults, pieces
from lazylabels_monai.data.contact_sheet import draw_labels, write_contact_sheet

H, W = 96, 120
#: Corners and classes of the objects of the sound image, 20 x 20 pixels each; the first two touch.
OBJECTS = ((10, 10, 1), (10, 30, 1), (10, 70, 2), (60, 10, 2), (60, 70, 1))


def sound(shift=0, **left_out):
    """Image and labels of five square objects, marked as Ke et al. ask for."""
    labels = {key: np.zeros((H, W), np.uint8) for key in ("segmentation", "detection", "separation", "instances")}
    for number, (y, x, value) in enumerate(OBJECTS, 1):
        y += shift
        labels["segmentation"][y : y + 20, x : x + 20] = value
        labels["instances"][y : y + 20, x : x + 20] = number
        labels["detection"][y + 4 : y + 16, x + 4 : x + 16] = value
    labels["separation"][10 + shift : 30 + shift, 29:32] = 1
    noise = np.random.default_rng(shift).integers(0, 60, (H, W))
    image = (80 + noise + 60 * (labels["segmentation"] > 0)).astype(np.uint8)
    return image, {key: label for key, label in labels.items() if key not in left_out}


class DataSet:
    """Four training images and one for validation; tests break one thing each."""

    def __init__(self, root):
        self.root, self.content = root, {"classes": ["pore", "grain"], "training": [], "validation": []}
        for section, count in (("training", 4), ("validation", 1)):
            for _ in range(count):
                self.add(section)

    def add(self, section, image=None, **changed):
        number = sum(len(self.content[s]) for s in ("training", "validation"))
        made, labels = sound(number)
        item = {"image": self.write(f"images/{number}.png", made if image is None else image)}
        for key, label in {**labels, **changed}.items():
            item[key] = self.write(f"{key}/{number}.png", label)
        self.content[section].append(item)
        return item

    def write(self, name, array):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return name

    def check(self, **kwargs):
        self.save()
        return check_datalist(self.root, **{"marks": True, **kwargs})

    def save(self):
        (self.root / "datalist.json").write_text(json.dumps(self.content))
        return self.root


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


def test_sound_set_has_no_finding(data):
    report = data.check()
    assert report.findings == []
    assert report.errors == report.warnings == []
    assert report.as_dict() == {"errors": 0, "warnings": 0, "findings": []}


# ---------------------------------------------------------------------------------------------- marks


def crossed(labels):
    labels["separation"][60:80, 19:21] = 1


def covered(labels):
    labels["separation"][60:80, 10:30] = 1


def spanning(labels):
    labels["detection"][18:22, 14:46] = 1
    labels["separation"][:] = 0


def another_class(labels):
    labels["detection"][64:76, 74:86] = 2


def on_background(labels):
    labels["detection"][85:92, 40:52] = 1


def copied(labels):
    labels["segmentation"][:] = labels["detection"]


def meeting(labels):
    # one object, marked half with one class and half with the other
    labels["detection"][64:76, 80:86] = 2
    labels["segmentation"][60:80, 80:90] = 2


def sticking_out(labels):
    labels["detection"][64:76, 62:86] = 1
    labels["segmentation"][60:80, 66:90] = 1
    labels["instances"][60:80, 66:90] = 5


def forgotten(labels):
    labels["detection"][60:80, 70:90] = 0


def partly(labels):
    labels["detection"][:, 50:] = 0
    labels["detection"][60:] = 0
    labels["detection"][:, 30:] = 0


def sliver(labels):
    labels["segmentation"][70:72, 30:50] = 2


def lone_sliver(labels):
    labels["segmentation"][40:42, 40:70] = 2
    labels["detection"][40:42, 50:60] = 2


def speck(labels):
    labels["segmentation"][90, 100:102] = 1


MARKS = {
    "scribble through a mark": (crossed, "inner-crosses-interface", "detection", 1, (64, 19)),
    "scribble over a mark": (covered, "inner-crosses-interface", "detection", 1, (64, 14)),
    "mark over two objects": (spanning, "inner-spans-objects", "detection", 1, (14, 14)),
    "mark of another class": (another_class, "strong-disagrees-inner", "segmentation", 1, (64, 74)),
    "mark on the background": (on_background, "strong-disagrees-inner", "segmentation", 1, (85, 40)),
    "mask is the marks": (copied, "mask-equals-inner", "segmentation", None, None),
    "marks of two classes meet": (meeting, "inner-meets-class", "detection", 2, (64, 79)),
    "mark sticks out": (sticking_out, "inner-leaves-object", "detection", 1, (64, 62)),
    "forgotten object": (forgotten, "object-without-inner", "detection", 1, (60, 70)),
    "most are not marked": (partly, "partly-marked", "detection", 4, (10, 30)),
    "tail": (sliver, "mask-sliver", "segmentation", 1, (70, 30)),
    "thin object": (lone_sliver, "mask-sliver", "segmentation", 1, (40, 40)),
    "speck": (speck, "mask-speck", "segmentation", 1, (90, 100)),
}


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


def test_every_code_has_a_case():
    cases = {case[1] for case in MARKS.values()} | set(IMAGES) | {"image-inverted", "object-size-differs", "pixel-size-differs"}
    assert cases == set(CODES)


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


# ---------------------------------------------------------------------------------------------- images


def noise(shape=(H, W), high=200, dtype=np.uint8):
    return np.random.default_rng(9).integers(50, high, shape).astype(dtype)


def hot():
    image = noise(dtype=np.uint16)
    image[3, 4] = 60000
    return image


def clipped():
    image = noise()
    image[40:, :60] = 255
    return image


IMAGES = {
    "image-constant": (np.full((H, W), 7, np.uint8), f"has {H * W} pixels, all of one value"),
    "image-few-levels": (noise(high=53), "has 3 different values only, like a label"),
    "image-saturated": (clipped(), f"has {56 * 60} pixels at the largest value, which is more than 20 %, first at y=40, x=0"),
    "image-outliers": (hot(), "has 1 pixels so far from the others"),
    "image-tiny": (noise((63, 200)), "has 63 pixels (less than 64) along its shortest side"),
}


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


def test_range_and_depth_are_harmless():
    """Normalised per image, an image is the same at any gain and offset."""
    image = noise().astype(np.uint16)
    for same in (image * 200, image + 40000, image.astype(np.float32) / 1e6, np.stack([image] * 3, -1)):
        assert image_faults(same, 2) == []


def test_crop_size():
    assert image_faults(noise((100, 200)), 2) == []
    (fault,) = image_faults(noise((100, 200)), 2, crop_size=128)
    assert fault.amount == "100 pixels (less than crop_size 128)"


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


# ---------------------------------------------------------------------------------------------- reports


def test_what_many_images_share_is_one_sentence(data):
    for number in range(4):
        _, labels = sound(number)
        speck(labels)
        labels["segmentation"][88, 50 : 50 + 2 * number : 2] = 1
        data.write(f"segmentation/{number}.png", labels["segmentation"])
    report = data.check()
    assert len(report.findings) == 4
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith('"segmentation" of 4 images has 10 specks of a few pixels in the exact mask: ')
    assert "training[3] 'segmentation/3.png' (4), training[2] 'segmentation/2.png' (3)" in report.warnings[0]
    assert report.warnings[0].endswith("and 1 more; erase them if they are no objects (mask-speck).")


def test_findings_of_the_files(data):
    data.content["training"][1]["detection"] = "nowhere.png"
    (found,) = data.check().findings
    assert (found.level, found.code, found.key, found.file) == ("error", "unreadable", "detection", "nowhere.png")


def test_command(data, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "out" / "check.json"
    assert run(app, ["check", str(data.save()), "--json", str(out), "--strict"]).exit_code == 0
    assert json.loads(out.read_text())["findings"] == []
    again = run(app, ["check", str(data.save()), "--json", str(out)])
    assert isinstance(again.exception, FileExistsError)
    _, labels = sound(0)
    speck(labels)
    data.write("segmentation/0.png", labels["segmentation"])
    assert run(app, ["check", str(data.root)]).exit_code == 0
    assert run(app, ["check", str(data.root), "--strict"]).exit_code == 1
    labels["separation"][60:80, 19:21] = 1
    data.write("separation/0.png", labels["separation"])
    result = run(app, ["check", str(data.root), "--json", "-"])
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["errors"], content["warnings"]) == (1, 1)
    assert [f["code"] for f in content["findings"]] == ["mask-speck", "inner-crosses-interface"]
    assert content["findings"][1]["location"] == [64, 19]
    assert "error: training[0]" in result.stderr


# ---------------------------------------------------------------------------------------------- contact sheet


def test_draw_labels():
    image, labels = sound(0)
    picture = draw_labels(image, labels)
    assert picture.shape == (H, W, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[20, 30]) == (230, 30, 60)
    assert tuple(picture[60, 75]) == (230, 159, 0)  # outline of class 1
    assert tuple(picture[10, 75]) == (86, 180, 233)  # outline of class 2
    gray = np.ptp(picture[45, 60].astype(int))
    assert gray == 0  # nothing is drawn on the background
    assert picture[20, 16, 0] > picture[20, 16, 2] + 60  # a mark is tinted
    # one-pixel scribbles survive in a small picture
    thin = {"separation": np.zeros((H, W), np.uint8)}
    thin["separation"][:, 61] = 1
    small = draw_labels(image, thin, 0.25)
    assert small.shape == (24, 30, 3)
    assert (small == (230, 30, 60)).all(-1).sum(axis=1).tolist() == [1] * 24
    hatched = draw_labels(image, {"detection": np.full((H, W), 255, np.uint8)})
    assert (hatched == 128).all(-1).mean() > 0.1
    with pytest.raises(ValueError, match="scale 0 must be positive"):
        draw_labels(image, labels, 0)


def colour_count(path, colour):
    # the palette may shift a colour by a few steps
    return int((np.abs(np.asarray(Image.open(path).convert("RGB")).astype(int) - colour).max(-1) < 16).sum())


def test_contact_sheet(data, tmp_path):
    path = tmp_path / "new" / "sheet.png"
    assert write_contact_sheet(data.save(), path) == [path]
    plain = colour_count(path, (190, 40, 200))
    with pytest.raises(FileExistsError, match=r"sheet\.png is there already"):
        write_contact_sheet(data.root, path)
    write_contact_sheet(data.root, path, {("training", 2): "warning"}, overwrite=True)
    assert colour_count(path, (190, 40, 200)) > plain + 1000  # the frame
    pages = write_contact_sheet(data.root, tmp_path / "p.png", per_page=2)
    assert [p.name for p in pages] == ["p_1.png", "p_2.png", "p_3.png"]
    assert all(p.is_file() for p in pages)
    with pytest.raises(ValueError, match=r"must be a PNG file"):
        write_contact_sheet(data.root, tmp_path / "sheet.jpg")


def test_contact_sheet_of_a_broken_set(data, tmp_path):
    data.content["training"][0]["image"] = "nowhere.png"
    data.content["training"][1]["detection"] = "nowhere.png"
    run = CliRunner().invoke(app, ["check", str(data.save()), "--sheet", str(tmp_path / "sheet.png")])
    assert run.exit_code == 1
    assert (tmp_path / "sheet.png").is_file()


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
