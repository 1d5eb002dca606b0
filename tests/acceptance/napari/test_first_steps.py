"""What made a new user stumble: the right tool is in the hand after another one, and nothing is asked in vain."""

from __future__ import annotations

import json
from threading import Event

import numpy as np
import pytest
from hand import Hand, press
from PIL import Image, ImageDraw
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QInputDialog, QPushButton
from scipy.ndimage import binary_erosion

from lazylabels_monai.apps.napari import draw_panel
from lazylabels_monai.apps.napari.prediction_layers import DETECTION
from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.interactive.answering import Prediction
from lazylabels_monai.interactive.finish import read_masks
from lazylabels_monai.tasks import INTERFACE

UNDO = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def predicted(dock, built_in):
    """The dock with a picture and two predicted objects beside each other, as a network would have answered."""
    dock.open(built_in)
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)])
    yield dock
    dock.tabs.setCurrentIndex(0)


def answer(dock, boxes, token=1, last=True, look=None) -> None:
    """The network answers for the picture in view: objects of the first class that fill boxes; quickly, if not the last.

    It was asked at a look of before, if ``look`` says so.
    """
    entry, shape = dock.session.current.entry, dock.session.current.picture.shape[:2]
    objects = np.zeros(shape, np.int32)
    for number, (top, bottom, left, right) in enumerate(boxes, 1):
        objects[top:bottom, left:right] = number
    scores = np.stack([objects == 0, objects > 0, np.zeros(shape, bool)]).astype(np.float32)
    whole = slice(0, shape[0]), slice(0, shape[1])
    even = np.zeros(shape, np.float32)
    classes = np.minimum(np.arange(len(boxes) + 1), 1)
    core = binary_erosion(objects > 0, iterations=5)
    inner = np.stack([~core, core, scores[2]]).astype(np.float32)
    found = {"segmentation": scores, "detection": inner, "separation": even, "objects": objects, "classes": classes}
    asked = dock.session.current.looks if look is None else look, token
    dock.session.predictions.take(Prediction(asked, entry.name, whole, **found, uncertainty=even, last=last))
    Hand.settle()


def marked(dock, place, task="detection") -> int:
    return int(dock.session.current.project.labels.read(dock.session.current.entry, task)[place])


def test_the_inner_regions_that_the_network_sees_can_be_shown(predicted):
    dock = predicted
    dock.tabs.setCurrentIndex(1)
    assert not dock.session.maps.layers[DETECTION].visible
    dock.train.detection.click()
    shown = dock.session.maps.layers[DETECTION]
    assert shown.visible
    assert (shown.data[60, 65], shown.data[42, 65], shown.data[20, 65]) == (1, 0, 0)  # inside, at the border, outside
    answer(dock, [(10, 30, 40, 90)], token=2)
    assert shown.visible
    assert (shown.data[60, 65], shown.data[20, 65]) == (0, 1)
    dock.train.detection.click()
    assert not shown.visible


def test_a_prediction_says_nothing_and_warns_of_nothing(dock, built_in):
    dock.open(built_in)
    dock.heard.clear()
    answer(dock, [(40, 80, 40, 90)])
    assert dock.heard == []


def test_a_typed_pixel_size_is_told_and_does_not_go_to_another_project(predicted, until, built_in):
    dock = predicted
    dock.tabs.setCurrentIndex(3)
    dock.sizes.pixel_size.setText("0.5um")
    dock.sizes.pixel_size.editingFinished.emit()
    until(lambda: "(pixel 0.5 µm, as you typed)" in dock.sizes.summary.text())
    dock.open(built_in)
    assert dock.sizes.pixel_size.text() == ""


def test_after_an_outline_the_brush_is_in_the_hand_again(dock, hand, built_in, until, window):
    dock.open(built_in)
    hand.click((64, 80))
    hand.key(Qt.Key.Key_G)
    hand.click((64, 80))
    until(lambda: "Proposed outline" in window[0].layers)
    hand.key(Qt.Key.Key_Escape)
    hand.click((30, 30))
    assert marked(dock, (30, 30)) == 1


