"""Files about an image are its own."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.project_files import ProjectFiles
from lazylabels_monai.interactive.state import STATE_FILE
from lazylabels_monai.result_files import CLASSES_ENDING
from lazylabels_monai.tasks import TASKS
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


def work(project: Project, name: str, value: int, marks: bool = True) -> None:
    """What a window keeps about an image: marks, marks before they were complete, corrected objects, finished masks."""
    entry, ids = project.entry(name), np.full(SHAPE, value, np.int32)
    if marks:
        project.labels.save(entry, "detection", stroke(NONE, 1, (2, 2, 9, 9 + value)))
        project.labels.set_complete(entry, "detection", True)
        project.labels.save(entry, "segmentation", stroke(NONE, 0, (2, 2, 9, 9 + value)))  # stands in no datalist
    project.finish(entry)
    classes = np.ones(value + 1, np.int64)
    project.save_kept(entry, accepted(ids, classes))
    finish.write_masks(project.files.finished_folder, project.files.result_name(name), ids, classes, project.classes)


def assert_whole(project: Project, name: str, value: int, marks: bool = True) -> None:
    """What :func:`work` left is there."""
    entry = project.entry(name)
    assert entry.finished
    assert project.kept(entry).ids.max() == value
    found = finish.read_masks(project.files.finished_folder, project.files.result_name(name), SHAPE)
    assert found is not None
    assert found[0].max() == value
    seen = project.labels.read(entry, "detection")
    assert np.count_nonzero(seen == 1) == (7 * (7 + value) if marks else 0)
    assert np.count_nonzero(project.labels.read(entry, "segmentation") == 0) == (7 * (7 + value) if marks else 0)
    if marks:
        project.labels.set_complete(entry, "detection", False)
        assert (project.labels.read(entry, "detection") != 0).all()
        project.labels.set_complete(entry, "detection", True)


def assert_untouched(project: Project, name: str) -> None:
    """Nothing is known of an image."""
    entry = project.entry(name)
    assert not entry.finished
    assert project.kept(entry).nothing
    assert finish.read_masks(project.files.finished_folder, project.files.result_name(name), SHAPE) is None
    assert all((project.labels.read(entry, task) == 255).all() for task in TASKS)


def results(project: Project) -> int:
    return len(list(project.files.finished_folder.glob(f"*{CLASSES_ENDING}*")))


def looked_at(project: Project) -> Project:
    project.refresh()
    return project


@pytest.fixture
def images(tmp_path):
    """Folder of three images, of which only the first is in the project's folder; makes the others."""
    folder = pictures(tmp_path / "my", 3) / "images"
    kept = [Image.open(folder / f"{name}.png").copy() for name in "abc"]
    for name in "bc":
        (folder / f"{name}.png").unlink()
    return folder, kept


LATER = pytest.mark.parametrize("later", [again, looked_at], ids=["next sitting", "same sitting"])
MARKS = pytest.mark.parametrize("marks", [True, False], ids=["marked", "not marked"])


@LATER
@MARKS
@pytest.mark.parametrize("both", [True, False], ids=["both worked on", "one worked on"])
@pytest.mark.parametrize("change", ["added", "taken away", "away and back", "renamed", "both renamed", "old name again"])
def test_whatever_images_come_and_go_each_keeps_its_own(images, change, both, marks, later):
    folder, (_, other, new) = images
    png, tif = folder / "a.png", folder / "a.tif"
    if change not in ("added", "old name again"):
        other.save(tif)
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3, marks)
        if both and tif.exists():
            work(project, "images/a.tif", 5, marks)
        both = both and tif.exists()
        one, second = "images/a.png", "images/a.tif"
        if change == "added":
            other.save(tif)
        elif change in ("taken away", "away and back"):
            content = png.read_bytes()
            png.unlink()
        elif change == "renamed":
            png.rename(folder / "z.png")
            one = "images/z.png"
        elif change == "both renamed":
            png.rename(folder / "z.png")
            tif.rename(folder / "y.tif")
            one, second = "images/z.png", "images/y.tif"
        else:
            png.rename(folder / "z.png")
            one = "images/z.png"
        with later(project) as opened:
            if change == "away and back":
                if both:
                    assert_whole(opened, second, 5, marks)
                png.write_bytes(content)
                opened.refresh()
            if change == "old name again":
                new.save(png)
                opened.refresh()
            if change != "taken away":
                assert_whole(opened, one, 3, marks)
            if both:
                assert_whole(opened, second, 5, marks)
            assert results(opened) == 1 + both
            if change in ("added", "old name again"):
                newcomer = "images/a.tif" if change == "added" else "images/a.png"
                assert_untouched(opened, newcomer)
                work(opened, newcomer, 4, marks)
                assert_whole(opened, one, 3, marks)
                assert_whole(opened, newcomer, 4, marks)
                assert results(opened) == 2


