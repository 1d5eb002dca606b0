"""``--overwrite`` replaces what a command made and nobody touched; whatever a person put there stays, byte by byte."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.data.proposals import propose_dataset
from lazylabels_monai.data.replacing import OutputExistsError, check_target
from lazylabels_monai.data.simulating.simulate import simulate
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.labels.grabcut import GrabCutSettings
from tests.data.building.drawing import _ids, _image, _save

TINY = {"num_train": 2, "num_validation": 1, "num_test": 1, "size": (64, 64)}


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labels(folder):
    """Without tables, which hold seconds."""
    return {path: array for path, array in content(folder).items() if path.suffix == ".png"}


@pytest.fixture
def commands(tmp_path):
    """The commands that make data sets, each a function of the folder to make and of whether it may be replaced."""
    src = tmp_path / "src"
    for number, name in enumerate("abc"):
        _save(src / "images" / f"{name}.png", _image(number))
        _save(src / "masks" / f"{name}.png", _ids())
    for number, split in enumerate(("train", "val", "test")):
        _save(tmp_path / "exact" / split / "images" / f"{split}.png", _image(number))
        _save(tmp_path / "exact" / split / "masks" / f"{split}.png", _ids())
    marked = tmp_path / "marked"
    build_datalist(src, marked, BuildOptions(validation=1))
    listed = json.loads((marked / "datalist.json").read_text())
    for item in listed["training"]:
        item.pop("segmentation")
    (marked / "datalist.json").write_text(json.dumps(listed))
    quick = GrabCutSettings(method="distance")
    return {
        "datalist": lambda out, overwrite: build_datalist(src, out, BuildOptions(overwrite=overwrite, validation=1)),
        "linked": lambda out, overwrite: build_datalist(src, out, BuildOptions(overwrite=overwrite, link=True)),
        "simulate": lambda out, overwrite: simulate(tmp_path / "exact", out, strong=1, overwrite=overwrite),
        "synthetic": lambda out, overwrite: make_dataset(out, overwrite=overwrite, **TINY),
        "grabcut": lambda out, overwrite: propose_dataset(marked, out, settings=quick, overwrite=overwrite),
    }


COMMANDS = ("datalist", "linked", "simulate", "synthetic", "grabcut")


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_made_is_replaced_and_what_a_person_changed_is_not(name, commands, tmp_path):
    make, out = commands[name], tmp_path / "out"
    make(out, False)
    first = labels(out)
    (out / ".DS_Store").write_text("of the system")
    make(out, True)
    assert labels(out) == first
    shutil.copytree(out, tmp_path / "copy")  # other times of the files
    make(tmp_path / "copy", True)
    label = next(path for path in sorted(out.rglob("*.png")) if path.parent.name != "images")
    changed = np.array(Image.open(label))
    changed.flat[0] = 1 - changed.flat[0] % 2
    Image.fromarray(changed).save(label)
    before = content(out)
    with pytest.raises(OutputExistsError, match=f"{label.name}' in .*out' changed since a command wrote it"):
        make(out, True)
    assert content(out) == before


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("added", ["notes.txt", "images/mine.tif", "training/models/model.pt", "detection/d.png"])
def test_files_that_no_command_wrote_stay(name, added, commands, tmp_path):
    make, out = commands[name], tmp_path / "out"
    make(out, False)
    (out / added).parent.mkdir(parents=True, exist_ok=True)
    (out / added).write_text("mine")
    before = content(out)
    with pytest.raises(OutputExistsError, match=f"'{added}', which is no part of the data set.*move that file out of it"):
        make(out, True)
    assert content(out) == before
    (out / added).rename(tmp_path / "elsewhere")
    make(out, True)


@pytest.mark.parametrize("name", ["datalist", "simulate", "synthetic"])
def test_a_project_of_the_window_stays(name, commands, tmp_path):
    project = tmp_path / "project"
    for number in range(2):
        _save(project / f"p{number}.png", _image(number))
    with Project.open(project, create=True, classes=("cell",)) as opened:
        entry = opened.images[0]
        label = opened.labels.read(entry, "detection")
        label[:9, :9] = 1
        opened.labels.save(entry, "detection", label)
        before = content(project)
        with pytest.raises(OutputExistsError, match=r"opened in a window, which left project\.json"):
            commands[name](project, True)
    assert {**before, **content(project)} == before
    (project / "project.json").unlink()
    with pytest.raises(OutputExistsError, match="does not say which command made it"):
        commands[name](project, True)


def test_a_data_set_that_is_open_in_a_window_or_was_corrected_there_stays(commands, tmp_path):
    out = tmp_path / "out"
    commands["datalist"](out, False)
    with Project.open(out) as opened:
        if not (out / "project.json").exists():
            with pytest.raises(OutputExistsError, match="open in a window"):
                commands["datalist"](out, True)
        entry = opened.images[0]
        label = opened.labels.read(entry, "detection")
        label[30:35, 40:45] = 1
        opened.labels.save(entry, "detection", label)
    before = content(out)
    with pytest.raises(OutputExistsError, match=r"project\.json"):
        commands["datalist"](out, True)
    assert content(out) == before


def test_a_file_that_comes_while_the_new_data_set_is_made_stays(commands, tmp_path):
    out = tmp_path / "out"
    commands["datalist"](out, False)

    def draw(_):
        (out / "project.json").write_text("{}")

    with pytest.raises(OutputExistsError, match=r"project\.json"):
        build_datalist(tmp_path / "src", out, BuildOptions(overwrite=True, validation=1), draw)
    assert (out / "project.json").read_text() == "{}"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_data_sets_of_earlier_versions_which_noted_no_digests_are_replaced(name, commands, tmp_path):
    make, out = commands[name], tmp_path / "out"
    make(out, False)
    first = labels(out)
    listed = json.loads((out / "datalist.json").read_text())
    del listed["written"]
    (out / "datalist.json").write_text(json.dumps(listed))
    make(out, True)
    assert labels(out) == first


def test_a_link_to_a_folder_is_no_part_of_a_data_set(commands, tmp_path):
    commands["datalist"](tmp_path / "out", False)
    (tmp_path / "theirs").mkdir()
    os.symlink(tmp_path / "theirs", tmp_path / "out" / "linked")
    with pytest.raises(OutputExistsError, match="'linked'"):
        check_target(tmp_path / "out", True)
