"""A folder that a person draws in: today's layout at every moment, and no stroke lost."""

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
from lazylabels_monai.data.datalist import DatalistError, read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.label_files import is_ours, write_marks
from lazylabels_monai.interactive.project import Project, has_pictures
from lazylabels_monai.locks import InUseError
from lazylabels_monai.tasks import TASKS
from tests.interactive.folders import SHAPE, listed, pictures, stroke

NONE = np.full(SHAPE, 255, np.uint8)


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "my")


@pytest.fixture
def project(folder):
    with Project.open(folder, create=True, classes=["pore", "grain"]) as project:
        yield project


def again(project: Project) -> Project:
    """The project opened by another window, after this one was closed."""
    project.close()
    return Project.open(project.folder)


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
        project.save_marks(project.images[0], "detection", stroke(NONE, 1, (2, 2, 9, 9)))
        project.refresh()
        assert [entry.name for entry in project.images] == ["a.png"]
        assert listed(tmp_path)["training"][0]["detection"] == "detection/a.png"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_folder_and_no_image_are_said(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatalistError, match=name):
        Project.open(tmp_path / name, create=True)
    assert list((tmp_path / "empty").iterdir()) == []


def test_classes_that_no_datalist_takes_leave_no_datalist(folder):
    with pytest.raises(DatalistError, match="background"):
        Project.open(folder, create=True, classes=["background"])
    assert not (folder / "datalist.json").exists()


def test_one_window_at_a_time(project, folder):
    child = os.fork()
    if not child:
        try:
            Project.open(folder)
        except InUseError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("task", TASKS)
def test_marks_come_back_as_they_were_saved_and_the_training_reads_them(project, folder, task):
    entry = project.images[1]
    assert np.array_equal(project.marks(entry, task), NONE)
    assert not project.complete(entry, task)
    label = stroke(stroke(NONE, 0, (20, 20, 30, 30)), 1, (5, 5, 12, 14))
    project.save_marks(entry, task, label)
    assert np.array_equal(project.marks(entry, task), label)
    assert entry.drawn == {task}
    (item,) = read_items(folder, "training", labelled_only=True)
    assert np.array_equal(read_label(item[task]), label)
    assert item[f"{task}_present"] == 1
    with again(project) as other:
        assert np.array_equal(other.marks(other.images[0], task), label)
        assert [entry.drawn for entry in other.images] == [{task}, set(), set()]  # those of the datalist come first


def test_the_tools_find_nothing_wrong_with_what_was_drawn(project, folder):
    for entry, task in zip(project.images, TASKS, strict=True):
        project.save_marks(entry, task, stroke(NONE, 1, (5, 5, 12, 14)))
    project.set_section(project.images[2], "validation")
    assert check_datalist(folder, ("training", "validation")).errors == []


def test_marks_that_are_taken_back_leave_the_datalist_but_not_the_file(project, folder):
    entry = project.images[0]
    project.save_marks(entry, "detection", NONE)
    assert not (folder / "detection").exists()
    project.save_marks(entry, "detection", stroke(NONE, 2, (5, 5, 12, 14)))
    project.save_marks(entry, "detection", NONE)
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
            project.save_marks(project.images[0], "separation", label)
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
    project.save_marks(project.images[0], "detection", before)
    with pytest.raises(LazyLabelsError, match=said):
        project.save_marks(project.images[0], "detection", label)
    assert np.array_equal(project.marks(project.images[0], "detection"), before)
    with pytest.raises(LazyLabelsError, match="values"):
        project.save_marks(project.images[0], "separation", stroke(NONE, 2, (0, 0, 2, 2)))
    with pytest.raises(ValueError, match="masks"):
        project.save_marks(project.images[0], "masks", before)


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
        assert np.array_equal(project.marks(entry, "detection"), made)
        for label in (stroke(made, 0, (30, 30, 40, 40)), NONE, made):
            project.save_marks(entry, "detection", label)
            assert np.array_equal(project.marks(entry, "detection"), label)
    kept = [path for path in tmp_path.rglob(f"a{suffix}") if path.read_bytes() == before]
    assert len(kept) == 1
    # the label of the project is one, whatever the other was
    assert listed(folder)["training"][0]["detection"] == "detection/a.png"
    assert is_ours(folder / "detection" / "a.png")


