"""Predicting images one by one: what is written, what a broken file does, and what a second run leaves alone."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.uncertainty import object_uncertainty, uncertainty_maps
from lazylabels_monai.trained import write_settings


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_a_broken_file_is_named_and_the_others_are_done(folder, trained, tmp_path):
    out = tmp_path / "out"
    result = run(folder, "--out", out, "--weights", trained, "--device", "cpu")
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert "cannot be read as an image" in result.output
    assert "Traceback" not in result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.count("broken.png") == last.count("cannot identify image file") + 1, "named once, and by Pillow"
    names = sorted(path.name for path in out.iterdir())
    of_images = [f"{s}_{k}" for s in ("a", "b", "c.ome") for k in ("instances.tif", "overlay.png", "pred.png")]
    assert names == sorted([*of_images, "classes.json"])
    assert json.loads((out / "classes.json").read_text()) == json.loads((trained.parent / "classes.json").read_text())
    # the training's own widths and classes are found without naming its overlays
    assert json.loads((trained.parent / "network.json").read_text())["channels"] == [4, 8, 8]
    assert json.loads((trained.parent / "network.json").read_text())["window_size"] == [64, 64], "twice the crops"
    size = read_image(folder / "a.png").shape
    assert np.asarray(Image.open(out / "a_pred.png")).shape == size
    assert tifffile.imread(out / "a_instances.tif").shape == size
    assert tifffile.imread(out / "c.ome_instances.tif").shape == size


def test_a_second_run_leaves_finished_images_alone(folder, trained, tmp_path):
    (folder / "broken.png").unlink()
    out = tmp_path / "out"
    given = {"weights": trained, "overrides": {"device": "cpu"}}
    assert len(predict(folder, out, **given).done) == 3
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "b_pred.png").unlink()
    report = predict(folder, out, **given)
    assert [path.rsplit("/", 1)[-1] for path in report.done] == ["b.png"]
    assert len(report.skipped) == 2
    others = {path: time for path, time in before.items() if path.name.startswith(("a_", "c."))}
    assert len(others) == 6
    assert all(path.stat().st_mtime_ns == time for path, time in others.items())
    assert len(predict(folder, out, overwrite=True, **given).done) == 3
    assert not list(out.glob(".*")), "no partial results stay"


def test_a_pattern_names_the_images(folder, trained, tmp_path):
    result = run(folder / "*.ome.tif", "--out", tmp_path / "out", "--weights", trained, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {"c", "classes"}


def test_of_an_earlier_prediction_nothing_stays(folder, trained, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    given = {"weights": trained, "overrides": {"device": "cpu"}}
    predict(image, out, weights=trained, overrides={"device": "cpu", "save_probabilities": True})
    for name in ("a_notes.txt", "a_pred.txt", "ab_pred.png"):
        (out / name).write_text("mine")
    assert (out / "a_separation_probability.tif").is_file()
    predict(image, out, overwrite=True, **given)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["a_instances.tif", "a_notes.txt", "a_overlay.png", "a_pred.png", "a_pred.txt", "ab_pred.png", "classes.json"]
    )


def test_a_kill_while_files_are_replaced_leaves_an_image_to_do(folder, trained, tmp_path, monkeypatch):
    out, image = tmp_path / "out", folder / "a.png"
    given = {"weights": trained, "overrides": {"device": "cpu"}}
    predict(image, out, **given)
    moved = []

    def killed(source, target):
        moved.append(target)
        if len(moved) == 2:
            raise KeyboardInterrupt
        shutil.move(source, target)

    monkeypatch.setattr("lazylabels_monai.predicting.folder.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        predict(image, out, overwrite=True, **given)
    monkeypatch.undo()
    assert not (out / "a_pred.png").exists()
    assert not list(out.glob(".partial*"))
    assert predict(image, out, **given).done == [str(image)]


def test_uncertainty_beside_the_prediction_and_about_each_object(folder, trained, tmp_path):
    out = tmp_path / "out"
    arguments = (folder / "[ac].*", "--out", out, "--weights", trained, "--device", "cpu")
    result = run(*arguments, "--uncertainty", "--dropout-samples", "2")
    assert result.exit_code == 0, result.output
    expected = uncertainty_maps(Model(trained, overrides={"device": "cpu"}), folder / "a.png", dropout_samples=2)
    assert expected["segmentation"].samples == 6
    for task, found in expected.items():
        planes = tifffile.imread(out / f"a_{task}_uncertainty.tif")
        np.testing.assert_array_equal(planes, [found.entropy, found.mutual_information])
    # a mask that the tiny network did not draw, so that there are objects to measure
    ids = np.zeros(read_image(folder / "a.png").shape, np.uint16)
    ids[5:20, 5:25], ids[30:50, 10:40] = 1, 2
    for name in ("a", "c.ome"):
        tifffile.imwrite(out / f"{name}_instances.tif", ids)
        Image.fromarray((ids > 0).astype(np.uint8)).save(out / f"{name}_pred.png")
    measure_folder(out, tmp_path / "measured", resamples=100)
    rows = pd.read_csv(tmp_path / "measured" / "objects.csv").query("image == 'a'")
    for column, uncertainty in (
        ("mean_entropy", expected["segmentation"].entropy),
        ("mean_mutual_information", expected["segmentation"].mutual_information),
    ):
        np.testing.assert_allclose(rows[column], object_uncertainty(ids, uncertainty)["uncertainty"], rtol=1e-5)
    tifffile.imwrite(out / "a_segmentation_uncertainty.tif", np.zeros((2, 5, 5), np.float32))
    with pytest.raises(LazyLabelsError, match="predict the image again with --uncertainty"):
        measure_folder(out, tmp_path / "other", resamples=100)
    refused = run(*arguments, "--dropout-samples", "2")
    assert refused.exit_code == 1
    assert "add --uncertainty" in str(refused.exception)


def test_the_files_are_those_of_the_bundles_own_run(bundle, folder, trained, tmp_path):
    (folder / "broken.png").unlink()
    predict(folder, tmp_path / "one", weights=trained, overrides={"device": "cpu"})
    bundle.infer(folder, tmp_path / "two", ckpt_dir=str(trained.parent))
    (tmp_path / "one" / "classes.json").unlink()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_settings_beside_the_weights_are_used(folder, trained, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained.parent, models)
    write_settings(models / "model.pt", [InstanceSettings(min_size=10**6)])
    predict(folder / "a.png", tmp_path / "out", weights=models / "model.pt", overrides={"device": "cpu"})
    assert tifffile.imread(tmp_path / "out" / "a_instances.tif").max() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bundle": "nowhere"}, r"nowhere holds no configs/inference\.yaml: name the bundle's folder by --bundle"),
        ({"weights": "nowhere.pt"}, r"nowhere\.pt: there are no trained weights"),
        ({"images": "*.nothing"}, "holds no image"),
    ],
)
def test_what_is_missing_is_named(change, message, folder, trained, tmp_path):
    with pytest.raises(LazyLabelsError, match=message):
        predict(**{"images": folder, "out": tmp_path / "out", "weights": trained, **change})
    assert not (tmp_path / "out").exists()


@pytest.fixture
def no_weights_here(monkeypatch, tmp_path):
    """The package's own bundle as it comes, whatever was trained in this checkout."""
    monkeypatch.setattr("lazylabels_monai.predicting.folder.bundle_weights", lambda bundle: tmp_path / "models" / "model.pt")
    return tmp_path / "models"


