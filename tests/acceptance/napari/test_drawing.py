"""Strokes, classes, undo, "everything is marked", shapes, outlines: what is drawn lies in the files at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hand import press
from PIL import Image
from qtpy.QtCore import Qt
from test_first_steps import answer

from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive import correcting
from lazylabels_monai.interactive.image_files import read_picture
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.labels.rasterize import fill_polygons
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS


def stored(folder, task, entry) -> np.ndarray:
    """What the file holds, read by the path in datalist.json."""
    content = json.loads((folder / "datalist.json").read_text())
    item = next(item for item in content["training"] if item["image"] == entry.name)
    return read_label(folder / item[task])


def test_opening_shows_the_suggested_picture_with_three_layers_to_draw_in(dock, window, built_in):
    assert dock.open(built_in)
    viewer, _ = window
    names = [layer.name for layer in viewer.layers]
    assert {"Picture", "Inner regions", "Interface scribbles", "Exact masks"} <= set(names)
    assert dock.session.current.entry.section == "training"
    assert viewer.layers.selection.active.name == "Inner regions"
    assert str(viewer.layers.selection.active.mode) == "paint"
    assert dock.images.table.rowCount() == 5


def test_a_stroke_is_in_the_file_when_the_button_goes_up(dock, hand, built_in):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.stroke([(40, 40), (40, 50), (40, 60)])
    shown = dock.session.marks.layers["detection"].data
    label = stored(built_in, "detection", entry)
    assert label[40, 50] == 1
    assert (label == 1).sum() == (shown == 1).sum() > 100
    assert set(np.unique(label)) == {1, IGNORE}
    assert entry.drawn == {"detection"}


def test_keys_choose_classes_background_and_the_eraser_rubs_out(dock, hand, built_in):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.click((30, 30))
    hand.key(Qt.Key.Key_2)
    hand.click((30, 80))
    hand.key(Qt.Key.Key_0)
    hand.click((30, 130))
    label = stored(built_in, "detection", entry)
    assert (label[30, 30], label[30, 80], label[30, 130]) == (1, 2, BACKGROUND)
    hand.key(Qt.Key.Key_E)
    hand.click((30, 30))
    assert stored(built_in, "detection", entry)[30, 30] == IGNORE


def test_the_palette_and_the_kinds_are_buttons_too(dock, hand, built_in, window):
    dock.open(built_in)
    entry = dock.session.current.entry
    press(dock.draw._buttons[2])
    hand.click((60, 60))
    press(dock.draw.kinds["separation"])
    assert window[0].layers.selection.active.name == "Interface scribbles"
    hand.stroke([(60, 90), (60, 110)])
    assert stored(built_in, "detection", entry)[60, 60] == 2
    assert stored(built_in, "separation", entry)[60, 100] == 1
    assert entry.drawn == {"detection", "separation"}


def test_undo_and_redo_are_saved(dock, hand, built_in, until):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.click((30, 30))
    hand.click((60, 60))
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    until(lambda: stored(built_in, "detection", entry)[60, 60] == IGNORE)
    assert stored(built_in, "detection", entry)[30, 30] == 1
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    until(lambda: stored(built_in, "detection", entry)[60, 60] == 1)


def test_everything_is_marked_and_back(dock, hand, built_in):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.click((30, 30))
    press(dock.draw.complete)
    label = stored(built_in, "detection", entry)
    assert set(np.unique(label)) == {BACKGROUND, 1}
    hand.click((60, 60))
    assert stored(built_in, "detection", entry)[60, 60] == 1
    press(dock.draw.complete)
    assert set(np.unique(stored(built_in, "detection", entry))) == {1, IGNORE}


@pytest.mark.parametrize("meanwhile", [False, True], ids=["ticked by mistake", "drawn meanwhile"])
def test_undo_does_not_bring_back_the_background_of_a_tick(dock, hand, built_in, meanwhile):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.click((30, 30))
    hand.click((90, 90))
    press(dock.draw.complete)
    if meanwhile:
        hand.click((60, 60))
    press(dock.draw.complete)
    for _ in range(3 if meanwhile else 1):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        dock.session.marks.flush()
        label = stored(built_in, "detection", entry)
        assert set(np.unique(label)) == {1, IGNORE}
    assert label[30, 30] == 1
    assert label[90, 90] == (1 if meanwhile else IGNORE)  # a stroke of before the tick can be undone as ever


def test_undo_of_a_stroke_leaves_a_correction_as_it_is(dock, hand, built_in):
    dock.open(built_in)
    session = dock.session
    entry = session.current.entry
    hand.click((30, 30))
    hand.click((60, 60))
    box = np.zeros(session.current.shape, np.int32)
    box[20:100, 20:100] = 1
    session.corrections.correct(lambda ids, classes: correcting.outline(ids, 1, box > 0, 1))
    before = stored(built_in, "detection", entry)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    session.marks.flush()
    np.testing.assert_array_equal(stored(built_in, "detection", entry), before)
    hand.click((110, 140))
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    session.marks.flush()
    np.testing.assert_array_equal(stored(built_in, "detection", entry), before)


def test_another_picture_and_back(dock, hand, built_in):
    """Marks, undo and time belong to their picture."""
    dock.open(built_in)
    first = dock.session.current.entry
    hand.click((30, 30))
    hand.click((30, 60))
    press(dock.images.next)
    second = dock.session.current.entry
    assert second is not first
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not dock.session.marks.layers["detection"].data.any()
    dock.session.show(first)
    assert dock.session.marks.layers["detection"].data[30, 60] == 1
    assert first.seconds > 0
    assert second.seconds == 0


def test_a_polygon_becomes_marks(dock, hand, built_in, until):
    dock.open(built_in)
    entry = dock.session.current.entry
    press(dock.draw.kinds["segmentation"])
    dock.draw.draw_shapes("add_polygon")
    corners = [(20, 20), (20, 60), (70, 60), (70, 20)]
    for corner in corners:
        hand.click(corner)
    hand.hover((40, 16))  # a mouse never stands still; where it does, napari takes the last corner for its place
    hand.key(Qt.Key.Key_Escape)  # napari's key for the end of a polygon
    until(lambda: "segmentation" in entry.drawn)
    label = stored(built_in, "segmentation", entry)
    part, mask = fill_polygons([[np.array(corners) + 0.5]], label.shape)
    expected = np.full(label.shape, IGNORE)
    expected[part][mask] = 1
    wrong = label != expected
    assert wrong.sum() < 250  # a mouse hits pixels of the screen, not of the picture: one row or column on each side
    assert label[45, 40] == 1
    assert label[10, 10] == IGNORE


@pytest.mark.parametrize(
    "leave", [lambda dock: press(dock.images.next), lambda dock: dock.session.close()], ids=["next", "close"]
)
def test_a_polygon_that_was_not_ended_is_a_mark_of_its_picture(dock, hand, built_in, qtbot, leave):
    dock.open(built_in)
    first = dock.session.current.entry
    press(dock.draw.kinds["segmentation"])
    dock.draw.draw_shapes("add_polygon")
    for corner in [(20, 20), (20, 60), (70, 60), (70, 20)]:
        hand.click(corner)
    hand.hover((40, 16))
    leave(dock)
    label = stored(built_in, "segmentation", first)
    assert (label[45, 40], label[100, 40]) == (1, IGNORE)
    assert any(first.name in sentence for sentence, _ in dock.heard)
    if dock.session.current.entry is None:
        return
    second = dock.session.current.entry
    qtbot.wait(50)
    hand.key(Qt.Key.Key_Escape)
    qtbot.wait(50)
    assert second is not first
    assert second.drawn == set()
    hand.click((45, 40))
    assert second.drawn == {"segmentation"}


@pytest.mark.parametrize("other", ["Shapes to marks", "Picture"])
def test_the_next_picture_is_drawn_with_the_same_kind_of_marks(dock, hand, built_in, window, other):
    dock.open(built_in)
    press(dock.draw.kinds["segmentation"])
    window[0].layers.selection.active = window[0].layers[other]
    press(dock.images.next)
    assert dock.draw.kinds["segmentation"].isChecked()
    hand.click((45, 40))
    assert dock.session.current.entry.drawn == {"segmentation"}


def test_an_outline_is_proposed_and_taken_with_enter(dock, hand, built_in, until, window):
    dock.open(built_in)
    entry = dock.session.current.entry
    truth = read_picture(entry.path)
    assert truth.ndim == 2
    hand.click((64, 80))
    hand.key(Qt.Key.Key_G)
    hand.click((64, 80))
    until(lambda: "Proposed outline" in window[0].layers)
    assert "segmentation" not in entry.drawn
    proposed = window[0].layers["Proposed outline"].data > 0
    hand.key(Qt.Key.Key_Return)
    until(lambda: "segmentation" in entry.drawn)
    assert "Proposed outline" not in window[0].layers
    label = stored(built_in, "segmentation", entry)
    np.testing.assert_array_equal(label == 1, proposed)
    assert set(np.unique(label)) == {BACKGROUND, 1, IGNORE}  # background close around it, of the rest nothing is said
    assert (label == IGNORE).mean() > 0.5


@pytest.mark.parametrize("boxes", [[(40, 80, 40, 118)], [(40, 80, 40, 79), (40, 80, 79, 118)]], ids=["merged", "parted"])
def test_outlines_of_touching_objects_leave_what_was_drawn(dock, hand, until, window, tmp_path, boxes):
    (tmp_path / "p" / "images").mkdir(parents=True)
    picture = np.full((128, 160), 30.0)
    picture[40:80, 40:118] = 180
    picture[40:80, 78:80] = 110
    picture += np.random.default_rng(0).normal(0, 4, picture.shape)
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(tmp_path / "p" / "images" / "a.png")
    dabs, scribble = np.full((2, *picture.shape), IGNORE, np.uint8)
    dabs[46:74, 46:73] = dabs[46:74, 85:112] = 1
    scribble[40:80, 78:80] = 1
    with Project.open(tmp_path / "p", create=True, classes=("cell",)) as project:
        for task, label in (("detection", dabs), ("separation", scribble)):
            project.labels.save(project.images[0], task, label)
    dock.open(tmp_path / "p")
    answer(dock, boxes)
    entry = dock.session.current.entry

    def take(place: tuple[int, int]) -> dict[str, np.ndarray]:
        dock.draw.propose(place)
        until(lambda: "Proposed outline" in window[0].layers)
        hand.key(Qt.Key.Key_Return)
        return {task: dock.session.current.project.labels.read(entry, task) for task in TASKS}

    first = take((60, 60))
    assert (first["segmentation"] == 1).sum() > 1000
    assert not (first["segmentation"][42:78, 80:118] == BACKGROUND).any()  # the other object
    for labels in (first, take((60, 100))):
        assert (labels["separation"][scribble == 1] == 1).all()
        assert (labels["detection"][dabs == 1] == 1).all()
    # a cut leaves it, too
    answer(dock, [(40, 80, 40, 118)], token=2)
    dock.correct.correct("Split", np.array([(30, 60), (90, 60)]))
    assert (dock.session.current.project.labels.read(entry, "separation")[scribble == 1] == 1).all()


def test_what_cannot_be_opened_is_one_sentence(dock, tmp_path):
    (tmp_path / "datalist.json").write_text("{")
    assert not dock.session.open(tmp_path)
    sentence, wrong = dock.heard[-1]
    assert wrong
    assert "datalist.json" in sentence
    assert "\n" not in sentence


def test_all_tasks_have_a_kind(dock):
    assert set(dock.draw.kinds) == set(TASKS)


def test_a_label_that_cannot_be_read_leaves_what_is_shown_as_it_is(dock, hand, built_in):
    dock.open(built_in)
    shown = dock.session.current.entry
    hand.click((30, 30))
    other = next(entry for entry in dock.session.current.project.images if entry.section == "validation")
    Path(built_in, "segmentation", Path(other.name).name).write_bytes(b"no picture")
    dock.session.show(other)
    assert dock.heard[-1][1]
    assert dock.session.current.entry is shown
    hand.click((60, 60))
    label = stored(built_in, "detection", shown)
    assert label[30, 30] == label[60, 60] == 1


def test_a_layer_that_was_thrown_away_comes_back_with_its_marks(dock, hand, built_in, window):
    dock.open(built_in)
    hand.click((30, 30))
    window[0].layers.remove(dock.session.marks.layers["detection"])
    press(dock.draw.kinds["detection"])
    assert window[0].layers["Inner regions"].data[30, 30] == 1
    hand.click((60, 60))
    assert stored(built_in, "detection", dock.session.current.entry)[60, 60] == 1
