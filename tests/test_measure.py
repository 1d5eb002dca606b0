"""Measurements against hand-computed shapes, scikit-image one object at a time, and a field of discs of known sizes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from skimage.measure import regionprops
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.simulating.synthetic import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.objects import instances_from_classes
from lazylabels_monai.measure import (
    STATISTICS,
    agreed_pixel_size,
    measure_image,
    measure_objects,
    measurement_error,
    parse_pixel_size,
    read_pixel_size,
    summarize,
    summary_dict,
)
from lazylabels_monai.measure.folder import find_labels, format_measurements, measure_folder
from lazylabels_monai.measure.image import MeasureError


def discs(shape, centres, radii) -> np.ndarray:
    """Label map of discs, later ones on top."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.int32)
    for k, ((r, c), radius) in enumerate(zip(centres, radii, strict=True), 1):
        out[(rows - r) ** 2 + (cols - c) ** 2 <= radius**2] = k
    return out


def rectangles(shape, boxes) -> np.ndarray:
    out = np.zeros(shape, np.int32)
    for k, (top, left, height, width) in enumerate(boxes, 1):
        out[top : top + height, left : left + width] = k
    return out


# --- objects ---------------------------------------------------------------------------------------------------------


def test_rectangle_by_hand():
    table = measure_objects(rectangles((40, 50), [(5, 7, 6, 12)]), pixel_size=0.5)
    row = table.iloc[0]
    assert (row["area_um2"], row["centroid_row_px"], row["centroid_col_px"]) == (72 * 0.25, 7.5, 12.5)
    assert row["equivalent_diameter_um"] == pytest.approx(0.5 * math.sqrt(4 * 72 / math.pi))
    assert tuple(row[f"bbox_{k}_px"] for k in ("row_min", "col_min", "row_max", "col_max")) == (5, 7, 11, 19)
    # second moment of n pixels in a row is (n^2 - 1) / 12, the axis of the ellipse 4 times its root
    major, minor = 4 * math.sqrt((144 - 1) / 12), 4 * math.sqrt((36 - 1) / 12)
    assert row["major_axis_um"] == pytest.approx(0.5 * major)
    assert row["minor_axis_um"] == pytest.approx(0.5 * minor)
    assert row["eccentricity"] == pytest.approx(math.sqrt(1 - minor**2 / major**2))
    assert row["solidity"] == 1
    assert not row["touches_border"]
    assert row["border_weight"] == pytest.approx(40 * 50 / ((40 - 6 - 1) * (50 - 12 - 1)))


@pytest.mark.parametrize("radius", [3, 5, 10, 20, 50])
def test_disc_of_known_diameter(radius):
    side = 2 * radius + 9
    row = measure_objects(discs((side, side), [(radius + 4.3, radius + 4.1)], [radius])).iloc[0]
    assert row["equivalent_diameter_px"] == pytest.approx(2 * radius, rel=0.03)
    assert row["perimeter_px"] == pytest.approx(2 * math.pi * radius, rel=0.01)
    assert row["major_axis_px"] == pytest.approx(2 * radius, rel=0.05)
    assert row["eccentricity"] < 0.4


def test_against_regionprops_one_by_one():
    made = make_image((96, 128), seed=3, radius=(8, 10))
    instances, image = made["instances"].astype(np.int64) * 37, made["image"]  # ids with gaps
    table = measure_objects(instances, made["classes"], image=image, pixel_size="120 nm").set_index("id")
    assert list(table.index) == sorted(set(np.unique(instances)) - {0})
    for number in table.index:
        (region,), row = regionprops((instances == number).astype(np.uint8), intensity_image=image), table.loc[number]
        assert row["class"] == np.bincount(made["classes"][instances == number]).argmax()
        for name, value in {
            "area_um2": region.area * 0.0144,
            "equivalent_diameter_um": region.equivalent_diameter_area * 0.12,
            "major_axis_um": region.axis_major_length * 0.12,
            "minor_axis_um": region.axis_minor_length * 0.12,
            "eccentricity": region.eccentricity,
            "solidity": region.solidity,
            "perimeter_um": region.perimeter_crofton * 0.12,
            "mean_intensity": region.intensity_mean,
            "centroid_row_px": region.centroid[0],
        }.items():
            assert row[name] == pytest.approx(value), (number, name)
        top, left, bottom, right = region.bbox
        assert row["touches_border"] == (top == 0 or left == 0 or bottom == 96 or right == 128)


