"""Predicting images one by one: what is written, what a broken file does, and what a second run leaves alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.results import ResultsFolder
from lazylabels_monai.predicting.uncertainty import object_uncertainty, uncertainty_maps
from lazylabels_monai.result_files import ENDINGS
from lazylabels_monai.stamps import Records, require_one_stamp
from lazylabels_monai.trained import write_settings
from tests.predicting.images import images_to_predict


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
    assert names == sorted([*of_images, "classes.json", "predicted.jsonl"])
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


def test_ids_that_are_gone_are_made_again_unless_the_class_map_was_corrected(folder, trained, tmp_path):
    out, said = tmp_path / "out", []
    given = {"weights": trained, "overrides": {"device": "cpu"}, "progress": said.append}
    images = [folder / name for name in ("a.png", "b.png", "c.ome.tif")]
    (folder / "broken.png").unlink()
    predict(folder, out, **given)
    before = {path.name: path.read_bytes() for path in out.glob("*_instances.tif")}
    for name in ("a", "b"):
        (out / f"{name}_instances.tif").unlink()
    corrected = np.asarray(Image.open(out / "b_pred.png")).copy()
    corrected[:5] = 1
    Image.fromarray(corrected).save(out / "b_pred.png")
    said.clear()
    report = predict(folder, out, **given)
    assert (report.done, report.failed) == ([str(images[0])], {})
    assert (out / "a_instances.tif").read_bytes() == before["a_instances.tif"]
    assert "predicted again, as the ids of their objects are gone: 'a'" in said
    assert "without ids of their objects, and left as they are (--overwrite predicts them again): 'b'" in said
    np.testing.assert_array_equal(np.asarray(Image.open(out / "b_pred.png")), corrected)
    (out / "a_instances.tif").unlink()
    lines = (out / "predicted.jsonl").read_text().splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k != "files"} for line in lines]  # as earlier versions wrote them
    (out / "predicted.jsonl").write_text("".join(json.dumps(line) + "\n" for line in records))
    said.clear()
    assert predict(folder, out, **given).done == []
    assert "without ids of their objects, and left as they are (--overwrite predicts them again): 'a', 'b'" in said
    predict(images[1], out, overwrite=True, **given)
    assert (out / "b_instances.tif").read_bytes() == before["b_instances.tif"]


def test_without_ids_asked_for_a_result_is_done(folder, trained, tmp_path):
    (folder / "broken.png").unlink()
    said = []
    given = {"weights": trained, "overrides": {"device": "cpu", "save_instances": False}, "progress": said.append}
    assert len(predict(folder, tmp_path / "out", **given).done) == 3
    assert len(predict(folder, tmp_path / "out", **given).skipped) == 3
    assert not any("ids" in sentence for sentence in said)


def test_a_pattern_names_the_images(folder, trained, tmp_path):
    result = run(folder / "*.ome.tif", "--out", tmp_path / "out", "--weights", trained, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {"c", "classes", "predicted"}


def test_of_an_earlier_prediction_nothing_stays(folder, trained, tmp_path):
    out, image = tmp_path / "out", folder / "a.png"
    given = {"weights": trained, "overrides": {"device": "cpu"}}
    predict(image, out, weights=trained, overrides={"device": "cpu", "save_probabilities": True})
    for name in ("a_notes.txt", "a_pred.txt", "ab_overlay.png"):
        (out / name).write_text("mine")
    assert (out / "a_separation_probability.tif").is_file()
    predict(image, out, overwrite=True, **given)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"a_{name}" for name in ("instances.tif", "notes.txt", "overlay.png", "pred.png", "pred.txt")]
        + ["ab_overlay.png", "classes.json", "predicted.jsonl"]
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

    monkeypatch.setattr("lazylabels_monai.predicting.results.os.replace", killed)
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
    predict(folder, tmp_path / "one", weights=trained, overrides={"device": "cpu", "cpu_bfloat16": False})
    bundle.infer(folder, tmp_path / "two", ckpt_dir=str(trained.parent), dropout=0.2)
    (tmp_path / "one" / "classes.json").unlink()
    one, two = (Records(tmp_path / name) for name in ("one", "two"))
    (tmp_path / "one" / "predicted.jsonl").unlink()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert one.images == two.images
    assert one.stamps == two.stamps


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


CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def predicted(tiny_data, trained, tmp_path_factory) -> Path:
    """A folder with ``in``, two images; ``models``; and ``out``, their results."""
    place = tmp_path_factory.mktemp("predicted")
    images_to_predict(place / "in", tiny_data)
    for name in ("broken.png", "c.ome.tif"):
        (place / "in" / name).unlink()
    shutil.copytree(trained.parent, place / "models")
    predict(place / "in", place / "out", weights=place / "models" / "model.pt", overrides=CPU)
    return place


@pytest.fixture
def place(predicted, tmp_path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(predicted, tmp_path / "place")
    return tmp_path / "place"


def again(place, images=None, said=None, **given):
    """Predict into the same folder; names of the images that were predicted."""
    overrides = {**CPU, **given.pop("overrides", {})}
    weights = given.pop("weights", place / "models" / "model.pt")
    out = given.pop("out", place / "out")
    progress = None if said is None else said.append
    report = predict(images or place / "in", out, weights=weights, overrides=overrides, progress=progress, **given)
    return [Path(path).name for path in report.done]


def files(folder):
    """What lies in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def other_weights(place):
    state = torch.load(place / "models" / "model.pt", weights_only=True)
    name = next(name for name, value in state.items() if value.is_floating_point())
    state[name] = state[name] * 1.01
    torch.save(state, place / "models" / "model.pt")
    return {}