def test_an_outline_replaces_the_object_that_was_clicked_whatever_its_id_is_by_then(predicted, hand, until, window):
    dock = predicted
    dock.draw.propose((60, 60))
    until(lambda: "Proposed outline" in window[0].layers)
    answer(dock, [(90, 110, 40, 90), (40, 80, 40, 90), (10, 20, 100, 120)], token=2)  # the ids begin anew
    outline, before = window[0].layers["Proposed outline"].data > 0, dock.session.maps.objects.copy()
    hand.key(Qt.Key.Key_Return)
    now = dock.session.maps.objects
    assert ((now == ids_at(dock, (60, 60))[0]) == outline).all()
    for other in ((100, 60), (15, 110)):  # nobody meant those
        assert ((now == ids_at(dock, other)[0]) == (before == before[other])).all()
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90), (10, 20, 100, 120)], token=3)
    assert all(ids_at(dock, (60, 60), (100, 60), (15, 110)))


def test_an_outline_stays_until_the_whole_picture_is_answered(dock, hand, built_in, until, window):
    dock.open(built_in)
    answer(dock, [(40, 64, 40, 90), (64, 80, 40, 90)], last=False)  # cut along a tile
    dock.draw.propose((60, 60))
    until(lambda: "Proposed outline" in window[0].layers)
    outline = window[0].layers["Proposed outline"].data > 0
    hand.key(Qt.Key.Key_Return)
    assert "whole picture is not answered yet" in dock.heard[-1][0]
    assert "Proposed outline" in window[0].layers
    answer(dock, [(40, 80, 40, 90)])
    hand.key(Qt.Key.Key_Return)
    assert "Proposed outline" not in window[0].layers
    exact = dock.session.current.project.labels.read(dock.session.current.entry, "segmentation")
    assert ((exact == 1) == outline).all()


@pytest.mark.parametrize("shown", [False, True], ids=["under way", "shown"])
def test_an_outline_stays_on_its_picture(predicted, hand, until, window, monkeypatch, shown):
    dock, asked = predicted, Event()
    outline_of = draw_panel.outline_of
    monkeypatch.setattr(draw_panel, "outline_of", lambda *given: asked.wait(60) and outline_of(*given))
    first = dock.session.current.entry
    dock.draw.propose((60, 60))
    if shown:
        asked.set()
        until(lambda: "Proposed outline" in window[0].layers)
    press(dock.images.next)
    assert dock.session.current.entry is not first
    asked.set()
    until(lambda: not dock.session.work._workers)
    Hand.settle()
    assert "Proposed outline" not in window[0].layers
    hand.key(Qt.Key.Key_Return)
    assert first.drawn == dock.session.current.entry.drawn == set()


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
    assert not (dock.session.current.project.labels.read(dock.session.current.entry, "separation") == INTERFACE).any()


def test_a_stroke_erases_all_that_it_touches_and_an_unsteady_click_one(predicted, hand):
    dock = predicted
    hand.key(Qt.Key.Key_D)
    hand.stroke([(60, 60), (75, 62), (100, 60)])
    assert not dock.session.maps.objects.any()
    assert marked(dock, (60, 60)) == marked(dock, (100, 60)) == 0
    hand.key(Qt.Key.Key_Z, UNDO)
    assert len(np.unique(dock.session.maps.objects)) == 3  # one step for both
    shake = 2 / dock.session.viewer.scene.camera.zoom
    answer(dock, [(40, 60, 40, 90), (60, 110, 40, 90)], token=2)
    hand.stroke([(60.5 - shake, 60), (60.5, 60)])  # over the border of the two
    assert list(np.unique(dock.session.maps.objects)) == [0, 1]
    hand.key(Qt.Key.Key_D)


