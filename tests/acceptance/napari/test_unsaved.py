"""Marks that cannot be saved stay in the window until they can be, or until the person lets them go."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hand import press
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from lazylabels_monai.tasks import IGNORE

STROKE, FIRST = [(40, 40), (40, 50), (40, 60)], (100, 100)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be longer than 20 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What the window asked; the answer is to stay."""
    asked: list[str] = []
    answer(monkeypatch, asked, QMessageBox.StandardButton.Cancel)
    return asked


def answer(monkeypatch, asked: list[str], button: QMessageBox.StandardButton) -> None:
    monkeypatch.setattr(QMessageBox, "warning", lambda parent, title, text, *more: asked.append(text) or button)


def stored(folder: Path, entry) -> np.ndarray:
    return np.asarray(Image.open(folder / "detection" / f"{Path(entry.name).stem}.png"))


def test_marks_that_the_disk_refuses_are_not_left_unasked(dock, hand, window, built_in, tmp_path_factory, asked):
    dock.open(built_in)
    session, first = dock.session, dock.session.current.entry
    hand.click(FIRST)
    with full_disk():
        hand.stroke(STROKE)
        sentence, wrong = dock.heard[-1]
        assert wrong
        assert first.name in sentence
        other = tmp_path_factory.mktemp("other")
        last = dock.images.table.rowCount() - 1
        ways = {
            "next": lambda: press(dock.images.next),
            "another": lambda: dock.images._clicked(last, 0),
            "open": lambda: session.open(other),
            "kinds": lambda: session.set_classes(["a", "b", "c"]),
            "close": window[0].window._qt_window.close,
        }
        for number, (way, leave) in enumerate(ways.items(), 1):
            leave()
            assert session.current.entry is first, way
            assert session.marks.layers["detection"].data[40, 50] == 1, way
            assert len(asked) == number, way
            assert first.name in asked[-1], way
        # nor are they lost where marks are shown anew
        session.set_complete("detection", True)
        session.corrections.undo()
        assert session.marks.layers["detection"].data[40, 50] == 1
    session.marks.flush()  # the disk has room again
    assert stored(built_in, first)[40, 50] == stored(built_in, first)[FIRST] == 1
    press(dock.images.next)
    assert session.current.entry is not first
    assert len(asked) == len(ways)


def test_marks_that_the_disk_refused_go_where_the_person_says_so(dock, hand, built_in, asked, monkeypatch):
    dock.open(built_in)
    session, first = dock.session, dock.session.current.entry
    hand.click(FIRST)
    before = stored(built_in, first)
    answer(monkeypatch, asked, QMessageBox.StandardButton.Discard)
    with full_disk():
        hand.stroke(STROKE)
        press(dock.images.next)
    assert len(asked) == 1
    assert session.current.entry is not first
    session.show(first)
    np.testing.assert_array_equal(stored(built_in, first), before)
    assert session.marks.layers["detection"].data[FIRST] == 1
    assert session.marks.layers["detection"].data[40, 50] == 0


def test_marks_are_saved_by_themselves_once_the_disk_has_room(dock, hand, built_in, until):
    dock.open(built_in)
    with full_disk():
        hand.stroke(STROKE)
    until(lambda: any("saved now" in sentence and not wrong for sentence, wrong in dock.heard), 60)
    assert stored(built_in, dock.session.current.entry)[40, 50] == 1


@pytest.mark.parametrize("key", [Qt.Key.Key_M, Qt.Key.Key_Equal], ids=["M", "="])
def test_keys_of_napari_choose_no_label_that_is_no_class(dock, hand, built_in, key):
    """Two classes: key 2 and one more is none."""
    dock.open(built_in)
    first, layer = dock.session.current.entry, dock.session.marks.layers["detection"]
    hand.key(Qt.Key.Key_2)
    hand.click((30, 30))
    hand.key(key)
    assert layer.selected_label == 2
    assert "Kinds" in dock.heard[-1][0]
    hand.click((60, 30))
    hand.key(Qt.Key.Key_Minus)
    assert layer.selected_label == 1
    hand.stroke([(90, 40), (90, 60), (90, 90)])
    label = stored(built_in, first)
    assert [label[place] for place in ((30, 30), (60, 30), (90, 60))] == [2, 2, 1]


def test_a_mark_of_no_class_does_not_stand_in_the_way_of_others(dock, hand, built_in, asked):
    """Not from the hand: another plugin, or a line typed into napari's console."""
    dock.open(built_in)
    session, first = dock.session, dock.session.current.entry
    hand.click((30, 30))
    part = slice(20, 40), slice(20, 40)
    session.marks.put("detection", part, np.ones((20, 20), bool), 7)
    sentence, wrong = dock.heard[-1]
    assert wrong
    assert "7" in sentence
    hand.stroke([(90, 40), (90, 60), (90, 90)])
    assert stored(built_in, first)[90, 60] == stored(built_in, first)[30, 30] == 1
    assert (stored(built_in, first)[part] != IGNORE).sum() < 400
    press(dock.images.next)
    assert session.current.entry is first
    assert len(asked) == 1
    session.marks.put("detection", part, np.ones((20, 20), bool), 2)  # drawn over, as the sentence says
    press(dock.images.next)
    assert session.current.entry is not first
    assert (stored(built_in, first)[part] == 2).all()


def test_values_are_looked_up_only_where_something_was_drawn(dock, hand, built_in, monkeypatch):
    """In a picture of many megapixels it would take longer than the stroke."""
    dock.open(built_in)
    looked_up, isin = [], np.isin
    monkeypatch.setattr(
        "lazylabels_monai.apps.napari.mark_layers.np.isin",
        lambda values, known: looked_up.append(np.size(values)) or isin(values, known),
    )
    hand.click((30, 30))
    dock.session.marks.flush()
    drawn = (stored(built_in, dock.session.current.entry) != IGNORE).sum()
    assert looked_up == [drawn]


def test_a_picture_with_marks_that_are_not_saved_is_not_finished(dock, built_in):
    """It would be one without any object."""
    dock.open(built_in)
    session, entry = dock.session, dock.session.current.entry
    for task in ("detection", "segmentation", "separation"):
        session.set_complete(task, True)
    session.marks.put("detection", (slice(20, 40), slice(20, 40)), np.ones((20, 20), bool), 7)
    session.finished.finish()
    assert not entry.finished
    assert "empty" not in session.current.project.records.item(entry)
    assert "finished is said when all marks are saved" in dock.heard[-1][0]
    session.marks.drop()
    session.finished.finish()
    assert entry.finished
