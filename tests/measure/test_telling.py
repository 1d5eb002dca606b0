"""What is said of a folder before its numbers."""

from __future__ import annotations

import json
import shutil
import unicodedata

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.data.datalist import FILE_NAME, PREDICTED, mask_digest
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.measure.folder import format_measurements, measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Records, locked
from tests.measure.drawn import ONE, stamped


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


@pytest.fixture
def corrected(tmp_path):
    """Predictions of four images, and exact labels of two: one object more on the one, one less on the other."""
    rng = np.random.default_rng(0)
    ids = np.zeros((60, 80), np.uint16)
    for number, (row, column) in enumerate([(5, 5), (5, 30), (30, 10), (30, 45)], 1):
        ids[row : row + 14, column : column + 12] = number
    (tmp_path / "out").mkdir()
    (tmp_path / "my" / "masks").mkdir(parents=True)
    (tmp_path / "my" / "images").mkdir()
    for k in range(4):
        tifffile.imwrite(tmp_path / "out" / f"s{k}_instances.tif", ids)
        Image.fromarray((ids > 0).astype(np.uint8)).save(tmp_path / "out" / f"s{k}_pred.png")
        Image.fromarray(rng.integers(0, 255, ids.shape, dtype=np.uint8)).save(tmp_path / "my" / "images" / f"s{k}.png")
    more, less = ids.copy(), ids.copy()
    more[48:56, 60:75] = 5
    less[less == 4] = 0
    Image.fromarray(more).save(tmp_path / "my" / "masks" / "s1.png")
    Image.fromarray(less).save(tmp_path / "my" / "masks" / "s3.png")
    return tmp_path


def test_errors_are_measured_on_the_images_that_have_exact_labels(corrected):
    said, out = [], corrected / "out"
    whole = measure_folder(out, corrected / "o", resamples=100)
    result = measure_folder(out, out / "measured", truth=corrected / "my", resamples=100, warn=said.append)
    assert [s for s in said if s.startswith("the errors are of 2 of 4 images, not of s0, s2, which have no exact label in ")]
    assert result["classes"] == whole["classes"], "the measurements are of all"
    assert result["truth_images"] == 2
    pixels = 2 * 60 * 80
    error = result["error"]["class 1"]["area_fraction"]
    assert error["error"] == pytest.approx((14 * 12 - 8 * 15) / pixels)
    assert error["images"] == 2
    pair = corrected / "pair"
    pair.mkdir()
    for name in ("s1", "s3"):
        for path in out.glob(f"{name}_*"):
            shutil.copy(path, pair)
    alone = measure_folder(pair, corrected / "o2", truth=corrected / "my", resamples=100)
    assert alone["error"] == result["error"], "as where the other images were not there"
    lines = [line for line in format_measurements(result).splitlines() if "error of" in line]
    assert lines
    assert all(line.endswith("on 2 of 4 images") for line in lines)
    assert "exact labels of 2 of the 4 images" in make_report(out).read_text()
    shutil.move(out / "measured", corrected / "elsewhere")
    assert "exact labels of 2 of the 4" in make_report(out, measured_in=corrected / "elsewhere", overwrite=True).read_text()
    for path in (corrected / "my" / "masks").iterdir():
        path.rename(path.with_stem(f"other_{path.stem}"))
    with pytest.raises(MeasureError, match=r"no predicted image has an exact label in '.*my' \('s0' is one\)"):
        measure_folder(out, corrected / "none", truth=corrected / "my", resamples=100)


def test_names_that_look_the_same_are_the_same(corrected):
    """A Mac's disk takes letters apart, and one table is made of files of several computers."""
    wide = "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}3"
    for path in [*(corrected / "out").glob("s3_*"), corrected / "my" / "masks" / "s3.png"]:
        name = unicodedata.normalize("NFD" if path.parent.name == "out" else "NFC", path.name.replace("s3", wide))
        path.rename(path.with_name(name))
    result = measure_folder(corrected / "out", corrected / "o", truth=corrected / "my", resamples=100)
    assert result["truth_images"] == 2
    assert result["error"]["class 1"]["area_fraction"]["error"] == pytest.approx((14 * 12 - 8 * 15) / (2 * 60 * 80))


def test_errors_of_corrected_predictions_are_told(tmp_path):
    said = []
    (tmp_path / "my" / "masks").mkdir(parents=True)
    folder = stamped(tmp_path / "out", a=ONE, b=ONE)
    for name in "ab":
        shutil.copy(folder / f"{name}_pred.png", tmp_path / "my" / "masks" / f"{name}.png")
    measure_folder(folder, tmp_path / "o", truth=tmp_path / "my", resamples=100, warn=said.append)
    assert not [s for s in said if "since the prediction" in s]
    corrected = np.eye(20, 30, dtype=np.uint8)
    for place in (folder / "a_pred.png", tmp_path / "my" / "masks" / "a.png"):
        Image.fromarray(corrected).save(place)
    measure_folder(folder, tmp_path / "o2", truth=tmp_path / "my", resamples=100, ids="pieces", warn=said.append)
    assert [s for s in said if s.startswith("1 of the 2 images that the errors are of was changed in '")]


def test_errors_on_images_that_train_are_told(corrected):
    """They are smaller than on others; and what the network said itself, and nobody changed, is no truth at all."""
    said = []
    build_datalist(corrected / "my", corrected / "d", BuildOptions(classes=["grain"], validation=0))
    content = json.loads((corrected / "d" / FILE_NAME).read_text())
    assert [item["image"] for item in content["training"]] == ["images/s1.png", "images/s3.png"]
    measure_folder(corrected / "out", corrected / "o", truth=corrected / "d", resamples=100, warn=said.append)
    assert any(s.startswith("2 of the 2 images that the errors are of train in '") for s in said)
    for item in content["training"]:
        item[PREDICTED] = mask_digest(item, corrected / "d" / FILE_NAME)
    (corrected / "d" / FILE_NAME).write_text(json.dumps(content))
    with pytest.raises(MeasureError, match="predictions that nobody has changed"):
        measure_folder(corrected / "out", corrected / "o2", truth=corrected / "d", resamples=100)
    del content["training"][0][PREDICTED]
    (corrected / "d" / FILE_NAME).write_text(json.dumps(content))
    said.clear()
    result = measure_folder(corrected / "out", corrected / "o3", truth=corrected / "d", resamples=100, warn=said.append)
    assert result["truth_images"] == 1
    assert any("of 1 of 4 images, not of s0, s2, s3, which have no exact label in" in s for s in said)
    assert any("; of 1 predictions that nobody has changed;" in s for s in said)
