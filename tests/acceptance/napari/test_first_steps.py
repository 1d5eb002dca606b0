"""What made a new user stumble: the right tool is in the hand after another one, and nothing is asked in vain."""

from __future__ import annotations

import numpy as np
import pytest
from hand import Hand, press
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QInputDialog, QPushButton

from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.interactive.answering import Prediction
from lazylabels_monai.tasks import INTERFACE

UNDO = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def predicted(dock, built_in):
    """The dock with a picture and two predicted objects beside each other, as a network would have answered."""
    dock.open(built_in)
    entry, picture = dock.session.entry, dock.session.picture
    shape = picture.shape[:2]
    objects = np.zeros(shape, np.int32)
    objects[40:80, 40:90], objects[90:110, 40:90] = 1, 2
    scores = np.stack([objects == 0, objects > 0, np.zeros(shape, bool)]).astype(np.float32)
    whole = slice(0, shape[0]), slice(0, shape[1])
    even = np.zeros(shape, np.float32)
    found = {"segmentation": scores, "separation": even, "objects": objects, "classes": np.array([0, 1, 1])}
    dock.session._take(Prediction(1, entry.name, whole, **found, uncertainty=even, last=True))
    Hand.settle()
    yield dock
    dock.tabs.setCurrentIndex(0)


def marked(dock, place, task="detection") -> int:
    return int(dock.session.project.marks(dock.session.entry, task)[place])


def test_after_an_outline_the_brush_is_in_the_hand_again(dock, hand, built_in, until, window):
    dock.open(built_in)
    hand.click((64, 80))
    hand.key(Qt.Key.Key_G)
    hand.click((64, 80))
    until(lambda: "Proposed outline" in window[0].layers)
    hand.key(Qt.Key.Key_Escape)
    hand.click((30, 30))
    assert marked(dock, (30, 30)) == 1


def test_back_on_the_tab_draw_one_draws(predicted, hand):
    dock = predicted
    dock.tabs.setCurrentIndex(2)
    press(dock.correct.buttons["Split"])
    dock.tabs.setCurrentIndex(0)
    hand.stroke([(60, 30), (60, 65), (60, 100)])
    assert marked(dock, (60, 65)) == 1
    assert len(np.unique(dock.session.maps.objects)) == 3
    assert not dock.correct.buttons["Split"].isChecked()


def test_a_kind_of_marks_puts_the_tool_away_that_is_shown_as_chosen(predicted, hand):
    dock = predicted
    press(dock.correct.buttons["Split"])
    dock.draw.choose("separation")
    assert not any(made.isChecked() for made in dock.correct.buttons.values())
    dock.sizes.find.setChecked(True)
    dock.sizes._ask_for_object()
    press(dock.correct.buttons["Erase"])
    assert not dock.sizes.find.isChecked()


def test_keys_of_classes_take_the_brush_after_a_correction(predicted, hand):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    hand.key(Qt.Key.Key_S)
    before = dock.session.maps.objects.copy()
    hand.key(Qt.Key.Key_2)
    hand.click((20, 20))
    assert marked(dock, (20, 20)) == 2
    np.testing.assert_array_equal(dock.session.maps.objects, before)


@pytest.mark.parametrize("name", ["Predicted: objects", "Predicted: classes"])
def test_nobody_paints_into_a_prediction(predicted, hand, window, name):
    layer = window[0].layers[name]
    before = layer.data.copy()
    window[0].layers.selection.active = layer
    for key in (Qt.Key.Key_P, Qt.Key.Key_F, Qt.Key.Key_E):
        hand.key(key)
        hand.click((60, 60))
    np.testing.assert_array_equal(layer.data, before)


def test_ctrl_z_takes_a_correction_back(predicted, hand):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    before = dock.session.maps.objects.copy()
    hand.stroke([(60, 30), (60, 65), (60, 100)])
    assert len(np.unique(dock.session.maps.objects)) == 4
    hand.key(Qt.Key.Key_Z, UNDO)
    np.testing.assert_array_equal(dock.session.maps.objects, before)
    assert not (dock.session.project.marks(dock.session.entry, "separation") == INTERFACE).any()


def test_marks_shown_again_leave_the_brush_in_the_hand(dock, hand, built_in):
    dock.open(built_in)
    dock.tabs.setCurrentIndex(2)
    ticks = dock.correct.findChild(Visibility)
    ticks.marks.click()
    ticks.marks.click()
    dock.session.marks.layers["separation"].visible = False
    ticks._show_marks(True)
    hand.click((30, 30))
    assert marked(dock, (30, 30)) == 1


def test_a_click_for_an_outline_does_not_wait_on_the_next_picture(dock, hand, built_in):
    dock.open(built_in)
    hand.key(Qt.Key.Key_G)
    press(dock.images.next)
    hand.click((30, 30))
    assert marked(dock, (30, 30)) == 1


# ------------------------------------------------------------------------------------------------- finished


def test_finished_without_a_prediction_says_that_no_mask_was_written(dock, built_in):
    dock.open(built_in)
    press(dock.images.finished)
    sentence, wrong = dock.heard[-1]
    assert wrong
    assert "wait" in sentence
    assert not list((built_in / "finished").glob("*.tif"))


def test_what_is_corrected_after_finished_is_written_anew(predicted, hand, built_in):
    dock = predicted
    press(dock.images.finished)
    file = built_in / "finished" / f"{dock.session.entry.path.stem}_pred.png"
    assert np.asarray(Image.open(file))[60, 60] == 1
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    assert np.asarray(Image.open(file))[60, 60] == 0
    hand.key(Qt.Key.Key_Z, UNDO)
    assert np.asarray(Image.open(file))[60, 60] == 1


# ------------------------------------------------------------------------------------------------- folders and kinds


def test_names_are_not_asked_for_in_vain(dock, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *words: str(tmp_path))
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, **more: asked.append(words) or ("object", True))
    dock.images.ask_for_images()
    sentence, wrong = dock.heard[-1]
    assert wrong
    assert "holds no image" in sentence
    assert not asked


def test_kinds_are_named_in_a_project_that_is_open(dock, hand, tmp_path, monkeypatch):
    """A folder named on the command line opens with the one kind "object"."""
    for name in "ab":
        Image.fromarray(np.full((128, 160), 90, np.uint8)).save(tmp_path / f"{name}.png")
    dock.open(tmp_path)
    entry = dock.session.entry
    hand.click((30, 30))
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, **more: ("bubble, crystal", True))
    press(next(made for made in dock.images.findChildren(QPushButton) if made.text() == "Kinds…"))
    assert dock.session.entry is entry
    assert load_datalist(tmp_path)["classes"] == ["bubble", "crystal"]
    assert [dock.draw._buttons[value].text() for value in (1, 2)] == ["1  bubble", "2  crystal"]
    assert dock.correct.classes.count() == 2
    hand.key(Qt.Key.Key_2)
    hand.click((60, 60))
    assert (marked(dock, (30, 30)), marked(dock, (60, 60))) == (1, 2)
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, **more: ("bubble", True))
    dock.images.ask_for_classes()
    assert dock.heard[-1][1]
    assert load_datalist(tmp_path)["classes"] == ["bubble", "crystal"]


def test_the_status_bar_names_the_keys_as_they_are_here(dock, hand, built_in, window):
    dock.open(built_in)
    for key in (Qt.Key.Key_E, Qt.Key.Key_P, Qt.Key.Key_F):
        hand.key(key)
        assert "<1>" not in window[0].help
        assert "1 to 9 choose the class" in window[0].help