def test_neighbours_border_and_means():
    #                       0 touches 1 (one pixel apart), 2 is three pixels from 1, 3 lies at the border
    labels = rectangles((30, 60), [(5, 5, 8, 8), (5, 14, 8, 8), (5, 25, 8, 8), (22, 40, 8, 8)])
    probability = np.full(labels.shape, 0.25)
    probability[labels == 2] = 0.75
    colour = np.stack([np.full(labels.shape, v) for v in (10, 20, 60)], axis=-1)
    table = measure_objects(labels, image=colour, probability=probability)
    assert table["neighbours"].tolist() == [1, 1, 0, 0]
    assert measure_objects(labels, gap=3)["neighbours"].tolist() == [1, 2, 1, 0]
    assert table["touches_border"].tolist() == [False, False, False, True]
    assert table["border_weight"].iloc[3] == 0
    assert table["mean_probability"].tolist() == [0.25, 0.75, 0.25, 0.25]
    assert table["mean_intensity"].tolist() == [30.0] * 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_id_types(dtype):
    labels = rectangles((20, 20), [(2, 2, 4, 4), (10, 10, 5, 5)]).astype(dtype)
    if labels.itemsize > 1:
        labels[labels == 2] = 60000
    table = measure_objects(labels)
    assert table["id"].tolist() == [1, 60000 if labels.itemsize > 1 else 2]
    assert table["area_px2"].tolist() == [16, 25]


def test_no_nan_for_specks_and_lines():
    labels = np.zeros((12, 12), np.uint8)
    labels[1, 1], labels[3, 2:6], labels[11, :], labels[5, 5], labels[6, 6] = 1, 2, 3, 4, 4
    table = measure_objects(labels, image=np.ones(labels.shape), pixel_size=1)
    assert np.isfinite(table.select_dtypes("number").to_numpy()).all()
    assert table["neighbours"].tolist()[2] == 0


def test_empty_image_keeps_the_columns():
    one = measure_objects(rectangles((20, 20), [(2, 2, 4, 4)]), image=np.ones((20, 20)))
    none = measure_objects(np.zeros((20, 20), np.uint16), image=np.ones((20, 20)))
    assert len(none) == 0
    assert list(none.columns) == list(one.columns)


def test_object_that_fills_the_image():
    row = measure_objects(np.ones((8, 9), np.uint8)).iloc[0]
    assert row["touches_border"]
    assert row["border_weight"] == 0
    table = summarize([measure_image(np.ones((8, 9), np.uint8))])
    assert table["objects_used"].tolist() == [0, 0]
    assert table["area_fraction"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"instances": np.zeros((3, 4, 5), int)}, "slices"),
        ({"instances": np.zeros((3, 4))}, "whole numbers"),
        ({"instances": np.full((3, 4), -1)}, "whole numbers"),
        ({"instances": np.ones((3, 4), int), "classes": np.ones((4, 3), int)}, "shape"),
        ({"instances": np.ones((3, 4), int), "classes": np.zeros((3, 4), int)}, "no pixel of a class"),
        ({"instances": np.ones((3, 4), int), "image": np.zeros((4, 3))}, "mean_intensity"),
        ({"instances": np.ones((3, 4), int), "pixel_size": "wide"}, "no length"),
    ],
)
def test_errors_of_one_sentence(arguments, message):
    with pytest.raises(LazyLabelsError, match=message) as error:
        measure_objects(**arguments)
    assert "\n" not in str(error.value)


# --- the border ------------------------------------------------------------------------------------------------------


