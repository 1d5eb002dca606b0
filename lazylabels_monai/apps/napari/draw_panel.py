"""What is drawn, with which class and brush; whether everything is marked; shapes; GrabCut's outline as a proposal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QPushButton, QRadioButton, QSlider, QWidget

from lazylabels_monai.apps.napari.coding import (
    BACKGROUND_SHOWN,
    INTERFACE_WIDTH,
    NOTHING_SHOWN,
    layer_colours,
    layer_name,
    to_stored,
    values_to_draw,
)
from lazylabels_monai.apps.napari.session import PROPOSAL, Session
from lazylabels_monai.apps.napari.tools import PictureTool
from lazylabels_monai.apps.napari.widgets import button, column, row, words
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive import correcting
from lazylabels_monai.interactive.proposals import outline_of, region_at
from lazylabels_monai.labels.rasterize import ellipse, fill_polygons, stroke_lines
from lazylabels_monai.tasks import INTERFACE, is_marked

__all__ = ["PROPOSAL", "SHAPES", "DrawPanel"]

#: Layer in which polygons and lines become marks.
SHAPES = "Shapes to marks"

_HINTS = {
    "detection": "Dab a region inside each object; it need not reach the border.",
    "separation": "One stroke along the border where two objects touch.",
    "segmentation": "Paint whole objects, exactly to their border. A few pictures are enough.",
}
_ORDER = ("detection", "separation", "segmentation")


@dataclass(frozen=True)
class _Proposal:
    """An outline that was not accepted yet.

    Args:
        layer: that shows it.
        value: class of the object.
        pixel: (row, column) that was clicked.
        seen: (H, W) bool, the predicted object that was there then; its id is no other's only until the network answers anew.
    """

    layer: Labels
    value: int
    pixel: tuple[int, int]
    seen: np.ndarray


class DrawPanel(QWidget):
    """Chooses the layer, the class and the brush.

    Args:
        session: what it shows and tells.
        tool: catches the click on the object to outline.
    """

    def __init__(self, session: Session, tool: PictureTool) -> None:
        super().__init__()
        self.session, self.tool = session, tool
        self._buttons: dict[int, QPushButton] = {}
        self._palette: tuple[str, ...] | None = None
        self._proposal: _Proposal | None = None
        self._asked = 0
        self.kinds: dict[str, QRadioButton] = {}
        group = QButtonGroup(self)
        for task in _ORDER:
            kind = QRadioButton(layer_name(task))
            kind.setToolTip(_HINTS[task])
            kind.clicked.connect(lambda checked, task=task: self.choose(task))
            group.addButton(kind)
            self.kinds[task] = kind
        self.hint = words()
        self.palette_box = column()
        self.palette_box.layout().setContentsMargins(0, 0, 0, 0)
        self.palette_box.layout().setSpacing(2)
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, 60)
        self.brush.setToolTip("width of the brush in pixels; it begins fitted to the objects")
        self.brush.valueChanged.connect(self._size_brush)
        self.brush_words = words()
        self.complete = QCheckBox("Everything is marked here")
        self.complete.setToolTip("what is not marked is background; without the tick only some objects are marked")
        self.complete.clicked.connect(self._say_complete)
        self.complete_words = words()
        parts = column(
            *self.kinds.values(),
            self.hint,
            self.palette_box,
            self.brush_words,
            self.brush,
            row(
                button("Undo", lambda: self._layer() and self._layer().undo(), "Ctrl+Z"),
                button("Redo", lambda: self._layer() and self._layer().redo(), "Ctrl+Shift+Z"),
            ),
            self.complete,
            self.complete_words,
            row(
                button("Polygon", lambda: self.draw_shapes("add_polygon"), "each polygon becomes a filled mark"),
                button("Line", lambda: self.draw_shapes("add_path"), "each line becomes a stroke"),
            ),
            button("Outline an object (G)", self.ask_for_object, "click an object: GrabCut proposes its exact outline"),
            None,
        )
        self.setLayout(parts.layout())
        self.task = "detection"
        session.leaving.connect(self._image_left)
        session.shown.connect(self._image_shown)
        session.viewer.layers.selection.events.active.connect(lambda event: self._layer_chosen())
        session.predictions.changed.connect(self._bind_digits)
        tool.drawn.connect(self._tool_used)
        session.viewer.bind_key("G", lambda viewer: self.ask_for_object(), overwrite=True)

    # --------------------------------------------------------------------------------------------- kinds and classes

    def choose(self, task: str, value: int | None = None) -> None:
        """Draw for a task, with a value as shown (None: the one that its layer has)."""
        layer = self.session.marks.layers.get(task)
        if layer is not None:
            self.tool.choose(None)
            self.session.marks.draw(task, layer.selected_label if value is None else value)

    def _bind_digits(self) -> None:
        """The keys of the classes take the brush from the predicted objects, too, on which a correction has put the person."""
        layer = self.session.maps.objects_layer
        if layer is not None:
            for digit in range(10):
                layer.bind_key(str(digit), lambda layer, digit=digit: self._digit(digit), overwrite=True)

    def _digit(self, digit: int) -> None:
        *classes, background = [value for value, _ in values_to_draw(self.task, self.session.current.project.classes)]
        if digit <= len(classes):
            self.choose(self.task, classes[digit - 1] if digit else background)

    def _layer(self) -> Labels | None:
        return self.session.marks.layers.get(self.task)

    def _image_left(self) -> None:
        """What was begun on a picture is no other's."""
        self._asked += 1
        self.refuse()
        self._end_shape()

    def _image_shown(self) -> None:
        self.refuse()
        if self.tool.name == "propose":  # an object of the picture before was to be clicked
            self.tool.choose(None)
        for task, layer in self.session.marks.layers.items():
            layer.events.brush_size.connect(lambda event, task=task: self._brush_sized(task))
            layer.events.selected_label.connect(lambda event: self._show_palette())
            layer.events.mode.connect(lambda event: self._show_palette())
        self._shapes_layer()
        self._layer_chosen()
        self._show_complete()

    def _layer_chosen(self) -> None:
        task = self.session.marks.task_of(self.session.viewer.layers.selection.active)
        if task is not None:
            self.task = task
            self.kinds[task].setChecked(True)
            self.hint.setText(_HINTS[task])
            self._fill_palette()
            self._brush_sized(task)
            self._show_complete()

    def _fill_palette(self) -> None:
        project = self.session.current.project
        drawn_now = None if project is None else (self.task, *project.classes)
        if drawn_now == self._palette:
            self._show_palette()
            return
        self._palette, self._buttons = drawn_now, {}
        layout = self.palette_box.layout()
        while layout.count():
            gone = layout.takeAt(0).widget()
            gone.setParent(None)
            gone.deleteLater()
        if project is None:
            return
        colours = layer_colours(self.task, project.classes)
        drawn = values_to_draw(self.task, project.classes)
        keys = {value: str(value) for value, _ in drawn if value != BACKGROUND_SHOWN} | {BACKGROUND_SHOWN: "0"}
        for value, name in [*drawn, (NOTHING_SHOWN, "erase")]:
            made = button(
                f"{keys.get(value, 'E')}  {name}", lambda value=value: self.choose(self.task, value), "key and name", True
            )
            pixels = QPixmap(14, 14)
            pixels.fill(QColor.fromRgbF(*colours[value][:3], 1.0 if value != NOTHING_SHOWN else 0.0))
            made.setIcon(QIcon(pixels))
            made.setStyleSheet("text-align: left; padding-left: 8px;")
            layout.addWidget(made)
            self._buttons[value] = made
        self._show_palette()

    def _show_palette(self) -> None:
        layer = self._layer()
        for value, made in self._buttons.items():
            erases = layer is not None and str(layer.mode) == "erase"
            chosen = erases if value == NOTHING_SHOWN else layer is not None and not erases and layer.selected_label == value
            made.setChecked(chosen)

    def _size_brush(self, size: int) -> None:
        if self._layer() is not None:
            self._layer().brush_size = size

    def _brush_sized(self, task: str) -> None:
        if task == self.task and self._layer() is not None:
            size = int(self._layer().brush_size)
            self.brush.setValue(size)
            self.brush_words.setText(f"Brush: {size} pixels")

    def _say_complete(self, complete: bool) -> None:
        self.session.set_complete(self.task, complete)
        self._show_complete()

    def _show_complete(self) -> None:
        project, entry = self.session.current.project, self.session.current.entry
        self.complete.setEnabled(entry is not None)
        if project is not None and entry is not None:
            complete = project.labels.is_complete(entry, self.task)
            self.complete.setChecked(complete)
            self.complete_words.setText(
                "What is not marked is background." if complete else "Only some objects are marked: the rest says nothing."
            )

    # --------------------------------------------------------------------------------------------- shapes

    def draw_shapes(self, mode: str) -> None:
        """Take the polygon or the line; what is drawn becomes marks of the kind and class chosen here."""
        layer = self._shapes_layer() if self.session.current.is_open() else None
        if layer is not None:
            self.tool.choose(None)
            layer.visible = True
            self.session.viewer.layers.selection.active = layer
            layer.mode = mode

    def _shapes_layer(self) -> Shapes | None:
        layers = self.session.viewer.layers
        if self.session.current.entry is None:
            return None
        if SHAPES not in layers:
            active = layers.selection.active
            layer = Shapes(name=SHAPES, ndim=2, edge_color="white", face_color="#ffffff40", edge_width=INTERFACE_WIDTH)
            self.session.viewer.add_layer(layer)
            layer.events.data.connect(self._shape_changed)
            layers.selection.active = active
        return layers[SHAPES]

    def _shape_changed(self, event: object) -> None:
        if str(event.action).lower().endswith("added"):
            QTimer.singleShot(0, self.take_shapes)  # napari is still at work on the shape

    def take_shapes(self) -> None:
        """Turn all shapes into marks, and empty their layer."""
        layer, marks = self._shapes_layer(), self._layer()
        if layer is None or marks is None or not layer.nshapes:
            return
        for points, kind in zip(layer.data, layer.shape_type, strict=True):
            corners = np.asarray(points, float)[:, -2:] + 0.5  # napari counts from the first pixel's centre
            if kind in ("path", "line"):
                part, mask = stroke_lines(corners, marks.data.shape[-2:], marks.brush_size / 2)
            else:
                if kind == "ellipse":
                    centre = corners.mean(0)
                    corners = ellipse(centre, (corners[0] + corners[1]) / 2 - centre, (corners[1] + corners[2]) / 2 - centre)
                part, mask = fill_polygons([[corners]], marks.data.shape[-2:])
            self.session.marks.put(self.task, part, mask, marks.selected_label)
        with layer.events.data.blocker():
            layer.data = []

    def _end_shape(self) -> None:
        """Take a shape that is being drawn, as far as it was drawn."""
        layers = self.session.viewer.layers
        if SHAPES not in layers or not layers[SHAPES].nshapes:
            return
        layers[SHAPES].mode = "pan_zoom"  # napari ends it, and drops one of too few corners
        if layers[SHAPES].nshapes:
            self.take_shapes()
            name = self.session.current.entry.name
            self.session.said.emit(f"the shape that you had begun on '{name}' is a mark there: look whether it is whole.", True)

    # --------------------------------------------------------------------------------------------- a proposed outline

    def ask_for_object(self) -> None:
        """The next click says which object is to be outlined."""
        if self.session.current.is_volume:
            self.session.said.emit("Outlines are proposed in pictures; in a volume, paint the masks of its slices.", True)
        elif self.session.current.is_open() and self.session.current.entry is not None:
            self.tool.choose("propose")
            self.session.said.emit("Click an object with an inner region, or a predicted one: its outline is proposed.", False)

    def _tool_used(self, name: str, points: np.ndarray) -> None:
        if name == "propose":
            self.tool.choose(None)
            self.propose(tuple(np.floor(points[-1] + 0.5).astype(int)))

    def propose(self, pixel: tuple[int, int]) -> None:
        """Propose the outline of the object at (row, column)."""
        marks = to_stored(self.session.marks.layers["detection"].data)
        objects = self.session.maps.objects
        inside = all(0 <= place < size for place, size in zip(pixel, marks.shape, strict=True))
        if not inside:
            return
        number = 0 if objects is None else int(objects[pixel])
        seen = objects == number if number else np.zeros(marks.shape, bool)
        try:
            inner, value = region_at(marks, *pixel), int(marks[pixel])
        except LazyLabelsError as error:
            if not number:
                self.session.said.emit(str(error), True)
                return
            inner, value = seen, int(self.session.current.seen.classes[number])
        others = is_marked(marks) & ~inner
        interfaces = to_stored(self.session.marks.layers["separation"].data) == INTERFACE
        picture = self.session.current.picture
        self._asked += 1
        asked = self._asked

        def show(mask: np.ndarray) -> None:
            if asked == self._asked:  # else another one is under way, or another picture in view
                self._show_proposal(mask, value, pixel, seen)

        self.session.work.behind(lambda: outline_of(picture, inner, others, interfaces), show)

    def _show_proposal(self, mask: np.ndarray, value: int, pixel: tuple[int, int], seen: np.ndarray) -> None:
        self.refuse()
        colours = {0: (0, 0, 0, 0), 1: (0, 1, 1, 1), None: (0, 0, 0, 0)}
        layer = Labels(mask.astype(np.uint8), name=PROPOSAL, opacity=1.0, colormap=DirectLabelColormap(color_dict=colours))
        layer.contour = 2
        layers = self.session.viewer.layers
        active = layers.selection.active
        self.session.viewer.add_layer(layer)
        layers.selection.active = active
        self._proposal = _Proposal(layer, value, pixel, seen)
        self._bind_answers(self.accept, self.refuse)
        self.session.said.emit("Enter takes the outline as an exact mask of that object, Escape drops it.", False)

    def _bind_answers(self, accept: Callable[[], None] | None, refuse: Callable[[], None] | None) -> None:
        """Enter and Escape, while there is a proposal; else they are napari's, which ends polygons with them."""
        for provider in (self.session.viewer, *self.session.marks.layers.values()):
            for key, act in (("Enter", accept), ("Escape", refuse)):
                provider.bind_key(key, None if act is None else lambda _, act=act: act(), overwrite=True)

    def accept(self) -> None:
        """Take the proposed outline into the exact masks; it stays where that cannot be done yet."""
        if self._proposal is not None:
            taken, mask = self._proposal, self._proposal.layer.data > 0
            current = self.session.current

            def make(ids: np.ndarray, classes: np.ndarray) -> correcting.Correction:
                number = correcting.outlined(ids, taken.pixel, taken.seen | mask)
                marks = correcting.drawn_labels(current.project, current.entry)
                return correcting.outline(ids, number, mask, taken.value, marks=marks)

            if self.session.corrections.correct(make) is not None:
                self.refuse()

    def refuse(self) -> None:
        """Drop it."""
        self._bind_answers(None, None)
        if self._proposal is not None and self._proposal.layer in self.session.viewer.layers:
            self.session.viewer.layers.remove(self._proposal.layer)
        self._proposal = None