def test_learning_anew_is_a_way_to_begin(dock, hand, built_in, until):
    dock.open(built_in)
    hand.click((64, 80))
    dock.tabs.setCurrentIndex(1)
    dock.train.start_from.setCurrentText("From the starter, learning anew")
    press(dock.train.train)
    begun = built_in / "training" / "models" / "begun.json"
    until(begun.is_file)
    press(dock.train.stop)
    until(lambda: not dock.session.is_training)
    assert '"anew": true' in begun.read_text()
    assert dock.train.start_from.currentText() == "From this project's last weights"
    dock.tabs.setCurrentIndex(0)


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
    file = built_in / "finished" / f"{dock.session.current.entry.path.stem}_pred.png"
    assert np.asarray(Image.open(file))[60, 60] == 1
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    assert np.asarray(Image.open(file))[60, 60] == 0
    hand.key(Qt.Key.Key_Z, UNDO)
    assert np.asarray(Image.open(file))[60, 60] == 1


def test_only_objects_of_the_whole_picture_are_corrected_measured_and_finished(dock, hand, built_in, until):
    dock.open(built_in)
    answer(dock, [(40, 64, 40, 90), (64, 80, 40, 90)], last=False)  # cut along a tile
    dock.session.viewer.layers.selection.active = dock.session.maps.objects_layer
    hand.key(Qt.Key.Key_D)
    hand.click((50, 60))
    assert "whole picture" in dock.heard[-1][0]
    assert ids_at(dock, (50, 60)) == [1]
    assert not (built_in / "corrected").exists()
    dock.tabs.setCurrentIndex(3)
    until(lambda: "whole picture" in dock.sizes.summary.text())
    assert dock.sizes.model.rows == []
    press(dock.images.finished)
    assert "whole picture" in dock.heard[-1][0]
    assert not list((built_in / "finished").glob("*_pred.png"))
    answer(dock, [(40, 80, 40, 90)])
    ids = np.asarray(Image.open(built_in / "finished" / f"{dock.session.current.entry.path.stem}_instances.tif"))
    assert [len(np.unique(ids)), ids[50, 60]] == [2, ids[70, 60]]
    until(lambda: len(dock.sizes.model.rows) == 1)
    hand.key(Qt.Key.Key_D)
    dock.tabs.setCurrentIndex(0)


@pytest.mark.parametrize("larger", [0, 40], ids=["as large", "smaller"])
def test_an_answer_for_the_picture_of_before_is_none_for_another_under_its_name(dock, built_in, larger):
    dock.open(built_in)
    current = dock.session.current
    look, entry, before = current.looks, current.entry, current.picture
    answer(dock, [(40, 60, 40, 60)], last=False)
    other = np.random.default_rng(0).integers(0, 255, (before.shape[0] - larger, before.shape[1]), np.uint8)
    Image.fromarray(other).save(entry.path)
    dock.session.look_again()
    assert np.array_equal(current.picture, other)
    shown, current.picture = current.picture, before  # answered with the pixels of before
    answer(dock, [(40, 60, 40, 60), (70, 100, 70, 100)], look=look)
    current.picture = shown
    assert current.seen is None
    dock.session.finished.finish()
    assert "no masks are written" in dock.heard[-1][0]
    assert not (built_in / "finished").exists()
    answer(dock, [(10, 20, 10, 20)])
    assert [file.name for file in (built_in / "finished").glob("*.tif")]
    assert (current.seen.objects > 0).sum() == 100


