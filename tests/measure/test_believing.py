"""Binary, smoothed and class masks that are named like ids, and what is believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lazylabels_monai.exporting import export_objects
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.stamps import Record, Records, Stamp, locked

#: Ids of 12 squares that do not touch.
IDS = np.kron(np.arange(1, 13).reshape(3, 4), np.pad(np.ones((10, 10), int), 4)).astype(np.uint8)
MASK = ((IDS > 0) * 255).astype(np.uint8)
SMOOTHED = ndimage.uniform_filter(MASK, 5)


def saved(folder, picture, ending="", count=3):
    folder.mkdir(parents=True)
    for k in range(count):
        Image.fromarray(picture).save(folder / f"s{k}{ending}.png")
    return folder


@pytest.mark.parametrize("layout", ["masks", "predictions"])
@pytest.mark.parametrize(
    ("picture", "what"),
    [
        (MASK, r"one id, 255, in 12 pieces, like a binary mask \(and 2 more of the 3 likewise\): measure with --ids pieces"),
        (MASK // 255, "one id, 1, in 12 pieces, like a binary mask"),
        ((IDS > 0) * (1 + IDS % 2), "2 ids in 12 pieces, like a map of classes"),
        (SMOOTHED, r"as smoothing makes them.*: save it without smoothing"),
    ],
)
def test_what_hardly_are_ids_is_not_measured(tmp_path, layout, picture, what):
    folder, ending = (tmp_path / "p", "_instances") if layout == "predictions" else (tmp_path / "p" / "masks", "")
    saved(folder, picture.astype(np.uint8), ending)
    with pytest.raises(MeasureError, match=what):
        measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)
    assert not (tmp_path / "o").exists()
    exact = saved(tmp_path / "exact" / "masks", IDS).parent
    with pytest.raises(MeasureError, match=what):
        measure_folder(exact, tmp_path / "o", truth=tmp_path / "p", resamples=100)


def test_the_remedies_work(tmp_path):
    saved(tmp_path / "p" / "masks", MASK)
    for ids, count in (("pieces", 36), ("values", 3)):
        result = measure_folder(tmp_path / "p", tmp_path / ids, ids=ids, resamples=100)
        assert result["classes"]["class 1"]["objects"] == count
    with pytest.raises(MeasureError, match="--ids both: write values"):
        measure_folder(tmp_path / "p", tmp_path / "o", ids="both")


@pytest.mark.parametrize(
    ("picture", "what"),
    [
        (MASK, r"no class but only 255 \(and 2 more likewise\), which means not labelled: save objects as 1"),
        (SMOOTHED, "as smoothing makes them"),
        (IDS, "12 values, each in one piece, like object ids"),
    ],
)
def test_what_hardly_are_classes_is_neither_measured_nor_exported(tmp_path, picture, what):
    saved(tmp_path / "p" / "classes", picture)
    with pytest.raises(MeasureError, match=what):
        measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)
    with pytest.raises(MeasureError, match=what):
        export_objects(tmp_path / "p", "coco")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p"]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["classes"]


def test_ids_in_pieces_are_told(tmp_path):
    ids = IDS.copy()
    ids[(ids > 0) & (ids < 5)] = 1
    said = []
    saved(tmp_path / "masks", ids, count=1)
    result = measure_folder(tmp_path, tmp_path / "o", resamples=100, warn=said.append)
    assert result["classes"]["class 1"]["objects"] == 9
    assert len(said) == 1
    assert "may be meant, but has the id 1 in 4 pieces: give each object a number of its own" in said[0]


def test_what_predict_or_datalist_made_is_believed(tmp_path):
    folder, said = tmp_path / "p", []
    saved(folder, MASK // 255, "_instances")
    saved(tmp_path / "c", MASK // 255, "_pred")
    records, stamp = Records(folder), Stamp("11" * 16, {"classes": ["ice"]})
    with locked(folder):
        records.add_stamp(stamp)
    for k in range(3):
        (tmp_path / "c" / f"s{k}_pred.png").rename(folder / f"s{k}_pred.png")
        Image.fromarray(np.roll(MASK, k, axis=0)).save(tmp_path / f"s{k}.png")  # three pictures
        records.add(f"s{k}", Record.of(stamp, tmp_path / f"s{k}.png", folder).giving(folder / f"s{k}_pred.png"))
    measure_folder(folder, tmp_path / "o", resamples=100, warn=said.append)
    Image.fromarray(MASK // 255).save(folder / "s1_pred.png", compress_level=1)  # somebody else's now
    with pytest.raises(MeasureError, match=r"s1_instances\.png' has one id, 1, in 12 pieces"):
        measure_folder(folder, tmp_path / "o2", resamples=100, warn=lambda sentence: None)
    items = [{"image": f"p/s{k}_pred.png", "instances": f"p/s{k}_instances.png"} for k in range(3)]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["ice"], "testing": items}))
    measure_folder(tmp_path, tmp_path / "o3", resamples=100, warn=said.append)
    assert said == []
