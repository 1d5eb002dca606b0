"""The three layers that a person draws in: made, named and coloured, and saved at every stroke."""

from __future__ import annotations

import numpy as np
from napari import Viewer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject, QTimer, Signal

from lazylabels_monai.apps.napari.coding import (
    NOTHING_SHOWN,
    brush_size,
    layer_colours,
    layer_name,
    to_shown,
    to_stored,
    values_to_draw,
)
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project

__all__ = ["DRAWN_LAST_ON_TOP", "HELP", "MarkLayers"]

#: The order of the layers from below: thin strokes must not lie under areas.
DRAWN_LAST_ON_TOP = ("segmentation", "detection", "separation")

_OPACITY = {"segmentation": 0.4, "detection": 0.6, "separation": 0.9}
#: What one draws first.
_FIRST = "detection"
#: What the status bar says below a layer to draw in. napari's own words name digits for its tools, which choose classes here.
HELP = "1 to 9 choose the class, 0 background, E erases, P paints, Ctrl+Z undoes, hold Space to move the picture"
#: Milliseconds without a change after which what no stroke announced (undo, a layer's data set anew) is saved.
_QUIET = 300


class MarkLayers(QObject):
    """The layers of one image at a time.

    A stroke is saved when the button goes up, before anything else happens: a kill of napari loses none. Undo, redo and all
    other changes are saved when they have been quiet for a moment, and before another image is shown.

    Args:
        viewer: napari's.
        parent: owns it.

    Attributes:
        task: whose layer was in the hand last.
        unsaved: why marks are not saved, by task; the layers keep them, and :meth:`flush` tries again.
        saved: signal with the task whose marks were written.
        failed: signal with a sentence, where marks are not saved, or could not be.
    """

    saved = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.layers: dict[str, Labels] = {}
        self.project: Project | None = None
        self.entry: ImageEntry | None = None
        self.task = _FIRST
        self._before_tick: dict[str, list[object]] = {}
        self._on_disk: dict[str, np.ndarray] = {}
        self._values: dict[str, int] = {}  # in the hand, by task
        self.unsaved: dict[str, str] = {}
        viewer.layers.selection.events.active.connect(lambda event: self._chosen())
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self.flush)

    # --------------------------------------------------------------------------------------------- what is shown

    def show(self, project: Project, entry: ImageEntry, objects: np.ndarray | None = None) -> None:
        """Show the marks of an image; those of the one before are saved first. Undo begins anew, the kind in the hand stays.

        Raises:
            LazyLabelsError: when a label cannot be read, or marks of the image before cannot be saved; all stays as it is then.
        """
        if not self.flush():
            raise LazyLabelsError(self.why_unsaved)
        marks = {task: to_shown(project.labels.read(entry, task)) for task in DRAWN_LAST_ON_TOP}
        before, chosen = self.layers, self.task if project is self.project else _FIRST
        self.remove()
        self.project, self.entry = project, entry
        for task, shown in marks.items():
            layer = Labels(
                shown,
                name=layer_name(task),
                opacity=_OPACITY[task],
                colormap=DirectLabelColormap(color_dict=layer_colours(task, project.classes)),
            )
            old = before.get(task)
            layer.brush_size = old.brush_size if old is not None else brush_size(task, shown.shape, objects)
            if old is not None:
                layer.opacity, layer.visible, layer.selected_label = old.opacity, old.visible, old.selected_label
            else:
                layer.selected_label = 1
            self._on_disk[task] = shown.copy()
            self._values[task] = layer.selected_label
            self.layers[task] = layer
            self.viewer.add_layer(layer)
            layer.events.mode.connect(lambda event, layer=layer: self._say_keys(layer), position="last")
            layer.events.selected_label.connect(lambda event, task=task: self._keep_to_classes(task))
            layer.events.paint.connect(lambda event, task=task: self._painted(task))
            layer.events.labels_update.connect(lambda event: self._quiet.start(_QUIET))
            layer.events.set_data.connect(lambda event: self._quiet.start(_QUIET))
            self._bind_keys(task, layer, len(values_to_draw(task, project.classes)) - 1)
        layer = self.layers[chosen]
        self.viewer.layers.selection.active = layer
        layer.mode = "paint"

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        gone, self.layers = self.layers, {}  # napari chooses a layer beside each; nobody took that into the hand
        for layer in gone.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._on_disk, self._before_tick, self.unsaved, self.entry = {}, {}, {}, None

    def task_of(self, layer: object) -> str | None:
        """The task of one of these layers; None for any other."""
        return next((task for task, own in self.layers.items() if own is layer), None)

    def _chosen(self) -> None:
        self.task = self.task_of(self.viewer.layers.selection.active) or self.task

    def draw(self, task: str, value: int) -> None:
        """Take the brush for a task and a value as shown."""
        if task in self.layers:
            layer = self.layers[task]
            if layer not in self.viewer.layers:  # somebody threw it away; what was drawn is still there
                self.viewer.add_layer(layer)
            self.viewer.layers.selection.active = layer
            layer.visible = True
            layer.selected_label = value
            layer.mode = "erase" if value == NOTHING_SHOWN else "paint"

    def put_back(self) -> None:
        """Show layers again that somebody threw away; what was drawn is still there."""
        for layer in self.layers.values():
            if layer not in self.viewer.layers:
                self.viewer.add_layer(layer)

    def size_brushes(self, objects: np.ndarray) -> None:
        """Brushes that fit the objects (ids, (H, W)), but for those that a person has sized."""
        for task, layer in self.layers.items():
            if layer.ndim == 3:
                objects = objects[objects.shape[0] // 2] if objects.ndim == 3 else objects
            if layer.brush_size == brush_size(task, layer.data.shape):
                layer.brush_size = brush_size(task, layer.data.shape, objects)

    # --------------------------------------------------------------------------------------------- what is changed

    def put(self, task: str, where: tuple[slice, slice], mask: np.ndarray, value: int) -> None:
        """Draw a mask (bool, of the part ``where``) with a value as shown; one step of undo, saved like a stroke.

        Of a volume on the slice in view.
        """
        rows, columns = np.nonzero(mask)
        if len(rows):
            plane = [np.full(len(rows), self.viewer.dims.current_step[0])] if self.layers[task].ndim == 3 else []
            self.layers[task].data_setitem((*plane, rows + where[0].start, columns + where[1].start), value)
            self.flush()

    def reload(self, undo: bool = False) -> None:
        """Show what the project holds now, which is no step of undo: it would be saved as if a person had drawn it.

        Args:
            undo: whether earlier strokes of a layer that changes can still be undone; they lie under a correction.
        """
        if self.project is None or self.entry is None:
            return
        for task, layer in self.layers.items():
            now = to_shown(self.project.labels.read(self.entry, task))
            changed = now != layer.data
            if changed.any():
                layer.data[changed] = now[changed]
                if not undo:
                    layer._reset_history()  # napari has no other way
            self._on_disk[task] = now
            if changed.any():
                layer.refresh()

    def fill(self, task: str, complete: bool) -> None:
        """Show what "everything is marked here" has made of a task's marks, or its end.

        Strokes of before can still be undone. Those of between have its background under them, and are undone no more after its
        end, when nothing but a person's own background is saved.
        """
        layer = self.layers.get(task)
        if layer is not None and complete:
            self._before_tick[task] = _strokes(layer)
        self.reload(undo=True)
        if layer is not None and not complete:
            before = {id(stroke) for stroke in self._before_tick.get(task, [])}
            if any(id(stroke) not in before for stroke in _strokes(layer)):
                layer._reset_history()

    def flush(self) -> bool:
        """Save what differs from what was saved last; False where not all of it could be (:attr:`unsaved`)."""
        self._quiet.stop()
        for task in list(self.layers):
            self._save(task)
        return not self.unsaved

    @property
    def why_unsaved(self) -> str:
        """Sentences about the marks that are not saved."""
        return " ".join(self.unsaved.values())

    def drop(self) -> None:
        """Show what was saved last in the place of marks that could not be."""
        for task in list(self.unsaved):
            layer = self.layers[task]
            layer.data = self._on_disk[task].copy()
            layer._reset_history()
        self.unsaved = {}

    def _say_keys(self, layer: Labels) -> None:
        layer.help = HELP
        if self.viewer.layers.selection.active is layer:
            self.viewer.help = HELP

    def _painted(self, task: str) -> None:
        self.unsaved.pop(task, None)  # each stroke that is not saved is told of
        self._save(task)
        self._quiet.start(0)  # of some acts napari tells before it does them

    def _save(self, task: str) -> None:
        """Save all but values of no class, which do not stand in the way of the others."""
        layer, saved = self.layers.get(task), self._on_disk.get(task)
        if layer is None or saved is None or self.project is None or self.entry is None:
            return
        data, why = layer.data, ""
        changed = data != saved if data.shape == saved.shape else np.ones(data.shape, bool)
        if data.shape == saved.shape and changed.any():  # looking values up takes long, so only where something was drawn
            values = data[changed]
            strange = ~np.isin(values, self._known_values(task))
            if strange.any():
                why = self._about_strange(task, values[strange])
                data = saved.copy()
                data[changed] = np.where(strange, saved[changed], values)
                changed = data != saved
        if changed.any():
            try:
                self.project.labels.save(self.entry, task, to_stored(data))
            except (LazyLabelsError, OSError) as error:
                what = f"'{layer_name(task)}' of '{self.entry.name}' cannot be saved: "  # a sentence of ours says it itself
                why = str(error) if isinstance(error, LazyLabelsError) else f"{what}{error}."
            else:
                self._on_disk[task] = np.array(data, copy=True)
                self.saved.emit(task)
        self._note_unsaved(task, why)

    def _note_unsaved(self, task: str, why: str) -> None:
        told = self.unsaved.pop(task, "")
        if why:
            self.unsaved[task] = why
            if why != told:
                self.failed.emit(why)

    def _known_values(self, task: str) -> list[int]:
        """As shown: what can be drawn, and nothing."""
        return [NOTHING_SHOWN, *(value for value, _ in values_to_draw(task, self.project.classes))]

    def _about_strange(self, task: str, values: np.ndarray) -> str:
        found = ", ".join(map(str, np.unique(values)[:3]))
        return (
            f"'{layer_name(task)}' of '{self.entry.name}' holds {len(values)} pixels of label {found}, no kind of this "
            "project: they are not saved, all else is; draw over them, or rub them out (E)."
        )

    def _keep_to_classes(self, task: str) -> None:
        """napari's keys (M, =, -) and its panel offer labels of no class, which teach nothing and cannot be saved."""
        layer = self.layers.get(task)
        if layer is None or layer.selected_label == self._values[task]:
            return
        if layer.selected_label in self._known_values(task):
            self._values[task] = layer.selected_label
            return
        refused, layer.selected_label = layer.selected_label, self._values[task]
        self.failed.emit(
            f"label {refused} is no kind of this project: choose one on the tab Draw or by its key, or press Kinds… for more."
        )

    def _bind_keys(self, task: str, layer: Labels, objects: int) -> None:
        """1 to 9: the classes, 0: background. napari's own digits choose tools, for which it has letters, too."""

        def choose(value: int):
            def chosen(layer: Labels) -> None:
                self.draw(task, value)

            return chosen

        values = [value for value, _ in values_to_draw(task, self.project.classes)]
        for digit in range(1, 10):
            value = values[digit - 1] if digit <= objects else None
            layer.bind_key(str(digit), choose(value) if value is not None else lambda layer: None, overwrite=True)
        layer.bind_key("0", choose(values[-1]), overwrite=True)


def _strokes(layer: Labels) -> list[object]:
    """What napari can undo or redo, in parts that stay the same objects whichever of both they are."""
    return [part for step in (*layer._undo_history, *layer._redo_history) for part in step]
