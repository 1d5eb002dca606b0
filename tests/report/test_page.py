"""The page: what it shows from which files, and what it leaves out."""

from __future__ import annotations

import html
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.report.numbers import number
from lazylabels_monai.training_file import note_beginning
from tests.report.predicted import CLASSES, contains, values


def test_numbers_of_the_tables_are_in_the_page(made, page):
    found, folder = values(page.read_text()), made / "pred" / "measured"
    summary = pd.read_csv(folder / "summary.csv")
    statistics = ["number_density_per_um2", "area_fraction", "mean_diameter_um", "median_diameter_um"]
    for _, row in summary.iterrows():
        for name in (*statistics, *(("p10_diameter_um", "p90_diameter_um") if row["scope"] == "all" else ())):
            for column in (name, f"{name}_low", f"{name}_high"):
                assert np.isnan(row[column]) or contains(found, row[column]), (row["image"], column)
    assert contains(found, len(pd.read_csv(folder / "objects.csv")))
    for value in (0.8125, 0.75, 0.78125, 0.875, 0.6875, 0.9375, 0.5625, 0.4375, 0.3125, 0.71, 0.72):
        assert contains(found, value), value
    assert not contains(found, 0.123456)


def test_nothing_is_fetched_and_no_name_becomes_markup(page):
    text = page.read_text()
    assert all(link.startswith(("data:", "#")) for link in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert not re.search(r"url\((?!#)|@import|\bfetch\(|<link rel=\"stylesheet", text)
    assert "default-src 'none'" in text
    assert "<b>air" not in text
    assert html.escape(CLASSES[0], quote=False) in text
    assert text.count("<script>") == 1
    assert "&lt;command&gt;" in text
    assert len(re.findall(r'\bid="', text)) == len(set(re.findall(r'\bid="[^"]*"', text))), "an id stands twice"


def test_what_is_least_probable_comes_first(page):
    text = page.read_text()
    order = re.findall(r"<figcaption><strong>(\w+)</strong>", text)
    assert order == ["im1", "im0", "im2"]
    shown = [
        float(value) for value in re.findall(r'<strong><data value="([^"]+)">[^<]*</data></strong> mean probability', text)
    ]
    assert len(shown) == 12
    assert shown == sorted(shown)
    assert shown[0] == pytest.approx(0.6, abs=1e-6)


def test_lengths_are_shown_in_a_unit_that_fits(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred", ignore=shutil.ignore_patterns("measured"))
    out, truth = tmp_path / "pred", tmp_path / "truth"
    shutil.copytree(out, truth)
    for k in range(3):  # some objects are overlooked
        classes, ids = np.asarray(Image.open(out / f"im{k}_pred.png")), tifffile.imread(out / f"im{k}_instances.tif")
        tifffile.imwrite(out / f"im{k}_instances.tif", np.where(ids % 5 == 0, 0, ids))
        Image.fromarray(np.where(ids % 5 == 0, 0, classes)).save(out / f"im{k}_pred.png")
    result = measure_folder(out, out / "measured", classes=CLASSES, resamples=200, pixel_size="2nm", truth=truth)
    text = make_report(out, images=made / "images").read_text()
    shown = re.sub(r"<[^>]+>", "", text)
    mean = result["classes"][CLASSES[0]]["mean_diameter_um"]["value"]
    assert mean < 0.1
    assert f'<data value="{mean:.8g}">{mean * 1000:.1f}</data>' in text
    assert "equivalent diameter (nm)" in shown
    assert "A pixel is 2 nm wide." in shown
    error = result["error"][CLASSES[0]]["area_fraction"]
    assert error["error"] < 0
    low, high = (re.sub(r"<[^>]+>", "", number(error[end], scale=100)) for end in ("error_low", "error_high"))
    assert f"{low} to {high}" in shown
    assert "area fraction, %" in shown
    assert "diameter um" not in shown


def test_errors_of_a_part_of_the_pixels_are_said_to_be_so(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred", ignore=shutil.ignore_patterns("measured"))
    out, truth = tmp_path / "pred", tmp_path / "truth"
    shutil.copytree(out, truth)
    said = "pixels have no exact label and are left out of this table"
    measure_folder(out, out / "measured", classes=CLASSES, resamples=100, truth=truth)
    assert said not in make_report(out, images=made / "images").read_text()
    classes = np.asarray(Image.open(truth / "im0_pred.png")).copy()
    classes[:, -20:] = 255
    Image.fromarray(classes).save(truth / "im0_pred.png")
    measure_folder(out, out / "measured", classes=CLASSES, resamples=100, truth=truth, overwrite=True)
    text = make_report(out, images=made / "images", overwrite=True).read_text()
    assert f"{20 * len(classes)} {said}" in text


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "those of starter, from which the training began and which it made no better"),
        (0.25, "25% of the way from starter, from which the training began, to its own"),
        (1.0, None),
        (None, None),
    ],
)
def test_weights_that_are_not_the_trainings_own_are_said_to_be_so(made, tmp_path, share, said):
    shutil.copy(made / "pred" / "im0_pred.png", tmp_path)
    weights = tmp_path / "models" / "model.pt"
    weights.parent.mkdir()
    weights.touch()
    note_beginning(weights.parent, began_from="starter", share=share)
    text = make_report(tmp_path, weights=weights).read_text()
    assert str(weights) in text
    assert (said in text) if said else ("from which the training began" not in text)


def test_a_report_is_there_as_a_whole_or_not_at_all(made, tmp_path, monkeypatch):
    shutil.copy(made / "pred" / "im0_pred.png", tmp_path)
    (tmp_path / "report.html").write_text("mine")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("lazylabels_monai.report.page.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_report(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["im0_pred.png", "report.html"]
    assert (tmp_path / "report.html").read_text() == "mine"