def test_without_weights_the_starter_finds_objects_and_says_so(folder, no_weights_here, tmp_path):
    """Grey and colour alike: a colour picture of grey values is seen as the grey one."""
    grey = np.asarray(Image.open(folder / "a.png").convert("L"))
    images = tmp_path / "pictures"
    images.mkdir()
    Image.fromarray(grey).save(images / "grey.png")
    Image.fromarray(np.stack([grey] * 3, -1)).save(images / "colour.png")
    out = tmp_path / "out"
    result = run(images, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if "starter" in line] == [
        'no weights are named: the starter, trained on microscopy of many kinds, marks what it takes for an "object"'
    ]
    assert json.loads((out / "classes.json").read_text()) == ["object"]
    maps = [np.asarray(Image.open(out / f"{name}_pred.png")) for name in ("grey", "colour")]
    assert set(np.unique(maps[0])) == {0, 1}
    assert (maps[0] != maps[1]).mean() < 0.01
    assert tifffile.imread(out / "grey_instances.tif").max() > 1


def test_the_bundles_own_weights_come_before_the_starter(folder, trained, no_weights_here, tmp_path):
    shutil.copytree(trained.parent, no_weights_here)
    said = []
    predict(folder / "a.png", tmp_path / "out", overrides={"device": "cpu"}, progress=said.append)
    assert not any("starter" in line for line in said)
    assert (tmp_path / "out" / "classes.json").read_text() == (trained.parent / "classes.json").read_text()


def test_a_bundle_that_is_named_must_hold_weights(folder, no_weights_here, tmp_path, bundle):
    with pytest.raises(LazyLabelsError, match="there are no trained weights"):
        predict(folder, tmp_path / "out", bundle=bundle.configs.parent)


def test_two_images_of_one_name(folder, trained, tmp_path):
    shutil.copyfile(folder / "a.png", folder / "a.bmp")
    with pytest.raises(LazyLabelsError, match=r"would both write a_pred"):
        predict(folder, tmp_path / "out", weights=trained)


def test_several_processes_share_the_images_and_a_killed_one_loses_none(bundle, tiny_data, trained, python, tmp_path):
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    pixels = np.tile(read_image(next((tiny_data / "images").iterdir())), (2, 2))
    names = [f"{number:02d}.png" for number in range(16)]
    for name in names:
        Image.fromarray(pixels).save(images / name)
    command = [python, "-m", "lazylabels_monai", "predict", str(images), "--out", str(out), "--weights", str(trained)]
    command += ["--bundle", str(bundle.configs.parent), "--device", "cpu"]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=bundle.environment)
        for _ in range(3)
    ]
    first = workers[0].stdout.readline()
    workers[0].send_signal(signal.SIGKILL)
    said = [first + workers[0].communicate()[0], *(worker.communicate()[0] for worker in workers[1:])]
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0], said
    done = [line.split()[1].rstrip(",") for text in said for line in text.splitlines() if ", ETA " in line]
    assert len(done) == len(set(done))  # none twice
    # an image that the killed process finished but did not tell of may be missing in what was said, not on disk
    assert len(done) >= len(names) - 1
    assert sorted(path.name for path in out.glob("*_pred.png")) == [name.replace(".png", "_pred.png") for name in names]
    assert not (out / ".claims").exists()
    read_image(out / "00_pred.png")


def test_several_ranks_do_not_overwrite(folder, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LazyLabelsError, match="several processes cannot overwrite"):
        predict(folder, tmp_path / "out", weights=trained, overwrite=True)
