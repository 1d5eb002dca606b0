"""A warning is not pushed away by the next sentence, and all that was said can be read again."""

from __future__ import annotations

import pytest
from hand import Hand

from lazylabels_monai.apps.napari import messages
from lazylabels_monai.apps.napari.messages import Messages
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.trained import write_begun


@pytest.fixture
def shown(qtbot):
    made = Messages()
    qtbot.addWidget(made)
    made.show()
    return made


def lines(shown: Messages) -> list[str]:
    """What is to be read, from above."""
    return [line.text() for line in (shown.warning, shown.said) if line.isVisible()]


def test_a_warning_stays_above_what_is_said_next(shown, qtbot, monkeypatch):
    monkeypatch.setattr(messages, "STAYS", 200)
    shown.say("the disk is full: make room.", True)
    assert lines(shown) == ["⚠ the disk is full: make room."]
    for sentence in ("new image: a.png", "written."):
        shown.say(sentence, False)
        assert lines(shown) == ["⚠ the disk is full: make room.", sentence]
    qtbot.waitUntil(lambda: lines(shown) == ["written."], timeout=5000)


def test_one_warning_is_not_shown_twice(shown):
    for _ in range(2):
        shown.say("the disk is full: make room.", True)
        assert lines(shown) == ["⚠ the disk is full: make room."]
    shown.say("written.", False)
    shown.say("the disk is full: make room.", True)
    assert lines(shown) == ["⚠ the disk is full: make room."]


def test_all_that_was_said_can_be_read_again(shown, monkeypatch):
    monkeypatch.setattr(messages, "KEPT", 3)
    assert not shown.earlier.isVisible()
    for number in range(5):
        shown.say(f"sentence {number}", number == 3)
    shown.more.click()
    assert shown.earlier.isVisible()
    said = [shown.earlier.item(row).text().split(" ", 1)[1] for row in range(shown.earlier.count())]
    assert said == ["sentence 2", "⚠ sentence 3", "sentence 4"]


def test_what_a_training_tells_stays_with_the_training(dock, built_in):
    dock.open(built_in)
    hint = "the weights find 10% of the 12 regions that you marked."
    for sentence in (hint, "label a.png cannot be read.", hint):
        dock.session.training.emit(Event("sentence", sentence=sentence))
    dock.session.training.emit(Event("epoch", 1, 10, losses={"segmentation": 0.5, "separation": 0.25}))
    dock.session.said.emit("new image: b.png", False)
    assert dock.train.told.text() == f"{hint}\nlabel a.png cannot be read."
    assert dock.train.losses.text() == "Loss: classes 0.500, interfaces 0.250"
    dock.open(built_in)
    assert dock.train.told.text() == ""


def test_what_is_said_does_not_move_the_picture(dock, window, built_in):
    dock.open(built_in)
    Hand.settle()
    canvas = window[0].window._qt_viewer.canvas.native
    before = canvas.mapToGlobal(canvas.rect().topLeft()), canvas.size(), dock.messages.height()
    for sentence, wrong in (
        ("a warning of many words. " * 8, True),
        ("written.", False),
        ("more words than fit. " * 20, False),
    ):
        dock.session.said.emit(sentence, wrong)
        Hand.settle()
        assert (canvas.mapToGlobal(canvas.rect().topLeft()), canvas.size(), dock.messages.height()) == before


def test_an_image_that_was_learnt_from_is_told_of_when_it_is_to_validate_and_beside_the_dice(dock, built_in):
    dock.open(built_in)
    session = dock.session
    learnt, other, *_ = (entry for entry in session.current.project.images if entry.section == "training")
    models = session.trainer.out / "models"
    models.mkdir(parents=True)
    (models / "model.pt").write_bytes(b"")
    write_begun(models, False, [pixel_digest(read_image(learnt.path))])
    for entry, told in ((other, 0), (learnt, 1)):
        session.set_section(entry, "validation")
        assert entry.section == "validation"
        warnings = [sentence for sentence, wrong in dock.heard if wrong and "no measure of new images" in sentence]
        assert len(warnings) == told
    assert f"learnt from '{learnt.name}'" in warnings[0]
    session.training.emit(Event("validated", 1, 4, dice=0.5))
    assert dock.train.dice.text() == "Dice on validation images: 0.500"
    session.training.emit(Event("validated", 2, 4, dice=0.75, learnt=[learnt.name]))
    assert dock.train.dice.text() == "Dice on validation images: 0.500 → 0.750 (no measure: learnt from them)"