def test_a_label_that_was_changed_by_another_program_meanwhile_is_kept(project, folder):
    entry, file = project.images[0], folder / "detection" / "a.png"
    project.save_marks(entry, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    theirs = stroke(NONE, 2, (1, 1, 30, 30))
    Image.fromarray(theirs).save(file)
    project.save_marks(entry, "detection", stroke(NONE, 1, (5, 5, 12, 20)))
    assert np.array_equal(np.asarray(Image.open(folder / "replaced" / "detection" / "a.png")), theirs)


def test_a_datalist_that_another_program_wrote_meanwhile_is_kept(project, folder):
    project.save_marks(project.images[0], "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    content = (folder / "datalist.json").read_text().replace('"digest"', '"pixel_size": "5 nm", "digest"')
    (folder / "datalist.json").write_text(content)
    project.save_marks(project.images[1], "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    assert [item.get("pixel_size") for item in listed(folder)["training"]] == ["5 nm", None]


def test_images_of_one_name_have_labels_of_their_own(tmp_path):
    folder = pictures(tmp_path / "my", 1)
    picture = Image.open(folder / "images" / "a.png")
    picture.save(folder / "images" / "a.tif")
    picture.save(folder / "images" / "A.bmp")
    with Project.open(folder, create=True) as project:
        labels = [stroke(NONE, 1, (2, 2, 9, 9 + k)) for k in range(3)]
        for entry, label in zip(project.images, labels, strict=True):
            project.save_marks(entry, "detection", label)
        assert all(np.array_equal(project.marks(e, "detection"), m) for e, m in zip(project.images, labels, strict=True))


def test_images_that_were_added_are_there_after_a_look(project, folder):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / "images" / "new.png")
    first = project.images[0]
    project.refresh()
    assert project.images[-1].name == "images/new.png"
    assert project.images[0] is first
    assert project.entry("images/new.png") is project.images[-1]
    with pytest.raises(LazyLabelsError, match="images/old"):
        project.entry("images/old.png")


# ------------------------------------------------------------------------------------------- everything or some


@pytest.mark.parametrize("task", TASKS)
def test_everything_is_marked_and_back(project, task):
    """Unmarked pixels become background and are unknown again; background that was drawn stays."""
    entry = project.images[0]
    drawn = stroke(stroke(NONE, 0, (30, 30, 35, 40)), 1, (5, 5, 12, 14))
    project.save_marks(entry, task, drawn)
    project.set_complete(entry, task, True)
    assert project.complete(entry, task)
    assert np.array_equal(project.marks(entry, task), np.where(drawn == 1, 1, 0))
    project.save_marks(entry, task, stroke(drawn, 1, (15, 15, 18, 18)))  # as a layer has it: unmarked pixels are unmarked
    assert set(np.unique(project.marks(entry, task))) == {0, 1}
    project.set_complete(entry, task, False)
    assert np.array_equal(project.marks(entry, task), stroke(drawn, 1, (15, 15, 18, 18)))
    with again(project) as other:
        assert not other.complete(other.images[0], task)


def test_everything_said_before_anything_is_drawn_says_nothing_yet(project, folder):
    """Nobody who ticks the box first means that the image is empty; who is done with it does."""
    entry = project.images[0]
    for task in ("segmentation", "detection"):
        project.set_complete(entry, task, True)
    assert listed(folder)["training"] == []
    project.finish(entry)
    (item,) = listed(folder)["training"]
    assert item["empty"] is True
    assert {"segmentation", "detection"} <= set(item)
    assert check_datalist(folder, ("training",)).errors == []
    project.finish(entry, False)
    assert listed(folder)["training"] == []
    project.save_marks(entry, "segmentation", stroke(NONE, 1, (5, 5, 12, 14)))
    assert "empty" not in listed(folder)["training"][0]
    assert set(np.unique(project.marks(entry, "segmentation"))) == {0, 1}


def test_a_label_without_unlabelled_pixels_is_complete_unless_it_was_said_otherwise(tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "set")
    with Project.open(tmp_path / "set") as project:
        entry = next(entry for entry in project.images if "segmentation" in entry.drawn)
        assert project.complete(entry, "segmentation")
        project.set_complete(entry, "segmentation", False)
        assert not project.complete(entry, "segmentation")
        assert 0 not in project.marks(entry, "segmentation")


# ------------------------------------------------------------------------------------------- state


def test_splits_times_and_ticks_last(project, folder):
    first, second = project.images[:2]
    project.set_section(first, "validation")
    project.save_marks(first, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.save_marks(second, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.set_section(second, "testing")
    project.spend(first, 3.5, "detection")
    project.spend(first, 1.5)
    project.note_predicted(second)
    project.note_corrected(second, ["separation"])
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
        project.set_section(first, "nowhere")
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            project.spend(first, bad)


def test_images_without_marks_come_first_and_finished_ones_not_at_all(project):
    a, b, c = project.images
    project.save_marks(a, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    assert project.suggest() == [b, c, a]
    project.finish(b)
    project.set_section(c, "testing")
    assert project.suggest() == [a]


def test_a_persons_own_seconds_are_fitted(project):
    """Seconds of a task over what was drawn; classes that are not there cost their second."""
    regions = NONE
    for number in range(6):
        regions = stroke(regions, 1 + number % 2, (4, 2 + 8 * number, 10, 7 + 8 * number))
    assert project.cost_model().inner == 10.9
    project.save_marks(project.images[0], "detection", regions)
    project.spend(project.images[0], 24.0, "detection")
    project.spend(project.images[0], 100.0)
    costs = project.cost_model()
    assert costs.inner == pytest.approx(4.0)
    assert (costs.strong, costs.scribble) == (79.0, 2.4)


def test_the_networks_uncertainty_ranks_images(trained, tiny_data, tmp_path):
    """The order is that of `lazylabels suggest`."""
    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.suggest import suggest

    shutil.copytree(tiny_data, tmp_path / "set")
    model = Model(trained / "models" / "model.pt", overrides={"device": "cpu"})
    with Project.open(tmp_path / "set") as project:
        for entry in project.images:
            project.save_marks(entry, "separation", np.full_like(project.marks(entry, "separation"), 255))
        names = [entry.path.name for entry in project.suggest(model)]
        expected = suggest(tmp_path / "set" / "images", model, tmp_path / "set").ranked
        order = list(dict.fromkeys(os.path.basename(one.image) for one in expected))
        assert names == [*order, *(name for name in names if name not in order)]
        assert len(order) > 1


# ------------------------------------------------------------------------------------------- kills


def test_a_label_that_a_kill_left_unnamed_is_there_again(project, folder):
    label = stroke(NONE, 1, (5, 5, 12, 14))
    write_marks(folder / "detection" / "b.png", label)  # the moment before the datalist
    with again(project) as other:
        entry = other.entry("images/b.png")
        assert entry.drawn == {"detection"}
        assert np.array_equal(other.marks(entry, "detection"), label)
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
                    label = project.marks(entry, task)
                    label[number // 64 % 64, number % 64] = 1
                    project.save_marks(entry, task, label)
                    os.write(write, number.to_bytes(4, "big"))
                    project.spend(entry, 1.0, task)
                    if number % 7 == 0:
                        project.set_section(entry, ("training", "validation")[number % 2])
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
            strokes = {(e.name, t): project.marks(e, t) for e in project.images for t in TASKS}
        missing = [
            n for n in range(saved) if strokes[f"images/{'abc'[n % 3]}.png", TASKS[n // 3 % 3]][n // 64 % 64, n % 64] != 1
        ]
        assert missing == []
        done = saved
    assert check_datalist(folder, ("training", "validation")).errors == []
    assert not [path for path in folder.rglob(".*.tmp") if "label" in path.name]


def test_classes_are_named_anew_and_more_of_them(project):
    entry = project.images[0]
    project.save_marks(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    project.set_classes(["pore", "needle", "plate"])
    assert listed(project.folder)["classes"] == project.classes == ["pore", "needle", "plate"]
    project.save_marks(entry, "detection", stroke(project.marks(entry, "detection"), 3, (25, 25, 30, 30)))
    with again(project) as opened:
        assert opened.classes == ["pore", "needle", "plate"]
        assert set(np.unique(opened.marks(opened.images[0], "detection"))) == {2, 3, 255}


@pytest.mark.parametrize("names", [["pore"], [], ["pore", "pore"], ["pore", " "], ["pore", "background"]])
def test_names_that_are_none_leave_the_classes_as_they_are(project, names):
    before = project.file.read_bytes()
    with pytest.raises(DatalistError, match=r"datalist\.json"):
        project.set_classes(names)
    assert project.file.read_bytes() == before
    assert project.classes == ["pore", "grain"]
    project.save_marks(project.images[0], "detection", stroke(NONE, 2, (5, 5, 20, 20)))


def test_a_folder_has_pictures_or_none(folder, tmp_path):
    assert has_pictures(folder)
    assert has_pictures(folder / "images")
    (tmp_path / "empty").mkdir()
    assert not has_pictures(tmp_path / "empty")


def test_an_image_that_is_renamed_keeps_what_was_drawn_on_it(project):
    """Renamed between two sittings, or while a window has it open."""
    entry = project.images[0]
    project.save_marks(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    project.set_complete(entry, "detection", True)
    project.spend(entry, 12.0, "detection")
    project.save_kept(entry, accepted(np.ones(SHAPE, np.int32), np.array([0, 2])))
    label = project.marks(entry, "detection")
    entry.path.rename(entry.path.with_name("z.png"))
    with again(project) as opened:
        assert [image.name for image in opened.images] == ["images/z.png", "images/b.png", "images/c.png"]
        assert any("'images/a.png' is called 'images/z.png' now" in note for note in opened.notes)
        found = opened.entry("images/z.png")
        assert np.array_equal(opened.marks(found, "detection"), label)
        assert opened.kept(found).everything
        assert found.seconds == 12.0
        opened.set_complete(found, "detection", False)
        assert set(np.unique(opened.marks(found, "detection"))) == {2, 255}
        found.path.rename(found.path.with_name("y.png"))
        opened.save_marks(found, "detection", stroke(label, 1, (0, 0, 3, 3)))  # before anybody looked
        assert opened.changed()
        opened.refresh()
        assert not opened.changed()
        assert found.name == "images/y.png"
        assert opened.marks(found, "detection")[1, 1] == 1
    assert [item["image"] for item in read_items(project.folder, "training")] == [str(project.folder / "images" / "y.png")]


def test_an_image_that_only_looks_like_one_that_is_gone_is_not_taken_for_it(project):
    entry = project.images[0]
    project.save_marks(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    entry.path.unlink()
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(entry.path.with_name("z.png"))
    with again(project) as opened:
        assert not opened.entry("images/z.png").drawn
        assert opened.entry("images/a.png").drawn