def json_of(place, name, **change):
    file = place / "models" / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


def other_classes(place):
    (place / "models" / "classes.json").write_text('["ice crystal", "air bubble"]')
    return {}


def other_instances(place):
    write_settings(place / "models" / "model.pt", [InstanceSettings(min_size=77)])
    return {}


def other_window(place):
    json_of(place, "network.json", window_size=[48, 48])
    return {}


def other_preprocessing(place):
    file = place / "own.yaml"
    file.write_text("preprocessing#transforms#4#channel_wise: false\n")
    return {"overlays": [str(file)]}


def other_version(place):
    return {"answers": 99}


CHANGES = {
    "weights": (other_weights, r"weights model\.pt \([0-9a-f]{6}\) there, '.*model\.pt' \([0-9a-f]{6}\) now"),
    "classes": (other_classes, "classes air bubble, ice crystal there, ice crystal, air bubble now"),
    "instance settings": (other_instances, r"instance_settings\.min_size 16 there, 77 now"),
    "window": (other_window, r"inferer\.roi_size 64, 64 there, 48, 48 now"),
    "preprocessing": (other_preprocessing, r"preprocessing\..*channel_wise True there, False now"),
    "mirroring": (lambda place: {"overrides": {"mirroring": True}}, r"inferer\.mirroring False there, True now"),
    "overlap": (lambda place: {"overrides": {"overlap": 0.25}}, r"inferer\.overlap 0\.5 there, 0\.25 now"),
    "probabilities": (lambda place: {"overrides": {"save_probabilities": True}}, "probabilities False there, True now"),
    "uncertainty": (lambda place: {"uncertainty": True}, "uncertainty None there"),
    "version": (other_version, "version .* there"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_results_of_others_stay_alone(name, place, monkeypatch):
    """Says what differs and does nothing; with --overwrite, all is replaced; into another folder, nothing stands in the way."""
    change, words = CHANGES[name]
    given = change(place)
    if given.pop("answers", None):
        monkeypatch.setattr("lazylabels_monai.predicting.stamping.ANSWERS", 99)
    before = files(place / "out")
    with pytest.raises(LazyLabelsError, match=rf"out' holds results of 2 images, 'a' among them, .*{words}.*--overwrite"):
        again(place, **given)
    assert files(place / "out") == before
    assert not list((place / "out").glob(".*"))
    with pytest.raises(LazyLabelsError, match=r"'b' that were made otherwise .* or remove these results\."):
        again(place, place / "in" / "a.png", overwrite=True, **given)
    assert files(place / "out") == before, "of two stamps side by side nothing comes"
    assert again(place, overwrite=True, **given) == ["a.png", "b.png"]
    assert require_one_stamp(place / "out")[0].id != json.loads(before["predicted.jsonl"].splitlines()[0])["stamp"]
    assert again(place, **given) == []


@pytest.mark.parametrize(
    "name", ["device", "batch", "nothing", "touched", "moved", "copied", "renamed classes", "renamed weights"]
)
def test_what_changes_no_answer_is_in_nobodys_way(name, place):
    given = {}
    if name == "batch":
        (place / "own.yaml").write_text("inferer#sw_batch_size: 1\n")
        given = {"overlays": [str(place / "own.yaml")]}
    elif name == "touched":
        os.utime(place / "in" / "a.png", (1, 1))
    elif name == "moved":
        (place / "in").rename(place / "elsewhere")
        given = {"images": place / "elsewhere"}
    elif name == "copied":
        place = Path(shutil.copytree(place, place.with_name("copy")))
    elif name == "renamed classes":
        (place / "out" / "classes.json").write_text('["Luft", "Eis"]')
    elif name == "renamed weights":
        given = {"weights": (place / "models" / "model.pt").rename(place / "models" / "best.pt")}
    before = files(place / "out")
    assert again(place, **given) == []
    assert files(place / "out") == before
    shutil.copyfile(next(iter(sorted(place.glob("*/a.png")))), place / "new.png")
    assert again(place, place / "new.png", **{k: v for k, v in given.items() if k != "images"}) == ["new.png"]
    assert require_one_stamp(place / "out")[1] == []


def test_an_image_that_changed_is_predicted_again_and_it_is_said(place):
    pixels = read_image(place / "in" / "a.png")
    times = (place / "in" / "a.png").stat()
    Image.fromarray(255 - pixels).save(place / "in" / "a.png")
    os.utime(place / "in" / "a.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    before, said = files(place / "out"), []
    assert again(place, said=said) == ["a.png"]
    assert said[0] == "changed since the last prediction, and predicted again: 'a'"
    after = files(place / "out")
    assert after["b_pred.png"] == before["b_pred.png"]
    assert after["a_overlay.png"] != before["a_overlay.png"]
    assert again(place) == []


def with_other_tags(file):
    """The same pixels in other bytes, as when somebody adds a pixel size."""
    Image.fromarray(read_image(file)).save(file, dpi=(5080, 5080), compress_level=1)


def corrected(out, ending):
    """Some of a result erased by hand."""
    file = next(out.glob(f"a{ending}.*"))
    array = tifffile.imread(file) if file.suffix == ".tif" else np.array(Image.open(file))
    array[:, :30] = 0
    tifffile.imwrite(file, array) if file.suffix == ".tif" else Image.fromarray(array).save(file)
    return file


def without(out, *keys):
    """Records as earlier versions wrote them."""
    lines = [json.loads(line) for line in (out / "predicted.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in line.items() if key not in keys} for line in lines]
    (out / "predicted.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))


def test_an_image_whose_tags_alone_changed_is_the_same(place, monkeypatch):
    corrected(place / "out", "_instances"), corrected(place / "out", "_pred")
    with_other_tags(place / "in" / "a.png")
    before, said = files(place / "out"), []
    assert again(place, said=said) == []
    assert not any("changed" in line for line in said)
    after = files(place / "out")
    assert {**after, "predicted.jsonl": 0} == {**before, "predicted.jsonl": 0}
    record = Records(place / "out").images["a"]
    assert record.same_image(place / "in" / "a.png"), "from now on by its bytes"
    monkeypatch.setattr("lazylabels_monai.predicting.results.file_pixels", lambda path: pytest.fail("was read once more"))
    assert again(place) == []


def test_the_images_of_earlier_records_are_compared_by_their_bytes(place):
    without(place / "out", "files", "pixels", "class_map")
    assert again(place) == []
    (place / "out" / "a_instances.tif").unlink(), (place / "out" / "a_pred.png").unlink()
    with_other_tags(place / "in" / "a.png")
    assert again(place) == ["a.png"]


@pytest.mark.parametrize("ending", ["_instances", "_pred"])
@pytest.mark.parametrize("record", ["now", "earlier", "earliest"])
@pytest.mark.parametrize("map_there", [True, False])
def test_what_was_corrected_by_hand_is_not_predicted_again_unless_told(ending, record, map_there, place):
    if not map_there and ending == "_pred":
        return
    file = corrected(place / "out", ending)
    if record != "now":
        without(place / "out", "files", "pixels", *(["class_map"] if record == "earliest" else []))
    if not map_there:
        (place / "out" / "a_pred.png").unlink()
    for name in "ab":
        Image.fromarray(255 - read_image(place / "in" / f"{name}.png")).save(place / "in" / f"{name}.png")
    (place / "out" / "b_instances.tif").unlink()
    (place / "out" / "b_pred.png").unlink()
    before, said = files(place / "out"), []
    report = predict(place / "in", place / "out", weights=place / "models" / "model.pt", overrides=CPU, progress=said.append)
    assert [Path(path).name for path in report.done] == ["b.png"]
    (words,) = report.failed.values()
    assert words.startswith(f"'{place / 'in' / 'a.png'}' would be predicted again, but '{place / 'out'}")
    assert words.endswith("corrected by hand, and is left as it is: move it away, or replace it with --overwrite.") or (
        record != "now" and "may have been corrected" in words
    )
    assert not any(line.startswith("changed") and "'a'" in line for line in said)
    after = files(place / "out")
    assert {name: after.get(name) for name in before if name[:2] == "a_"} == {n: c for n, c in before.items() if n[:2] == "a_"}
    assert again(place, overwrite=True) == ["a.png", "b.png"]
    assert file.read_bytes() != before[file.name]


def test_another_image_of_the_same_name_replaces_nothing(place):
    """plate1/a.png and plate2/a.png, or a.png and a.bmp."""
    (place / "plate2").mkdir()
    shutil.copyfile(place / "in" / "b.png", place / "plate2" / "a.png")
    Image.open(place / "in" / "b.png").save(place / "a.bmp")
    before = files(place / "out")
    for image in (place / "plate2", place / "a.bmp"):
        with pytest.raises(LazyLabelsError, match=r"would replace the results of another image.*\.\./in/a\.png"):
            again(place, image)
    assert files(place / "out") == before
    assert again(place, place / "plate2", overwrite=True) == ["a.png"]


def test_results_of_a_picture_under_its_former_name_are_told(place):
    os.rename(place / "in" / "a.png", place / "in" / "sample.png")
    for done in (["sample.png"], []):
        said = []
        assert again(place, said=said) == done
        assert "'a', which is no more there, and 'sample'" in said[-1]
        assert "remove a_instances.tif, " in said[-1]
        assert all((place / "out" / f"{name}_pred.png").is_file() for name in ("a", "sample"))


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(("first", "second"), [("starter", "my weights"), ("my weights", "starter"), ("my weights", "others")])
def test_who_names_other_weights_than_before_is_told_how_to_go_on_with_those(first, second, gone, place, tmp_path, monkeypatch):
    """The starter where none are named; weights that are no longer there cannot be named."""
    monkeypatch.chdir(tmp_path)
    for name in ("others", "my weights"):
        shutil.move(shutil.copytree(place / "models", place / "more" / "models"), tmp_path / name)
        other_weights(place)
    weights = {"starter": None, **{name: tmp_path / name / "model.pt" for name in ("others", "my weights")}}
    called = {"starter": "of the starter", **{name: f"'{Path(name, 'model.pt')}'" for name in ("others", "my weights")}}
    again(place, out="out", weights=weights[first])
    if gone and first != "starter":
        weights[first].unlink()
        called[first] = "model.pt"
    before = files("out")
    with pytest.raises(LazyLabelsError) as refused:
        again(place, out="out", weights=weights[second])
    sentence = str(refused.value)
    assert f"weights {called[first]} (" in sentence
    assert f" there, {called[second]} (" in sentence
    assert sentence.endswith("name another folder, or replace them with --overwrite.")
    assert files("out") == before
    if gone and first != "starter":
        assert "): name the --weights of theirs to predict as they were, name another folder" in sentence
        return
    option, named = shlex.split(re.search(r"pass (--weights .*) to predict as they were", sentence)[1])
    assert option == "--weights"
    assert again(place, out="out", weights=named) == []
    assert again(place, out="out", weights=weights[second], overwrite=True) == ["a.png", "b.png"]


@pytest.mark.parametrize("way", ["itself", "relative", "slash", "link", "dots"])
def test_results_among_the_images_are_no_images(way, place, monkeypatch):
    """``--out`` is the folder of the images, however it is written."""
    images = place / "in"
    (place / "link").symlink_to(images, target_is_directory=True)
    monkeypatch.chdir(place)
    out = {"itself": images, "relative": "in", "slash": f"{images}/", "link": place / "link", "dots": "models/../in"}[way]
    assert again(place, out=out) == ["a.png", "b.png"]
    there = files(images)
    assert len(there) == 2 + 6 + 2
    for given in (images, "in/", "link", "in/*.png", "./in/*", "**/in/*"):
        assert again(place, given, out=out) == []
    assert files(images) == there
    assert [Path(path).name for path in find_images(images)] == ["a.png", "b.png"]
    with pytest.raises(LazyLabelsError, match="made otherwise"):
        again(place, out=out, overrides={"mirroring": True})
    assert again(place, out=out, overwrite=True, overrides={"mirroring": True}) == ["a.png", "b.png"]
    assert set(files(images)) == set(there)


@pytest.mark.parametrize("where", ["in/results", "."])
def test_results_below_or_above_the_images(where, place):
    for _ in range(2):
        again(place, out=place / where)
        assert [Path(path).name for path in find_images(place / "in" / "**" / "*.png")] == ["a.png", "b.png"]
    assert len(list((place / where).glob("*_pred.png"))) == 2
    with pytest.raises(LazyLabelsError, match="holds results of a prediction and no image"):
        again(place, place / where / "*.png", out=place / "third")


def test_a_file_of_the_users_is_not_replaced(place):
    out = place / "mine"
    out.mkdir()
    (out / "a_overlay.png").write_bytes(b"drawn by hand")
    with pytest.raises(LazyLabelsError, match=r"a_overlay\.png' is no known result and would be replaced.*--overwrite"):
        again(place, out=out)
    assert files(out) == {"a_overlay.png": b"drawn by hand"}
    shutil.copyfile(place / "in" / "b.png", place / "in" / "a_overlay.png")
    for overwrite in (False, True):  # an image to predict least of all
        with pytest.raises(LazyLabelsError, match=r"a_overlay\.png' is no known result and .*another folder\.$"):
            again(place, out=place / "in", overwrite=overwrite)
    assert sorted(files(place / "in")) == ["a.png", "a_overlay.png", "b.png"]


#: Every name that a result of "a" may have, and what else a prediction once wrote.
NAMES = [f"a{ending}{suffix}" for ending in ENDINGS for suffix in (".png", ".tif", ".nii.gz")] + ["a_objects.csv"]


def test_without_results_no_file_under_any_of_their_names_is_replaced(place, trained):
    out = place / "mine"
    out.mkdir()
    mine = [name for name in NAMES if name[-4:] in (".tif", ".csv") and "_pred" not in name]
    state = ResultsFolder(out, Model(trained, overrides=CPU).stamp)
    for name in mine:
        (out / name).write_bytes(b"mine")
        with pytest.raises(LazyLabelsError, match=rf"{name}' is no known result.*--overwrite\.$"):
            state.begin([place / "in" / "a.png"], ["cell"], lambda path: None, print)
        assert files(out) == {name: b"mine"}
        (out / name).unlink()
    for name in mine:
        (out / name).write_bytes(b"mine")
    assert again(place, out=out, overwrite=True) == ["a.png", "b.png"]
    changed = [name for name in mine if (out / name).read_bytes() != b"mine"]
    assert changed == ["a_instances.tif"], "only what a result takes the place of"


@pytest.mark.parametrize("records", ["now", "earlier"])
def test_beside_results_no_file_of_the_users_is_removed(records, place):
    """The image changes and is predicted again; a former version's records do not say which files were made."""
    out = place / "out"
    mine = {"a_objects.csv"} if records == "earlier" else {name for name in NAMES if not (out / name).exists()}
    mine = {name for name in mine if not name.startswith(("a_pred", "a_instances"))}  # corrections of results
    if records == "earlier":
        lines = [json.loads(line) for line in (out / "predicted.jsonl").read_text().splitlines()]
        (out / "predicted.jsonl").write_text(
            "".join(json.dumps({k: v for k, v in line.items() if k != "files"}) + "\n" for line in lines)
        )
    for name in mine:
        (out / name).write_bytes(b"image,id,class,class_name,area_px2\n")
    Image.fromarray(255 - read_image(place / "in" / "a.png")).save(place / "in" / "a.png")
    overwrite = records == "earlier"
    assert again(place, place / "in" / "a.png", overwrite=overwrite) == ["a.png"]
    assert {name for name in mine if (out / name).read_bytes().startswith(b"image,")} == mine
    assert again(place, overwrite=True) == ["a.png", "b.png"]
    assert {name for name in mine if (out / name).read_bytes().startswith(b"image,")} == mine


def test_a_file_of_the_users_in_the_way_of_a_later_result_is_named_and_the_others_are_done(place):
    """Results that do not hold such a file yet, so that it must be the user's."""
    out = place / "out"
    for name in ("a_overlay.png", "a_pred.png", "b_pred.png"):
        (out / name).unlink()
    lines = [json.loads(line) for line in (out / "predicted.jsonl").read_text().splitlines()]
    for line in lines:
        line.get("files", {}).pop("a_overlay.png", None)
    (out / "predicted.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / "a_overlay.png").write_bytes(b"mine")
    report = predict(place / "in", out, weights=place / "models" / "model.pt", overrides=CPU)
    assert [Path(path).name for path in report.done] == ["b.png"]
    assert "a_overlay.png' is no known result" in report.failed[str(place / "in" / "a.png")]
    assert (out / "a_overlay.png").read_bytes() == b"mine"
    assert again(place, overwrite=True) == ["a.png", "b.png"]
    assert (out / "a_overlay.png").read_bytes() != b"mine"


def test_results_beside_other_weights_leave_their_classes(place):
    (place / "others").mkdir()
    (place / "others" / "model.pt").touch()
    (place / "others" / "classes.json").write_text('["cell"]')
    for overwrite in (False, True):
        with pytest.raises(LazyLabelsError, match=r"names the classes cell, the weights air bubble.*another folder\.$"):
            again(place, out=place / "others", overwrite=overwrite)
    assert (place / "others" / "classes.json").read_text() == '["cell"]'


def test_results_of_an_earlier_version_are_kept_if_they_are_the_same(place):
    """They do not say what made them: one is predicted for comparison."""
    (place / "out" / "predicted.jsonl").unlink()
    before, said = files(place / "out"), []
    assert again(place, said=said) == []
    assert said[0].startswith("left as they are, though nothing says what made them (an earlier version?): 'b'")
    after = files(place / "out")
    assert {name: after[name] for name in before} == before
    assert require_one_stamp(place / "out")[1] == ["b"]
    ids = np.asarray(Image.open(place / "out" / "b_pred.png"))
    Image.fromarray((ids + 1) % 3).save(place / "out" / "b_pred.png")
    with pytest.raises(LazyLabelsError, match=r"earlier version wrote them, and '.*b\.png' is predicted otherwise now"):
        again(place)
    pixels = np.asarray(Image.open(place / "in" / "a.png"))
    Image.fromarray(pixels[::-1]).save(place / "new.png")
    assert again(place, place / "new.png", said=said) == ["new.png"]
    assert "left as they are, though nothing says what made them (an earlier version?): 'b'" in said[-2]


def test_classes_of_an_earlier_versions_results_are_not_replaced(place):
    (place / "out" / "predicted.jsonl").unlink()
    (place / "out" / "classes.json").write_text('["cell"]')
    before = files(place / "out")
    with pytest.raises(LazyLabelsError, match=r"classes\.json' names the classes cell"):
        again(place)
    with pytest.raises(LazyLabelsError, match=r"classes\.json' names the classes cell.*remove what is there"):
        again(place, place / "in" / "a.png", overwrite=True)
    assert files(place / "out") == before
    assert again(place, overwrite=True) == ["a.png", "b.png"]
    assert "ice crystal" in (place / "out" / "classes.json").read_text()


def test_a_kill_in_between_leaves_no_stamp_that_lies(place, monkeypatch):
    """Whatever move is the last: afterwards each result is of the stamp that its record says, or there is none."""
    other = {"overrides": {"mirroring": True}}
    first = require_one_stamp(place / "out")[0].id
    maps = {name: content for name, content in files(place / "out").items() if name.endswith("_pred.png")}
    original, replace = files(place / "out"), os.replace
    for last in (0, 1, 2, 3, 5):
        for path in (path for path in (place / "out").iterdir() if path.is_file()):
            path.unlink()
        for name, content in original.items():
            (place / "out" / name).write_bytes(content)
        moves = []

        def killed(source, target, moves=moves, last=last):
            if Path(target).parent.name == "out" and Path(target).suffix != ".json":
                if len(moves) == last:
                    raise KeyboardInterrupt
                moves.append(Path(target).name)
            return replace(source, target)

        with monkeypatch.context() as patched:
            patched.setattr("lazylabels_monai.predicting.results.os.replace", killed)
            with pytest.raises(KeyboardInterrupt):
                again(place, overwrite=True, **other)
        after = files(place / "out")
        for stem, record in Records(place / "out").images.items():
            if f"{stem}_pred.png" in after:
                assert (f"{stem}_pred.png" in moves) == (record.stamp != first)
                assert (after[f"{stem}_pred.png"] == maps[f"{stem}_pred.png"]) or record.stamp != first
            else:
                assert sum(name.startswith(stem) for name in moves) < 3
    assert again(place, overwrite=True, **other) == ["a.png", "b.png"]


def test_two_that_begin_at_once_do_not_mix(place):
    """The one that began first is stopped at its next image."""
    out, said = place / "both", []

    def meanwhile(line):
        said.append(line)
        if len(said) == 1:
            assert again(place, out=out, overwrite=True, overrides={"mirroring": True}) == ["a.png", "b.png"]

    with pytest.raises(LazyLabelsError, match="another process has begun to predict otherwise"):
        predict(place / "in", out, weights=place / "models" / "model.pt", overrides=CPU, progress=meanwhile)
    stamp, unknown = require_one_stamp(out)
    assert stamp.settings["inferer"]["mirroring"] is True
    assert unknown == []
    assert sorted(Records(out).by_stamp("ab")) == [stamp.id], "no result of the second is lost"
    assert len(files(out)) == 2 + 6


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((1, 1), np.uint8), "1 x 1 pixels"),
        (np.zeros((1, 30), np.uint8), "30 x 1 pixels"),
        (np.zeros((20, 30, 2), np.uint8), "has 2 channels where the network takes 1: save it gray or RGB"),
        (np.zeros((20, 30, 5), np.uint16), "has 5 channels where the network takes 1: save it gray or RGB"),
    ],
)
def test_what_is_no_picture_for_this_network_is_a_sentence(pixels, words, place):
    tifffile.imwrite(
        place / "odd.tif", pixels, photometric="minisblack", **({"planarconfig": "contig"} if pixels.ndim == 3 else {})
    )
    result = run(place / "odd.tif", "--out", place / "odd", "--weights", place / "models" / "model.pt", "--device", "cpu")
    assert result.exit_code == 1
    assert words in result.output
    assert "RuntimeError" not in result.output
    assert "fault" not in result.output
