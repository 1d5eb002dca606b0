"""Statistics of measurements: the border, intervals, errors."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure import (
    STATISTICS,
    measure_image,
    measure_objects,
    measurement_error,
    summarize,
    summary_dict,
)
from tests.measure.drawn import discs, rectangles


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
    rng = np.random.default_rng(2)
    for count in (3, 12):
        radii = rng.uniform(9, 11, count)
        images = [measure_image(discs((60, 60), [(30, 30)], [r]), name=str(k)) for k, r in enumerate(radii)]
        row = summarize(images, border="none", resamples=4000).query("scope == 'all'").iloc[0]
        sizes = np.array([m.objects["equivalent_diameter_px"][0] for m in images])
        half = stats.t.ppf(0.975, count - 1) * sizes.std(ddof=1) / math.sqrt(count)
        measured = (row["mean_diameter_px_high"] - row["mean_diameter_px_low"]) / 2
        assert measured == pytest.approx(half, rel=0.25)


def drawn_images(count, effect, rng):
    """Images of few objects: their diameters lognormal, and of each image a factor that is lognormal, too."""
    found = []
    for k in range(count):
        sizes = 20 * np.exp(rng.normal(0, effect) + rng.normal(0, 0.4, 1 + rng.poisson(6)))
        image = measure_image(discs((20, 20), [(10, 10)], [3]), name=str(k))
        objects = pd.concat([image.objects] * len(sizes), ignore_index=True)
        found.append(replace(image, objects=objects.assign(equivalent_diameter_px=sizes)))
    return found


SIZES = [s.format(u="px") for s in STATISTICS[2:]]


def test_intervals_of_sizes_are_those_of_all_resamples_of_images_that_there_are():
    """Also where images differ manifold, and an error relative to the estimate would span a factor of a million."""
    images = drawn_images(4, 0.9, np.random.default_rng(3))
    row = summarize(images, border="none", resamples=20000, scopes=("all",)).query("scope == 'all'").iloc[0]

    def logs(drawn):
        rows = summarize([images[k] for k in drawn], border="none", resamples=100, scopes=("all",)).iloc[0]
        return np.log(rows[SIZES].to_numpy(float))

    drawn = np.array([logs(each) for each in product(range(4), repeat=4)])  # each as likely as the others
    half = stats.t.ppf(0.975, 3) * drawn.std(0) * math.sqrt(4 / 3)
    for name, expected in zip(SIZES, half, strict=True):
        assert math.log(row[f"{name}_high"] / row[name]) == pytest.approx(expected, rel=0.05)
        assert math.log(row[name] / row[f"{name}_low"]) == pytest.approx(expected, rel=0.05)
    assert row["p10_diameter_px_high"] / row["p10_diameter_px_low"] < 1000


@pytest.mark.parametrize(("count", "effect"), [(3, 0.3), (4, 0.3), (8, 0.3)])
def test_intervals_of_sizes_of_few_objects_hold_the_truth(count, effect):
    rng = np.random.default_rng(count)
    truth = summarize(drawn_images(400, effect, rng), border="none", resamples=100, scopes=("all",)).iloc[0]
    held = []
    for _ in range(100):
        row = summarize(drawn_images(count, effect, rng), border="none", resamples=200, scopes=("all",)).iloc[0]
        held.append([row[f"{name}_low"] <= truth[name] <= row[f"{name}_high"] for name in SIZES])
    assert (np.mean(held, 0) >= 0.86).all(), np.mean(held, 0)  # of 100 at 95 %, four standard errors


def test_two_images_are_too_few_for_an_interval():
    images = small_images(3)
    for count, over in ((2, ""), (3, "images")):
        table = summarize(images[:count], resamples=100).query("scope == 'all'")
        assert table["interval_over"].tolist() == [over] * 2
        assert table[[f"{name}_low" for name in SIZES]].notna().to_numpy().all() == bool(over)
        assert table[SIZES].notna().to_numpy().all()


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