@MARKS
def test_a_copy_whose_original_goes_is_the_original(images, marks):
    folder, _ = images
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3, marks)
        entry = project.entry("images/a.png")
        (folder / "z.png").write_bytes(entry.path.read_bytes())
        project.refresh()
        entry.path.unlink()
        project.refresh()
        assert [image.name for image in project.images] == ["images/z.png"]
        assert project.images[0] is entry
        assert_whole(project, "images/z.png", 3, marks)


@LATER
def test_an_image_of_another_ending_keeps_its_files(images, later):
    folder, (picture, _, _) = images
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3)
        files = sorted(path for path in folder.parent.rglob("*") if path.is_file() and path.parent != folder)
        picture.save(folder / "a.tif")
        (folder / "a.png").unlink()
        with later(project) as opened:
            assert_whole(opened, "images/a.tif", 3)
            assert sorted(path for path in folder.parent.rglob("*") if path.is_file() and path.parent != folder) == files


@LATER
def test_a_name_that_something_else_has_is_not_taken(images, later):
    """Of an image that is gone, or of no image at all: nothing is written over, and nothing shown for another's."""
    folder, (_, other, _) = images
    other.save(folder / "z.png")
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3)
        work(project, "images/z.png", 7)
        (folder / "z.png").unlink()
        (folder / "a.png").rename(folder / "z.png")
        with later(project) as opened:
            assert_whole(opened, "images/z.png", 3)  # the name was the other's, whose pixels it has not
            (told,) = [note for note in opened.notes if "not there any more" in note]
            assert "'images/z.png'" in told
            (waiting,) = [name for name in opened.records.digests if name != "images/z.png"]
            with np.load(opened.files.kept(waiting)) as content:
                assert content["ids"].max() == 7
        stray = project.files.finished_folder / f"y{CLASSES_ENDING}.png"
        stray.write_bytes(b"somebody's")
        (folder / "z.png").rename(folder / "y.png")
    with Project.open(folder.parent) as project:
        assert_whole(project, "images/y.png", 3)
        assert stray.read_bytes() == b"somebody's"


def test_a_disk_that_refuses_leaves_all_files_where_they_are(images, monkeypatch):
    folder, _ = images
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3)
        (folder / "a.png").rename(folder / "z.png")
        rename, calls = Path.rename, []

        def refusing(path: Path, target: Path) -> Path:
            calls.append(path)
            if len(calls) == 3:
                raise PermissionError("in use")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", refusing)
        project.refresh()
        monkeypatch.undo()
        assert len(calls) == 5  # two and one that failed, and two back
        assert_whole(project, "images/z.png", 3)
    with Project.open(folder.parent) as project:
        assert_whole(project, "images/z.png", 3)


class Stopped(BaseException):
    """As a kill: nothing is put in order after it."""


