"""Names that shells, patterns, configs and formats would read as something else, through the commands."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import user_error
from lazylabels_monai.spreadsheets import from_cell

#: Names of images, without their suffix.
NAMES = (
    "*[a]?",
    "a'b\"c",
    "a\nb",
    "$(touch ran)",
    "%s%(x)s%%",
    "@x",
    "-rf",
    "--help",
    "~nobody_here",
    "~",
    "{x}",
    "a,b;c",
    "a..",
    " a ",
    "ä ö ü 中文 \U0001f52c",
    "<script>",
    "a&amp;b",
    "null",
    "1e5",
    "007",
    "a\\b",
    "...x",
)


@pytest.fixture(scope="module")
def pictures():
    return make_image((64, 80), seed=[7])


@pytest.fixture(scope="module")
def source(tmp_path_factory, pictures) -> Path:
    """Images and ids of these names."""
    root = tmp_path_factory.mktemp("odd") / "source"
    for folder, key in (("images", "image"), ("masks", "instances")):
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            picture = np.roll(pictures[key], number, 0)
            Image.fromarray(picture.astype(np.uint8)).save(root / folder / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def predictions(tmp_path_factory, pictures) -> Path:
    """What ``predict`` writes of them."""
    folder = tmp_path_factory.mktemp("predictions")
    ids, classes = pictures["instances"].astype(np.uint16), (pictures["instances"] > 0).astype(np.uint8)
    planes = np.stack([1 - classes, classes]).astype(np.float32)
    for name in NAMES:
        tifffile.imwrite(folder / f"{name}_instances.tif", ids)
        Image.fromarray(classes).save(folder / f"{name}_pred.png")
        tifffile.imwrite(folder / f"{name}_segmentation_probability.tif", planes)
    return folder


def ran_well(result):
    assert result.exit_code == 0, (result.output[-1500:], user_error(result.exception), result.exception)
    return result


def test_a_data_set_holds_every_name(run, source, tmp_path):
    hidden = {name for name in NAMES if name.startswith(".")}  # as everywhere
    ran_well(run("datalist", source, tmp_path / "data", "--classes", "grain"))
    content = json.loads((tmp_path / "data" / "datalist.json").read_text())
    listed = {Path(item["image"]).stem for section in ("training", "validation") for item in content[section]}
    assert listed == set(NAMES) - hidden
    ran_well(run("check", tmp_path / "data"))
    ran_well(run("measure", tmp_path / "data", tmp_path / "measured"))
    ran_well(run("budget", tmp_path / "data"))
    assert not Path("ran").exists()


def test_measure_report_and_export_take_every_name(run, predictions, tmp_path):
    hidden = {name for name in NAMES if name.startswith(".")}
    ran_well(run("measure", predictions, tmp_path / "measured"))
    with open(tmp_path / "measured" / "objects.csv", newline="", encoding="utf-8") as file:
        assert {from_cell(row["image"]) for row in csv.DictReader(file)} == set(NAMES) - hidden
    for kind in ("roi", "geojson", "coco"):
        ran_well(run("export-objects", predictions, "--format", kind, "--to", tmp_path / kind))
    assert {path.name.removesuffix(".geojson") for path in (tmp_path / "geojson").glob("*.geojson")} == set(NAMES) - hidden
    ran_well(run("report", predictions))
    page = (predictions / "report.html").read_text(encoding="utf-8")
    assert "<script>_" not in page


def test_images_are_found_by_their_names(source):
    found = find_images(source / "images")
    assert {Path(path).stem for path in found} == {name for name in NAMES if not name.startswith(".")}
    for path in found:  # a name is no pattern, where there is such a file
        assert find_images(path) == [path]


def test_predictions_bear_every_name(run, source, trained, tmp_path):
    ran_well(run("predict", source / "images", "--out", tmp_path / "out", "--weights", trained, "--device", "cpu"))
    made = {path.name.removesuffix("_pred.png") for path in (tmp_path / "out").iterdir() if path.name.endswith("_pred.png")}
    assert made == {name for name in NAMES if not name.startswith(".")}
    assert not Path("ran").exists()


def test_names_that_differ_in_case_alone_stay_apart_or_are_refused(run, pictures, tmp_path):
    for folder, key in (("images", "image"), ("masks", "instances")):
        (tmp_path / "source" / folder).mkdir(parents=True)
        for name in ("a.png", "A.PNG", "b.png"):
            Image.fromarray(pictures[key].astype(np.uint8)).save(tmp_path / "source" / folder / name, "PNG")
    result = run("datalist", tmp_path / "source", tmp_path / "data", "--classes", "grain")
    if result.exit_code == 0:
        files = [path.name for path in (tmp_path / "data" / "images").iterdir()]
        assert len({name.lower() for name in files}) == len(files) == 3
    else:
        assert "a.png" in str(user_error(result.exception)).lower()
        assert not (tmp_path / "data").exists()


def test_a_name_as_long_as_can_be_is_a_sentence_or_a_result(run, pictures, trained, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("x" * 251, "b"):
        Image.fromarray(pictures["image"]).save(tmp_path / "images" / f"{name}.png")
    result = run("predict", tmp_path / "images", "--out", tmp_path / "out", "--weights", trained, "--device", "cpu")
    assert result.exit_code == 1
    assert "too long" in result.output
    assert "fault of this program" not in result.output
    assert (tmp_path / "out" / "b_pred.png").is_file()


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_name_of_bytes_that_are_no_text(run, pictures, tmp_path):
    name = os.fsdecode(b"\xff\xfe")
    for folder, key in (("images", "image"), ("masks", "instances")):
        (tmp_path / "source" / folder).mkdir(parents=True)
        for stem in (name, "b"):
            Image.fromarray(pictures[key].astype(np.uint8)).save(tmp_path / "source" / folder / f"{stem}.png")
    result = run("datalist", tmp_path / "source", tmp_path / "data", "--classes", "grain")
    assert result.exit_code == 0 or user_error(result.exception) is not None, result.exception
    if result.exit_code == 0:
        result = run("measure", tmp_path / "data", tmp_path / "measured")
        assert result.exit_code == 0 or user_error(result.exception) is not None, result.exception


#: Commands that take a data set, and what else they need to come to it.
ON_DATA_SETS = {
    "check": (),
    "train": (),
    "evaluate": (),
    "budget": (),
    "grabcut": ("proposals",),
    "score": ("predictions", "--out", "scores"),
    "tune": ("--weights", "{weights}"),
}


@pytest.mark.parametrize("folder", ["my pics", "it's", "-pics", "$(touch ran)", "my pics/", ".", "my pics/datalist.json"])
@pytest.mark.parametrize("verb", ON_DATA_SETS)
def test_the_data_set_that_a_command_says_to_make_can_be_made_and_taken(
    verb, folder, run, pictures, tmp_path, trained, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    place = Path(folder).parent if folder.endswith(".json") else Path(folder)
    for kind, key in (("images", "image"), ("masks", "instances")):
        (place / kind).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.roll(pictures[key], number, 0).astype(np.uint8)).save(place / kind / f"{number}.png")
    others = [str(other).format(weights=trained) for other in ON_DATA_SETS[verb]]
    done = run(verb, f"./{folder}" if folder.startswith("-") else folder, *others)
    assert done.exit_code == 1
    said = done.stderr if verb == "check" else str(done.exception)
    program, *made = shlex.split(re.search(r"`(lazylabels datalist .*)`", said)[1])
    assert program == "lazylabels"
    assert os.path.samefile(made[1], place), "the command names the folder that was named"
    assert not os.path.lexists(made[2])
    assert run(*made).exit_code == 0
    assert not (tmp_path / "ran").exists()
    following = [line.partition("lazylabels ")[2] for line in run(*made, "--overwrite").output.splitlines()[-2:]]
    assert [shlex.split(line)[:2] for line in following] == [["check", made[2]], ["train", made[2]]]
    assert run(*shlex.split(following[0])).exit_code == 0
