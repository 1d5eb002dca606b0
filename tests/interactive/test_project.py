"""A folder that a person draws in: today's layout at every moment."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.finish import write_masks
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.locks import InUseError
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.tasks import TASKS
from tests.interactive.folders import NONE, SHAPE, again, listed, stroke


def test_a_bare_folder_becomes_a_project_and_asks_for_nothing(folder):
    with pytest.raises(DatalistError, match=r"datalist\.json"):
        Project.open(folder)
    with Project.open(folder, create=True) as project:
        assert project.classes == ["object"]
        assert [entry.name for entry in project.images] == ["images/a.png", "images/b.png", "images/c.png"]
        assert {entry.section for entry in project.images} == {"training"}
        # a training takes no image that teaches nothing
        assert listed(folder) == {"classes": ["object"], "training": [], "validation": [], "testing": []}


def test_pictures_beside_the_datalist_will_do(tmp_path):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "a.png")
    with Project.open(tmp_path, create=True) as project:
        project.labels.save(project.images[0], "detection", stroke(NONE, 1, (2, 2, 9, 9)))
        project.refresh()
        assert [entry.name for entry in project.images] == ["a.png"]
        assert listed(tmp_path)["training"][0]["detection"] == "detection/a.png"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_folder_and_no_image_are_said(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatalistError, match=name):
        Project.open(tmp_path / name, create=True)
    assert list((tmp_path / "empty").iterdir()) == []


def test_one_window_at_a_time(project, folder):
    child = os.fork()
    if not child:
        try:
            Project.open(folder)
        except InUseError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_tools_find_nothing_wrong_with_what_was_drawn(project, folder):
    for entry, task in zip(project.images, TASKS, strict=True):
        project.labels.save(entry, task, stroke(NONE, 1, (5, 5, 12, 14)))
    project.records.set_section(project.images[2], "validation")
    assert check_datalist(folder, ("training", "validation")).errors == []


def test_images_that_were_added_are_there_after_a_look(project, folder):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / "images" / "new.png")
    first = project.images[0]
    project.refresh()
    assert project.images[-1].name == "images/new.png"
    assert project.images[0] is first
    assert project.entry("images/new.png") is project.images[-1]
    with pytest.raises(LazyLabelsError, match="images/old"):
        project.entry("images/old.png")


def test_finished_masks_go_by_the_names_that_the_kinds_have_now(project, folder):
    project.set_classes(["pore", "crystal"])
    assert not project.files.finished_folder.exists()  # nothing is finished
    entry = project.images[0]
    names = project.files.result_name(entry.name)
    write_masks(project.files.finished_folder, names, np.pad([[1, 2]], 9), {1: 1, 2: 2}, project.classes)
    project.set_classes(["air", "ice", "fat"])
    assert find_labels(folder / "finished")[1] == ("air", "ice", "fat")  # as measure, report and export-objects read them


def test_other_names_beside_finished_masks_are_told_of_and_kinds_puts_them_right(project, folder):
    (folder / "finished").mkdir()
    (folder / "finished" / "classes.json").write_text('["bubble", "crystal"]')  # of an earlier version, or a person's
    with again(project) as project:
        (note,) = project.notes
        assert "classes.json' names the kinds bubble, crystal and the project pore, grain" in note
        project.set_classes(project.classes)
    with again(project) as project:
        assert project.notes == []