@pytest.mark.parametrize("last", [None, False], ids=["without an answer", "quickly answered"])
@pytest.mark.parametrize("window_again", [False, True], ids=["Next", "opened again"])
def test_a_finished_picture_that_was_left_before_its_answer_gets_its_masks_when_it_is_shown(dock, built_in, window_again, last):
    dock.open(built_in)
    session = dock.session
    name = session.current.entry.name
    if last is not None:
        answer(dock, [(40, 64, 40, 90), (64, 80, 40, 90)], last=last)
    press(dock.images.finished)
    press(dock.images.next)
    assert session.current.entry.name != name
    if window_again:
        session.close()
        dock.open(built_in)
    session.show(session.current.project.entry(name))
    assert not list((built_in / "finished").glob("*_instances.tif"))
    answer(dock, [(40, 80, 40, 90)])
    (file,) = (built_in / "finished").glob("*_instances.tif")
    written = file.read_bytes()
    assert np.asarray(Image.open(file))[60, 60] > 0
    answer(dock, [(90, 110, 40, 90)], token=2)
    assert file.read_bytes() == written  # for good
    file.unlink()  # a stop in between, say
    session.leave_image()
    session.show(session.current.project.entry(name))
    assert np.array_equal(np.asarray(Image.open(file)) > 0, session.maps.objects > 0)
    assert session.maps.objects[60, 60]


def test_another_picture_under_the_name_of_the_one_in_view_is_told_and_shown(predicted, built_in):
    dock = predicted
    press(dock.images.finished)
    session, name = dock.session, dock.session.current.entry.name
    file = session.current.entry.path
    picture = np.asarray(Image.open(file))
    Image.fromarray(picture[::-1].copy()).save(file)
    session.look_again()
    assert any("another picture now" in sentence for sentence, _ in dock.heard)
    assert not list((built_in / "finished").glob("*_pred.png"))
    entry = session.current.project.entry(name)
    session.show(entry)
    assert not entry.finished
    assert session.current.seen is None
    Image.fromarray(picture // 2).save(file)  # nobody drew on that one
    session.look_again()
    assert session.current.entry is entry
    np.testing.assert_array_equal(session.current.picture, picture // 2)


# ----------------------------------------------------------------------------------------------- what was corrected comes back


SPLIT = [(60, 30), (60, 65), (60, 100)]


def ids_at(dock, *places) -> list[int]:
    return [int(dock.session.maps.objects[place]) for place in places]


def test_a_corrected_object_stays_when_the_network_answers_anew(predicted, hand, built_in):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    hand.stroke(SPLIT)
    hand.key(Qt.Key.Key_S)
    upper, lower, other = ids_at(dock, (50, 60), (70, 60), (100, 60))
    assert len({0, upper, lower, other}) == 4
    before = dock.session.maps.objects.copy()
    answer(dock, [(41, 79, 41, 89), (92, 110, 42, 90)], token=2)
    now = dock.session.maps.objects
    assert (np.isin(now, ids_at(dock, (50, 60))) == (before == upper)).all()
    assert (np.isin(now, ids_at(dock, (70, 60))) == (before == lower)).all()
    assert (now > 0)[91, 60] == 0  # the other object is the network's newest
    assert now[100, 60] > 0
    # and another correction builds on it, by the ids that are shown now
    hand.key(Qt.Key.Key_D)
    hand.click((100, 60))
    hand.click((50, 60))
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)], token=3)
    assert ids_at(dock, (50, 60), (100, 60)) == [0, 0]
    assert ids_at(dock, (70, 60))[0] > 0


@pytest.mark.parametrize("finished", [False, True], ids=["corrected", "finished"])
def test_what_a_person_corrected_is_there_in_another_window(predicted, hand, built_in, finished):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    hand.stroke(SPLIT)
    hand.key(Qt.Key.Key_R)
    dock.correct.classes.setCurrentIndex(1)
    hand.click((50, 60))
    if finished:
        press(dock.images.finished)
    before, name = dock.session.maps.objects.copy(), dock.session.current.entry.name
    dock.session.close()
    dock.open(built_in)
    dock.session.show(dock.session.current.project.entry(name))
    if finished:  # at once, and for good
        np.testing.assert_array_equal(dock.session.maps.objects, before)
        answer(dock, [(0, 128, 0, 160)], token=2)
        np.testing.assert_array_equal(dock.session.maps.objects, before)
    else:
        answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)], token=2)
        assert len({0, *ids_at(dock, (50, 60), (70, 60), (100, 60))}) == 4
    assert [dock.session.current.seen.classes[n] for n in ids_at(dock, (50, 60), (70, 60))] == [2, 1]


