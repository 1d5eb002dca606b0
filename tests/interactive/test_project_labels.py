"""What is drawn: no stroke lost, nothing of others overwritten, and named by the datalist as soon as it says something."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.label_files import is_ours, write_marks
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import TASKS
from tests.interactive.folders import NONE, again, listed, pictures, stroke


@pytest.mark.parametrize("task", TASKS)
def test_marks_come_back_as_they_were_saved_and_the_training_reads_them(project, folder, task):
    entry = project.images[1]
    assert np.array_equal(project.labels.read(entry, task), NONE)
    assert not project.labels.is_complete(entry, task)
    label = stroke(stroke(NONE, 0, (20, 20, 30, 30)), 1, (5, 5, 12, 14))
    project.labels.save(entry, task, label)
    assert np.array_equal(project.labels.read(entry, task), label)
    assert entry.drawn == {task}
    (item,) = read_items(folder, "training", labelled_only=True)
    assert np.array_equal(read_label(item[task]), label)
    assert item[f"{task}_present"] == 1
    with again(project) as other:
        assert np.array_equal(other.labels.read(other.images[0], task), label)
        assert [entry.drawn for entry in other.images] == [{task}, set(), set()]  # those of the datalist come first


def test_marks_that_are_taken_back_leave_the_datalist_but_not_the_file(project, folder):
    entry = project.images[0]
    project.labels.save(entry, "detection", NONE)
    assert not (folder / "detection").exists()
    project.labels.save(entry, "detection", stroke(NONE, 2, (5, 5, 12, 14)))
    project.labels.save(entry, "detection", NONE)
    assert listed(folder)["training"] == []
    assert entry.drawn == set()
    with again(project) as other:
        assert other.notes == []
        assert other.images[0].drawn == set()


def test_an_item_that_says_more_stays(tmp_path):
    folder = pictures(tmp_path / "my", 1)
    item = {"image": "images/a.png", "pixel_size": "5 nm"}
    (folder / "datalist.json").write_text(json.dumps({"classes": ["pore"], "mine": 1, "training": [item]}))
    with Project.open(folder) as project:
        for label in (stroke(NONE, 1, (5, 5, 12, 14)), NONE):
            project.labels.save(project.images[0], "separation", label)
        assert listed(folder)["training"] == [item]
        assert listed(folder)["mine"] == 1


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (NONE[:-1], "pixels"),
        (stroke(NONE, 3, (0, 0, 2, 2)), "pore, grain"),
        (NONE.astype(float), "values"),
        (-NONE.astype(int), "0"),
    ],
)
def test_marks_that_no_training_takes_are_refused_and_change_nothing(project, folder, label, said):
    before = stroke(NONE, 2, (5, 5, 12, 14))
    project.labels.save(project.images[0], "detection", before)
    with pytest.raises(LazyLabelsError, match=said):
        project.labels.save(project.images[0], "detection", label)
    assert np.array_equal(project.labels.read(project.images[0], "detection"), before)
    with pytest.raises(LazyLabelsError, match="values"):
        project.labels.save(project.images[0], "separation", stroke(NONE, 2, (0, 0, 2, 2)))
    with pytest.raises(ValueError, match="masks"):
        project.labels.save(project.images[0], "masks", before)


# ------------------------------------------------------------------------------------------- what others made


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("where", ["detection", "../elsewhere"])
def test_what_a_person_made_elsewhere_is_kept(tmp_path, suffix, where):
    folder = pictures(tmp_path / "my", 1)
    made = stroke(NONE, 1, (5, 5, 12, 14))
    file = folder / where / f"a{suffix}"
    file.parent.mkdir()
    Image.fromarray(made).save(file)
    before = file.read_bytes()
    item = {"image": "images/a.png", "detection": f"{where}/a{suffix}"}
    (folder / "datalist.json").write_text(json.dumps({"classes": ["pore"], "training": [item]}))
    with Project.open(folder) as project:
        (entry,) = project.images
        assert np.array_equal(project.labels.read(entry, "detection"), made)
        for label in (stroke(made, 0, (30, 30, 40, 40)), NONE, made):
            project.labels.save(entry, "detection", label)
            assert np.array_equal(project.labels.read(entry, "detection"), label)
    kept = [path for path in tmp_path.rglob(f"a{suffix}") if path.read_bytes() == before]
    assert len(kept) == 1
    # the label of the project is one, whatever the other was
    assert listed(folder)["training"][0]["detection"] == "detection/a.png"
    assert is_ours(folder / "detection" / "a.png")


def test_a_label_that_was_changed_by_another_program_meanwhile_is_kept(project, folder):
    entry, file = project.images[0], folder / "detection" / "a.png"
    project.labels.save(entry, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    theirs = stroke(NONE, 2, (1, 1, 30, 30))
    Image.fromarray(theirs).save(file)
    project.labels.save(entry, "detection", stroke(NONE, 1, (5, 5, 12, 20)))
    assert np.array_equal(np.asarray(Image.open(folder / "replaced" / "detection" / "a.png")), theirs)


# ------------------------------------------------------------------------------------------- everything or some


@pytest.mark.parametrize("task", TASKS)
def test_everything_is_marked_and_back(project, task):
    """Unmarked pixels become background and are unknown again; background that was drawn stays."""
    entry = project.images[0]
    drawn = stroke(stroke(NONE, 0, (30, 30, 35, 40)), 1, (5, 5, 12, 14))
    project.labels.save(entry, task, drawn)
    project.labels.set_complete(entry, task, True)
    assert project.labels.is_complete(entry, task)
    assert np.array_equal(project.labels.read(entry, task), np.where(drawn == 1, 1, 0))
    project.labels.save(entry, task, stroke(drawn, 1, (15, 15, 18, 18)))  # as a layer has it: unmarked pixels are unmarked
    assert set(np.unique(project.labels.read(entry, task))) == {0, 1}
    project.labels.set_complete(entry, task, False)
    assert np.array_equal(project.labels.read(entry, task), stroke(drawn, 1, (15, 15, 18, 18)))
    with again(project) as other:
        assert not other.labels.is_complete(other.images[0], task)


def test_background_of_the_person_stays_without_the_tick(project):
    """All that is drawn, and no more than is left of it."""
    entry = project.images[0]
    everywhere = stroke(np.zeros_like(NONE), 1, (5, 5, 12, 14))
    project.labels.set_complete(entry, "detection", False)
    project.labels.save(entry, "detection", everywhere)
    project.labels.set_complete(entry, "detection", True)
    project.labels.set_complete(entry, "detection", False)
    assert np.array_equal(project.labels.read(entry, "detection"), everywhere)
    project.labels.save(entry, "detection", stroke(everywhere, 255, (20, 20, 25, 25)))
    project.labels.set_complete(entry, "detection", True)
    erased = stroke(stroke(everywhere, 255, (20, 20, 25, 25)), 255, (30, 30, 35, 40))
    project.labels.save(entry, "detection", np.where(erased == 255, erased, project.labels.read(entry, "detection")))
    project.labels.set_complete(entry, "detection", False)
    assert np.array_equal(project.labels.read(entry, "detection"), erased)


def test_everything_said_before_anything_is_drawn_says_nothing_yet(project, folder):
    """Nobody who ticks the box first means that the image is empty; who is done with it does."""
    entry = project.images[0]
    for task in ("segmentation", "detection"):
        project.labels.set_complete(entry, task, True)
    assert listed(folder)["training"] == []
    project.finish(entry)
    (item,) = listed(folder)["training"]
    assert item["empty"] is True
    assert {"segmentation", "detection"} <= set(item)
    assert check_datalist(folder, ("training",)).errors == []
    project.finish(entry, False)
    assert listed(folder)["training"] == []
    project.labels.save(entry, "segmentation", stroke(NONE, 1, (5, 5, 12, 14)))
    assert "empty" not in listed(folder)["training"][0]
    assert set(np.unique(project.labels.read(entry, "segmentation"))) == {0, 1}


def test_a_label_without_unlabelled_pixels_is_complete_unless_it_was_said_otherwise(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    with Project.open(tmp_path / "set") as project:
        entry = next(entry for entry in project.images if "segmentation" in entry.drawn)
        assert project.labels.is_complete(entry, "segmentation")
        project.labels.set_complete(entry, "segmentation", False)
        assert not project.labels.is_complete(entry, "segmentation")
        assert 0 not in project.labels.read(entry, "segmentation")


# ------------------------------------------------------------------------------------------- kills


def test_a_label_that_a_kill_left_unnamed_is_there_again(project, folder):
    label = stroke(NONE, 1, (5, 5, 12, 14))
    write_marks(folder / "detection" / "b.png", label)  # the moment before the datalist
    with again(project) as other:
        entry = other.entry("images/b.png")
        assert entry.drawn == {"detection"}
        assert np.array_equal(other.labels.read(entry, "detection"), label)
        assert len(other.notes) == 1
        assert "images/b.png" in other.notes[0]


#: More than the usual ones are tried by hand: KILLS=50.
KILLS = int(os.environ.get("KILLS", "10"))


def test_no_stroke_is_lost_by_a_kill(tmp_path):
    """Kills at random moments: every stroke whose saving returned is there, and the project opens and goes on."""
    folder = pictures(tmp_path / "my", 3, (64, 64))
    Project.open(folder, create=True).close()
    moments = random.Random(0)
    done = 0
    for _ in range(KILLS):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(read)
                project = Project.open(folder)
                for number in range(done, 10**6):
                    entry, task = project.entry(f"images/{'abc'[number % 3]}.png"), TASKS[number // 3 % 3]
                    label = project.labels.read(entry, task)
                    label[number // 64 % 64, number % 64] = 1
                    project.labels.save(entry, task, label)
                    os.write(write, number.to_bytes(4, "big"))
                    project.records.spend(entry, 1.0, task)
                    if number % 7 == 0:
                        project.records.set_section(entry, ("training", "validation")[number % 2])
            finally:
                os._exit(1)
        os.close(write)
        assert len(os.read(read, 4)) == 4  # it has begun
        time.sleep(moments.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said = b""
        while part := os.read(read, 1 << 16):
            said += part
        os.close(read)
        saved = done + 1 + len(said) // 4
        with Project.open(folder) as project:
            strokes = {(e.name, t): project.labels.read(e, t) for e in project.images for t in TASKS}
        missing = [
            n for n in range(saved) if strokes[f"images/{'abc'[n % 3]}.png", TASKS[n // 3 % 3]][n // 64 % 64, n % 64] != 1
        ]
        assert missing == []
        done = saved
    assert check_datalist(folder, ("training", "validation")).errors == []
    assert not [path for path in folder.rglob(".*.tmp") if "label" in path.name]


def test_an_image_whose_marks_are_erased_comes_back_in_its_split(project):
    entry = project.images[0]
    label = stroke(NONE, 1, (5, 5, 12, 14))
    content = {"image": entry.name, "detection": "mine/a.png"}
    project.records.datalist.change(lambda found: found["validation"].append(content))
    write_marks(project.folder / "mine" / "a.png", label)
    project.refresh()
    project.labels.save(entry, "detection", NONE)
    assert listed(project.folder)["validation"] == []
    project.labels.save(entry, "detection", label)
    assert entry.section == "validation"
    assert [item["image"] for item in listed(project.folder)["validation"]] == [entry.name]
