"""Files about an image are its own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.result_files import CLASSES_ENDING
from tests.interactive.folders import NONE, SHAPE, again, pictures, stroke


def test_images_of_one_name_have_labels_of_their_own(tmp_path):
    folder = pictures(tmp_path / "my", 1)
    picture = Image.open(folder / "images" / "a.png")
    picture.save(folder / "images" / "a.tif")
    picture.save(folder / "images" / "A.bmp")
    with Project.open(folder, create=True) as project:
        labels = [stroke(NONE, 1, (2, 2, 9, 9 + k)) for k in range(3)]
        for entry, label in zip(project.images, labels, strict=True):
            project.labels.save(entry, "detection", label)
        assert all(np.array_equal(project.labels.read(e, "detection"), m) for e, m in zip(project.images, labels, strict=True))


def work(project: Project, name: str, value: int) -> None:
    """Everything that is kept about an image: marks, marks before they were complete, corrected objects, finished masks."""
    entry, ids = project.entry(name), np.full(SHAPE, value, np.int32)
    project.labels.save(entry, "detection", stroke(NONE, 1, (2, 2, 9, 9 + value)))
    project.labels.set_complete(entry, "detection", True)
    project.finish(entry)
    classes = np.ones(value + 1, np.int64)
    project.save_kept(entry, accepted(ids, classes))
    finish.write_masks(project.files.finished_folder, project.files.result_name(name), ids, classes, project.classes)


def assert_whole(project: Project, name: str, value: int) -> None:
    """What :func:`work` left is there, and nothing is left lying under another name."""
    entry = project.entry(name)
    assert project.kept(entry).ids.max() == value
    found = finish.read_masks(project.files.finished_folder, project.files.result_name(name), SHAPE)
    assert found is not None
    assert found[0].max() == value
    project.labels.set_complete(entry, "detection", False)
    marks = project.labels.read(entry, "detection")
    assert (np.count_nonzero(marks == 1), np.count_nonzero(marks == 0)) == (7 * (7 + value), 0)


@pytest.mark.parametrize("later", [again, lambda project: project.refresh() or project], ids=["next sitting", "same sitting"])
@pytest.mark.parametrize("change", ["added", "taken away", "renamed", "both renamed"])
def test_another_image_of_the_same_name_comes_or_goes_and_nothing_is_lost(tmp_path, change, later):
    folder = pictures(tmp_path / "my", 2)
    one, other = folder / "images" / "a.png", folder / "images" / "a.tif"
    (folder / "images" / "b.png").rename(tmp_path / "b.png")
    other_picture = Image.open(tmp_path / "b.png").copy()
    if change != "added":
        other_picture.save(other)
    with Project.open(folder, create=True) as project:
        work(project, "images/a.png", 3)
        if change == "both renamed":
            work(project, "images/a.tif", 5)
        if change == "added":
            other_picture.save(other)
        elif change == "taken away":
            other.unlink()
        elif change == "renamed":
            one.rename(folder / "images" / "z.png")
        else:
            one.rename(folder / "images" / "z.png")
            other.rename(folder / "images" / "y.tif")
        with later(project) as opened:
            name = "images/z.png" if "renamed" in change else "images/a.png"
            assert_whole(opened, name, 3)
            count = 1
            if change == "both renamed":
                assert_whole(opened, "images/y.tif", 5)
                count = 2
            assert len(list(opened.files.finished_folder.glob(f"*{CLASSES_ENDING}*"))) == count
            if change == "added":
                work(opened, "images/a.tif", 5)
                assert_whole(opened, "images/a.png", 3)


def test_a_short_name_that_two_known_images_could_have_had_is_left_alone(tmp_path):
    folder = pictures(tmp_path / "my", 1)
    picture = Image.open(folder / "images" / "a.png").copy()
    with Project.open(folder, create=True) as project:
        work(project, "images/a.png", 3)
        kept = project.files.kept("images/a.png")
    content = kept.read_bytes()
    picture.save(folder / "images" / "a.tif")
    with Project.open(folder) as project:
        work(project, "images/a.tif", 5)
    kept.write_bytes(content)  # somebody puts a copy there
    with Project.open(folder) as project:
        assert kept.is_file()
        assert project.kept(project.entry("images/a.png")).ids.max() == 3
        assert project.kept(project.entry("images/a.tif")).ids.max() == 5