def test_a_project_that_was_finished_before_shows_what_was_finished(predicted, hand, built_in):
    """Earlier versions wrote the masks alone."""
    dock = predicted
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    press(dock.images.finished)
    name = dock.session.current.entry.name
    dock.session.close()
    for file in (built_in / "corrected").iterdir():
        file.unlink()
    dock.open(built_in)
    dock.session.show(dock.session.current.project.entry(name))
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)], token=2)
    assert ids_at(dock, (60, 60))[0] == 0
    assert ids_at(dock, (100, 60))[0] > 0
    press(dock.images.finished)  # not finished after all: among the results no more, and not lost
    assert not list((built_in / "finished").glob("*_pred.png"))
    dock.session.close()
    dock.open(built_in)
    dock.session.show(dock.session.current.project.entry(name))
    assert ids_at(dock, (60, 60))[0] == 0


def test_undo_takes_a_correction_back_when_another_prediction_came(predicted, hand, built_in):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    hand.stroke(SPLIT)
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)], token=2)
    hand.key(Qt.Key.Key_Z, UNDO)
    upper, lower, other = ids_at(dock, (50, 60), (70, 60), (100, 60))
    assert upper == lower != other
    assert not list((built_in / "corrected").iterdir())


@pytest.mark.parametrize("untick", [False, True], ids=["finished", "unticked"])
@pytest.mark.parametrize("between", [False, True], ids=["at_once", "an_answer_before"])
def test_undo_on_an_accepted_picture_changes_the_corrected_object_alone(predicted, hand, built_in, between, untick):
    """The network answers otherwise meanwhile, as beside a training."""
    dock = predicted
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    if between:
        answer(dock, [(41, 79, 41, 89), (90, 110, 40, 90)], token=2)
    press(dock.images.finished)
    if untick:
        press(dock.images.finished)
    answer(dock, [(20, 30, 20, 30), (100, 125, 100, 150), (95, 120, 40, 90)], token=3)
    hand.key(Qt.Key.Key_Z, UNDO)
    objects, expected = dock.session.maps.objects, np.zeros((128, 160), bool)
    expected[40:80, 40:90] = expected[90:110, 40:90] = True
    np.testing.assert_array_equal(objects > 0, expected)
    erased, other = ids_at(dock, (60, 60), (100, 60))
    assert erased != other
    assert (objects == other).sum() == 20 * 50
    answer(dock, [(0, 128, 0, 160)], token=4)
    np.testing.assert_array_equal(dock.session.maps.objects, objects)  # none of them is let go
    if not untick:
        name = dock.session.current.project.files.result_name(dock.session.current.entry.name)
        np.testing.assert_array_equal(read_masks(built_in / "finished", name, objects.shape)[0], objects)


def test_back_to_the_prediction_and_undo(predicted, hand, built_in):
    dock = predicted
    hand.key(Qt.Key.Key_S)
    hand.stroke(SPLIT)
    hand.key(Qt.Key.Key_S)
    marks = dock.session.current.project.labels.read(dock.session.current.entry, "separation")
    back = next(made for made in dock.correct.findChildren(QPushButton) if made.text() == "Back to the prediction")
    dock.tabs.setCurrentIndex(2)
    press(back)
    upper, lower = ids_at(dock, (50, 60), (70, 60))
    assert upper == lower
    np.testing.assert_array_equal(dock.session.current.project.labels.read(dock.session.current.entry, "separation"), marks)
    hand.key(Qt.Key.Key_Z, UNDO)
    upper, lower = ids_at(dock, (50, 60), (70, 60))
    assert upper != lower
    press(dock.images.finished)
    press(back)
    assert dock.heard[-1][1]  # a finished picture does not change
    assert ids_at(dock, (50, 60), (70, 60)) == [upper, lower]