def test_miles_lantuejoul_removes_the_bias():
    """A lattice of small and large discs, the window moved over all its places: the correction is exact on average."""
    (height, width), period, step = (60, 80), (24, 48), 4
    centres = [(r, c) for r in range(12, 200, 24) for c in range(12, 250, 24)]
    field = discs((200, 250), centres, [3 if (c // 24) % 2 else 9 for _, c in centres])
    table = pd.concat(
        measure_objects(field[top : top + height, left : left + width])
        for top in range(48, 48 + period[0], step)
        for left in range(48, 48 + period[1], step)
    )
    windows = (period[0] // step) * (period[1] // step)
    whole = measure_objects(field[50:120, 55:170]).query("not touches_border")["equivalent_diameter_px"].unique()
    assert len(whole) == 2
    diameter, weight = table["equivalent_diameter_px"], table["border_weight"]
    truth, per_pixel = whole.mean(), 2 / (period[0] * period[1])
    assert (diameter * weight).sum() / weight.sum() == pytest.approx(truth, rel=1e-9)
    assert weight.sum() / (windows * height * width) == pytest.approx(per_pixel, rel=1e-9)
    # as seen: too many; without the cut ones and without weights: too few and too small
    assert len(table) / (windows * height * width) > 1.2 * per_pixel
    assert diameter[weight > 0].mean() < 0.95 * truth


def test_border_weight_by_counting_places():
    """The weight of a box is the window's pixels by the places where it lies wholly inside, also round unlabelled pixels."""
    shape, (h, w) = (14, 17), (3, 5)
    valid = np.ones(shape, bool)
    valid[0:4, 10:] = False
    valid[9, 3] = False
    places = 0
    for top in range(1, shape[0] - h):
        for left in range(1, shape[1] - w):
            places += valid[top - 1 : top + h + 1, left - 1 : left + w + 1].all()
    instances = rectangles(shape, [(5, 10, h, w)])
    classes = np.where(valid, (instances > 0).astype(np.uint8), 255).astype(np.uint8)
    assert measure_objects(instances, classes)["border_weight"][0] == pytest.approx(valid.sum() / places)
    beside = rectangles(shape, [(4, 10, h, w)])  # its box is next to unlabelled pixels
    classes = np.where(valid, (beside > 0).astype(np.uint8), 255).astype(np.uint8)
    assert measure_objects(beside, classes)["touches_border"].tolist() == [True]


# --- statistics ------------------------------------------------------------------------------------------------------


def small_images(count=8, seed=0):
    made = [make_image((64, 80), seed=(seed, k), radius=(5, 7)) for k in range(count)]
    return [measure_image(m["instances"], m["classes"], name=f"i{k}", class_names=("a", "b")) for k, m in enumerate(made)]


def test_summary_by_hand():
    labels = rectangles((40, 50), [(5, 5, 4, 4), (20, 20, 10, 10), (0, 30, 6, 6)])
    classes = np.select([labels == 1, labels == 2, labels == 3], [1, 1, 1]).astype(np.uint8)
    classes[39, :] = 255
    measured = measure_image(labels, classes, pixel_size=2, class_names=("grain", "pore"))
    table = summarize([measured]).set_index(["scope", "class_name"])
    row = table.loc[("image", "grain")]
    weights = np.array([39 * 50 / ((39 - s - 1) * (50 - s - 1)) for s in (4, 10)])
    sizes = 2 * np.sqrt(4 * np.array([16, 100]) / math.pi)
    assert (row["objects"], row["objects_used"]) == (3, 2)
    assert row["mean_diameter_um"] == pytest.approx((weights * sizes).sum() / weights.sum())
    assert row["number_density_per_um2"] == pytest.approx(weights.sum() / (39 * 50 * 4))
    assert row["area_fraction"] == pytest.approx((16 + 100 + 36) / (39 * 50))
    empty = table.loc[("image", "pore")]
    assert (empty["objects"], empty["area_fraction"], empty["number_density_per_um2"]) == (0, 0, 0)
    assert np.isnan(empty["mean_diameter_um"])
    json.dumps(summary_dict(summarize([measured])), allow_nan=False)


def test_uncorrected_statistics_are_numpys():
    images = small_images()
    row = summarize(images, border="none", resamples=100).query("scope == 'all' and class_name == 'a'").iloc[0]
    sizes = np.concatenate([m.objects.query("`class` == 1")["equivalent_diameter_px"] for m in images])
    assert row["objects"] == row["objects_used"] == len(sizes)
    assert row["mean_diameter_px"] == pytest.approx(sizes.mean())
    assert row["number_density_per_px2"] == pytest.approx(len(sizes) / (8 * 64 * 80))
    for column, q in (("median", 0.5), ("p10", 0.1), ("p90", 0.9)):  # ties share a rank, hence not exactly numpy's
        assert row[f"{column}_diameter_px"] == pytest.approx(np.quantile(sizes, q, method="hazen"), rel=0.02)


def test_intervals_hold_the_estimate_and_shrink():
    images = small_images(24)
    few, many = (summarize(part, resamples=400).query("scope == 'all'") for part in (images[:6], images))
    for statistic in (s.format(u="px") for s in STATISTICS):
        for table in (few, many):
            assert (table[f"{statistic}_low"] <= table[statistic]).all()
            assert (table[statistic] <= table[f"{statistic}_high"]).all()
        widths = [(t[f"{statistic}_high"] - t[f"{statistic}_low"]).mean() for t in (few, many)]
        assert widths[1] < 0.75 * widths[0]
    assert few["interval_over"].tolist() == ["images"] * 2
    assert few["interval_units"].tolist() == [6] * 2


def test_interval_of_a_mean_is_students():
    """Images of one object each: the interval of the mean diameter is close to Student's t for a sample mean."""
    from scipy import stats

    rng = np.random.default_rng(2)
    for count in (3, 12):
        radii = rng.uniform(9, 11, count)
        images = [measure_image(discs((60, 60), [(30, 30)], [r]), name=str(k)) for k, r in enumerate(radii)]
        row = summarize(images, border="none", resamples=4000).query("scope == 'all'").iloc[0]
        sizes = np.array([m.objects["equivalent_diameter_px"][0] for m in images])
        half = stats.t.ppf(0.975, count - 1) * sizes.std(ddof=1) / math.sqrt(count)
        measured = (row["mean_diameter_px_high"] - row["mean_diameter_px_low"]) / 2
        assert measured == pytest.approx(half, rel=0.25)


def test_same_seed_same_summary():
    images = small_images(5)
    pd.testing.assert_frame_equal(summarize(images, resamples=200, seed=4), summarize(images, resamples=200, seed=4))


def test_measurement_error_of_shrunken_objects():
    made = [make_image((96, 96), seed=(9, k), radius=(8, 10)) for k in range(6)]
    truth, worse = [], []
    for k, m in enumerate(made):
        truth.append(measure_image(m["instances"], m["classes"], name=str(k), class_names=("a", "b")))
        missing = np.where(m["classes"] == 2, 0, m["classes"])  # every crystal is missed
        worse.append(measure_image(m["instances"] * (missing > 0), missing, name=str(k), class_names=("a", "b")))
    table = measurement_error(worse, truth[::-1], resamples=400).set_index(["class_name", "statistic"])
    assert (table.loc["a"][["error", "error_low", "error_high"]].to_numpy() == 0).all()
    lost = table.loc[("b", "area_fraction")]
    assert lost["relative_error"] == -1
    assert lost["error_low"] <= lost["error"] <= lost["error_high"] < 0
    with pytest.raises(LazyLabelsError, match="no exact label"):
        measurement_error(worse, truth[1:])


def test_images_that_do_not_fit_together():
    labels = rectangles((20, 20), [(2, 2, 4, 4)])
    with pytest.raises(LazyLabelsError, match="no pixel size"):
        summarize([measure_image(labels, pixel_size=1, name="a"), measure_image(labels, name="b")])
    with pytest.raises(LazyLabelsError, match="class names"):
        summarize([measure_image(labels, class_names=["x"]), measure_image(labels, class_names=["y"])])
    with pytest.raises(LazyLabelsError, match="name as many"):
        measure_image(labels, labels.astype(np.uint8) * 2, class_names=["x"])
    with pytest.raises(LazyLabelsError, match="no image"):
        summarize([])
    with pytest.raises(LazyLabelsError, match="unknown"):
        summarize([measure_image(labels)], border="frame")


# --- pixel size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.5um", 0.5),
        ("120 nm", 0.12),
        ("0.5", 0.5),
        (0.25, 0.25),
        ("1e-3 mm", 1.0),
        ("0.5 µm", 0.5),
        ("2 \N{GREEK SMALL LETTER MU}m", 2.0),
        ("5 Å", 5e-4),
        (".5 micron", 0.5),
    ],
)
def test_parse_pixel_size(text, size):
    assert parse_pixel_size(text) == pytest.approx(size, rel=1e-12)


@pytest.mark.parametrize("text", ["", "um", "0", "-1um", "1 px", "1,5um", "1 um2", "nan", "1.2.3um", None, True, [1]])
def test_no_pixel_size(text):
    with pytest.raises(LazyLabelsError, match="pixel size"):
        parse_pixel_size(text)


def tiff(path, **options):
    tifffile.imwrite(path, np.zeros((8, 9), np.uint16), **options)
    return path


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5}}, 0.5),
        ({"ome": True, "metadata": {"PhysicalSizeX": 120, "PhysicalSizeXUnit": "nm"}}, 0.12),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, None),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}, 0.25),
        ({"imagej": True, "resolution": (0.05, 0.05), "metadata": {"unit": "nm"}}, 0.02),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "pixel"}}, None),
        ({"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (96, 96), "resolutionunit": "INCH"}, None),
        ({"resolution": (28.35, 28.35), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (1200, 1200), "resolutionunit": "INCH"}, None),
        ({"resolution": (5000, 5000), "resolutionunit": "NONE"}, None),
        ({}, None),
        ({"extratags": [(34682, 2, 0, "[Scan]\r\nPixelWidth=2.5e-009\r\nPixelHeight=2.5e-009\r\n", True)]}, 0.0025),
    ],
)
def test_pixel_size_of_a_tiff(tmp_path, options, size):
    name = "a.ome.tif" if options.get("ome") else "a.tif"
    assert read_pixel_size(tiff(tmp_path / name, **options)) == (None if size is None else pytest.approx(size, rel=1e-4))


