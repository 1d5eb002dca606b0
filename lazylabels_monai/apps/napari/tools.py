"""Strokes and clicks on the picture that draw nothing themselves: split, join, erase, relabel, outline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from napari import Viewer
from napari.layers import Layer, Shapes
from qtpy.QtCore import QObject, Signal

__all__ = ["PictureTool"]

_STROKE = "Stroke"


class PictureTool(QObject):
    """While a tool is chosen, the left button draws its stroke instead of moving the picture.

    Args:
        viewer: napari's.
        parent: owns it.

    Attributes:
        drawn: signal with the tool's name and the stroke's points (N, 2), (row, column) in pixels; a click is one point.
        chosen: signal with the name of the tool that is in the hand from now on, or None.
    """

    drawn = Signal(str, object)
    chosen = Signal(object)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer, self.name = viewer, None
        self._layer: Shapes | None = None
        self._held: tuple[Layer, str] | None = None
        viewer.mouse_drag_callbacks.append(self._drag)

    def choose(self, name: str | None) -> None:
        """Take a tool, or none: then the buttons do what they do in napari."""
        self.name = name
        self._let_go()
        if name is not None:
            self._hold()
        self.chosen.emit(name)

    def _hold(self) -> None:
        """A layer that would paint or move the picture must not do so beside the tool."""
        active = self.viewer.layers.selection.active
        if active is not None:
            self._held = active, str(active.mode)
            active.mode = "pan_zoom"
            active.mouse_pan = False

    def _let_go(self) -> None:
        """It may again, and whoever had the brush in the hand has it again, unless another mode was chosen since."""
        if self._held is not None:
            (layer, mode), self._held = self._held, None
            if str(layer.mode) == "pan_zoom":
                layer.mouse_pan = True
                layer.mode = mode

    def _drag(self, viewer: Viewer, event: object) -> Iterator[None]:
        if self.name is None or event.button != 1:
            return
        name, points = self.name, [event.position[-2:]]
        yield
        while event.type == "mouse_move":
            points.append(event.position[-2:])
            self._show(points)
            yield
        self._hide()
        self.drawn.emit(name, np.array(points, float))

    def _show(self, points: list) -> None:
        path = np.array(points, float)
        if self._layer is None:
            active = self.viewer.layers.selection.active
            self._layer = Shapes([path], shape_type="path", edge_color="white", edge_width=2, name=_STROKE)
            self.viewer.add_layer(self._layer)
            self.viewer.layers.selection.active = active
        else:
            self._layer.data = [path]

    def _hide(self) -> None:
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = None
