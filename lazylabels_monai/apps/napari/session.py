"""One project in one window: what is shown, trained and predicted. The panels call it and listen to it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels
from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from lazylabels_monai.apps.napari.clock import DrawingClock
from lazylabels_monai.apps.napari.coding import NOTHING_SHOWN, layer_name
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.prediction_layers import OBJECTS, SEGMENTATION, PredictionLayers
from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.apps.napari.where import uncertain_boxes
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive import correcting, finish
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.interactive.kept import Kept, accepted, nothing_kept
from lazylabels_monai.interactive.predictor import Prediction, WarmPredictor
from lazylabels_monai.interactive.project import ImageEntry, Project, spatial_shape
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.interactive.volumes import is_volume
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.warm_start import STARTER, weights_named

__all__ = ["BACK", "PICTURE", "PROPOSAL", "RESULTS", "Session"]

#: Name of the picture's layer, and of that of an outline that was not accepted yet.
PICTURE, PROPOSAL = "Picture", "Proposed outline"
#: Folder of a project in which masks of finished images lie.
RESULTS = "finished"
#: The button that takes corrections of objects back.
BACK = "Back to the prediction"
#: Milliseconds between two looks at the trainer and the predictor; after so many of them one at the folder.
_POLL, _LOOKS = 150, 20


@dataclass(frozen=True)
class _Done:
    """A correction, to be undone.

    Args:
        marks: labels by task that it changed, as they were before.
        kept: what was kept before.
        shown: objects and classes that were shown; None: another prediction came since.
    """

    marks: dict[str, np.ndarray]
    kept: Kept
    shown: tuple[np.ndarray, np.ndarray] | None


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
        self._corrections: list[_Done] = []
        self.marks.saved.connect(self._saved)
        self.marks.failed.connect(lambda sentence: self.said.emit(sentence, True))
        viewer.mouse_drag_callbacks.append(self._touched)
        viewer.layers.events.inserted.connect(self._not_ours)
        self._polls = 0
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
        order = self.suggested()
        self._show_first(order + [entry for entry in project.images if entry not in order])
        return True

    def is_open(self) -> bool:
        """Whether there is a project; what to do is said where there is none."""
        if self.project is None:
            self.said.emit("open a project first, or make one of a folder of pictures.", True)
        return self.project is not None

    def _show_first(self, entries: Iterable[ImageEntry]) -> bool:
        """Show the first image that can be read; of those before it is said why they cannot."""
        return any(self.show(entry) for entry in entries)

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

    def show(self, entry: ImageEntry) -> bool:
        """Show an image with its marks, and ask for a prediction of it; False, with a sentence, where it cannot be shown.

        Layers of the image in view that were thrown away come back.
        """
        if self.project is None:
            return False
        if entry is self.entry:
            self._put_back()
            return True
        try:
            picture = self.project.picture(entry)
            self.spend()
            self.marks.show(self.project, entry)
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            return False
        self._show_picture(picture, is_volume(entry.path))
        self.entry, self.picture, self.seen = entry, picture, None
        self._corrections = []
        self.clock.stop()
        self.shown.emit()
        self.listed.emit()
        self._show_kept()
        if self.ahead:
            self.predict()
        return True

    def _put_back(self) -> None:
        layers = self.viewer.layers
        active = layers.selection.active
        if self._picture_layer is not None and self._picture_layer not in layers:
            layers.insert(0, self._picture_layer)
        self.marks.put_back()
        if self.seen is not None:
            self.show_prediction()
        if active is not None:
            layers.selection.active = active

    def _show_kept(self) -> None:
        """The objects that the person corrected or accepted are there at once, whatever the network answers."""
        kept = None

        def read() -> None:
            nonlocal kept
            kept = self.project.kept(self.entry)

        shape = spatial_shape(self.entry, self.picture)
        self.attempt(read)
        if self.entry.finished:

            def read_finished() -> None:
                nonlocal kept
                found = finish.read_masks(self.results, self._file_name(), shape, self.entry.path)
                kept = accepted(*found) if found is not None else kept

            self.attempt(read_finished)
        if kept is not None and not kept.nothing:
            self.seen = Seen(shape, kept)
            self.show_prediction()
            self.predicted.emit()

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
        if self.is_open():
            others = [entry for entry in self.suggested() if entry is not self.entry]
            if others:
                self._show_first(others)
            else:
                self.said.emit("every other training image is finished: look at the sizes, or add images to the folder.", False)

    def suggested(self) -> list[ImageEntry]:
        """Images to draw on next, the best first: as :meth:`rank` found, else those without labels in their order."""
        order = {entry.name: place for place, entry in enumerate(self._ranked)}
        return sorted(self.project.suggest(), key=lambda entry: order.get(entry.name, len(order)))  # stable

    def rank(self) -> None:
        """Rank the images by what a label would tell the network per second of this person's work; in a thread, minutes."""
        project, weights = self.project, self.weights
        if not self.is_open():
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
        """Say that the image in view is done, or not; the masks of one that is done are written, and then stay as they are."""
        if self.project is None or self.entry is None:
            return
        self.marks.flush()
        if self.attempt(lambda: self.project.finish(self.entry, finished)):
            (self._write_masks if finished else self._take_masks_back)()
        self.listed.emit()

    def _write_masks(self) -> None:
        """Of the finished image in view."""
        if self.seen is None or not self.seen.whole:
            self.said.emit("no masks are written, as there is no prediction yet: wait for it, then tick finished again.", True)
            return
        name, path, seen, classes = self._file_name(), self.entry.path, self.seen, self.project.classes
        seen.accept()

        def act() -> None:
            finish.write_masks(self.results, name, seen.objects, seen.classes, classes, path)
            self.project.save_kept(self.entry, seen.kept)

        if self.attempt(act):
            count = len(np.unique(seen.objects[seen.objects > 0]))
            what = {0: "that there is no object in it is", 1: "its object is"}.get(count, f"its {count} objects are")
            self.said.emit(f"{what} written to {self.results}, and will not change any more.", False)
            self.maps.draw_here([])

    def _take_masks_back(self) -> None:
        """An image that is not finished after all has none among the results; its objects stay on the screen."""

        def act() -> None:
            if self.seen is not None:
                self.project.save_kept(self.entry, self.seen.kept)
            finish.remove_masks(self.results, self._file_name(), self.entry.path)

        if self.attempt(act) and self.seen is not None and self.seen.kept.everything:
            self.said.emit(
                f'it is not finished any more; its objects stay as they are until you press "{BACK}" on the tab Correct.', False
            )

    def _file_name(self) -> str:
        """What the results of the image in view are called after."""
        return self.project.file_stem(self.entry) + file_suffix(self.entry.name)

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

    def _not_ours(self, event: object) -> None:
        """Napari's own buttons make layers, too, and what one draws there teaches nothing."""
        name, ours = event.value.name, {*map(layer_name, TASKS), SEGMENTATION, OBJECTS, PROPOSAL}
        if self.entry is not None and isinstance(event.value, Labels) and name not in ours:
            self.said.emit(
                f"what is drawn in the layer '{name}' is saved nowhere, as it is napari's own: choose a kind on the tab Draw.",
                True,
            )

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
            weights: :data:`~lazylabels_monai.interactive.trainer.LAST`, :data:`~lazylabels_monai.interactive.trainer.ANEW` or
                :data:`~lazylabels_monai.warm_start.STARTER`.
        """
        if self.is_open() and not self.trainer.running:
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

    def predict_again(self) -> None:
        """Somebody asks for it; where nothing will change it is said why."""
        if not self.is_open():
            return
        if self.seen is not None and self.seen.kept.everything:
            remedy = "take the tick of finished away, and " if self.entry.finished else ""
            self.said.emit(
                f'all its objects are as you accepted them: {remedy}press "{BACK}" on the tab Correct for others.',
                False,
            )
        self.predict()

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
            self._show_kept()
        if self.seen is None:
            self.seen = Seen(spatial_shape(self.entry, self.picture))
        self.seen.take(found)
        self._corrections = [replace(done, shown=None) for done in self._corrections]  # ids begin anew
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
        self.maps.show(
            seen.segmentation,
            seen.detection,
            seen.interface,
            seen.objects,
            seen.uncertainty,
            self.project.classes,
            self.threshold,
        )

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
        objects, classes, kept = self.seen.objects, self.seen.classes, self.seen.kept

        def act() -> None:
            correction = make(objects, classes)
            before.update(correcting.apply(self.project, self.entry, correction))
            self.seen.change(correction.objects, correction.classes)

        if not self.attempt(act):
            return []
        self.clock.act()
        self._corrections.append(_Done(before, kept, (objects, classes)))
        self._corrected()
        return list(before)

    def undo_correction(self) -> None:
        """Take back the last correction of the picture in view, objects and marks."""
        if not self._corrections:
            self.said.emit("there is no correction of this picture to undo.", False)
            return
        done = self._corrections.pop()
        self.marks.flush()
        if self.attempt(lambda: correcting.undo(self.project, self.entry, done.marks)):
            self.seen.keep(done.kept, done.shown)
            self._corrected()

    def forget_corrections(self) -> None:
        """Let the network decide about all objects of the picture in view; marks stay. It can be undone like a correction."""
        if self.seen is None or self.seen.kept.nothing:
            self.said.emit("the objects of this picture are the network's already.", False)
            return
        if self.entry.finished:
            self.said.emit("this picture is finished: take the tick away first, and its objects can change again.", True)
            return
        seen = self.seen
        self._corrections.append(_Done({}, seen.kept, (seen.objects, seen.classes)))
        seen.keep(nothing_kept(seen.objects.shape))
        self._corrected()
        self.said.emit("the network decides about all objects; your marks stay. Undo the correction takes this back.", False)
        if not seen.answered.any():
            self.predict()

    def _corrected(self) -> None:
        if self.entry.finished and self.seen.whole:
            self._write_masks()  # what was written is what is shown
        else:
            self.attempt(lambda: self.project.save_kept(self.entry, self.seen.kept))
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
        self._polls += 1
        if self._polls % _LOOKS == 0:
            self.look_again()

    def look_again(self) -> None:
        """Images that were added to the folder join the list, and one that was renamed keeps its marks."""
        if self.project is None or not self.project.changed():
            return
        before = {entry.name for entry in self.project.images}
        told = len(self.project.notes)
        if not self.attempt(self.project.refresh):
            return
        for note in self.project.notes[told:]:
            self.said.emit(note, False)
        if new := [entry.name for entry in self.project.images if entry.name not in before]:
            self.said.emit(f"the folder holds {len(new)} more images." if len(new) > 1 else f"new image: {new[0]}", False)
        if self.entry is not None and self.entry not in self.project.images:
            self.said.emit(f"'{self.entry.name}' is not in the folder any more: choose another image.", True)
            self.ranked.emit()
            return
        self.marks.flush()  # what could not be saved as long as its image was not there
        self.ranked.emit()

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