def stopped_before(patch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> bool:
    """Whether an act ended before its n-th change of names on the disk."""
    done = itertools.count(1)
    for name in ("rename", "replace", "unlink"):

        def counted(change: Callable[..., object], *args: object, **options: object) -> object:
            if next(done) >= number:
                raise Stopped
            return change(*args, **options)

        patch.setattr(os, name, partial(counted, getattr(os, name)))
    try:
        act()
    except Stopped:
        return True
    return False


@pytest.mark.parametrize("names", [{"a": "b", "b": "a"}, {"a": "b", "b": "c"}], ids=["swapped", "in turn"])
def test_a_stop_while_files_follow_their_pictures_loses_none(tmp_path, monkeypatch, names):
    first, values = pictures(tmp_path / "first", 2), {"a": 3, "b": 5}
    with Project.open(first, create=True) as project:
        for name, value in values.items():
            work(project, f"images/{name}.png", value)
    for name in names:
        (first / "images" / f"{name}.png").rename(first / name)
    for name, new in names.items():
        (first / name).rename(first / "images" / f"{new}.png")
    count = len([path for path in first.rglob("*") if path.is_file()])
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        shutil.copytree(first, folder)
        with monkeypatch.context() as patch:
            stopped = stopped_before(patch, number, lambda folder=folder: Project.open(folder).close())
        with Project.open(folder) as project:
            for name, value in values.items():
                assert_whole(project, f"images/{names.get(name, name)}.png", value)
            left = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
            assert len(left) - (folder / ".project.lock").exists() == count - (first / ".project.lock").exists(), left
        if not stopped:
            break
    assert number > 10


def spelled(folder: Path, form: str) -> None:
    """All names of files in another Unicode form, as disks of Macs, archives and shares change them."""
    for place, _, names in os.walk(folder):
        for name in names:
            os.rename(Path(place, name), Path(place, unicodedata.normalize(form, name)))


@LATER
@MARKS
@pytest.mark.parametrize(("before", "after"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_another_unicode_form_are_the_same_names(images, marks, later, before, after):
    folder, (_, other, _) = images
    name = unicodedata.normalize(before, "Pr\u00fcfst\u00fcck")
    (folder / "a.png").rename(folder / f"{name}.png")
    other.save(folder / f"{name}.tif")
    with Project.open(folder.parent, create=True) as project:
        work(project, f"images/{name}.png", 3, marks)
        work(project, f"images/{name}.tif", 5, marks)
        files = [path for path in folder.parent.rglob("*") if path.is_file()]
        spelled(folder.parent, after)
        with later(project) as opened:
            assert opened.notes == []
            assert not opened.changed()
            assert sorted(image.name for image in opened.images) == [f"images/{name}.png", f"images/{name}.tif"]
            assert all(image.path.is_file() for image in opened.images)
            assert_whole(opened, f"images/{name}.png", 3, marks)
            assert_whole(opened, f"images/{name}.tif", 5, marks)
            work(opened, f"images/{name}.png", 4, marks)  # written where they lie
            assert_whole(opened, f"images/{name}.png", 4, marks)
            assert len([path for path in folder.parent.rglob("*") if path.is_file()]) == len(files)
            assert finish.report(opened.files.finished_folder, opened, warn=pytest.fail).is_file()
        assert not marks or all(Path(item["detection"]).is_file() for item in read_items(folder.parent, "training"))
        spelled(folder.parent, before)  # and back
    with Project.open(folder.parent) as project:
        assert project.notes == []
        assert_whole(project, f"images/{name}.png", 4, marks)
        assert_whole(project, f"images/{name}.tif", 5, marks)


@LATER
def test_two_pictures_whose_names_differ_in_form_alone_keep_their_own(images, later):
    folder, (_, other, _) = images
    one, two = (unicodedata.normalize(form, "images/\u00fc.png") for form in ("NFC", "NFD"))
    (folder / "a.png").rename(folder.parent / one)
    if (folder.parent / two).exists():
        pytest.skip("this disk takes them for one")
    other.save(folder.parent / two)
    with Project.open(folder.parent, create=True) as project:
        work(project, one, 3)
        assert_untouched(project, two)
        work(project, two, 5)
        with later(project) as opened:
            assert_whole(opened, one, 3)
            assert_whole(opened, two, 5)


@pytest.mark.parametrize(
    "names",
    [
        ("scan.tif", "scan.tif.png"),
        ("images/a.png", "images_a.png.png"),
        ("s/t/b.png", "s_t/b.png"),
        ("a.png", "A.bmp"),
        ("\u00fc.png", "u\u0308.tif"),
        ("x" * 240 + ".png", "y" * 240 + ".png"),
        ("up/" * 80 + "a.png", "up/" * 81 + "a.png"),
    ],
)
def test_no_two_images_share_a_file(tmp_path, names):
    files = ProjectFiles(tmp_path)
    for shared in (names, (*names, "other/" + Path(names[0]).name, "other/" + Path(names[1]).name)):
        files.assign(shared, {}, {})
        every = [str(path).lower() for name in dict.fromkeys(shared) for path in files._all(files.stem(name), name)]
        assert len(set(every)) == len(every)
        assert all(len(Path(path).name) < 256 + 20 for path in every)


def test_a_project_of_before_has_its_files(images):
    """Nothing is said of what its files are called: they are called as they were then."""
    folder, (_, other, _) = images
    other.save(folder / "a.tif")
    with Project.open(folder.parent, create=True) as project:
        work(project, "images/a.png", 3)
        work(project, "images/a.tif", 5)
    state = folder.parent / STATE_FILE
    content = json.loads(state.read_text())
    for values in content["images"].values():
        del values["stem"], values["digest"]
    state.write_text(json.dumps(content))
    with Project.open(folder.parent) as project:
        assert_whole(project, "images/a.png", 3)
        assert_whole(project, "images/a.tif", 5)
