"""Measurements and scores of other maps than the report's are not shown as those of its predictions."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.evaluation.score import score_predictions
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records, Stamp, locked
from tests.report.predicted import contains, values

SIDES = {"ours": 12, "others": 6}
STAMP = Stamp("11" * 16, {"classes": ["ice"]})


def square(side: int) -> np.ndarray:
    return np.pad(np.ones((side, side), np.uint8), (10, 30 - side))


@pytest.fixture
def place(tmp_path):
    """Predictions of our model, and the maps of another program, both of the images a and b; a data set whose truth is ours."""
    for folder, side in SIDES.items():
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.fromarray(square(side)).save(tmp_path / folder / f"{name}_pred.png")
    records = Records(tmp_path / "ours")
    with locked(tmp_path / "ours"):
        records.add_stamp(STAMP)
    for name in "ab":
        records.add(name, Record(STAMP.id))
    (tmp_path / "data").mkdir()
    items = [{"image": f"{name}.png", "segmentation": f"{name}_true.png", "instances": f"{name}_true.png"} for name in "ab"]
    for item in items:
        for file in item.values():
            Image.fromarray(square(SIDES["ours"])).save(tmp_path / "data" / file)
    (tmp_path / "data" / "datalist.json").write_text(json.dumps({"classes": ["ice"], "training": [], "testing": items}))
    return tmp_path


def measured(root, source, at, age):
    measure_folder(root / source, at, resamples=100)
    aged(at / "summary.json", age)


def scored(root, source, at, age):
    score_predictions(root / "data", root / source, at)
    aged(at / "metrics.json", age)


def aged(file, seconds):
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def as_before(file, *keys):
    """The file as earlier versions wrote it."""
    then, content = file.stat().st_mtime, json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in content.items() if key not in keys}))
    os.utime(file, (then, then))


def fraction(side):
    return side**2 / 40**2


def notes(page):
    return page[page.index('<section id="notes">') :]


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("other", ["exact", "."])
def test_newer_measurements_of_other_maps_are_left_out(place, earlier, other):
    out = place / "ours"
    measured(place, "ours", out / "measured", 60)
    measured(place, "others", out / other, 30)
    if earlier:
        as_before(out / "measured" / "summary.json", "source_from_here")
        as_before(out / other / "summary.json", "source_from_here")
    page = make_report(out).read_text()
    assert contains(values(page), fraction(SIDES["ours"]))
    assert not contains(values(page), fraction(SIDES["others"]))
    assert "measured/summary.json" in page
    assert f"The measurements in {out / other} are of &#39;{place / 'others'}&#39;, not of what" in notes(page)


def test_without_others_the_predictions_are_measured(place):
    measured(place, "others", place / "ours" / "exact", 0)
    page = make_report(place / "ours").read_text()
    assert "measured for this report" in page
    assert contains(values(page), fraction(SIDES["ours"]))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_folder_that_was_moved_or_copied_keeps_its_measurements(place, earlier):
    for stamped in (True, False):
        if not stamped:
            (place / "ours" / "predicted.jsonl").unlink()
        measured(place, "ours", place / "ours" / "measured", 0)
        if earlier:
            as_before(place / "ours" / "measured" / "summary.json", "source_from_here")
        copy = shutil.copytree(place / "ours", place / f"copy {stamped}")
        page = make_report(copy).read_text()
        assert "measured/summary.json" in page
        assert "left out" not in notes(page)
        # earlier versions did not say of which folder of that name: what is shown then is told
        assert (f"of &#39;{place / 'ours'}&#39;: unless" in notes(page)) is (earlier and not stamped)
        shutil.rmtree(place / "ours" / "measured")
    moved = shutil.move(place / "copy True", place / "elsewhere")
    page = make_report(moved, overwrite=True).read_text()
    assert "measured/summary.json" in page
    assert "left out" not in notes(page)


def test_newer_scores_of_other_maps_are_left_out(place):
    out = place / "ours"
    scored(place, "ours", out / "eval", 60)
    scored(place, "others", out / "program", 30)
    page = make_report(out).read_text()
    assert '<data value="1">1.000</data>' in page, "ours are the truth"
    assert f"The scores in {out / 'program'} are of &#39;{place / 'others'}&#39;, not of what" in notes(page)
    shutil.rmtree(out / "eval")
    page = make_report(out, overwrite=True).read_text()
    assert "object F1" not in page
    assert "run score" in notes(page)


def test_scores_of_earlier_versions_are_shown_those_of_our_weights_first(place):
    out, keys = place / "ours", ("predictions", "predictions_from_here")
    scored(place, "ours", out / "eval", 60)
    scored(place, "others", out / "program", 30)
    for folder in ("eval", "program"):
        as_before(out / folder / "metrics.json", *keys)
    assert '<data value="1">1.000</data>' in make_report(out).read_text()
    shutil.rmtree(out / "eval")
    page = make_report(out, overwrite=True).read_text()
    assert "object F1" in page
    assert f"The scores in {out / 'program'} are of maps that they do not name: unless" in notes(page)


def test_scores_alone_are_shown_wherever_their_maps_are(place):
    scored(place, "others", place / "eval", 0)
    page = make_report(place / "eval").read_text()
    assert "object F1" in page
    assert "left out" not in notes(page)


def test_measurements_that_were_moved_into_the_folder_are_its_own_wherever_report_is_called(place, monkeypatch):
    """Both paths lead nowhere then, and the stamp tells."""
    monkeypatch.chdir(place)
    measure_folder("ours", "aside", resamples=100)
    (place / "aside").rename(place / "ours" / "measured")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    page = make_report(place / "ours").read_text()
    assert "left out" not in page
    assert "measured/summary.json" in page


def test_scores_that_were_moved_into_the_folder_are_shown_wherever_report_is_called(place, monkeypatch):
    monkeypatch.chdir(place)
    score_predictions("data", "ours", "aside")
    (place / "aside").rename(place / "ours" / "scored")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    page = make_report(place / "ours").read_text()
    assert '<data value="1">1.000</data>' in page
    assert "left out" not in notes(page)
