"""Folders of predictions, measured."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.objects import instances_from_classes
from lazylabels_monai.measure.folder import find_labels, format_measurements, measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records, Stamp, locked
from tests.measure.drawn import predictions


def test_class_maps_alone_are_taken_apart(tmp_path):
    result = measure_folder(predictions(tmp_path / "p", instances=False), tmp_path / "o", resamples=100)
    counts = {1: 0, 2: 0}
    for path in (tmp_path / "p").iterdir():
        classes = np.asarray(Image.open(path))
        for k in counts:
            counts[k] += instances_from_classes(classes * (classes == k)).max()
    assert {name: entry["objects"] for name, entry in result["classes"].items()} == {
        "class 1": counts[1],
        "class 2": counts[2],
    }


def test_classes_are_called_as_the_prediction_says(tmp_path):
    predictions(tmp_path / "p", count=1)
    (tmp_path / "p" / "classes.json").write_text('["pore", "grain"]')
    assert list(measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)["classes"]) == ["pore", "grain"]
    named = measure_folder(tmp_path / "p", tmp_path / "own", resamples=100, classes=["a", "b"])
    assert list(named["classes"]) == ["a", "b"]
    (tmp_path / "p" / "classes.json").write_text("pore, grain")
    with pytest.raises(MeasureError, match="is no JSON list of class names"):
        measure_folder(tmp_path / "p", tmp_path / "x")


@pytest.mark.parametrize("content", ['["pore", "grain",]', '"cell"', '{"grain": 2, "pore": 1}'])
def test_given_names_go_before_a_file_that_holds_none(tmp_path, content):
    predictions(tmp_path / "p", count=1)
    file = tmp_path / "p" / "classes.json"
    file.write_text(content)
    with pytest.raises(MeasureError, match=r"is no JSON list of class names.*: remove it, or pass --classes"):
        measure_folder(tmp_path / "p", tmp_path / "x", resamples=100)
    named = measure_folder(tmp_path / "p", tmp_path / "o", classes=["pore", "grain"], resamples=100)
    assert list(named["classes"]) == ["pore", "grain"]
    # of exact labels nobody can give them
    (tmp_path / "t").mkdir()
    for path in (tmp_path / "p").iterdir():
        (tmp_path / "t" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(MeasureError, match=r"t/classes\.json' is no JSON list .*: write them as a JSON list, such as .*"):
        measure_folder(tmp_path / "p", tmp_path / "x", classes=["pore", "grain"], truth=tmp_path / "t", resamples=100)


def test_names_saved_with_a_byte_order_mark_are_read(tmp_path):
    predictions(tmp_path / "p", count=1)
    (tmp_path / "p" / "classes.json").write_text('["pore", "grain"]', encoding="utf-8-sig")
    assert list(measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)["classes"]) == ["pore", "grain"]


def test_exact_folders_call_their_classes_as_the_file_beside_them_says(tmp_path):
    """As ``datalist`` and ``export-objects`` read them: in ``classes/``, else beside it."""
    predictions(tmp_path / "p")
    (tmp_path / "p" / "classes.json").write_text('["pore", "grain"]')
    truth = tmp_path / "t"
    for name in ("classes", "masks"):
        (truth / name).mkdir(parents=True)
    for number in range(3):
        classes = np.asarray(Image.open(tmp_path / "p" / f"s{number}_pred.png"))
        Image.fromarray(np.array([0, 2, 1], np.uint8)[classes]).save(truth / "classes" / f"s{number}.png")  # numbered otherwise
        ids = tifffile.imread(tmp_path / "p" / f"s{number}_instances.tif")
        tifffile.imwrite(truth / "masks" / f"s{number}.tif", ids)
    said = []
    measure_folder(tmp_path / "p", tmp_path / "numbers", truth=truth, resamples=100, warn=said.append)
    assert [sentence for sentence in said if "by number (1 is pore): write" in sentence] == said
    assert len(said) == 1
    for place in (truth / "classes", truth):
        (place / "classes.json").write_text('["grain", "pore"]')
        assert find_labels(truth)[1] == ("grain", "pore")
        said.clear()
        result = measure_folder(tmp_path / "p", tmp_path / "o", truth=truth, resamples=100, overwrite=True, warn=said.append)
        rows = [row for rows in result["error"].values() for row in rows.values() if row["truth"] is not None]
        assert {row["error"] for row in rows} == {0}
        assert said == []
        own = measure_folder(truth, tmp_path / "own", resamples=100, overwrite=True)["classes"]
        assert own["pore"] == result["classes"]["pore"]
        (truth / "classes" / "classes.json").unlink(missing_ok=True)
    (truth / "classes" / "classes.json").write_text('["pore", "grain"]')
    with pytest.raises(MeasureError, match=r"names other classes than .*: remove the one that is wrong\.$"):
        measure_folder(tmp_path / "p", tmp_path / "x", truth=truth, resamples=100)


@pytest.mark.parametrize("stated", [False, True])
def test_two_classes_of_one_name_are_refused_before_anything_is_measured(tmp_path, stated):
    """Tables by name would hold the second alone."""
    predictions(tmp_path / "p", count=1)
    if stated:
        (tmp_path / "p" / "classes.json").write_text('["pore", "pore"]')
    with pytest.raises(LazyLabelsError, match=r"two classes are called 'pore'.*: give each a name of its own with --classes"):
        measure_folder(tmp_path / "p", tmp_path / "o", classes=None if stated else ["pore", "pore"], resamples=100)
    assert not (tmp_path / "o").exists()
    assert len(measure_folder(tmp_path / "p", tmp_path / "o", classes=["pore", "grain"], resamples=100)["classes"]) == 2


def test_images_give_intensity_and_pixel_size(tmp_path):
    predictions(tmp_path / "p", count=2)
    (tmp_path / "images").mkdir()
    for k in range(2):
        tifffile.imwrite(
            tmp_path / "images" / f"s{k}.tif",
            np.full((64, 80), 50 + k, np.uint8),
            resolution=(20000, 20000),
            resolutionunit="CENTIMETER",
        )
    measure_folder(tmp_path / "p", tmp_path / "o", images=tmp_path / "images", resamples=100)
    objects = pd.read_csv(tmp_path / "o" / "objects.csv")
    assert "area_um2" in objects
    assert objects.groupby("image")["mean_intensity"].mean().tolist() == [50, 51]
    sentences = []
    measure_folder(
        tmp_path / "p", tmp_path / "o2", images=tmp_path / "images", pixel_size="1um", resamples=100, warn=sentences.append
    )
    assert len(sentences) == 1
    assert "overrides" in sentences[0]
    (tmp_path / "images" / "s1.tif").unlink()
    with pytest.raises(LazyLabelsError, match="s1"):
        measure_folder(tmp_path / "p", tmp_path / "o3", images=tmp_path / "images")


def test_probabilities_of_the_class_shown(tmp_path):
    predictions(tmp_path / "p", count=1)
    classes = np.asarray(Image.open(tmp_path / "p" / "s0_pred.png"))
    planes = np.stack([np.full(classes.shape, v, np.float32) for v in (0.1, 0.3, 0.6)])
    path = tmp_path / "p" / "s0_segmentation_probability.tif"
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"})
    measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)
    means = pd.read_csv(tmp_path / "o" / "objects.csv").groupby("class")["mean_probability"]
    assert means.mean().to_dict() == pytest.approx({1: 0.3, 2: 0.6})
    assert means.std().max() < 1e-6
    tifffile.imwrite(path, planes[:2], photometric="minisblack")
    with pytest.raises(LazyLabelsError, match="do not fit"):
        measure_folder(tmp_path / "p", tmp_path / "o2")


def test_data_set_with_pixel_sizes_and_truth(tmp_path, tiny_data):
    found, names = find_labels(tiny_data)
    assert len(found) == 1 + 2 + 2  # one exact training mask, all of the other splits
    assert names == ("air bubble", "ice crystal")
    content = json.loads((tiny_data / "datalist.json").read_text())
    items = content["testing"]
    for item in items:
        item.update({key: str(tiny_data / item[key]) for key in ("image", "segmentation", "instances")})
        item["pixel_size"] = "50 nm"
    reduced = {"classes": content["classes"], "testing": items}
    for item in items:
        for key in set(item) - {"image", "segmentation", "instances", "pixel_size"}:
            del item[key]
    (tmp_path / "datalist.json").write_text(json.dumps(reduced))
    result = measure_folder(tmp_path, tmp_path / "o", truth=tmp_path, resamples=100)
    assert result["pixel_size_um"] == 0.05
    for rows in result["error"].values():
        assert all(row["error"] == 0 for row in rows.values() if row["measured"] is not None)
    assert "error of" in format_measurements(result)
    items[0]["pixel_size"] = "wide"
    (tmp_path / "datalist.json").write_text(json.dumps(reduced))
    with pytest.raises(LazyLabelsError, match="wide"):
        measure_folder(tmp_path, tmp_path / "o2")


@pytest.mark.parametrize(("files", "message"), [([], "no label map"), (["a_pred.png", "a_pred.tif"], "same map")])
def test_folders_that_cannot_be_measured(tmp_path, files, message):
    for name in files:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    with pytest.raises(LazyLabelsError, match=message):
        measure_folder(tmp_path, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_no_objects_at_all(tmp_path):
    (tmp_path / "p").mkdir()
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "p" / "a_pred.png")
    result = measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)
    entry = result["classes"]["class 1"]
    assert (entry["objects"], entry["area_fraction"]["value"], entry["mean_diameter_px"]["value"]) == (0, 0, None)
    assert len(pd.read_csv(tmp_path / "o" / "objects.csv")) == 0


@pytest.mark.real_data
def test_superalloy_truth(data_root, tmp_path):
    """Area fractions of the exact labels are those of the pixels; the tertiary precipitates are the small ones."""
    folder = data_root / "superalloy" / "test"
    result = measure_folder(folder, tmp_path, classes=["secondary", "tertiary"], min_size=5, resamples=200)
    pixels = np.stack([np.asarray(Image.open(p)) for p in sorted((folder / "classes").iterdir())])
    for k, name in enumerate(("secondary", "tertiary"), 1):
        assert result["classes"][name]["area_fraction"]["value"] == pytest.approx((pixels == k).mean())
    means = [result["classes"][name]["mean_diameter_px"]["value"] for name in ("secondary", "tertiary")]
    assert means[0] > 3 * means[1]


def test_uncertainty_of_an_earlier_version_is_read(tmp_path):
    ids = np.zeros((20, 30), np.uint16)
    ids[5:12, 5:15] = 1
    Image.fromarray((ids > 0).astype(np.uint8)).save(tmp_path / "a_pred.png")
    tifffile.imwrite(tmp_path / "a_instances.tif", ids)
    planes = np.stack([np.full(ids.shape, 0.5), np.full(ids.shape, 0.25)]).astype(np.float32)
    tifffile.imwrite(tmp_path / "a_segmentation_doubt.tif", planes)
    (found,), _ = find_labels(tmp_path)
    assert found.uncertainty == str(tmp_path / "a_segmentation_doubt.tif")
    measure_folder(tmp_path, tmp_path / "measured", resamples=100)
    rows = pd.read_csv(tmp_path / "measured" / "objects.csv")
    assert rows[["mean_entropy", "mean_mutual_information"]].to_numpy().tolist() == [[0.5, 0.25]]


def stamped(folder, **stamps):
    """A folder of predictions, by name the stamp that made each; None is of unknown origin."""
    folder.mkdir()
    records = Records(folder)
    for number, (name, stamp) in enumerate(stamps.items()):
        ids = np.zeros((20, 30), np.uint8)
        ids[3 : 9 + number, 4:12] = 1
        Image.fromarray(ids).save(folder / f"{name}_pred.png")
        if stamp is not None:
            with locked(folder):
                records.add_stamp(stamp)
            image = folder / f"{name}.tif"
            tifffile.imwrite(image, ids * 50)
            records.add(name, Record.of(stamp, image, folder).giving(folder / f"{name}_pred.png"))
    return folder


ONE = Stamp("11" * 16, {"classes": ["ice"], "inferer": {"mirroring": False}})


def test_predictions_of_two_stamps_are_not_measured(tmp_path):
    other = ONE.having(inferer={"mirroring": True})
    mixed = stamped(tmp_path / "mixed", a=ONE, b=other, c=ONE)
    with pytest.raises(LazyLabelsError, match=r"'b' were made otherwise \(inferer\.mirroring False and True\); predict"):
        measure_folder(mixed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(LazyLabelsError, match="mixes results"):
        measure_folder(mixed, tmp_path / "out", dry_run=True)
    (mixed / "b_pred.png").unlink()
    result = measure_folder(mixed, tmp_path / "out", resamples=100)
    assert result["made_by"]["stamp"] == ONE.id
    assert list(result["classes"]) == ["ice"], "the stamp knows the names where classes.json is missing"
    with locked(mixed):  # other weights began, wrote their names, and were killed
        Records(mixed).add_stamp(ONE.having(classes=["air"]))
    for written, read in (["air"], "ice"), (["ice"], "ice"), (["Eis"], "Eis"):
        (mixed / "classes.json").write_text(json.dumps(written))
        assert find_labels(mixed)[1] == (read,)


def test_maps_of_unknown_origin_and_images_that_changed_are_told(tmp_path):
    said = []
    folder = stamped(tmp_path / "some", a=ONE, b=None)
    measure_folder(folder, tmp_path / "out", resamples=100, warn=said.append)
    assert len(said) == 1
    assert "1 do not say what made them ('b' is one)" in said[0]
    (folder / "b_pred.png").unlink()
    measure_folder(folder, tmp_path / "images", images=folder, resamples=100, warn=said.append)
    assert len(said) == 1
    tifffile.imwrite(folder / "a.tif", np.zeros((20, 30), np.uint8))
    measure_folder(folder, tmp_path / "changed", images=folder, resamples=100, warn=said.append)
    assert "1 of 1 images are not those that were predicted" in said[1]
    plain = stamped(tmp_path / "plain", a=None)
    result = measure_folder(plain, tmp_path / "other", resamples=100, warn=said.append)
    assert len(said) == 2, "maps of other programs are nothing to warn of"
    assert result["made_by"] is None
    altered = stamped(tmp_path / "altered", a=ONE, b=ONE)
    Image.fromarray(np.eye(20, 30, dtype=np.uint8)).save(altered / "a_pred.png")  # another model's, or corrected by hand
    measure_folder(altered, tmp_path / "last", resamples=100, warn=said.append)
    assert "of 2 images in" in said[2]
    assert "1 do not say what made them ('a' is one)" in said[2]


def test_a_renamed_picture_is_told_as_its_objects_count_twice(tmp_path):
    folder, said = stamped(tmp_path / "p", n1=ONE, b=ONE), []
    measure_folder(folder, tmp_path / "one", resamples=100, warn=said.append)
    assert said == []
    os.rename(folder / "n1.tif", folder / "sample.tif")
    shutil.copy(folder / "n1_pred.png", folder / "sample_pred.png")
    record = Record.of(ONE, folder / "sample.tif", folder).giving(folder / "sample_pred.png")
    Records(folder).add("sample", record)
    measure_folder(folder, tmp_path / "two", resamples=100, warn=said.append)
    assert ["'n1', which is no more there, and 'sample'" in sentence for sentence in said] == [True]
    page = make_report(folder).read_text()
    assert page.count("&#39;n1&#39;, which is no more there, and &#39;sample&#39;") == 1


CLASSES, IDS, IMAGE = "labels/classes.tif", "labels/ids.tif", "images/picture_of_a.tif"
SQUARE = np.pad(np.ones((10, 12), np.uint8), 5)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({CLASSES: SQUARE * 4}, [CLASSES]),  # a class without a name
        ({CLASSES: SQUARE.astype(np.int32) * 999}, [CLASSES]),
        ({CLASSES: SQUARE[:9]}, [CLASSES, IDS]),
        ({CLASSES: SQUARE * 0}, [CLASSES, IDS]),
        ({IDS: SQUARE[:, :7]}, [CLASSES, IDS]),
        ({IDS: SQUARE.astype(np.int16) - 3}, [IDS]),
        ({IMAGE: SQUARE[:1, :1]}, [IMAGE, CLASSES, IDS]),
        ({IMAGE: SQUARE[:3], IDS: None}, [IMAGE, CLASSES]),
        ({CLASSES: SQUARE.astype(np.int16) - 3, IDS: None}, [CLASSES]),
    ],
)
def test_a_map_that_cannot_be_measured_is_named_by_its_file(tmp_path, broken, named):
    maps = {IMAGE: SQUARE * 200, CLASSES: SQUARE, IDS: SQUARE.astype(np.uint16), **broken}
    for name, array in maps.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if array is not None:
            tifffile.imwrite(tmp_path / name, array)
    keys = {"image": IMAGE, "segmentation": CLASSES, "instances": IDS}
    item = {key: name for key, name in keys.items() if maps[name] is not None}
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["grain"], "training": [item]}))
    with pytest.raises(MeasureError) as error:
        measure_folder(tmp_path, tmp_path / "o", resamples=100)
    said = str(error.value)
    assert [name for name in (IMAGE, CLASSES, IDS) if str(tmp_path / name) in said] == named, said
    assert "\n" not in said
    assert said.endswith(".")


def test_an_image_without_a_pixel_size_among_others_is_named_by_its_file(tmp_path):
    for name, resolution in (("a", None), ("b", (1e4, 1e4))):
        tifffile.imwrite(tmp_path / f"{name}.tif", SQUARE, resolution=resolution, resolutionunit=resolution and "CENTIMETER")
    items = [{"image": f"{name}.tif", "segmentation": f"{name}.tif"} for name in "ab"]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["grain"], "training": items}))
    with pytest.raises(MeasureError, match=r"a\.tif' states no pixel size while '.*b\.tif' does"):
        measure_folder(tmp_path, tmp_path / "o", resamples=100)


def twins(tmp_path):
    """Predictions of s0 and s1, and a folder where s0 is a calibrated TIFF and, in other colours, a JPEG."""
    (tmp_path / "im").mkdir()
    for k in range(2):
        tifffile.imwrite(
            tmp_path / "im" / f"s{k}.TIF", np.full((64, 80), 50 + k, np.uint8), resolution=(20000, 20000), resolutionunit=3
        )
    Image.fromarray(np.full((64, 80), 200, np.uint8)).save(tmp_path / "im" / "s0.jpg")
    return predictions(tmp_path / "p", count=2), tmp_path / "im"


def test_two_images_of_one_name_are_refused_unless_a_pattern_says_which(tmp_path):
    folder, images = twins(tmp_path)
    remedy = rf"'{images}/s0\.(TIF|jpg)' and '.*s0\.(TIF|jpg)' share a name.*such as --images '{images}/\*\.(TIF|jpg)'"
    with pytest.raises(MeasureError, match=remedy):
        measure_folder(folder, tmp_path / "o", images=images)
    assert not (tmp_path / "o").exists()
    measure_folder(folder, tmp_path / "o", images=images / "*.TIF", resamples=100)
    assert set(pd.read_csv(tmp_path / "o" / "objects.csv")["mean_intensity"]) == {50, 51}
    (folder / "s0_pred.png").unlink()
    (folder / "s0_instances.tif").unlink()
    measure_folder(folder, tmp_path / "o1", images=images, resamples=100)  # nobody asks which s0 it is


def test_predictions_that_say_which_image_they_are_of_take_that(tmp_path):
    folder, images = twins(tmp_path)
    records = Records(folder)
    with locked(folder):
        records.add_stamp(ONE)
    for name, suffix in (("s0", "jpg"), ("s1", "TIF")):
        records.add(name, Record.of(ONE, images / f"{name}.{suffix}", folder).giving(folder / f"{name}_pred.png"))
    options = {"classes": ["a", "b"], "pixel_size": "1um", "resamples": 100}
    measure_folder(folder, tmp_path / "o", images=images, **options)
    means = pd.read_csv(tmp_path / "o" / "objects.csv").groupby("image")["mean_intensity"].mean()
    assert means.to_dict() == {"s0": 200, "s1": 51}
    (images / "s0.jpg").write_bytes((images / "s0.TIF").read_bytes())  # by now neither is what was predicted
    with pytest.raises(MeasureError, match="share a name"):
        measure_folder(folder, tmp_path / "o2", images=images, **options)
