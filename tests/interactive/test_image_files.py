"""The images in a folder."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.interactive.image_files import has_pictures, not_shown
from lazylabels_monai.interactive.project import Project


def test_a_folder_has_pictures_or_none(folder, tmp_path):
    assert has_pictures(folder)
    assert has_pictures(folder / "images")
    (tmp_path / "empty").mkdir()
    assert not has_pictures(tmp_path / "empty")


def test_pictures_that_are_not_shown_are_told_of(folder):
    images = folder / "images"
    (images / "plate1" / "well2").mkdir(parents=True)
    shutil.move(images / "b.png", images / "plate1" / "b.png")
    shutil.copy(images / "c.png", images / "plate1" / "well2" / "e.tif")
    shutil.copy(images / "c.png", folder / "root.png")
    (images / "d.czi").write_bytes(b"x")
    (images / "Notes.txt").write_text("none")
    with Project.open(folder, create=True) as project:
        assert [entry.name for entry in project.images] == ["images/a.png", "images/c.png"]
        below, beside, unread = project.notes
        assert below.startswith("'images/plate1/b.png' and 1 more are not shown")
        assert below.endswith(f"put them into '{images}' itself.")
        assert beside.startswith("'root.png' is not shown")
        assert unread == "'images/d.czi' is not shown, as that format is not read: save it as TIFF or PNG."
        project.refresh()
        assert len(project.notes) == 3  # once


def test_what_is_named_or_made_by_the_window_is_not_told_of(folder):
    (folder / "images" / "plate1").mkdir()
    for place in ("images/plate1/b.png", "mask.png"):
        shutil.copy(folder / "images" / "b.png", folder / place)
    item = {"image": "images/plate1/b.png", "segmentation": "mask.png"}
    (folder / "datalist.json").write_text(json.dumps({"classes": ["pore"], "training": [item]}))
    with Project.open(folder) as project:
        assert project.notes == []
    flat = folder / "images"
    for name in ("detection", "finished", "training", ".hidden"):
        (flat / name).mkdir()
        shutil.copy(flat / "a.png", flat / name / "a.png")
    shutil.rmtree(flat / "plate1")
    assert not_shown(flat) == []


def test_where_no_picture_can_be_shown_it_is_said_why(folder):
    images = folder / "images"
    (images / "plate1").mkdir()
    for name in ("a", "b", "c"):
        os.replace(images / f"{name}.png", images / "plate1" / f"{name}.png")
    with pytest.raises(DatalistError, match=r"holds no image: .*'images/plate1/a.png' and 2 more are not shown"):
        Project.open(folder, create=True)
