"""One project in one window: what is shown, trained and predicted. The panels call it and listen to it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Image
from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from lazylabels_monai.apps.napari.clock import DrawingClock
from lazylabels_monai.apps.napari.coding import NOTHING_SHOWN
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.prediction_layers import PredictionLayers
from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.apps.napari.where import uncertain_boxes
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive import correcting, finish
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.interactive.predictor import Prediction, WarmPredictor
from lazylabels_monai.interactive.project import ImageEntry, Project, spatial_shape
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.interactive.volumes import is_volume
from lazylabels_monai.warm_start import STARTER, weights_named

__all__ = ["PICTURE", "RESULTS", "Session"]

#: Name of the picture's layer.
PICTURE = "Picture"
#: Folder of a project in which masks of finished images lie.
RESULTS = "finished"
#: Milliseconds between two looks at the trainer and the predictor.
_POLL = 150


class Session(QObject):
    """Holds the project, its trainer and its predictor; nothing here waits for any of them.

    Args:
        viewer: napari's.
        parent: owns it.

    Attributes:
        ahead: whether trainer and predictor get ready, and pictures are predicted, before anybody asks.
        opened: signal: another project is there.
        named: signal: the kinds of object have other names, or there are more of them.
        listed: signal: ticks, splits or seconds of images changed.
        shown: signal: another image is in view.
        ranked: signal: the images are to be drawn on in another order.
        predicted: signal: the prediction in view changed.
        training: signal with the trainer's :class:`~lazylabels_monai.interactive.events.Event`.
        said: signal with a sentence, and whether it tells of something that went wrong.
    """

    opened = Signal()
    named = Signal()
    listed = Signal()
    shown = Signal()
    ranked = Signal()
    predicted = Signal()
    training = Signal(object)
    said = Signal(str, bool)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.project: Project | None = None
        self.entry: ImageEntry | None = None
        self.picture: np.ndarray | None = None
        self.seen: Seen | None = None
        self.trainer: Trainer | None = None
        self.predictor: WarmPredictor | None = None
        self.weights: Path | None = None
        self.threshold = 0.5
        self.ahead = True
        self.clock = DrawingClock()
        self.marks = MarkLayers(viewer, self)
        self.maps = PredictionLayers(viewer)
        self._picture_layer: Image | None = None
        self._token = 0
        self._workers: list[Any] = []
        self._ranked: list[ImageEntry] = []
        self._corrections: list[tuple[np.ndarray | None, np.ndarray | None, dict[str, np.ndarray]]] = []
        self.marks.saved.connect(self._saved)
        self.marks.failed.connect(lambda sentence: self.said.emit(sentence, True))
        viewer.mouse_drag_callbacks.append(self._touched)
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL)
        self._poll.timeout.connect(self.poll)

    # --------------------------------------------------------------------------------------------- project and images

    def open(self, folder: Path, create: bool = False, classes: Sequence[str] = ("object",)) -> bool:
        """Open a project in the place of the one before; False, with a sentence, where it cannot be opened."""
        try:
            project = Project.open(folder, create=create, classes=classes) if create else Project.open(folder)
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            return False
        self.close()
        self.project, self._ranked = project, []
        for note in project.notes:
            self.said.emit(note, False)
        self.predictor = WarmPredictor()
        self.trainer = Trainer(project)
        if self.ahead:
            self.attempt(self.trainer.prepare)
        self.opened.emit()
        self._poll.start()
        self.load_weights(self.trainer.current_weights or weights_named(STARTER))
        order = self.suggested() or project.images
        self.show(order[0])
        return True

    def close(self) -> None:
        """Save, end the training (its weights stay) and let the folder go."""
        self._poll.stop()
        self.leave_image()
        if self.trainer is not None:
            self.trainer.close()
            self.trainer = None
        if self.predictor is not None:
            self.predictor.close()
            self.predictor = None
        if self.project is not None:
            self.project.close()
            self.project = None

    def show(self, entry: ImageEntry) -> None:
        """Show an image with its marks, and ask for a prediction of it."""
        if self.project is None or entry is self.entry:
            return
        try:
            picture = self.project.picture(entry)
            self.spend()
            self.marks.show(self.project, entry)
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            return
        self._show_picture(picture, is_volume(entry.path))
        self.entry, self.picture, self.seen = entry, picture, None
        self._corrections = []
        self.clock.stop()
        self.shown.emit()
        self.listed.emit()
        if self.ahead:
            self.predict()

    @property
    def is_volume(self) -> bool:
        """Whether a volume is in view, slice by slice."""
        return self.entry is not None and is_volume(self.entry.path)

    def leave_image(self) -> None:
        """Save what is in view and show nothing."""
        self.spend()
        self.marks.flush()
        self.marks.remove()
        self.maps.clear()
        if self._picture_layer is not None and self._picture_layer in self.viewer.layers:
            self.viewer.layers.remove(self._picture_layer)
        self._picture_layer = None
        self.entry = self.picture = self.seen = None

    def next(self) -> None:
        """Show the image to draw on next."""
        if self.project is not None:
            others = [entry for entry in self.suggested() if entry is not self.entry]
            if others:
                self.show(others[0])
            else:
                self.said.emit("every other training image is finished: look at the sizes, or add images to the folder.", False)

    def suggested(self) -> list[ImageEntry]:
        """Images to draw on next, the best first: as :meth:`rank` found, else those without labels in their order."""
        order = {entry.name: place for place, entry in enumerate(self._ranked)}
        return sorted(self.project.suggest(), key=lambda entry: order.get(entry.name, len(order)))  # stable

    def rank(self) -> None:
        """Rank the images by what a label would tell the network per second of this person's work; in a thread, minutes."""
        project, weights = self.project, self.weights
        if project is None:
            return

        def act() -> list[ImageEntry]:
            from lazylabels_monai.predicting.model import Model
            from lazylabels_monai.trained import trained_settings

            return project.suggest(Model(weights), trained_settings(weights))

        def then(ranked: list[ImageEntry]) -> None:
            if project is self.project:
                self._ranked = ranked
                self.said.emit("the images are ranked: the first in the list is the one to draw on next.", False)
                self.ranked.emit()

        self.said.emit("every training image is predicted four times; you can go on meanwhile.", False)
        self.behind(act, then)

    def finish(self, finished: bool = True) -> None:
        """Say that the image in view is done, or not; the masks of one that is done are written."""
        if self.project is not None and self.entry is not None:
            self.marks.flush()
            self.attempt(lambda: self.project.finish(self.entry, finished))
            if finished:
                self._write_masks()
            self.listed.emit()

    def _write_masks(self) -> None:
        """Of the finished image in view."""
        if self.seen is None or not self.seen.whole:
            self.said.emit("no masks are written, as there is no prediction yet: wait for it, then tick finished again.", True)
            return
        name, path, seen, classes = self.entry.name, self.entry.path, self.seen, self.project.classes
        if self.attempt(lambda: finish.write_masks(self.results, name, seen.objects, seen.classes, classes, path)):
            self.said.emit(f"its objects and classes are written to {self.results}.", False)

    @property
    def results(self) -> Path:
        """Folder of the masks of finished images."""
        return self.project.folder / RESULTS

    def set_complete(self, task: str, complete: bool) -> None:
        """ "Everything is marked here", or only some objects are."""
        if self.project is not None and self.entry is not None:
            self.marks.flush()
            self.attempt(lambda: self.project.set_complete(self.entry, task, complete))
            self.marks.reload()
            self.listed.emit()

    def set_classes(self, names: Sequence[str]) -> None:
        """Name the kinds of object anew, or more of them; not while a training runs, which knows those of its beginning."""
        if self.project is None or self.is_training:
            if self.project is not None:
                self.said.emit("the kinds cannot change while a training runs: press Stop on the tab Train first.", True)
            return
        self.marks.flush()
        if self.attempt(lambda: self.project.set_classes(names)):
            entry = self.entry
            self.named.emit()
            self.leave_image()
            if entry is not None:
                self.show(entry)
            self.said.emit("the kinds are named; the network knows a new name after the next training.", False)

    def set_section(self, entry: ImageEntry, section: str) -> None:
        """Move an image to another split."""
        self.attempt(lambda: self.project.set_section(entry, section))
        self.listed.emit()

    def _show_picture(self, picture: np.ndarray, volume: bool) -> None:
        layers = self.viewer.layers
        active = layers.selection.active
        self.maps.clear()
        if self._picture_layer is not None and self._picture_layer in layers:
            layers.remove(self._picture_layer)
        colour = not volume and picture.ndim == 3 and picture.shape[-1] in (3, 4)
        shown = picture if volume or colour or picture.ndim == 2 else picture[..., 0]
        self._picture_layer = Image(shown, name=PICTURE, rgb=colour)
        layers.insert(0, self._picture_layer)
        layers.selection.active = active
        self.viewer.reset_view()
        if volume:
            self.viewer.dims.set_current_step(0, len(picture) // 2)

    # --------------------------------------------------------------------------------------------- drawing

    def _saved(self, task: str) -> None:
        self._corrections = []  # to undo one would take back what was drawn since
        self.clock.act()
        self.spend(task)
        self.listed.emit()

    def _touched(self, viewer: Viewer, event: object) -> None:
        if self.entry is not None:
            self.clock.act()

    def spend(self, task: str | None = None) -> None:
        """Put the seconds since the last time down to the image in view."""
        seconds = self.clock.take()
        if seconds and self.project is not None and self.entry is not None:
            self.attempt(lambda: self.project.spend(self.entry, seconds, task))

    # --------------------------------------------------------------------------------------------- training

    @property
    def is_training(self) -> bool:
        """Whether a training runs, is held or comes to its end."""
        return self.trainer is not None and self.trainer.running

    def train(self, weights: str) -> None:
        """Begin to train in a process of its own.

        Args:
            weights: :data:`~lazylabels_monai.interactive.trainer.LAST` or :data:`~lazylabels_monai.warm_start.STARTER`.
        """
        if self.trainer is not None and not self.trainer.running:
            self.marks.flush()
            self.spend()
            self.trainer.weights = weights
            self.attempt(self.trainer.start)

    def stop_training(self) -> None:
        """End it; what was learnt is kept."""
        if self.trainer is not None:
            self.trainer.stop()

    def pause_training(self, pause: bool) -> None:
        """Hold it, or go on."""
        if self.trainer is not None:
            (self.trainer.pause if pause else self.trainer.resume)()

    def load_weights(self, weights: Path) -> None:
        """Predict by these weights from now on."""
        self.weights = weights
        if self.predictor is not None and (self.ahead or self.seen is not None):
            self.attempt(lambda: self.predictor.load(weights))

    # --------------------------------------------------------------------------------------------- predicting

    def predict(self) -> None:
        """Ask for a prediction of the image in view; the part in view comes first."""
        if self.predictor is not None and self.entry is not None:
            if self.is_volume and self.weights == weights_named(STARTER):
                self.said.emit("the starter knows pictures, not volumes: mark objects on some slices, and press Train.", False)
                return
            if not self.ahead:
                self.predictor.load(self.weights)
            self._token += 1
            view = None if self.is_volume else self._part_in_view()
            self.predictor.request(self.entry.name, self.picture, view, self._token, volume=self.is_volume)

    def _part_in_view(self) -> tuple[slice, slice] | None:
        layer = self._picture_layer
        if layer is None:
            return None
        (top, left), (bottom, right) = layer.corner_pixels[:, :2].astype(int).tolist()
        height, width = self.picture.shape[:2]
        if bottom <= top or right <= left or (bottom - top + 1 >= height and right - left + 1 >= width):
            return None
        return slice(max(top, 0), min(bottom + 1, height)), slice(max(left, 0), min(right + 1, width))

    def set_threshold(self, threshold: float) -> None:
        """Of what is shown as an interface."""
        self.threshold = threshold
        self.maps.set_threshold(threshold)

    def _take(self, found: Prediction) -> None:
        if found.sentence:
            self.said.emit(found.sentence, True)
        if self.entry is None or found.entry_name != self.entry.name or found.sentence:
            return
        if self.seen is None:
            self.seen = Seen(spatial_shape(self.entry, self.picture))
        self.seen.take(found)
        self._corrections = [(None, None, before) for *_, before in self._corrections]  # ids begin anew
        self.show_prediction()
        if found.last:
            self.marks.size_brushes(self.seen.objects)
            if not self.entry.predicted:
                self.attempt(lambda: self.project.note_predicted(self.entry))
                self.listed.emit()
            self._draw_here()
        self.predicted.emit()

    def show_prediction(self) -> None:
        """Fill the layers with what is known of the picture in view."""
        seen = self.seen
        self.maps.show(seen.segmentation, seen.interface, seen.objects, seen.uncertainty, self.project.classes, self.threshold)

    def _draw_here(self) -> None:
        """Outline where a mark says most, on pictures that one still draws on."""
        if self.entry.finished or self.is_volume:
            self.maps.draw_here([])
            return
        marked = np.zeros(self.seen.objects.shape, bool)
        for task in ("detection", "segmentation"):
            marked |= self.marks.layers[task].data != NOTHING_SHOWN
        self.maps.draw_here(uncertain_boxes(self.seen.uncertainty, marked))

    # --------------------------------------------------------------------------------------------- correcting

    def correct(self, make: Callable[[np.ndarray, np.ndarray], correcting.Correction]) -> list[str]:
        """Correct the objects in view and the marks.

        Args:
            make: gives a correction of the objects (ids) and their classes (by id); what it refuses is said.

        Returns:
            the tasks whose marks were changed.
        """
        if self.entry is None:
            return []
        if self.seen is None:
            self.seen = Seen(spatial_shape(self.entry, self.picture))
        self.marks.flush()
        before: dict[str, np.ndarray] = {}
        objects, classes = self.seen.objects, self.seen.classes

        def act() -> None:
            correction = make(objects, classes)
            before.update(correcting.apply(self.project, self.entry, correction))
            self.seen.change(correction.objects, correction.classes)

        if not self.attempt(act):
            return []
        self.clock.act()
        self._corrections.append((objects, classes, before))
        self._corrected()
        return list(before)

    def undo_correction(self) -> None:
        """Take back the last correction of the picture in view, objects and marks."""
        if not self._corrections:
            self.said.emit("there is no correction of this picture to undo.", False)
            return
        objects, classes, before = self._corrections.pop()
        self.marks.flush()
        if self.attempt(lambda: correcting.undo(self.project, self.entry, before)):
            if objects is not None:
                self.seen.objects, self.seen.classes = objects, classes
            self._corrected()

    def _corrected(self) -> None:
        if self.entry.finished and self.seen.whole:
            self._write_masks()  # what was written is what is shown
        self.marks.reload()
        self.show_prediction()
        self.predicted.emit()
        self.listed.emit()

    # --------------------------------------------------------------------------------------------- both

    def poll(self) -> None:
        """Look what trainer and predictor have to tell."""
        if self.trainer is not None:
            for event in self.trainer.poll():
                self._heard(event)
        if self.predictor is not None:
            for prediction in self.predictor.poll():
                self._take(prediction)

    def _heard(self, event: Event) -> None:
        if event.weights is not None and event.kind == "weights":
            self.load_weights(Path(event.weights))
            self.predict()
        if event.sentence:
            self.said.emit(event.sentence, event.error)
        if event.kind == "ended":
            self.attempt(self.trainer.prepare)  # the next one begins at once
        self.training.emit(event)

    def attempt(self, act: Callable[[], Any]) -> bool:
        """Do something; what a person can mend is said in the window, and False comes back."""
        try:
            act()
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            return False
        return True

    def behind(self, act: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something in a thread of its own and hand its result to ``then`` in this one; errors are said as sentences."""

        def failed(error: Exception) -> None:
            if isinstance(error, LazyLabelsError | OSError):
                self.said.emit(str(error), True)
                return
            traceback.print_exception(error)  # a fault of ours
            self.said.emit(f"this is a fault of the program ({type(error).__name__}: {error}); the terminal says more.", True)

        worker = create_worker(act, _start_thread=False)
        worker.returned.connect(then)
        worker.errored.connect(failed)
        worker.finished.connect(lambda: self._workers.remove(worker))
        self._workers.append(worker)
        worker.start()
