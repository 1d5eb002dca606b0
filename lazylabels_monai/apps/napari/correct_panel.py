"""Corrections of predicted objects by a stroke or a click; each becomes labels of the right kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtWidgets import QButtonGroup, QWidget

from lazylabels_monai.apps.napari.coding import layer_name
from lazylabels_monai.apps.napari.finished import BACK
from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.tools import PictureTool
from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.apps.napari.widgets import button, choice, column, row, words
from lazylabels_monai.interactive import correcting

__all__ = ["CorrectPanel"]

#: Pixels of the screen that a hand may move while it clicks.
SHAKE = 4

#: Tool, key, what to do with it.
_TOOLS = (
    ("Split", "S", "Draw along the border of two objects that were taken for one: it becomes an interface."),
    ("Join", "J", "Draw from one object into the other: there is no interface between them."),
    ("Erase", "D", "Click what is no object, or draw over several: they become background."),
    ("Relabel", "R", "Click an object of the wrong class, or draw over several; the class chosen below is the right one."),
)


class CorrectPanel(QWidget):
    """Chooses a tool, applies it to the predicted objects and to the marks.

    Args:
        session: what it shows and tells.
        tool: catches the strokes.
    """

    def __init__(self, session: Session, tool: PictureTool) -> None:
        super().__init__()
        self.session, self.tool = session, tool
        self.buttons = {}
        group = QButtonGroup(self)
        group.setExclusive(False)
        for name, key, hint in _TOOLS:
            made = button(f"{name} ({key})", lambda name=name: self.choose(name), hint, checkable=True)
            group.addButton(made)
            self.buttons[name] = made
            session.viewer.bind_key(key, lambda viewer, name=name: self.toggle(name), overwrite=True)
        self.hint = words("Choose a tool; the marks that a correction makes are those you would draw.")
        self.classes = choice(tip="the class that a clicked object gets")
        self.last = words()
        parts = column(
            Visibility(session),
            row(self.buttons["Split"], self.buttons["Join"]),
            row(self.buttons["Erase"], self.buttons["Relabel"]),
            self.classes,
            self.hint,
            self.last,
            button("Undo the correction", session.corrections.undo, "the last one of this picture: objects and marks"),
            button(BACK, session.corrections.forget, "objects that you corrected or accepted are predicted again; marks stay"),
            None,
        )
        self.setLayout(parts.layout())
        session.opened.connect(self._opened)
        session.named.connect(self._opened)
        session.shown.connect(lambda: self.choose(None))
        session.predictions.changed.connect(self._bind_undo)
        tool.chosen.connect(self._tool_chosen)
        tool.drawn.connect(self._drawn)

    def _opened(self) -> None:
        self.classes.clear()
        self.classes.addItems(self.session.current.project.classes)

    def _bind_undo(self) -> None:
        """Ctrl+Z on the predicted objects takes back a correction: nothing else can be done to them."""
        layer = self.session.maps.objects_layer
        if layer is not None:
            layer.bind_key("Control-Z", lambda layer: self.session.corrections.undo(), overwrite=True)

    def _tool_chosen(self, name: str | None) -> None:
        """The buttons show what is in the hand, whoever put it there."""
        for other, made in self.buttons.items():
            made.setChecked(other == name)
        hints = {tool: hint for tool, _, hint in _TOOLS}
        self.hint.setText(hints.get(name, "Choose a tool; the marks that a correction makes are those you would draw."))

    def toggle(self, name: str) -> None:
        """Take a tool by its key, or put it away."""
        self.buttons[name].setChecked(not self.buttons[name].isChecked())
        self.choose(name)

    def choose(self, name: str | None) -> None:
        """Take a tool; None, or one that is not pressed any more, puts all away."""
        chosen = name if name is not None and self.buttons[name].isChecked() else None
        for other, made in self.buttons.items():
            made.setChecked(other == chosen)
        if chosen is not None and not self.session.current.is_open():
            self.buttons[chosen].setChecked(False)
            return
        if chosen is not None and self.session.current.seen is not None and self.session.maps.objects_layer is None:
            self.session.predictions.show()  # somebody threw the layer away
        layer = self.session.maps.objects_layer
        if chosen is not None and self.session.current.is_volume:
            self.session.said.emit("The tools correct objects of pictures; in a volume, draw marks where it is wrong.", True)
            self.buttons[chosen].setChecked(False)
            chosen = None
        if chosen is not None and layer is None:
            self.session.said.emit("There is no prediction to correct yet: wait for it, or train first.", True)
            self.buttons[chosen].setChecked(False)
            chosen = None
        if chosen is not None:
            layer.visible = True
            self.session.viewer.layers.selection.active = layer
        if chosen is not None or self.tool.name in self.buttons:
            self.tool.choose(chosen)

    def _drawn(self, name: str, points: np.ndarray) -> None:
        if name in self.buttons and self.session.maps.objects is not None:
            self.correct(name, points)

    def correct(self, name: str, points: np.ndarray) -> None:
        """Apply a tool to a stroke (N, 2) of (row, column)."""
        value, current = self.classes.currentIndex() + 1, self.session.current

        def marks() -> dict[str, np.ndarray]:
            return correcting.drawn_labels(current.project, current.entry)

        acts: dict[str, Callable[[np.ndarray, np.ndarray], correcting.Correction]] = {
            "Split": lambda ids, classes: correcting.split(ids, correcting.line_of(points, ids.shape), classes, marks()),
            "Join": lambda ids, classes: correcting.join(
                ids, correcting.line_of(points, ids.shape), classes, correcting.marked(current.project, current.entry), marks()
            ),
            "Erase": lambda ids, classes: correcting.erase(ids, self._touch(points, ids.shape)),
            "Relabel": lambda ids, classes: correcting.relabel(ids, self._touch(points, ids.shape), value),
        }
        changed = ", ".join(layer_name(task).lower() for task in self.session.corrections.correct(acts[name]) or [])
        self.last.setText(f"{name}: {changed} changed." if changed else f"{name}: no mark changed.")

    def _touch(self, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The pixels under a stroke; under a click, be the hand unsteady, the one under its end."""
        shake = np.ptp(points, axis=0).max() * self.session.viewer.scene.camera.zoom
        return correcting.line_of(points if shake > SHAKE else points[-1:], shape, 0.5)
