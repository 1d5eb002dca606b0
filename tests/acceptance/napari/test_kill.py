"""A window that is killed while one draws: every stroke that was drawn is there when the project is opened again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SIZE
from PIL import Image

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.project import Project

#: More of them are tried by hand: KILLS=10 make test-napari.
KILLS = int(os.environ.get("KILLS", "1"))
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def finished(built_in):
    """The first picture is finished: object 1 of class 1, object 2 of class 2."""
    ids, classes = np.zeros(SIZE, np.int32), np.array([0, 1, 2])
    ids[10:30, 10:30], ids[60:90, 60:90] = 1, 2
    with Project.open(built_in) as project:
        entry = project.images[0]
        project.claim(entry)
        project.finish(entry)
        name = project.files.result_name(entry.name)
        files = finish.write_masks(project.files.finished_folder, name, ids, classes, project.classes, entry.path)
        project.save_kept(entry, accepted(ids, classes))
    return entry.name, files, ids, classes


def test_masks_that_a_stop_left_torn_are_written_again(dock, built_in, finished):
    """As an earlier version did: the classes without object 2, the ids with it."""
    name, files, ids, classes = finished
    torn = classes[np.where(ids == 2, 0, ids)].astype(np.uint8)
    Image.fromarray(torn).save(files[0])
    dock.open(built_in)
    dock.session.show(dock.session.current.project.entry(name))
    assert np.array_equal(dock.session.current.seen.classes[dock.session.current.seen.objects], classes[ids])
    assert np.array_equal(read_label(files[0]), classes[ids])
    assert np.array_equal(read_label(files[1]) > 0, ids > 0)
    assert np.array_equal(read_label(built_in / "replaced" / "finished" / files[0].name), torn)
    assert any(f"the masks of '{name}'" in sentence for sentence, _ in dock.heard)


def test_a_stop_on_the_way_back_from_finished_leaves_no_result_of_an_unfinished_picture(dock, built_in, finished, monkeypatch):
    name, files, ids, _ = finished
    dock.open(built_in)
    session = dock.session
    session.show(session.current.project.entry(name))

    def refuse(*_):
        raise LazyLabelsError("the disk is write-protected")

    for what in ((finish, "remove_masks"), (session.current.project, "finish")):
        with monkeypatch.context() as patch:
            patch.setattr(*what, refuse)
            session.finished.finish(False)
        assert dock.heard[-1] == ("the disk is write-protected", True)
        assert session.current.entry.finished
    entry = session.current.entry
    for shown in (session.current.project.images[-1], entry):  # the masks were removed the second time
        session.show(shown)
    assert np.array_equal(read_label(files[1]) > 0, ids > 0)
    session.finished.finish(False)
    assert not session.current.entry.finished
    assert not any(file.exists() for file in files)


@pytest.mark.parametrize("seed", range(KILLS))
def test_no_stroke_is_lost(built_in, seed):
    """Killed between two strokes or in the middle of one, by SIGKILL."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("drawing_child.py")), str(built_in)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    chance = random.Random(seed)
    name, drawn, enough = None, [], chance.randint(3, 25)
    for line in child.stdout:
        word, *rest = line.split()
        if word == "image":
            name = " ".join(rest)
        elif word == "drawn":
            drawn.append(tuple(map(int, rest)))
        if len(drawn) == enough:
            time.sleep(chance.random() / 10)
            child.send_signal(signal.SIGKILL)
            break
    drawn += [tuple(map(int, line.split()[1:])) for line in child.stdout if line.count(" ") == 2 and line.endswith("\n")]
    child.wait()
    assert len(drawn) >= enough
    with Project.open(built_in) as project:
        entry = project.entry(name)
        marks = project.labels.read(entry, "detection")
        assert [place for place in drawn if marks[place] != 1] == []
        assert entry.seconds > 0
    assert load_datalist(built_in)["training"]
