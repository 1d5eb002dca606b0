"""Measured in tiles as in one piece: every column, the pixels of the statistics, the summary, and the report's picture."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from lazylabels_monai.bench.labels import disc_map
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure import folder, telling
from lazylabels_monai.measure import maps as reading_maps
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError, measure_image
from lazylabels_monai.measure.large import measure_large
from lazylabels_monai.report import reading
from lazylabels_monai.report.gallery import make_picture
from lazylabels_monai.report.reading import Predicted

NAMES = ("air bubble", "ice crystal")


@pytest.fixture(scope="module")
def maps():
    ids = disc_map((150, 190), 60, seed=3).astype(np.uint32) * 7  # with gaps
    ids[60:64, 20:170] = 5000  # longer than a tile
    rng = np.random.default_rng(0)
    classes = np.where(ids > 0, 1 + (ids // 7) % 2, 0).astype(np.uint8)
    classes[(rng.uniform(size=ids.shape) < 0.1) & (ids > 0)] = 1
    return ids, classes, rng.integers(0, 4000, (*ids.shape, 3)).astype(np.uint16)


@pytest.fixture(scope="module")
def files(maps, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps")
    for name, values in zip(("a_instances", "a_pred", "a"), maps, strict=True):
        options = {"photometric": "rgb"} if values.ndim == 3 else {}
        folder = out / "images" if name == "a" else out / "predicted"
        folder.mkdir(exist_ok=True)
        tifffile.imwrite(folder / f"{name}.tif", values, tile=(32, 48), compression="zlib", **options)
    (out / "predicted" / "classes.json").write_text(json.dumps(NAMES))
    return out


@pytest.mark.parametrize("given", [{}, {"min_size": 60, "pixel_size": 0.5, "gap": 4}, {"classes": None, "image": None}])
def test_as_in_one_piece(maps, files, given):
    paths = [files / "predicted" / "a_instances.tif", files / "predicted" / "a_pred.tif", files / "images" / "a.tif"]
    arrays = dict(zip(("instances", "classes", "image"), maps, strict=True))
    sources = dict(zip(arrays, map(str, paths), strict=True))
    absent = {name: None for name in ("classes", "image") if name in given}
    options = {"name": "a", "class_names": NAMES} | {name: value for name, value in given.items() if name not in absent}
    expected = measure_image(**(arrays | absent), **options)
    found = measure_large(**(sources | absent), **options, side=64, reach=40)
    pd.testing.assert_frame_equal(found.objects, expected.objects, check_dtype=False, rtol=1e-9)
    np.testing.assert_array_equal(found.tile_pixels, expected.tile_pixels)
    np.testing.assert_array_equal(found.tile_class_pixels, expected.tile_class_pixels)
    assert (found.shape, found.pixel_size, found.class_names) == (expected.shape, expected.pixel_size, expected.class_names)


@pytest.mark.parametrize("classes", [None, 0, 2])
@pytest.mark.parametrize("seen", [True, False])
def test_a_picture_without_objects_as_in_one_piece(tmp_path, classes, seen):
    given = {"instances": np.zeros((90, 70), np.uint16)}
    if classes is not None:
        given["classes"] = np.full((90, 70), classes, np.uint8)
    if seen:
        given["image"] = np.full((90, 70), 9, np.uint8)
    for name, values in given.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", values, tile=(32, 32))
    sources = {name: str(tmp_path / f"{name}.tif") if name in given else None for name in ("instances", "classes", "image")}
    expected = measure_image(**({"classes": None, "image": None} | given), name="a", class_names=NAMES)
    found = measure_large(**sources, name="a", class_names=NAMES, side=64, reach=40)
    assert len(found.objects) == 0
    assert list(found.objects) == list(expected.objects)
    np.testing.assert_array_equal(found.tile_pixels, expected.tile_pixels)
    np.testing.assert_array_equal(found.tile_class_pixels, expected.tile_class_pixels)


def test_objects_on_a_class_map_of_background_are_refused(tmp_path, maps):
    tifffile.imwrite(tmp_path / "ids.tif", maps[0])
    tifffile.imwrite(tmp_path / "classes.tif", np.zeros(maps[0].shape, np.uint8))
    with pytest.raises(MeasureError, match="no pixel of a class"):
        measure_large(str(tmp_path / "ids.tif"), str(tmp_path / "classes.tif"), None, side=64)


def test_an_object_of_a_huge_box_is_measured_coarsely(maps, files, monkeypatch):
    from lazylabels_monai.measure import large

    path = str(files / "predicted" / "a_instances.tif")
    full = measure_large(path, None, None).objects.set_index("id").loc[5000]
    monkeypatch.setattr(large, "_IN_FULL", 150)
    coarse = measure_large(path, None, None, side=64, reach=40).objects.set_index("id").loc[5000]
    assert coarse["major_axis_px"] == pytest.approx(full["major_axis_px"], rel=0.05)


def test_the_command_and_the_report_take_them_by_their_size(files, tmp_path, monkeypatch):
    options = {"images": files / "images", "resamples": 100}
    plain = measure_folder(files / "predicted", tmp_path / "plain", **options)
    for module in (reading_maps, reading):
        monkeypatch.setattr(module, "IN_ONE_PIECE", 100)
    for module in (folder, telling):
        monkeypatch.setattr(module, "read_maps", lambda *_: pytest.fail("read whole"))
    assert measure_folder(files / "predicted", tmp_path / "parts", **options) == plain
    assert (tmp_path / "parts" / "objects.csv").read_text() == (tmp_path / "plain" / "objects.csv").read_text()
    monkeypatch.setattr(Predicted, "ids", lambda *_: pytest.fail("read whole"))
    places = [files / "predicted" / "a_pred.tif", files / "predicted" / "a_instances.tif", files / "images" / "a.tif"]
    picture = make_picture(Predicted("a", *places), 60, print)
    assert (picture.width, picture.height, picture.shape) == (60, 47, (150, 190))
    assert {"segmentation", "instances"} <= set(picture.layers)
    assert picture.base.startswith("data:image")


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_the_report_thins_out_turned_maps(tmp_path, monkeypatch, turn):
    options = {"extratags": [(274, 3, 1, turn, True)], "metadata": None}
    tifffile.imwrite(tmp_path / "ids.tif", np.ones((60, 90), np.uint16), **options)
    monkeypatch.setattr(reading, "IN_ONE_PIECE", 100)
    _, ids, _, shape = Predicted("a", None, tmp_path / "ids.tif", None).coarse(30)
    assert shape == ((60, 90) if turn < 5 else (90, 60))
    assert ids.shape == ((20, 30) if turn < 5 else (30, 20))


def test_what_does_not_fit_is_refused(files, tmp_path, maps):
    path = str(files / "predicted" / "a_instances.tif")
    tifffile.imwrite(tmp_path / "small.tif", np.ones((5, 5), np.uint8))
    with pytest.raises(MeasureError, match="use maps of one image"):
        measure_large(path, str(tmp_path / "small.tif"), None)
    tifffile.imwrite(tmp_path / "unlabelled.tif", np.where(maps[0] > 0, 1, 255).astype(np.uint8))
    with pytest.raises(MeasureError, match="unlabelled pixels"):
        measure_large(path, str(tmp_path / "unlabelled.tif"), None)
    with pytest.raises(MeasureError, match="has class 2, but the classes are a"):
        measure_large(path, str(files / "predicted" / "a_pred.tif"), None, name="a", class_names=["a"])


def _float(labels):
    return labels.astype(np.float32)


def _colours(labels):
    return np.stack([labels, labels * 2, labels], axis=-1).astype(np.uint8)


OTHERS = {
    "floats": (_float, {}, None),
    "fractions": (lambda labels: _float(labels) / 2, {}, "fractional values"),
    "NaN": (lambda labels: np.where(labels > 0, _float(labels), np.nan), {}, "NaN"),
    "RGB": (_colours, {"photometric": "rgb"}, "colour picture"),
    "RGBA": (
        lambda labels: np.dstack([_colours(labels), np.full(labels.shape, 255, np.uint8)]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
        "colour picture",
    ),
    "gray RGB": (lambda labels: np.stack([labels] * 3, axis=-1).astype(np.uint8), {"photometric": "rgb"}, None),
    "JPEG": (lambda labels: labels.astype(np.uint8), {"compression": "jpeg"}, "lossy JPEG compression"),
    "upside down": (lambda labels: labels[::-1], {"extratags": [(274, 3, 1, 4, True)]}, None),
    "palette": (
        lambda labels: labels.astype(np.uint8),
        {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
        None,
    ),
    "negative": (lambda labels: -labels.astype(np.int32), {}, "whole numbers from 0"),
}


@pytest.mark.parametrize("kind", ["instances", "classes"])
@pytest.mark.parametrize("other", OTHERS)
def test_label_maps_of_other_programs_mean_the_same_as_in_one_piece(tmp_path, monkeypatch, kind, other):
    ids = disc_map((150, 190), 60, seed=3)
    labels = {"instances": ids, "classes": (ids > 0).astype(np.uint8)}
    change, options, words = OTHERS[other]
    for name, folder_name in (("instances", "masks"), ("classes", "classes")):
        (tmp_path / "in" / folder_name).mkdir(parents=True)
        values, more = (change(labels[name]), options) if name == kind else (labels[name], {})
        options_of = {"photometric": "minisblack"} | more
        tifffile.imwrite(tmp_path / "in" / folder_name / "a.tif", values, tile=(32, 48), metadata=None, **options_of)
    found = []
    for size in (reading_maps.IN_ONE_PIECE, 100):
        monkeypatch.setattr(reading_maps, "IN_ONE_PIECE", size)
        out = tmp_path / str(size)
        try:
            report = measure_folder(tmp_path / "in", out, resamples=100)
            found.append((report, (out / "objects.csv").read_text()))
        except LazyLabelsError as error:
            found.append(str(error))
    if words is None:
        assert not isinstance(found[0], str)
        assert found[1] == found[0]
    else:
        assert all(isinstance(one, str) and words in one for one in found), found


def test_values_that_are_no_classes_are_refused(tmp_path, maps):
    tifffile.imwrite(tmp_path / "ids.tif", maps[0])
    tifffile.imwrite(tmp_path / "classes.tif", np.where(maps[0] > 0, 300, 0).astype(np.uint16), tile=(32, 32))
    with pytest.raises(MeasureError, match="from 0 to 255"):
        measure_large(str(tmp_path / "ids.tif"), str(tmp_path / "classes.tif"), None, side=64)
