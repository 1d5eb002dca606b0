"""Splits, seconds and ticks of images."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive import correcting
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import write_classes
from tests.interactive.folders import NONE, SHAPE, again, listed, stroke


def test_splits_times_and_ticks_last(project, folder):
    first, second = project.images[:2]
    project.records.set_section(first, "validation")
    project.labels.save(first, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.labels.save(second, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.records.set_section(second, "testing")
    project.records.spend(first, 3.5, "detection")
    project.records.spend(first, 1.5)
    project.records.note_predicted(second)
    project.records.note_corrected(second, ["separation"])
    project.finish(second)
    assert [len(listed(folder)[section]) for section in ("training", "validation", "testing")] == [0, 1, 1]
    with again(project) as other:
        first, second, third = other.entry("images/a.png"), other.entry("images/b.png"), other.entry("images/c.png")
        assert (first.section, second.section, third.section) == ("validation", "testing", "training")
        assert first.seconds == 5.0
        assert second.finished
        assert second.predicted
        assert second.corrected == {"separation"}
    with pytest.raises(DatalistError, match="nowhere"):
        project.records.set_section(first, "nowhere")
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            project.records.spend(first, bad)


def known(project, names=None):
    """All that a window shows of the images; ``names``: of these."""
    return project.classes, {
        entry.name: (
            (entry.section, entry.drawn, entry.predicted, entry.corrected, entry.finished, entry.seconds),
            [(project.labels.is_complete(entry, task), project.labels.drawn(entry, task).tobytes()) for task in TASKS],
            project.records.item(entry),
        )
        for entry in project.images
        if names is None or entry.name in names
    }


def opened_elsewhere(project, folder, names=None):
    """The same of the files as they are."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".project.lock"))
    with Project.open(folder) as other:
        return known(other, names)


@contextmanager
def refused(way, number):
    """The disk refuses the one of the files that are written within: to begin it, or to put it in its place."""
    numbers, place, name = count(1), *((os, "replace") if way == "replace" else (Path, "open"))
    made = getattr(place, name)

    def call(*args, **kwargs):
        if (way == "replace" or args[1:2] == ("wb",)) and next(numbers) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return made(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, call)
        yield


def erasing(project, entry):
    ids = np.zeros(SHAPE, np.int32)
    ids[4:30, 4:30] = 1
    correcting.apply(project, entry, correcting.erase(ids, ids > 0))


ACTS = {
    "finish": lambda project, drawn, bare: project.finish(drawn),
    "finish an empty one": lambda project, drawn, bare: project.finish(bare),
    "section": lambda project, drawn, bare: project.records.set_section(drawn, "testing"),
    "section of a bare one": lambda project, drawn, bare: project.records.set_section(bare, "testing"),
    "spend": lambda project, drawn, bare: project.records.spend(drawn, 30.0, "detection"),
    "predicted": lambda project, drawn, bare: project.records.note_predicted(drawn),
    "corrected": lambda project, drawn, bare: project.records.note_corrected(drawn, ["separation"]),
    "complete": lambda project, drawn, bare: project.labels.set_complete(drawn, "detection", True),
    "not complete": lambda project, drawn, bare: project.labels.set_complete(bare, "detection", False),
    "classes": lambda project, drawn, bare: project.set_classes(["hole", "grain", "more"]),
    "correction": lambda project, drawn, bare: erasing(project, drawn),
}


@pytest.mark.parametrize("way", ["open", "replace"])
@pytest.mark.parametrize("act", ACTS)
def test_an_act_that_the_disk_refuses_changes_nothing_now_or_later(project, tmp_path, act, way):
    drawn, bare, other = project.images
    for task in ("detection", "segmentation"):
        project.labels.save(drawn, task, stroke(stroke(NONE, 1, (5, 5, 12, 14)), 0, (20, 20, 24, 24)))
    project.labels.save(bare, "detection", stroke(NONE, 0, (5, 5, 12, 14)))
    project.labels.set_complete(bare, "detection", True)
    project.files.finished_folder.mkdir()
    write_classes(project.files.finished_folder, project.classes)
    before, names = known(project), (drawn.name, bare.name)
    assert opened_elsewhere(project, tmp_path / "other") == before
    for number in count(1):
        try:
            with refused(way, number):
                ACTS[act](project, drawn, bare)
        except (LazyLabelsError, OSError):
            assert known(project) == before
            assert opened_elsewhere(project, tmp_path / "other") == before
            assert not [note for note in project.notes if "Kinds" in note]
            project.records.spend(other, 1.0)  # the disk has room again
            assert opened_elsewhere(project, tmp_path / "other", names)[1] == known(project, names)[1]
            before = known(project)
        else:
            break
    assert number > 1
    assert known(project) != before
    assert opened_elsewhere(project, tmp_path / "other") == known(project)


def test_a_datalist_is_changed_only_where_the_state_has_its_room(project, monkeypatch):
    """A full disk takes nothing back either."""
    entry = project.images[0]
    project.labels.save(entry, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    before = (project.folder / "datalist.json").stat().st_ino
    made = Path.open

    def full(path, mode="r", *args, **kwargs):
        if mode == "wb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return made(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(LazyLabelsError, match=r"project\.json"):
        project.records.set_section(entry, "testing")
    assert (project.folder / "datalist.json").stat().st_ino == before
    assert entry.section == "training"


@pytest.mark.parametrize("way", ["open", "replace"])
def test_marks_go_with_a_renamed_picture_though_the_disk_refuses_it_at_first(project, way):
    entry = project.images[0]
    label = stroke(NONE, 1, (5, 5, 12, 14))
    for number in count(1):
        project.labels.save(entry, "detection", label)
        name = f"images/new{number}.png"
        entry.path.rename(project.folder / name)
        try:
            with refused(way, number):
                project.refresh()
        except (LazyLabelsError, OSError):
            project.refresh()
        else:
            break
        assert (entry.name, entry.path) == (name, project.folder / name)
        assert np.array_equal(project.labels.read(entry, "detection"), label)
        with again(project) as other:
            assert np.array_equal(other.labels.read(other.entry(name), "detection"), label)
        project = Project.open(project.folder)
        entry = project.entry(name)
    project.close()
    assert number > 1
