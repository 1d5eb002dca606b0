"""Predictions and exact labels measured on the same pixels."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.measure import label, regionprops

from lazylabels_monai.measure.comparing import cut_alike
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from tests.measure.drawn import ONE, predictions, rectangles, stamped


def inner(ids: np.ndarray, valid: np.ndarray) -> list[tuple[float, float]]:
    """(equivalent diameter, Miles-Lantuejoul weight) of each object that lies wholly among valid pixels, by trying places."""
    padded = np.pad(valid, 1)  # the edge of an image is as its unlabelled pixels
    found = []
    for region in regionprops(ids):
        top, left, bottom, right = region.bbox
        size = bottom - top + 2, right - left + 2
        windows = np.lib.stride_tricks.sliding_window_view(padded, size).all(axis=(2, 3))
        # an object on the outermost pixels cannot be told from a cut one: boxes begin one pixel further in
        if windows[top, left]:
            found.append((region.equivalent_diameter_area, valid.sum() / windows.sum()))
    return found


def restated(folder, ending: str, unlabelled: dict[str, np.ndarray], k: int) -> dict[str, float]:
    """Statistics of class ``k`` of the pictures in a folder where pixels are labelled, written down plainly."""
    sizes, weights, pixels, area = [], [], 0, 0
    for name, left_out in unlabelled.items():
        classes = np.asarray(Image.open(folder / f"{name}{ending}"))
        of_class = (classes == k) & ~left_out
        for size, weight in inner(label(of_class, connectivity=1), ~left_out):
            sizes.append(size)
            weights.append(weight)
        pixels += of_class.sum()
        area += (~left_out).sum()
    return {
        "number_density_per_px2": np.sum(weights) / area,
        "area_fraction": pixels / area,
        "mean_diameter_px": np.average(sizes, weights=weights),
    }


def partly_labelled(tmp_path, count=3):
    """Predictions without ids, exact class maps that differ a little, and where these are not labelled."""
    predictions(tmp_path / "p", count=count, instances=False)
    (tmp_path / "t" / "classes").mkdir(parents=True)
    unlabelled = {}
    for number in range(count):
        classes = np.asarray(Image.open(tmp_path / "p" / f"s{number}_pred.png")).copy()
        left_out = np.zeros(classes.shape, bool)
        left_out[:, 55:] = left_out[:5] = number != 1  # the middle one is labelled everywhere
        classes[20:23] = 0
        classes[left_out] = 255
        Image.fromarray(classes).save(tmp_path / "t" / "classes" / f"s{number}.png")
        unlabelled[f"s{number}"] = left_out
    return tmp_path / "p", tmp_path / "t", unlabelled


def test_errors_are_those_of_the_labelled_pixels(tmp_path):
    folder, truth, unlabelled = partly_labelled(tmp_path)
    plain = measure_folder(folder, tmp_path / "plain", resamples=100)
    said = []
    result = measure_folder(folder, tmp_path / "o", truth=truth, resamples=100, warn=said.append)
    assert result["classes"] == plain["classes"]  # the measurements themselves are of whole pictures
    for number in (1, 2):
        rows = result["error"][f"class {number}"]
        one = restated(folder, "_pred.png", unlabelled, number)
        other = restated(truth / "classes", ".png", unlabelled, number)
        for key in one:
            assert rows[key]["measured"] == pytest.approx(one[key], rel=1e-9)
            assert rows[key]["truth"] == pytest.approx(other[key], rel=1e-9)
            assert rows[key]["error"] == pytest.approx(one[key] - other[key], rel=1e-9)
    pixels = sum(int(left_out.sum()) for left_out in unlabelled.values())
    assert result["truth_left_out_px"] == pixels
    (sentence,) = said
    assert sentence.startswith(f"2 of 3 images have pixels that '{truth}'")
    assert f"{pixels} pixels" in sentence
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["truth_left_out_px"] == pixels


@pytest.mark.parametrize("instances", [True, False])
@pytest.mark.parametrize("border", ["ml", "none"])
def test_a_prediction_that_is_right_where_it_is_labelled_has_no_error(tmp_path, instances, border):
    predictions(tmp_path / "p", instances=instances)
    for name in ("classes", "masks")[: 1 + instances]:
        (tmp_path / "t" / name).mkdir(parents=True)
    for number in range(3):
        classes = np.asarray(Image.open(tmp_path / "p" / f"s{number}_pred.png")).copy()
        classes[:, 40:] = 255
        Image.fromarray(classes).save(tmp_path / "t" / "classes" / f"s{number}.png")
        if instances:  # ids reach into what is not labelled, as in data sets that were written by hand
            ids = tifffile.imread(tmp_path / "p" / f"s{number}_instances.tif")
            tifffile.imwrite(tmp_path / "t" / "masks" / f"s{number}.tif", ids)
    result = measure_folder(tmp_path / "p", tmp_path / "o", truth=tmp_path / "t", border=border, resamples=100)
    rows = [row for rows in result["error"].values() for row in rows.values()]
    assert [row["error"] for row in rows if row["truth"] is not None] == [0] * sum(row["truth"] is not None for row in rows)
    assert any(row["truth"] for row in rows)


def test_labels_of_whole_pictures_leave_nothing_out(tmp_path):
    predictions(tmp_path / "p", count=2)
    said = []
    result = measure_folder(tmp_path / "p", tmp_path / "o", truth=tmp_path / "p", resamples=100, warn=said.append)
    assert result["truth_left_out_px"] == 0
    assert said == []


def test_ids_of_which_nothing_of_a_class_is_left_are_taken_out():
    ids = rectangles((8, 12), [(1, 1, 3, 3), (5, 1, 2, 9), (1, 8, 3, 3)])
    classes = np.where(ids > 0, 1, 0).astype(np.uint8)
    classes[5:7, :6] = 0  # ids and classes of one prediction disagree there
    truth = np.zeros((8, 12), np.uint8)
    truth[:, 6:] = 255
    maps, labels, left_out = cut_alike({"instances": ids, "classes": classes}, {"instances": None, "classes": truth})
    assert left_out == 48
    assert np.unique(maps["instances"]).tolist() == [0, 1]
    assert (maps["classes"][:, 6:] == 255).all()
    assert (labels["classes"] == truth).all()
    assert labels["instances"] is None
    # without a class map every object is of class 1
    maps, _, _ = cut_alike({"instances": ids, "classes": None}, {"instances": None, "classes": truth})
    assert np.unique(maps["instances"]).tolist() == [0, 1, 2]
    assert (maps["classes"][:, :6] == (ids[:, :6] > 0)).all()


@pytest.mark.parametrize("part", [False, True])
def test_pieces_are_taken_of_the_exact_labels_too(tmp_path, part):
    folder, truth = tmp_path / "p", tmp_path / "t"
    folder.mkdir()
    for name in ("masks", "classes")[: 1 + part]:
        (truth / name).mkdir(parents=True)
    for number in range(3):
        ids = rectangles((60, 80), [(5 + number, 5, 9, 9), (30, 8, 12, 7), (20, 50, 8, 11), (40 - number, 40, 9, 12)])
        tifffile.imwrite(folder / f"s{number}_instances.tif", ids)
        mask = np.where(ids > 0, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(truth / "masks" / f"s{number}.png")  # black and white, as Fiji saves it
        if part:
            classes = (ids > 0).astype(np.uint8)
            classes[:, 60:] = 255
            Image.fromarray(classes).save(truth / "classes" / f"s{number}.png")
    result = measure_folder(folder, tmp_path / "o", truth=truth, ids="pieces", resamples=100)
    (rows,) = result["error"].values()
    assert {key: row["error"] for key, row in rows.items()} == dict.fromkeys(rows, 0)
    assert rows["mean_diameter_px"]["truth"] < 15


def test_pixels_are_compared_where_they_lie_also_in_the_format_of_volumes(tmp_path):
    """Such a file holds columns first, and its image is a picture as the prediction is."""
    folder, truth, _ = partly_labelled(tmp_path)
    expected = measure_folder(folder, tmp_path / "o", truth=truth, resamples=100)
    items = []
    for path in sorted((truth / "classes").iterdir()):
        image = nib.Nifti1Image(np.asarray(Image.open(path)).T, np.eye(4))
        nib.save(image, tmp_path / f"{path.stem}.nii.gz")
        Image.new("L", (80, 64)).save(tmp_path / path.name)
        items.append({"image": path.name, "segmentation": f"{path.stem}.nii.gz"})
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["class 1", "class 2"], "testing": items}))
    result = measure_folder(folder, tmp_path / "n", truth=tmp_path, classes=["class 1", "class 2"], resamples=100)
    assert result["error"] == expected["error"]
    assert result["truth_left_out_px"] == expected["truth_left_out_px"] > 0


def test_pictures_that_are_read_in_tiles_are_compared_whole_or_refused(tmp_path, monkeypatch):
    predictions(tmp_path / "p", count=2)
    expected = measure_folder(tmp_path / "p", tmp_path / "o", truth=tmp_path / "p", resamples=100)
    monkeypatch.setattr("lazylabels_monai.measure.maps.IN_ONE_PIECE", 100)
    result = measure_folder(tmp_path / "p", tmp_path / "tiles", truth=tmp_path / "p", resamples=100)
    assert result["truth_left_out_px"] == 0
    for name, rows in expected["error"].items():
        assert {key: row["error"] for key, row in result["error"][name].items()} == dict.fromkeys(rows, 0)
    shutil.copytree(tmp_path / "p", tmp_path / "t")
    classes = np.asarray(Image.open(tmp_path / "t" / "s0_pred.png")).copy()
    classes[:, 40:] = 255
    Image.fromarray(classes).save(tmp_path / "t" / "s0_pred.png")
    with pytest.raises(MeasureError, match=r"unlabelled pixels \(255\), which are not measured in tiles: cut it"):
        measure_folder(tmp_path / "p", tmp_path / "x", truth=tmp_path / "t", resamples=100)


def test_exact_labels_of_other_pictures_of_the_same_names_are_told(tmp_path):
    folder, said = stamped(tmp_path / "p", a=ONE), []
    for kind in ("images", "masks"):
        (tmp_path / "t" / kind).mkdir(parents=True)
    shutil.copy(folder / "a.tif", tmp_path / "t" / "images")
    shutil.copy(folder / "a_pred.png", tmp_path / "t" / "masks" / "a.png")
    measure_folder(folder, tmp_path / "same", truth=tmp_path / "t", resamples=100, warn=said.append)
    assert said == []
    tifffile.imwrite(tmp_path / "t" / "images" / "a.tif", np.zeros((20, 30), np.uint8))
    measure_folder(folder, tmp_path / "other", truth=tmp_path / "t", resamples=100, warn=said.append)
    (sentence,) = said
    assert sentence.startswith(f"1 of 1 images are not those that were predicted into '{folder}' (")
