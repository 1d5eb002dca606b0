"""What is read: predictions, evaluations, curves, and broken files."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.report.reading import read_curves
from lazylabels_monai.stamps import Record, Records, Stamp, file_digest, locked
from tests.measure.drawn import ONE, stamped
from tests.report.predicted import CLASSES, contains, soft, values, write_events


def test_a_bare_prediction_is_measured_and_the_rest_is_named(made, tmp_path):
    for name in ("im0", "im1"):
        shutil.copy(made / "pred" / f"{name}_pred.png", tmp_path)
    text = make_report(tmp_path, pixel_size="250 nm").read_text()
    assert "measured for this report" in text
    measure_folder(tmp_path, tmp_path / "m", pixel_size="250 nm", resamples=200)
    summary = pd.read_csv(tmp_path / "m" / "summary.csv")
    assert all(contains(values(text), value) for value in summary["mean_diameter_um"])
    for remedy in ("--probabilities", "--images", "--training", "--weights", "run evaluating"):
        assert remedy in text, remedy
    for section in ("objects", "training", "metrics"):
        assert f'<section id="{section}">' not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["im0_pred.png", "im1_pred.png", "m", "report.html"]


def test_rows_that_somebody_took_away_or_added_are_told(made, tmp_path):
    out = tmp_path / "pred"
    shutil.copytree(made / "pred", out, ignore=shutil.ignore_patterns("report.html"))
    measure_folder(out, out / "m", classes=CLASSES, resamples=100, ids="values")
    table = out / "m" / "objects.csv"
    rows = table.read_text().splitlines(keepends=True)
    for kept, said in (
        (rows, None),
        (
            rows[:1] + rows[3:],
            f"2 measured objects have no row there.*all {len(rows) - 1} objects.*of the {len(rows) - 3} rows",
        ),
        ([*rows, rows[-1]], "1 rows are of no measured object there"),
        ([*rows[:-1], rows[-1].replace(rows[-1].split(",")[0], "other", 1)], "1 measured objects .* and 1 rows are of no"),
    ):
        table.write_text("".join(kept))
        text = html.unescape(make_report(out, measured_in=out / "m", overwrite=True).read_text())
        assert ("objects.csv: " in text) == (said is not None)
        assert said is None or re.search(said, text)


@pytest.mark.parametrize("named", ["a folder", "a pattern", "a datalist", "files"])
@pytest.mark.parametrize("measured", [False, True])
def test_images_that_are_not_those_that_were_predicted_are_told(measured, named, tmp_path):
    """Other pictures under the names of those that were predicted; of no such name they are refused."""
    out = stamped(tmp_path / "out", a=ONE, b=ONE)
    if measured:
        measure_folder(out, out / "m", resamples=100)

    def given(folder):
        files = sorted(folder.iterdir())
        if named == "a datalist":
            content = {"classes": ["ice"], "training": [{"image": str(file)} for file in files]}
            (folder / "datalist.json").write_text(json.dumps(content))
        choice = {"a pattern": folder / "*.tif", "a datalist": folder / "datalist.json", "files": {f.stem: f for f in files}}
        return choice.get(named, folder)

    def others(name, rename, change):
        (tmp_path / name).mkdir()
        for file in sorted(out.glob("*.tif")):
            tifffile.imwrite(tmp_path / name / f"{rename(file.stem)}.tif", change(tifffile.imread(file)))
        return given(tmp_path / name)

    same = others("same", str, lambda pixels: pixels)
    for images, said in ((same, 0), (others("other", str, lambda pixels: 255 - pixels), 1)):
        text = html.unescape(make_report(out, images=images, overwrite=True).read_text())
        assert text.count(f"2 of 2 images are not those that were predicted into '{out}'") == said
    if named != "files":  # which are those of the predictions that are meant
        before = (out / "report.html").read_bytes()
        images = others("renamed", lambda name: f"{name}1", lambda pixels: pixels)
        with pytest.raises(LazyLabelsError, match=r"' holds no image of the name 'a' \(2 missing in all\): name the folder"):
            make_report(out, images=images, overwrite=True)
        assert (out / "report.html").read_bytes() == before


def test_an_evaluation_alone(made, tmp_path):
    for name in ("metrics.json", "metrics.csv"):
        shutil.copy(made / "pred" / name, tmp_path)
    text = make_report(tmp_path).read_text()
    assert contains(values(text), 0.8125)
    assert '<section id="summary">' not in text
    assert "predict images into this folder" in text


def test_volumes_are_named_in_one_sentence(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}_instances.tif", np.ones((5, 8, 8), np.uint16), metadata={"axes": "ZYX"})
    (tmp_path / "metrics.json").write_text('{"images": 2}')
    text = make_report(tmp_path).read_text()
    assert "2 volumes: only 2D" in text
    assert "5 pages" not in text


def test_class_maps_alone_have_objects_to_check_too(tmp_path):
    classes = np.pad(np.ones((10, 10), np.uint8), 10)
    Image.fromarray(classes).save(tmp_path / "one_pred.png")
    tifffile.imwrite(tmp_path / "one_segmentation_probability.tif", soft(classes, 2, 0.75))
    text = make_report(tmp_path, classes=["square"]).read_text()
    assert re.findall(r'<strong><data value="([^"]+)">0.750</data></strong> mean probability', text) == ["0.75"]
    assert 'alt="instances of one"' in text
    assert 'id="layer-detection"' not in text, "there is no map of it"


def test_objects_to_check_without_a_class_map_are_of_no_class_that_anybody_knows(tmp_path):
    classes = np.pad(np.full((10, 10), 2, np.uint8), 10)
    for name in ("one", "two"):
        tifffile.imwrite(tmp_path / f"{name}_instances.tif", (classes > 0).astype(np.uint16))
        tifffile.imwrite(tmp_path / f"{name}_segmentation_probability.tif", soft(classes, 3, 0.75))
    Image.fromarray(classes).save(tmp_path / "one_pred.png")
    text = make_report(tmp_path, classes=["pore", "grain"]).read_text()
    assert "holds no class map of 1 of 2 images (two)" in text
    shown = re.findall(r'object 1<br>\n<span class="muted">(<span[^>]*></span>)?([a-z ]+)', text)
    assert [(bool(colour), name) for colour, name in shown] == [(True, "grain"), (False, "class unknown")]


def test_an_image_of_another_size_is_not_stretched(made, tmp_path):
    shutil.copy(made / "pred" / "im0_pred.png", tmp_path)
    (tmp_path / "images").mkdir()
    Image.new("L", (50, 50)).save(tmp_path / "images" / "im0.png")
    text = make_report(tmp_path, images=tmp_path / "images").read_text()
    assert "(50, 50)" in text
    assert 'alt="im0"' not in text


def test_broken_parts_are_left_out_and_named(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    out = tmp_path / "pred"
    (out / "metrics.json").write_text("{")
    (out / "measured" / "summary.json").write_text("[]")
    (out / "im0_segmentation_probability.tif").write_bytes(b"no TIFF")
    (out / "im2_pred.png").write_bytes(b"no PNG")
    text = make_report(out).read_text()
    notes = text[text.index('<section id="notes">') :]
    for name in ("metrics.json", "summary.json", "im0_segmentation_probability.tif", "im2_pred.png"):
        assert name in notes or name.removesuffix(".json") in notes, name
    assert re.findall(r"<figcaption><strong>(\w+)</strong>", text) == ["im1"]


def test_measurements_of_another_prediction_are_not_shown_in_silence(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    assert "older than the prediction" not in make_report(tmp_path / "pred").read_text()
    now = time.time() + 60
    os.utime(tmp_path / "pred" / "im1_pred.png", (now, now))
    assert "older than the prediction" in make_report(tmp_path / "pred", overwrite=True).read_text()
    for file in (tmp_path / "pred").glob("im1_*"):
        file.unlink()
    assert "2 of them are among the 2 predicted" in make_report(tmp_path / "pred", overwrite=True).read_text()


def test_measurements_of_before_the_classes_were_renamed_are_not_shown_in_silence(made, tmp_path):
    out = shutil.copytree(made / "pred", tmp_path / "pred")
    (out / "classes.json").write_text(json.dumps(CLASSES))
    assert "names of before" not in make_report(out).read_text()
    (out / "classes.json").write_text('["air", "ice"]')
    assert "names of before" in make_report(out, overwrite=True).read_text()


@pytest.mark.parametrize("evaluated", [False, True])
def test_why_predictions_cannot_be_read_is_said(made, tmp_path, evaluated):
    """Not that there are none, and not in a page without them."""
    no_tables = shutil.ignore_patterns("measured", *([] if evaluated else ["metrics.*"]))
    out = shutil.copytree(made / "pred", tmp_path / "pred", ignore=no_tables)
    (out / "classes.json").write_text('["air", "ice",]')
    with pytest.raises(LazyLabelsError, match=r"is no JSON list of class names \(.*: remove it, or pass --classes"):
        make_report(out)
    assert not (out / "report.html").exists()
    text = make_report(out, classes=CLASSES).read_text()
    assert "Measurements:" not in text
    assert len(re.findall(r"<figcaption><strong>(\w+)</strong>", text)) == 3
    (out / "classes.json").unlink()
    shutil.copy(out / "im0_instances.tif", out / "im0_instances.tiff")
    with pytest.raises(LazyLabelsError, match="are the same map of one image: remove one of them"):
        make_report(out, overwrite=True)


def test_names_saved_with_a_byte_order_mark_are_compared_with_the_measured_ones(made, tmp_path):
    out = shutil.copytree(made / "pred", tmp_path / "pred")
    (out / "classes.json").write_text(json.dumps(CLASSES), encoding="utf-8-sig")
    assert "names of before" not in make_report(out).read_text()
    (out / "classes.json").write_text('["air", "ice"]', encoding="utf-8-sig")
    assert "names of before" in make_report(out, overwrite=True).read_text()


@pytest.mark.parametrize("stated", [False, True])
def test_two_classes_of_one_name_are_refused(made, tmp_path, stated):
    out = shutil.copytree(made / "pred", tmp_path / "pred", ignore=shutil.ignore_patterns("measured"))
    if stated:
        (out / "classes.json").write_text('["air", "air"]')
    with pytest.raises(LazyLabelsError, match="two classes are called 'air'"):
        make_report(out, classes=None if stated else ["air", "air"])
    assert not (out / "report.html").exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "there", "images", "weights"])
def test_what_cannot_be_reported_on_is_one_sentence(made, tmp_path, kind):
    out = tmp_path / "out"
    if kind != "missing":
        out.mkdir()
    if kind in ("there", "images", "weights"):
        shutil.copy(made / "pred" / "im0_pred.png", out)
    given = {"images": {"images": tmp_path / "none"}, "weights": {"weights": tmp_path / "model.pt"}}.get(kind, {})
    if kind == "there":
        (out / "report.html").write_text("mine")
    message = {
        "missing": "no folder",
        "empty": "holds neither",
        "there": "--overwrite",
        "images": "none",
        "weights": "model.pt",
    }
    with pytest.raises(ValueError, match=message[kind]):
        make_report(out, **given)
    assert kind != "there" or (out / "report.html").read_text() == "mine"


def test_of_an_epoch_trained_twice_the_last_counts(tmp_path):
    write_events(tmp_path / "tensorboard", {"loss/total": [3, 2]})
    time.sleep(1.1)  # event files are sorted by the second
    write_events(tmp_path / "tensorboard", {"loss/total": [1.5, 1]}, start=2)
    curves, folder = read_curves([tmp_path / "none", tmp_path], lambda note: pytest.fail(note))
    assert curves == {"loss/total": [(1, 3.0), (2, 1.5), (3, 1.0)]}
    assert folder == tmp_path / "tensorboard"


def test_scores_of_weights_before_another_training_are_told(tmp_path):
    out, trained = tmp_path / "out", tmp_path / "trained"
    out.mkdir()
    (trained / "models").mkdir(parents=True)
    write_events(trained / "tensorboard", {"loss/total": [3, 2]})
    (trained / "models" / "model.pt").write_bytes(b"these")
    metrics = {"images": 2, "section": "validation", "weights": file_digest(trained / "models" / "model.pt")}
    (out / "metrics.json").write_text(json.dumps(metrics))
    page = make_report(out, training=trained).read_text()
    assert "2 images of the section validation." in page
    assert "are of other weights" not in page
    (trained / "models" / "model.pt").write_bytes(b"others")
    for training in (trained, trained / "tensorboard"):
        page = make_report(out, training=training, overwrite=True).read_text()
        assert page.count(f"are of other weights ({metrics['weights'][:6]})") == 1
    shutil.copytree(trained, out, dirs_exist_ok=True)
    assert "are of other weights" in make_report(out, overwrite=True).read_text()


def test_a_report_is_of_one_stamp_and_of_its_weights(tmp_path):
    weights = tmp_path / "models" / "model.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"these")
    out = tmp_path / "out"
    out.mkdir()

    def predicted(name, stamp):
        Image.fromarray(np.pad(np.ones((10, 10), np.uint8), 10)).save(out / f"{name}_pred.png")
        records = Records(out)
        with locked(out):
            records.add_stamp(stamp)
        records.add(name, Record(stamp.id))

    these, others = Stamp(file_digest(weights), {"classes": ["ice"]}), Stamp("22" * 16, {"classes": ["ice"]})
    predicted("a", these)
    predicted("b", others)
    with pytest.raises(LazyLabelsError, match="mixes results: those of 'a' and those of 'b' were made otherwise"):
        make_report(out)
    predicted("a", others)
    for name in (weights, weights.parent):
        with pytest.raises(LazyLabelsError, match=r"out' and '.*model\.pt' are of different weights \(222222, "):
            make_report(out, weights=name)
    assert not (out / "report.html").exists()
    measure_folder(out, out / "m", resamples=100)
    assert "are of other predictions" not in make_report(out).read_text()
    for name in "ab":
        predicted(name, these)
    assert "are of other predictions than these" in make_report(out, weights=weights, overwrite=True).read_text()
    (out / "metrics.json").write_text(json.dumps({"images": 2, "weights": these.weights}))
    make_report(out, weights=weights, overwrite=True)
    (out / "metrics.json").write_text(json.dumps({"images": 2, "weights": others.weights}))
    with pytest.raises(LazyLabelsError, match=r"predictions in '.*out' and the metrics in '.*out' are of different weights"):
        make_report(out, overwrite=True)
    (out / "a_pred.png").unlink()
    (out / "b_pred.png").unlink()
    make_report(out, overwrite=True)
    with pytest.raises(LazyLabelsError, match=r"the metrics in '.*out' and '.*model\.pt' are of different weights"):
        make_report(out, weights=weights, overwrite=True)


def test_two_images_of_one_name(tmp_path):
    """A pattern says which of them, for the measurements of the page, too."""
    ids = np.pad(np.ones((10, 10), np.uint8), 10)
    (tmp_path / "p").mkdir()
    (tmp_path / "im").mkdir()
    Image.fromarray(ids).save(tmp_path / "p" / "s0_pred.png")
    tifffile.imwrite(tmp_path / "im" / "s0.TIF", ids, resolution=(20000, 20000), resolutionunit=3)
    Image.fromarray(ids).save(tmp_path / "im" / "s0.jpg")
    with pytest.raises(LazyLabelsError, match=r"share a name.* --images '.*/\*\.(TIF|jpg)'"):
        make_report(tmp_path / "p", images=tmp_path / "im")
    text = make_report(tmp_path / "p", images=tmp_path / "im" / "*.TIF").read_text()
    assert contains(values(text), float(np.sqrt(4 * 25 / np.pi)))  # the diameter in micrometres of 0.5 um pixels


@pytest.mark.parametrize("content", ['"cell"', '{"grain": 2, "pore": 1}', "["])
def test_names_beside_weights_that_are_no_list_are_told_and_not_taken_apart(tmp_path, content):
    Image.fromarray(np.eye(20, dtype=np.uint8)).save(tmp_path / "a_pred.png")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").touch()
    (tmp_path / "models" / "classes.json").write_text(content)
    text = make_report(tmp_path, weights=tmp_path / "models" / "model.pt").read_text()
    assert "is no JSON list of class names" in text
    assert ">l<" not in text
    assert ">grain<" not in text
