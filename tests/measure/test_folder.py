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
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.measure.folder import format_measurements, measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records
from tests.helpers import ROOT
from tests.measure.drawn import ONE, predictions, stamped


def test_the_page_names_every_column(tmp_path):
    folder = predictions(tmp_path / "p")
    measure_folder(folder, tmp_path / "o", pixel_size="0.5um", resamples=100)
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    page = page.replace(
        "`bbox_row_min_px` ... `bbox_col_max_px`", "`bbox_row_min_px`, `bbox_col_min_px`, `bbox_row_max_px`, `bbox_col_max_px`"
    )
    page = page.replace("`median_`, `p10_`, `p90_diameter_um`", "`median_diameter_um`, `p10_diameter_um`, `p90_diameter_um`")
    for table in ("objects.csv", "summary.csv"):
        columns = pd.read_csv(tmp_path / "o" / table).columns
        assert [c for c in columns if f"`{c}`" not in page and not c.endswith(("_low", "_high"))] == [], table


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


SQUARE = np.pad(np.ones((10, 12), np.uint8), 5)


def test_an_image_without_a_pixel_size_among_others_is_named_by_its_file(tmp_path):
    for name, resolution in (("a", None), ("b", (1e4, 1e4))):
        tifffile.imwrite(tmp_path / f"{name}.tif", SQUARE, resolution=resolution, resolutionunit=resolution and "CENTIMETER")
    items = [{"image": f"{name}.tif", "segmentation": f"{name}.tif"} for name in "ab"]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["grain"], "training": items}))
    with pytest.raises(MeasureError, match=r"a\.tif' states no pixel size while '.*b\.tif' does"):
        measure_folder(tmp_path, tmp_path / "o", resamples=100)