def test_pixels_that_are_not_square(tmp_path):
    path = tiff(tmp_path / "a.ome.tif", ome=True, metadata={"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.6})
    with pytest.raises(LazyLabelsError, match=r"a\.ome\.tif.*not square"):
        read_pixel_size(path)


def test_other_files_state_no_pixel_size(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png", dpi=(50800, 50800))
    (tmp_path / "b.tif").write_bytes(b"II*\0 broken")
    assert read_pixel_size(tmp_path / "a.png") is None
    assert read_pixel_size(tmp_path / "b.tif") is None


def test_sizes_that_disagree():
    assert agreed_pixel_size({"x": None, "y": 0.5, "z": 0.5001}) == 0.5
    assert agreed_pixel_size({"x": None}) is None
    with pytest.raises(LazyLabelsError, match=r"image 'i'.*0\.5 um by y but of 0\.6 um by z.*--pixel-size"):
        agreed_pixel_size({"y": 0.5, "z": 0.6}, "i")


# --- folders and the command -----------------------------------------------------------------------------------------


def predictions(folder: Path, count=3, instances=True, seed=1) -> Path:
    folder.mkdir()
    for k in range(count):
        made = make_image((64, 80), seed=(seed, k), radius=(5, 7))
        Image.fromarray(made["classes"]).save(folder / f"s{k}_pred.png")
        if instances:
            tifffile.imwrite(folder / f"s{k}_instances.tif", made["instances"])
    return folder


def run(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["measure", *map(str, arguments)])
    return result.exit_code, f"{result.output}{'' if result.exception is None else result.exception}"


def test_command_writes_three_files(tmp_path):
    code, text = run(predictions(tmp_path / "p"), tmp_path / "o", "--pixel-size", "120nm", "--classes", "bubble,crystal")
    assert code == 0, text
    objects, summary = (pd.read_csv(tmp_path / "o" / f"{name}.csv") for name in ("objects", "summary"))
    content = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["objects.csv", "summary.csv", "summary.json"]
    assert list(objects.columns[:4]) == ["image", "id", "class", "class_name"]
    assert objects.notna().all().all()
    assert len(summary) == 3 * 2 + 2
    first = tifffile.imread(tmp_path / "p" / "s0_instances.tif")
    expected = measure_objects(first, pixel_size=0.12)["area_um2"]
    np.testing.assert_allclose(objects.query("image == 's0'")["area_um2"], expected, rtol=1e-6)
    assert list(content["classes"]) == ["bubble", "crystal"]
    assert content["classes"]["bubble"]["objects"] == (objects["class_name"] == "bubble").sum()
    assert content["pixel_size_um"] == 0.12
    assert "mean_diameter_um" in text

    assert "pass --overwrite" in run(tmp_path / "p", tmp_path / "o")[1]
    (tmp_path / "o" / "mine.txt").write_text("kept")
    assert run(tmp_path / "p", tmp_path / "o", "--overwrite", "--min-size", 60)[0] == 0
    fewer = pd.read_csv(tmp_path / "o" / "objects.csv")
    assert fewer["area_px2"].min() >= 60
    assert len(fewer) == (objects["area_um2"] > 59.5 * 0.0144).sum()
    assert (tmp_path / "o" / "mine.txt").exists()


def test_dry_run_writes_nothing(tmp_path):
    code, text = run(predictions(tmp_path / "p"), tmp_path / "o", "--dry-run")
    assert code == 0
    assert "s0_instances.tif" in text
    assert "in pixels" in text
    assert not (tmp_path / "o").exists()


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
