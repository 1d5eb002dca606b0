"""Which files of a folder are those of an image, and what its classes are called."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records, locked
from tests.measure.drawn import ONE, predictions, twins


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


@pytest.mark.parametrize("named", ["folder", "pattern", "itself"])
@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("tiles", [False, True])
def test_zarr_pictures_are_measured_and_shown_as_tiff_files_are(tmp_path, monkeypatch, named, channels, tiles):
    zarr = pytest.importorskip("zarr")
    predictions(tmp_path / "p", count=1)
    values = np.random.default_rng(0).integers(0, 250, (64, 80, channels) if channels else (64, 80), np.uint8)
    for name in ("tiff", "zarr"):
        (tmp_path / name).mkdir()
    resolution = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "tiff" / "s0.tif", values, photometric="rgb" if channels else "minisblack", **resolution)
    group = zarr.open_group(str(tmp_path / "zarr" / "s0.zarr"), mode="w", zarr_format=2)
    planes = np.moveaxis(values, -1, 0) if channels else values
    group.create_array("0", shape=planes.shape, dtype=planes.dtype, chunks=(1, 30, 30)[-planes.ndim :])[...] = planes
    axes = [{"name": name, "unit": "micrometer"} for name in "cyx"[-planes.ndim :]]
    scale = [{"type": "scale", "scale": [1, 0.5, 0.5][-planes.ndim :]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    if tiles:
        monkeypatch.setattr("lazylabels_monai.measure.maps.IN_ONE_PIECE", 100)
        monkeypatch.setattr("lazylabels_monai.report.reading.IN_ONE_PIECE", 100)
    images = {"folder": tmp_path / "zarr", "pattern": f"{tmp_path}/zarr/*.zarr", "itself": tmp_path / "zarr" / "s0.zarr"}
    pages = []
    for name, given in (("tiff", tmp_path / "tiff"), ("zarr", images[named])):
        measure_folder(tmp_path / "p", tmp_path / f"m_{name}", images=given, resamples=100)
        pages.append(make_report(tmp_path / "p", images=given, overwrite=True).read_text())
    found, expected = (pd.read_csv(tmp_path / f"m_{name}" / "objects.csv") for name in ("zarr", "tiff"))
    assert {"area_um2", "mean_intensity"} <= set(found)
    pd.testing.assert_frame_equal(found, expected)
    first, second = (re.findall(r"data:image/webp;base64,[^\"]+", page) for page in pages)
    assert first
    assert second == first
    assert "Image 's0'" not in pages[1]
