"""Objects that were erased in the ids alone, or made smaller in the class map alone."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.exporting import export_objects
from lazylabels_monai.measure import maps as measuring
from lazylabels_monai.measure.erased import largest_hole, largest_speck, shares, shares_of_files
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records, Stamp, locked

IDS = np.kron(np.arange(1, 13).reshape(3, 4), np.pad(np.ones((10, 10), int), 4)).astype(np.uint16)


@pytest.fixture
def corrected(tmp_path):
    """Predictions of two images; of s0 three of twelve objects are erased in the ids."""
    out = tmp_path / "out"
    out.mkdir()
    for k in range(2):
        ids = np.where((IDS % 4 == 1) & (k == 0), 0, IDS)
        tifffile.imwrite(out / f"s{k}_instances.tif", ids)
        Image.fromarray((IDS > 0).astype(np.uint8)).save(out / f"s{k}_pred.png")
    return out


def told(said):
    return [sentence for sentence in said if "without an id" in sentence]


def test_measure_and_report_tell_of_objects_erased_in_the_ids_alone(corrected, tmp_path):
    said = []
    result = measure_folder(corrected, tmp_path / "m", resamples=100, warn=said.append)
    assert result["classes"]["class 1"]["objects"] == 9 + 12
    (sentence,) = told(said)
    assert sentence.startswith("1 of 2 images have pixels of a class but without an id, 's0' (25 % of its pixels of a class)")
    assert f"erase them in the class map, too, such as '{corrected / 's0_pred.png'}'" in sentence
    assert "without an id" in make_report(corrected).read_text()
    measure_folder(corrected, corrected / "measured", resamples=100)
    assert "without an id" in make_report(corrected, overwrite=True).read_text()
    ids = tifffile.imread(corrected / "s0_instances.tif")
    Image.fromarray((ids > 0).astype(np.uint8)).save(corrected / "s0_pred.png")  # what the sentence asks for
    said.clear()
    result = measure_folder(corrected, tmp_path / "m2", resamples=100, warn=said.append)
    assert told(said) == []
    assert result["classes"]["class 1"]["area_fraction"]["value"] == pytest.approx(2100 / (2 * IDS.size))


@pytest.fixture
def shaved(tmp_path):
    """Predictions of two images; in the class map of s0 objects of 10 x 10 pixels are 6 x 6."""
    out = tmp_path / "out"
    out.mkdir()
    inner = np.kron(np.ones((3, 4), int), np.pad(np.ones((6, 6), int), 6))
    for k in range(2):
        tifffile.imwrite(out / f"s{k}_instances.tif", IDS)
        Image.fromarray(((IDS > 0) * (inner if k == 0 else 1)).astype(np.uint8)).save(out / f"s{k}_pred.png")
    return out


@pytest.mark.parametrize("at_once", [measuring.IN_ONE_PIECE, 100])
def test_objects_made_smaller_in_the_class_map_alone_are_told_of(shaved, tmp_path, monkeypatch, at_once):
    if at_once == 100:  # which is measured in tiles
        for k in range(2):
            tifffile.imwrite(shaved / f"s{k}_pred.tif", np.asarray(Image.open(shaved / f"s{k}_pred.png")))
            (shaved / f"s{k}_pred.png").unlink()
    monkeypatch.setattr(measuring, "IN_ONE_PIECE", at_once)
    said = []
    measure_folder(shaved, shaved / "measured", resamples=100, warn=said.append)
    (sentence,) = [sentence for sentence in said if "background" in sentence]
    assert sentence.startswith("1 of 2 images have ids on background of the class map, 's0' (64 % of the pixels with an id),")
    assert f"correct the ids, too, such as '{shaved / 's0_instances.tif'}'" in sentence
    assert "have ids on background of the class map" in make_report(shaved).read_text()
    exported = []
    export_objects(shaved, "coco", warn=exported.append)
    assert sentence in exported
    classes = np.asarray(Image.open(next(shaved.glob("s0_pred.*"))))
    tifffile.imwrite(shaved / "s0_instances.tif", np.where(classes == 0, 0, IDS).astype(np.uint16))  # what is asked for
    said.clear()
    result = measure_folder(shaved, tmp_path / "m", resamples=100, warn=said.append)
    export_objects(shaved, "coco", tmp_path / "c", warn=said.append)
    assert not any("background" in sentence for sentence in said)
    assert result["classes"]["class 1"]["area_fraction"]["value"] == pytest.approx(12 * 136 / (2 * IDS.size))


def test_holes_and_specks_of_ids_are_no_correction(shaved):
    classes = (IDS > 0).astype(np.uint8)
    holes = classes.copy()
    holes[6:11, 6:11] = 0  # 25 pixels of the first object
    assert shares(IDS, holes).bare == 25 / 1200
    filled = Stamp("11" * 16, {"classes": ["ice"], "instance_settings": {"max_hole": 25}})
    assert [largest_hole(stamp) for stamp in (None, filled)] == [16, 25]
    assert shares(IDS, holes, hole=25).bare == 0
    holes[6:11, 6:11] = 1
    holes[4:8, 4:8] = 0
    assert shares(IDS, holes).bare == 0
    holes[4:14, 4:14] = 255
    assert shares(IDS, holes).bare == 0, "not labelled is no background"
    route = {"drop_undetected": True}  # which hides objects that are erased, and no others
    assert shares(IDS, classes * 0, largest_speck(Stamp("11" * 16, {"instance_settings": route}))) == (0, 1)


def test_specks_and_cuts_of_a_prediction_are_no_erasing():
    classes = (IDS > 0).astype(np.uint8)
    cut = IDS.copy()
    cut[:, 8] = 0  # a line at which objects were parted
    assert shares(cut, classes).erased == 0
    speck = classes.copy()
    speck[0:3, 0:3] = 1
    assert shares(IDS, speck).erased == 0
    assert shares(IDS, speck, speck=8).erased == 9 / 1209
    assert shares(np.where(IDS == 5, 0, IDS), np.where(IDS == 5, 255, classes)).erased == 0, "not labelled is no class"


def test_what_the_settings_of_the_prediction_drop(corrected, tmp_path):
    routes = {"min_size": 64}, {"min_size": 100}, {"min_size": 0, "drop_undetected": True}
    stamps = [Stamp("11" * 16, {"classes": ["ice"], "instance_settings": route}) for route in routes]
    assert [largest_speck(stamp) for stamp in (None, *stamps)] == [16, 64, 100, None]
    for stamp, count in zip(stamps, (1, 0, 0), strict=True):
        records, said = Records(corrected), []
        with locked(corrected):
            records.add_stamp(stamp)
        for name in ("s0", "s1"):
            classes = corrected / f"{name}_pred.png"
            records.add(name, Record.of(stamp, classes, corrected).giving(classes))
        measure_folder(corrected, tmp_path / "m", resamples=100, warn=said.append, overwrite=True)
        assert len(told(said)) == count


def test_large_pictures_are_looked_at_in_tiles(corrected, tmp_path, monkeypatch):
    said = []
    classes = [np.asarray(Image.open(corrected / f"s{k}_pred.png")) for k in range(2)]
    for k in range(2):
        (corrected / f"s{k}_pred.png").unlink()
        tifffile.imwrite(corrected / f"s{k}_pred.tif", classes[k])
    assert shares_of_files(str(corrected / "s0_instances.tif"), str(corrected / "s0_pred.tif")) == (0.25, 0)
    monkeypatch.setattr(measuring, "IN_ONE_PIECE", 100)
    measure_folder(corrected, tmp_path / "m", resamples=100, warn=said.append)
    assert "'s0' (25 % of its" in told(said)[0]
