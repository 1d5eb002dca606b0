"""Measurements that were not made as a report asks are not shown as if they were."""

from __future__ import annotations

import json
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from tests.report.predicted import CLASSES


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pixel_size": "2um"}, "a pixel size of 0.5 um, not 2um: "),
        ({"classes": ["grain", "pore"]}, 'the classes <b>air</b> & $x_, ice "crystal", not grain, pore: '),
        ({"pixel_size": "2um", "classes": ["grain", "pore"]}, "of 0.5 um, not 2um and the classes <b>air</b> & $x_, ice"),
    ],
)
def test_measurements_made_with_another_pixel_size_or_names_are_refused_with_what_measures_anew(made, tmp_path, asked, said):
    out = shutil.copytree(made / "pred", tmp_path / "a pred")
    options = {"pixel_size": "0.5um", "classes": CLASSES, "resamples": 200, "overwrite": True}
    measure_folder(out, out / "measured", images=made / "images", min_size=3, **options)
    before = pd.read_csv(out / "measured" / "objects.csv")
    with pytest.raises(LazyLabelsError) as found:
        make_report(out, images=made / "images", **asked)
    assert said in str(found.value)
    assert not (out / "report.html").exists()
    command = shlex.split(str(found.value).split("`")[1])
    assert command.pop(0) == "lazylabels"
    assert CliRunner().invoke(app, command).exit_code == 0
    make_report(out, images=made / "images", **asked)
    after = pd.read_csv(out / "measured" / "objects.csv")
    factor = 4.0 if "pixel_size" in asked else 1.0
    assert np.allclose(after["equivalent_diameter_um"], factor * before["equivalent_diameter_um"])
    assert set(after["class_name"]) <= set(asked.get("classes", CLASSES))
    assert "mean_intensity" in after, "the images are named again"


def test_what_was_measured_so_is_shown(made, tmp_path):
    out = shutil.copytree(made / "pred", tmp_path / "pred")
    assert "0.5" in make_report(out, pixel_size="500 nm", classes=CLASSES).read_text()


def anew(said):
    """Run the command of a refusal."""
    command = shlex.split(said.split("`")[1])
    assert command.pop(0) == "lazylabels"
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return command


@pytest.mark.parametrize(("ids", "objects"), [("pieces", 4), ("values", 1), (None, 4)])
def test_the_command_counts_objects_as_before(tmp_path, ids, objects):
    """Four squares, of one value or numbered."""
    out = tmp_path / "out"
    out.mkdir()
    squares = np.kron(np.eye(4, dtype=np.uint8), np.pad(np.ones((6, 6), np.uint8), 2))
    tifffile.imwrite(out / "a_instances.tif", squares * (255 if ids else np.repeat(np.arange(1, 5, dtype=np.uint8), 10)))
    measure_folder(out, out, ids=ids, pixel_size="0.5um", resamples=100)
    assert json.loads((out / "summary.json").read_text())["ids"] == ids
    with pytest.raises(LazyLabelsError) as found:
        make_report(out, pixel_size="120nm")
    assert ("--ids" in anew(str(found.value))) is (ids is not None)
    assert len(pd.read_csv(out / "objects.csv")) == objects
    make_report(out, pixel_size="120nm")


@pytest.mark.parametrize("named", ["datalist.json", "."])
def test_the_command_reads_the_images_of_a_datalist(made, tmp_path, named):
    out, data = shutil.copytree(made / "pred", tmp_path / "pred"), tmp_path / "data"
    shutil.copytree(made / "images", data / "pictures")
    items = [{"image": f"pictures/im{k}.png", "pixel_size": "2um"} for k in range(3)]
    (data / "datalist.json").write_text(json.dumps({"classes": CLASSES, "training": items}))
    with pytest.raises(LazyLabelsError) as found:
        make_report(out, images=data / named, pixel_size="1um")
    anew(str(found.value))
    assert "mean_intensity" in pd.read_csv(out / "measured" / "objects.csv")
    make_report(out, images=data / named, pixel_size="1um")
    measure_folder(out, out / "measured", images=data / named, resamples=100, overwrite=True)
    assert json.loads((out / "measured" / "summary.json").read_text())["pixel_size_um"] == 2
    shutil.rmtree(out / "measured")
    page = make_report(out, images=data / named, overwrite=True).read_text()
    assert "A pixel is 2 µm wide" in page


def test_the_command_names_the_images_of_before(made, tmp_path):
    out = shutil.copytree(made / "pred", tmp_path / "pred")
    measure_folder(out, out / "measured", images=made / "images", resamples=100, overwrite=True)
    with pytest.raises(LazyLabelsError) as found:
        make_report(out, pixel_size="1um")
    anew(str(found.value))
    assert "mean_intensity" in pd.read_csv(out / "measured" / "objects.csv")


def test_the_command_names_images_that_are_there(made, tmp_path, monkeypatch):
    """Wherever report is called, and wherever all of it was moved; images that are gone are not named."""
    before = tmp_path / "before"
    shutil.copytree(made / "pred", before / "pred")
    shutil.copytree(made / "images", before / "images")
    monkeypatch.chdir(before)
    measure_folder("pred", "pred/measured", images="images", resamples=100, overwrite=True)
    monkeypatch.chdir(tmp_path)
    for move in ("before", "moved"):
        if not (tmp_path / move).exists():
            before.rename(tmp_path / move)
        with pytest.raises(LazyLabelsError) as found:
            make_report(f"{move}/pred", pixel_size="1um")
        assert "--images" in str(found.value)
        anew(str(found.value))
        assert pd.read_csv(tmp_path / move / "pred" / "measured" / "objects.csv")["mean_intensity"].notna().all()
        measure_folder(f"{move}/pred", f"{move}/pred/measured", images=f"{move}/images", resamples=100, overwrite=True)
    shutil.rmtree(tmp_path / "moved" / "images")
    with pytest.raises(LazyLabelsError) as found:
        make_report("moved/pred", pixel_size="1um")
    assert "--images" not in str(found.value)


def test_pictures_beside_a_datalist_whose_pictures_are_gone_are_taken(made, tmp_path):
    images = shutil.copytree(made / "images", tmp_path / "images")
    names = sorted(path.name for path in images.iterdir())
    items = [{"image": f"images/{name}", "segmentation": f"masks/{name}"} for name in names]
    (images / "datalist.json").write_text(json.dumps({"classes": ["a"], "training": items}))
    measure_folder(made / "pred", tmp_path / "out", images=images, resamples=100)
    assert pd.read_csv(tmp_path / "out" / "objects.csv")["mean_intensity"].notna().all()
    (images / "images").mkdir()
    for name in names:  # two of each name: nobody can tell which was meant
        shutil.copy(images / name, images / "images" / name)
    with pytest.raises(LazyLabelsError, match="share a name"):
        measure_folder(made / "pred", tmp_path / "two", images=images, resamples=100)


def test_images_beside_a_datalist_of_another_program_are_found(made, tmp_path):
    images = shutil.copytree(made / "images", tmp_path / "images")
    for content in ('{"training": [{"im": "im0.png"}]}', '{"classes": ["a"], "training": [{"image": "im0.png"}]}'):
        (images / "datalist.json").write_text(content)
        measure_folder(made / "pred", tmp_path / "out", images=images, resamples=100, overwrite=True)
        assert pd.read_csv(tmp_path / "out" / "objects.csv")["mean_intensity"].isna().sum() == 0