def test_corrected_objects_that_cannot_be_read_are_one_sentence(predicted, hand, built_in):
    dock = predicted
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    name = dock.session.current.entry.name
    dock.session.close()
    (file,) = (built_in / "corrected").iterdir()
    file.write_bytes(b"no such thing")
    dock.open(built_in)
    dock.session.current.project.finish(dock.session.current.project.entry(name))
    dock.session.leave_image()
    dock.session.show(dock.session.current.project.entry(name))
    assert any(wrong and file.name in sentence and "\n" not in sentence for sentence, wrong in dock.heard)
    answer(dock, [(40, 80, 40, 90)], token=2)
    assert not list((built_in / "finished").glob("*_pred.png"))  # of a finished picture, by itself
    hand.key(Qt.Key.Key_D)
    hand.click((60, 60))
    assert list((built_in / "finished").glob("*_pred.png"))
    assert [copy.read_bytes() for copy in (built_in / "replaced" / "corrected").iterdir()] == [b"no such thing"]


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
    entry = dock.session.current.entry
    hand.click((30, 30))
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, **more: ("bubble, crystal", True))
    press(next(made for made in dock.images.findChildren(QPushButton) if made.text() == "Kinds…"))
    assert dock.session.current.entry is entry
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


def test_kinds_whose_names_hold_commas_stay_as_they_are(dock, built_in, monkeypatch):
    datalist = built_in / "datalist.json"
    names = ["ice, crystal", "air"]
    datalist.write_text(json.dumps(json.loads(datalist.read_text()) | {"classes": names}))
    dock.open(built_in)
    asked = []
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, text: asked.append(words[2]) or (text, True))
    dock.images.ask_for_classes()
    assert load_datalist(built_in)["classes"] == names
    assert '["a, b", "c"]' in asked[0]  # how such a name is typed
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, text: (text.replace('"air"', '"air, small"'), True))
    dock.images.ask_for_classes()
    assert load_datalist(built_in)["classes"] == ["ice, crystal", "air, small"]
    monkeypatch.setattr(QInputDialog, "getText", lambda *words, text: (text.replace("]", ""), True))
    dock.images.ask_for_classes()
    assert dock.heard[-1][1]
    assert load_datalist(built_in)["classes"] == ["ice, crystal", "air, small"]


def test_the_status_bar_names_the_keys_as_they_are_here(dock, hand, built_in, window):
    dock.open(built_in)
    for key in (Qt.Key.Key_E, Qt.Key.Key_P, Qt.Key.Key_F):
        hand.key(key)
        assert "<1>" not in window[0].help
        assert "1 to 9 choose the class" in window[0].help


def test_data_bars_are_told_once(dock, until, tmp_path):
    """Their letters would be predicted as objects, and their area counts."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        pixels = np.random.default_rng(0).integers(60, 200, (240, 320)).astype(np.uint8)
        if name != "a":
            strip = Image.new("L", (320, 32))
            ImageDraw.Draw(strip).text((6, 8), "HV 10.0 kV   mag 5000x   WD 4.1 mm   det ETD", fill=255)
            pixels[-32:] = np.asarray(strip)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    dock.open(tmp_path)
    session = dock.session
    for entry in sorted(session.current.project.images, key=lambda entry: entry.name):
        session.show(entry)
        until(lambda: not session.work._workers)
    said = [sentence for sentence, wrong in dock.heard if wrong and "data bar" in sentence]
    assert len(said) == 1
    assert said[0].startswith("'images/b.png' has a data bar, 32 rows along its lower edge") or "images/c.png" in said[0]
