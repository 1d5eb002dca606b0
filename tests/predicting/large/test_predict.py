"""A picture predicted in tiles: the results of the plain prediction, also after a kill, and all that a user meets."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.predicting import folder as folder_module
from lazylabels_monai.predicting import room
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.large import predict as large
from lazylabels_monai.predicting.large import stages
from lazylabels_monai.predicting.large.store import Store

pytest.importorskip("zarr")
pytest.importorskip("dask")

CPU = {"overrides": {"device": "cpu"}}


@pytest.fixture(scope="module")
def picture(tiny_data, tmp_path_factory):
    """A mosaic of the built-in pictures, 150 x 170 pixels, as a tiled BigTIFF of 16 bits that states its pixel size."""
    sources = [read_image(path) for path in sorted((tiny_data / "images").iterdir())[:6]]
    rows = [np.concatenate([sources[k], sources[k + 1], sources[k + 2]], axis=1) for k in (0, 1, 2)]
    values = np.concatenate(rows)[:150, :170].astype(np.uint16) * 100
    path = tmp_path_factory.mktemp("big") / "BIG.tif"
    tifffile.imwrite(path, values, tile=(32, 32), bigtiff=True, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    return path


@pytest.fixture
def tiles(monkeypatch):
    """Tiles of 64 pixels."""
    monkeypatch.setattr(large, "SIDE", 64)


@pytest.fixture(scope="module")
def plain(trained, picture, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain")
    assert not predict(picture, out, weights=trained, **CPU).failed
    return out


def label_maps(out):
    return [read_label(next(path for path in out.glob(f"BIG_{kind}.*") if path.is_file())) for kind in ("pred", "instances")]


def all_bytes(out):
    files = {path.relative_to(out): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {str(name): path.read_bytes() for name, path in files.items() if name.name != "predicted.jsonl"}


def test_the_results_are_those_of_the_plain_prediction(trained, picture, plain, tiles, tmp_path):
    said = []
    report = predict(picture, tmp_path, weights=trained, large=True, progress=said.append, **CPU)
    assert not report.failed
    assert said[0] == "BIG.tif: 150 x 170 pixels, predicted in tiles of 64 x 64, as asked for"
    for found, expected in zip(label_maps(tmp_path), label_maps(plain), strict=True):
        assert expected.any()
        np.testing.assert_array_equal(found, expected)
    names = {path.name for path in tmp_path.iterdir()}
    made = {
        f"BIG_{name}" for name in ("pred.tif", "pred.zarr", "instances.tif", "instances.zarr", "objects.csv", "overlay.png")
    }
    assert names == made | {"classes.json", "predicted.jsonl"}
    with tifffile.TiffFile(tmp_path / "BIG_instances.tif") as tif:
        assert tif.is_bigtiff
    table = pd.read_csv(tmp_path / "BIG_objects.csv")
    ids = label_maps(plain)[1]
    assert table["id"].tolist() == list(range(1, ids.max() + 1))
    np.testing.assert_allclose(table["area_um2"], np.bincount(ids.ravel())[1:] * 0.25, rtol=1e-3)
    import zarr

    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "BIG_instances.zarr"), mode="r")["0"][:], ids)
    again = predict(picture, tmp_path, weights=trained, large=True, **CPU)
    assert again.skipped == [str(picture)]


def test_rows_are_written_in_parts(trained, picture, tiles, tmp_path, monkeypatch):
    assert not predict(picture, tmp_path / "whole", weights=trained, large=True, **CPU).failed
    monkeypatch.setattr("lazylabels_monai.predicting.large.files._ROWS", 3)
    assert not predict(picture, tmp_path / "parts", weights=trained, large=True, **CPU).failed
    whole, parts = ((tmp_path / name / "BIG_objects.csv").read_bytes() for name in ("whole", "parts"))
    assert whole.count(b"\n") > 7
    assert parts == whole


def test_it_is_chosen_where_the_memory_is_not_enough(trained, picture, plain, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "memory_at_hand", lambda: 2**20)
    said = []
    assert not predict(picture, tmp_path, weights=trained, progress=said.append, **CPU).failed
    assert "as the memory does not hold it whole" in said[0]
    np.testing.assert_array_equal(label_maps(tmp_path)[1], label_maps(plain)[1])


def test_without_the_packages_the_sentence_has_a_remedy(trained, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "memory_at_hand", lambda: 2**20)
    monkeypatch.setattr(folder_module, "missing_packages", lambda: ["zarr", "dask"])
    (sentence,) = predict(picture, tmp_path, weights=trained, **CPU).failed.values()
    assert "150 x 170 pixels, whose prediction takes about" in sentence
    assert sentence.endswith('or predict it in tiles: pip install "lazylabels-monai[large]".')


def killed_after(parts, picture, out, weights):
    """Predict in a process of its own, which is killed when so many parts are done."""
    process = multiprocessing.get_context("fork").Process(
        target=predict, args=(picture, out, None, weights), kwargs={**CPU, "large": True}
    )
    process.start()
    deadline = time.monotonic() + 240
    while len(list(Path(out).glob(".large_*/*/*/parts/*.npz"))) < parts and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return len(list(Path(out).glob(".large_*/*/*/parts/*.npz")))


@pytest.mark.parametrize("parts", [5, 40, 66])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_loses_nothing(trained, picture, tiles, tmp_path, monkeypatch, parts):
    if not (tmp_path.parent / "whole").is_dir():
        predict(picture, tmp_path.parent / "whole", weights=trained, large=True, **CPU)
    done = killed_after(parts, picture, tmp_path / "out", trained)
    assert done >= parts
    for chunk in (tmp_path / "out").glob(".large_*/*/ids/.zarray"):  # as a kill leaves a chunk that zarr is just writing
        (chunk.parent / "0.0123456789abcdef.partial").write_bytes(b"half")
    finished = []
    original = Store.finish

    def counted(self, stage, index, arrays):
        finished.append((stage, index))
        original(self, stage, index, arrays)

    monkeypatch.setattr(Store, "finish", counted)
    said = []
    assert not predict(picture, tmp_path / "out", weights=trained, large=True, progress=said.append, **CPU).failed
    assert any("goes on where it was stopped" in line for line in said)
    assert len(finished) == len(set(finished))  # nothing twice
    whole = 9 * 7 + 5 + 6  # tiles by stages, what all tiles need of each other, and files
    assert len(finished) <= whole - done + 1
    assert all_bytes(tmp_path / "out") == all_bytes(tmp_path.parent / "whole")


@pytest.fixture
def whole(trained, picture, tiles, tmp_path_factory):
    """The results of a prediction in tiles that nothing stopped."""
    out = tmp_path_factory.mktemp("whole")
    assert not predict(picture, out, weights=trained, large=True, **CPU).failed
    return out


def parts_done(out):
    return {path.relative_to(out) for path in out.glob(".large_BIG/*/*/parts/*.npz")}


def goes_on(picture, out, weights, done, monkeypatch):
    """Predict again: only what is missing is done."""
    finished = []
    original = Store.finish

    def counted(self, stage, index, arrays):
        finished.append(self.part(stage, index).relative_to(out))
        original(self, stage, index, arrays)

    monkeypatch.setattr(Store, "finish", counted)
    said = []
    assert not predict(picture, out, weights=weights, large=True, progress=said.append, **CPU).failed
    assert any("goes on where it was stopped" in line for line in said)
    assert not done & set(finished)


@pytest.mark.parametrize("reads", [4, 24, 31, 37])  # while intensities are counted, while the network answers, for the overlay
def test_a_disk_that_does_not_answer_loses_nothing(trained, picture, whole, tmp_path, monkeypatch, reads):
    left = reads

    def torn(path, *args):
        regions = open_regions(path, *args)
        read = regions._read

        def counted(rows, columns):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return read(rows, columns)

        regions._read = counted
        return regions

    with monkeypatch.context() as patched:
        patched.setattr(stages, "open_regions", torn)
        (sentence,) = predict(picture, tmp_path, weights=trained, large=True, **CPU).failed.values()
    assert sentence.startswith(f"file '{picture}' cannot be read in rows")
    assert sentence.endswith("see that its disk is connected, and give the same command again.")
    done = parts_done(tmp_path)
    assert len(done) >= min(reads, 20)
    goes_on(picture, tmp_path, trained, done, monkeypatch)
    assert all_bytes(tmp_path) == all_bytes(whole)


@pytest.mark.parametrize("hidden", ["picture", "weights", "work"])
def test_a_worker_that_does_not_see_a_file_loses_nothing(trained, picture, whole, tmp_path, monkeypatch, hidden):
    """What is there for this process alone, named in a sentence; workers make their own of all that they need."""
    there = tmp_path / "in"
    there.mkdir()
    picture = Path(shutil.copy(picture, there))
    weights = Path(shutil.copytree(trained.parent, there / "models")) / "model.pt"
    monkeypatch.chdir(there)  # workers are started in folders of their own
    out = tmp_path / "out"
    file = {"picture": picture, "weights": weights, "work": out / ".large_BIG"}[hidden]

    @contextmanager
    def elsewhere(scheduler, say):
        def run(name, function, parts, threads=1):
            context = dict(stages._contexts)
            for number, part in enumerate(parts):
                if name == "network" and number == 3:
                    file.rename(file.with_name("hidden"))
                    stages.forget()
                    monkeypatch.chdir(tmp_path)
                try:
                    function(*part)
                finally:
                    if name == "network" and number == 3:
                        file.with_name("hidden").rename(file)
                        stages._contexts.update(context)
                        monkeypatch.chdir(there)

        yield run

    with monkeypatch.context() as patched:
        patched.setattr(large, "runner", elsewhere)
        (sentence,) = predict(picture.name, out, weights="models/model.pt", large=True, **CPU).failed.values()
    assert re.fullmatch(rf"the dask worker on '.+' does not see '{file}': .*give the same command again.*", sentence)
    done = parts_done(out)
    assert len(done) > 27
    goes_on(picture.name, out, "models/model.pt", done, monkeypatch)
    assert all_bytes(out) == all_bytes(whole)


def test_other_settings_of_the_objects_keep_what_the_network_said(trained, picture, tiles, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(large, "write_files", lambda *_: (_ for _ in ()).throw(LazyLabelsError("stopped here")))
    (reason,) = predict(picture, out, weights=trained, large=True, **CPU).failed.values()
    assert reason == "stopped here"
    plan = json.loads((out / ".large_BIG" / "plan.json").read_text())
    assert list(plan) == ["image", "intensities", "maps", "objects", "files"]
    assert len(list((out / ".large_BIG" / "maps" / "answer" / "parts").iterdir())) == 9


def test_ome_zarr_is_read(trained, picture, plain, tiles, tmp_path):
    import zarr

    values = read_image(picture)
    group = zarr.open_group(str(tmp_path / "BIG.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=values.shape, dtype=values.dtype, chunks=(40, 40))[:] = values
    group.attrs["multiscales"] = [{"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    for source, out in ((tmp_path / "BIG.zarr", "one"), (tmp_path, "two")):
        assert not predict(source, tmp_path / out, weights=trained, **CPU).failed
        np.testing.assert_array_equal(label_maps(tmp_path / out)[1], label_maps(plain)[1])
    assert predict(tmp_path / "BIG.zarr", tmp_path / "one", weights=trained, **CPU).skipped
    group["0"][0, 0] = 0
    assert predict(tmp_path / "BIG.zarr", tmp_path / "one", weights=trained, **CPU).done


def test_a_damaged_picture_leaves_no_results_and_the_others_are_done(trained, picture, tiles, tmp_path):
    """With a chunk that cannot be read after others that can; a picture that is given anew begins anew."""
    import zarr

    values = read_image(picture)
    for name in ("bad", "good"):
        group = zarr.open_group(str(tmp_path / "in" / f"{name}.zarr"), mode="w", zarr_format=2)
        group.create_array("0", shape=values.shape, dtype=values.dtype, chunks=(64, 64))[...] = values
        group.attrs["multiscales"] = [{"axes": [{"name": a} for a in "yx"], "datasets": [{"path": "0"}]}]
    (chunk,) = (path for path in (tmp_path / "in" / "bad.zarr" / "0").rglob("*") if path.name in ("2.2", "2/2"))
    intact = chunk.read_bytes()
    chunk.write_bytes(b"nothing")
    said = []
    report = predict(tmp_path / "in", tmp_path / "out", weights=trained, progress=said.append, **CPU)
    ((path, sentence),) = report.failed.items()
    assert path == str(tmp_path / "in" / "bad.zarr")
    assert sentence.startswith(f"'{path}' has a chunk that cannot be read")
    assert any(line.endswith("as Zarr pictures are") for line in said)
    assert [Path(done).name for done in report.done] == ["good.zarr"]
    assert [left.name for left in (tmp_path / "out").iterdir() if left.name.startswith((".", "bad"))] == [".large_bad"]
    chunk.write_bytes(intact)
    said.clear()
    assert predict(path, tmp_path / "out", weights=trained, progress=said.append, **CPU).done
    assert not any("goes on" in line for line in said)
    assert not [left.name for left in (tmp_path / "out").iterdir() if left.name.startswith(".")]


def test_a_size_that_no_picture_has_is_a_sentence(trained, tmp_path):
    """A Zarr array may claim any size, and none of its chunks has to be there."""
    import zarr

    group = zarr.open_group(str(tmp_path / "BIG.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=(10**7, 10**7), dtype=np.uint8, chunks=(512, 512))
    group.attrs["multiscales"] = [{"axes": [{"name": a} for a in "yx"], "datasets": [{"path": "0"}]}]
    (sentence,) = predict(tmp_path / "BIG.zarr", tmp_path / "out", weights=trained, **CPU).failed.values()
    assert "claims to have 10000000 x 10000000 pixels, 23843689 tiles of 2048 x 2048" in sentence
    assert [left.name for left in (tmp_path / "out").iterdir() if left.name.startswith((".", "BIG"))] == []


def test_a_picture_of_one_value_is_background(trained, tiles, tmp_path):
    tifffile.imwrite(tmp_path / "BIG.tif", np.full((80, 90), 7, np.uint8), tile=(32, 32))
    assert not predict(tmp_path / "BIG.tif", tmp_path / "out", weights=trained, large=True, **CPU).failed
    assert not any(found.any() for found in label_maps(tmp_path / "out"))
    assert len(pd.read_csv(tmp_path / "out" / "BIG_objects.csv")) == 0


def test_what_is_not_made_in_tiles_is_refused(trained, picture, tmp_path):
    with pytest.raises(LazyLabelsError, match="uncertainty of a picture is not computed in tiles"):
        predict(picture, tmp_path, weights=trained, large=True, uncertainty=True)
    import zarr

    group = zarr.open_group(str(tmp_path / "BIG.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=(40, 40), dtype=np.uint8, chunks=(40, 40))[...] = 7
    group.attrs["multiscales"] = [{"axes": [{"name": a} for a in "yx"], "datasets": [{"path": "0"}]}]
    (sentence,) = predict(tmp_path / "BIG.zarr", tmp_path / "out", weights=trained, uncertainty=True, **CPU).failed.values()
    assert "as Zarr pictures are, of which no uncertainty is computed" in sentence
    given = {"overrides": {"device": "cpu", "save_probabilities": True}}
    (sentence,) = predict(picture, tmp_path, weights=trained, large=True, **given).failed.values()
    assert "leave out --probabilities" in sentence
