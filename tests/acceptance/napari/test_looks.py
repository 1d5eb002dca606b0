"""Nothing of the dock is cut off, however small or large the window is, and the small parts show what they are told."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

import numpy as np
import pytest
from hand import Hand
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit

from lazylabels_monai.apps import napari as napari_app
from lazylabels_monai.apps.napari.dock import LazyLabels
from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.apps.napari.widgets import Histogram, RowsModel

KINDS = (QAbstractButton, QLabel, QComboBox, QLineEdit)


def cut_off(panel) -> list[str]:
    """Words of a panel that reach beyond it, or are narrower than they need."""
    found = []
    for kind in KINDS:
        for part in panel.findChildren(kind):
            text = part.text() if hasattr(part, "text") else part.currentText()
            if not part.isVisibleTo(panel) or not text or isinstance(part.parent(), QComboBox):
                continue
            left = part.mapTo(panel, QPoint(0, 0)).x()
            wraps = isinstance(part, QLabel) and part.wordWrap()
            narrow = not wraps and part.width() < part.minimumSizeHint().width()
            low = wraps and part.height() < part.heightForWidth(part.width())
            if left < 0 or left + part.width() > panel.width() or narrow or low:
                found.append(f"{type(part).__name__} '{text}' {part.width()}x{part.height()} at {left} of {panel.width()}")
    return found


def test_a_layer_that_goes_does_not_make_python_look_through_all_libraries(dock):
    """napari collects garbage for each layer that it takes out."""
    assert gc.get_freeze_count() > 100_000  # what was there when the dock was made


def test_the_layers_of_another_picture_are_drawn_at_once(dock, built_in, monkeypatch):
    dock.open(built_in)
    images = dock.session.current.project.images
    dock.session.show(images[0])
    collected = []
    monkeypatch.setattr(gc, "collect", lambda *given: collected.append(given))  # once each time that all is drawn
    dock.session.show(images[1])
    assert len(collected) == 1


@pytest.mark.parametrize("size", [(800, 600), (1280, 1024), (1920, 1080)])
def test_no_word_is_cut_off(window, dock, built_in, size):
    viewer, _ = window
    dock.open(built_in)
    frame = viewer.window._qt_window
    before = frame.size()
    try:
        frame.resize(*size)
        for number in range(dock.tabs.count()):
            dock.tabs.setCurrentIndex(number)
            Hand.settle()
            area = dock.tabs.widget(number)
            assert cut_off(area.widget()) == []
            assert area.widget().width() <= area.viewport().width()
        assert cut_off(dock.images) == []
        assert frame.size().width() <= size[0]
        assert frame.size().height() <= size[1]
    finally:
        dock.tabs.setCurrentIndex(0)
        frame.resize(before)
        Hand.settle()


def test_cut_off_words_are_seen(window, dock):
    dock.draw.brush_words.setWordWrap(False)
    dock.draw.brush_words.setText("wide " * 200)
    dock.draw.complete.setMaximumWidth(20)
    try:
        Hand.settle()
        assert any("Everything" in found for found in cut_off(dock.draw))
    finally:
        dock.draw.complete.setMaximumWidth(16777215)
        dock.draw.brush_words.setWordWrap(True)
        dock.draw.brush_words.setText("")


def test_marks_are_hidden_and_shown_together(window, dock, built_in):
    dock.open(built_in)
    dock.tabs.setCurrentIndex(2)
    ticks = dock.correct.findChild(Visibility)
    ticks.marks.click()
    assert not any(layer.visible for layer in dock.session.marks.layers.values())
    dock.tabs.setCurrentIndex(1)
    Hand.settle()
    assert not dock.train.findChild(Visibility).marks.isChecked()
    dock.train.findChild(Visibility).marks.click()
    assert all(layer.visible for layer in dock.session.marks.layers.values())
    dock.tabs.setCurrentIndex(0)


def test_a_table_of_rows(qapp):
    model = RowsModel()
    model.fill([{"name": "a", "area": 1 / 3}, {"name": "b", "area": 2.0}])
    assert (model.rowCount(), model.columnCount()) == (2, 2)
    assert model.data(model.index(0, 1)) == "0.3333"
    assert model.headerData(1, Qt.Orientation.Horizontal) == "area"
    model.fill([])
    assert (model.rowCount(), model.columnCount()) == (0, 0)


def test_a_histogram_counts_what_is_finite(qtbot):
    histogram = Histogram()
    qtbot.addWidget(histogram)
    histogram.show_values([1.0, 2.0, 2.0, np.nan, np.inf], "um")
    assert histogram._counts.sum() == 3
    histogram.resize(200, 100)
    assert not histogram.grab().isNull()
    histogram.show_values([], "um")
    assert not histogram.grab().isNull()


def test_the_manifest_leads_napari_to_the_dock():
    manifest = PluginManifest.from_file(Path(napari_app.__file__).with_name("napari.yaml"))
    (command,) = manifest.contributions.commands
    (widget,) = manifest.contributions.widgets
    assert widget.command == command.id
    module, name = str(command.python_name).split(":")
    assert getattr(importlib.import_module(module), name) is LazyLabels
