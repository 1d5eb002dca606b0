"""A hand on mouse and keys: events as Qt makes them, sent to napari's canvas at places of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

__all__ = ["Hand", "press"]

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Hand:
    """Draws at (row, column) of the picture."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer

    @property
    def canvas(self) -> QWidget:
        return self.viewer.window._qt_viewer.canvas.native

    def at(self, place: Sequence[float]) -> QPoint:
        camera = self.viewer.scene.camera
        shift = (np.asarray(place, float) - np.asarray(camera.center[-2:])) * camera.zoom
        return QPoint(round(self.canvas.width() / 2 + shift[1]), round(self.canvas.height() / 2 + shift[0]))

    def stroke(self, points: Sequence[Sequence[float]], lift: bool = True) -> None:
        """Press at the first point, move over the others, let go."""
        spots = [self.at(point) for point in points]
        self._move(spots[0], Qt.MouseButton.NoButton)  # QTest.mouseMove may come late, or never
        self.settle()
        QTest.mousePress(self.canvas, LEFT, NONE, spots[0])
        self.settle()
        for spot in spots[1:]:
            self._move(spot, LEFT)
        if lift:
            self.lift(points[-1])

    def lift(self, place: Sequence[float]) -> None:
        QTest.mouseRelease(self.canvas, LEFT, NONE, self.at(place))
        self.settle()

    def click(self, place: Sequence[float]) -> None:
        self.stroke([place])

    def hover(self, place: Sequence[float]) -> None:
        """Move the mouse without a button."""
        self._move(self.at(place), Qt.MouseButton.NoButton)

    def double_click(self, place: Sequence[float]) -> None:
        QTest.mouseDClick(self.canvas, LEFT, NONE, self.at(place))
        self.settle()

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        self.settle()

    def _move(self, spot: QPoint, buttons: Qt.MouseButton) -> None:
        where = QPointF(self.canvas.mapToGlobal(spot))
        event = QMouseEvent(QEvent.Type.MouseMove, QPointF(spot), where, Qt.MouseButton.NoButton, buttons, NONE)
        QApplication.sendEvent(self.canvas, event)
        self.settle()

    @staticmethod
    def settle() -> None:
        for _ in range(2):
            QApplication.processEvents()


def press(widget: QWidget) -> None:
    """Click a button of the dock."""
    QTest.mouseClick(widget, LEFT)
    Hand.settle()
