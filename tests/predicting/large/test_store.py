"""The folder of unfinished work, and the files of the result."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lazylabels_monai.images.pixel_size import read_pixel_size
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.predicting.large.store import Store, chunk_side, ome_levels, ome_metadata, write_tiff, zarr_array

PLAN = {"maps": {"weights": "a"}, "objects": {"settings": 1}, "files": {}}


def test_what_is_stale_goes_with_all_behind_it(tmp_path):
    store = Store(tmp_path / "work")
    assert not store.begin(PLAN)
    for stage in ("maps/answer", "objects/label", "files/done"):
        store.finish(stage, 0, {"x": np.arange(3)})
    assert store.begin(PLAN)
    assert store.given("objects/label", 0)["x"].tolist() == [0, 1, 2]
    store.begin({**PLAN, "objects": {"settings": 2}})
    assert [store.is_done(stage, 0) for stage in ("maps/answer", "objects/label", "files/done")] == [True, False, False]
    store.begin({**PLAN, "maps": {"weights": "b"}})
    assert not store.is_done("maps/answer", 0)


def test_a_damaged_plan_begins_anew(tmp_path):
    store = Store(tmp_path)
    store.begin(PLAN)
    store.finish("maps/answer", 0, {})
    (tmp_path / "plan.json").write_text("{")
    store.begin(PLAN)
    assert not store.is_done("maps/answer", 0)


@pytest.mark.parametrize("side", [16, 64, 1024, 1500, 2048, 3000])
def test_a_tile_has_chunks_of_its_own(side):
    assert side % chunk_side(side) == 0
    assert chunk_side(side) <= 1024


def test_arrays_are_made_once(tmp_path):
    pytest.importorskip("zarr")
    array = zarr_array(tmp_path / "a", (10, 20), np.int32, 8)
    array[2:4, 3:9] = 7
    again = zarr_array(tmp_path / "a", (10, 20), np.int32, 8)
    assert again[3, 4] == 7
    assert again[9, 19] == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_tiled_bigtiff(tmp_path, dtype):
    ids = np.arange(600 * 530).reshape(600, 530) % 251
    write_tiff(tmp_path / "a.tif", ids, dtype, 0.25)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff
        assert tif.pages[0].is_tiled
        assert tif.pages[0].dtype == dtype
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), ids)
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx(0.25, rel=1e-4)


#: Micrometres: every decade of microscopes and cameras, what printers and screens have (21 and more), odd ones.
SIZES = [*np.geomspace(1e-3, 1e3, 13), 0.1 / 3, 21.0, 21.2, 25.0, 84.0, 84.67, 25400 / 96, 264.6, 25400 / 72, 353.0, 1000.0]


@pytest.mark.parametrize("size", SIZES)
def test_each_pixel_size_that_is_written_is_read_back(tmp_path, size):
    write_tiff(tmp_path / "a.tif", np.zeros((20, 30), np.uint16), np.uint16, size)
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx(size, rel=1e-6)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:  # for other programs
        tags = tif.pages[0].tags
        count, per = tags["XResolution"].value
        assert int(tags["ResolutionUnit"].value) == 3
        assert count / per * size == pytest.approx(1e4, rel=1e-6)
    ome_metadata(tmp_path, "a", 3, size)
    assert read_pixel_size(tmp_path) == pytest.approx(size, rel=1e-12)


def test_without_a_pixel_size_none_is_read(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((20, 30), np.uint16), np.uint16)
    ome_metadata(tmp_path, "a", 3, None)
    assert read_pixel_size(tmp_path / "a.tif") is None
    assert read_pixel_size(tmp_path) is None


def test_a_resolution_that_somebody_corrects_counts(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((20, 30), np.uint16), np.uint16, 25.0)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        for name in ("XResolution", "YResolution"):
            tif.pages[0].tags[name].overwrite((20000, 1))
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx(0.5)


def test_an_ome_zarr_that_is_read_back(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = np.random.default_rng(0).integers(0, 9, (40, 50)).astype(np.uint32)
    zarr_array(tmp_path / "0", values.shape, values.dtype, 16)[:] = values
    ome_metadata(tmp_path, "a", 1, 0.5)
    np.testing.assert_array_equal(open_regions(tmp_path)[3:30, 7:50], values[3:30, 7:50])
    assert read_pixel_size(tmp_path) == 0.5
    assert zarr.open_group(str(tmp_path), mode="r").attrs["multiscales"][0]["version"] == "0.4"


def test_levels_of_a_pyramid():
    assert ome_levels((1000, 1024)) == [(1000, 1024)]
    assert ome_levels((5000, 3001)) == [(5000, 3001), (2500, 1501), (1250, 751), (625, 376)]


def test_a_plan_that_cannot_be_read_just_now_removes_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.begin({"maps": {"weights": "a"}})
    store.finish("maps/answer", 0, {})

    def torn(*args, **options):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", torn)
        with pytest.raises(OSError, match="Input/output"):
            store.begin({"maps": {"weights": "a"}})
    assert store.begin({"maps": {"weights": "a"}})
    assert store.is_done("maps/answer", 0)
