"""One project in one window: opened, shown image by image, trained on. The panels call it and its parts, and listen to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from napari import Viewer
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from lazylabels_monai.apps.napari.clock import DrawingClock
from lazylabels_monai.apps.napari.coding import layer_name
from lazylabels_monai.apps.napari.corrections import Corrections
from lazylabels_monai.apps.napari.current import Current
from lazylabels_monai.apps.napari.drawing_order import DrawingOrder
from lazylabels_monai.apps.napari.finished import FinishedImages
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.picture_layer import PictureLayer
from lazylabels_monai.apps.napari.prediction_layers import PredictionLayers, is_prediction
from lazylabels_monai.apps.napari.predictions import Predictions
from lazylabels_monai.apps.napari.work import Work
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.judging import data_bar
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.interactive.file_stamp import file_stamp
from lazylabels_monai.interactive.image_files import read_picture
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.interactive.volumes import is_volume
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.warm_start import STARTER, weights_named

__all__ = ["PROPOSAL", "Session"]

#: Name of the layer of an outline that was not accepted yet.
PROPOSAL = "Proposed outline"
#: Milliseconds between two looks at the trainer and the predictor; after so many of them one at the folder.
_POLL, _LOOKS = 150, 20


class Session(QObject):
    """Holds what is open and its trainer, which nothing here waits for.

    Args:
        viewer: napari's.
        parent: owns it.

    Attributes:
        current: the project, the image in view, what is known of it.
        work: does what may go wrong.
        marks: the layers that a person draws in.
        maps: the layers of the prediction.
        finished: the images that are finished.
        predictions: of the image in view.
        corrections: of the image in view.
        order: in which the images are to be drawn on.
        lets_go: asked before marks that cannot be saved are left; takes sentences about them, and says whether the person lets
            them go. Nobody does, unless it is set.
        opened: signal: another project is there.
        named: signal: the kinds of object have other names, or there are more of them.
        leaving: signal: the image in view is about to be left; what is not finished belongs to it.
        shown: signal: another image is in view.
        training: signal with the trainer's :class:`~lazylabels_monai.interactive.events.Event`.
        said: signal with a sentence, and whether it tells of something that went wrong.
    """

    opened = Signal()
    named = Signal()
    leaving = Signal()
    shown = Signal()
    training = Signal(object)
    said = Signal(str, bool)

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.trainer: Trainer | None = None
        self.clock = DrawingClock()
        self.work = Work(self.said.emit)
        self.current = Current(self.said.emit, self)
        self.marks = MarkLayers(viewer, self)
        self.maps = PredictionLayers(viewer)
        self._picture = PictureLayer(viewer)
        self.finished = FinishedImages(self.current, self.marks, self.maps, self.work)
        self.predictions = Predictions(
            self.current, self._picture, self.marks, self.maps, self.finished, self.work, parent=self
        )
        self.corrections = Corrections(self.current, self.marks, self.clock, self.finished, self.predictions, self.work)
        self.order = DrawingOrder(self.current, self.predictions, self.work, self)
        self.marks.saved.connect(self._saved)
        self.marks.failed.connect(lambda sentence: self.said.emit(sentence, True))
        viewer.mouse_drag_callbacks.append(self._touched)
        viewer.layers.events.inserted.connect(self._not_ours)
        self.lets_go: Callable[[str], bool] = lambda why: False
        self._is_asking = False
        self._polls = 0
        self._stamp: tuple[int, ...] | None = None  # of the file in view, as it was read
        self._told_bar = False
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL)
        self._poll.timeout.connect(self.poll)

    # --------------------------------------------------------------------------------------------- the project

    def open(self, folder: Path, create: bool = False, classes: Sequence[str] = ("object",)) -> bool:
        """Open a project in the place of the one before; False, with a sentence, where it cannot be opened, or the person stays
        with marks that cannot be saved."""
        if not self._may_leave():
            return False
        before, entry = self.current.project, self.current.entry
        again = before is not None and before.is_in(folder)
        if again:
            self.leave_image()  # what is saved now is read anew, and nothing writes over that later
        try:
            project = Project.open(folder, create=create, classes=classes) if create else Project.open(folder)
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            if again and entry is not None:
                self.show(entry)
            return False
        self.close()
        self._told_bar = False
        self.current.project = project
        self.order.forget()
        for note in project.notes:
            self.said.emit(note, False)
        self.predictions.open()
        self.trainer = Trainer(project)
        if self.predictions.ahead:
            self.work.attempt(self.trainer.prepare)
        self.opened.emit()
        self._poll.start()
        self.predictions.load(self.trainer.current_weights or weights_named(STARTER))
        order = self.order.images()
        self._show_first(order + [entry for entry in project.images if entry not in order])
        return True

    def close(self) -> bool:
        """Save, end the training (its weights stay) and let the folder go.

        Returns:
            False, and nothing of that is done, where marks cannot be saved and the person stays with them.
        """
        if not self.leave_image():
            return False
        self._poll.stop()
        if self.trainer is not None:
            self.trainer.close()
            self.trainer = None
        self.predictions.close()
        if self.current.project is not None:
            self.current.project.close()
            self.current.project = None
        return True

    def set_classes(self, names: Sequence[str]) -> None:
        """Name the kinds of object anew, or more of them; not while a training runs, which knows those of its beginning."""
        project, entry = self.current.project, self.current.entry
        if project is None or self.is_training:
            if project is not None:
                self.said.emit("the kinds cannot change while a training runs: press Stop on the tab Train first.", True)
            return
        if not self._may_leave():
            return
        if self.work.attempt(lambda: project.set_classes(names)):
            self.named.emit()
            self.leave_image()
            if entry is not None:
                self.show(entry)
            self.said.emit(
                "the kinds are named; the network knows a new name after the next training, and a report or export of before "
                "has the old ones: press Report or Export again.",
                False,
            )

    def look_again(self) -> None:
        """Images that were added to the folder join the list, one that was renamed keeps its marks, and another one under the
        name of that in view is shown."""
        project, entry = self.current.project, self.current.entry
        if project is None or not (project.changed() or self._is_replaced()):
            return
        before = {entry.name for entry in project.images}
        told = len(project.notes)
        if not self.work.attempt(project.refresh):
            return
        for note in project.notes[told:]:
            self.said.emit(note, False)
        if new := [entry.name for entry in project.images if entry.name not in before]:
            self.said.emit(f"the folder holds {len(new)} more images." if len(new) > 1 else f"new image: {new[0]}", False)
        if entry is not None and entry not in project.images:
            self.said.emit(f"'{entry.name}' is not in the folder any more: choose another image.", True)
            self.order.changed.emit()
            return
        self.marks.flush()  # what could not be saved as long as its image was not there
        self.order.changed.emit()
        if self._is_replaced():
            self._show_anew()

    def _is_replaced(self) -> bool:
        """Whether the file in view is not the one that was read."""
        return self.current.entry is not None and file_stamp(self.current.entry.path) not in (None, self._stamp)

    def _show_anew(self) -> None:
        entry = self.current.entry
        try:
            read_picture(entry.path)
        except (LazyLabelsError, OSError):  # being written; a later look shows it
            return
        if self.marks.flush() and self.leave_image():  # else the person leaves it, when asked for another image
            self.show(entry)

    # --------------------------------------------------------------------------------------------- its images

    def show(self, entry: ImageEntry) -> bool:
        """Show an image with its marks, and ask for a prediction of it.

        Layers of the image in view that were thrown away come back.

        Returns:
            False where it cannot be shown, which is said, or the person stays with marks that cannot be saved.
        """
        project = self.current.project
        if project is None:
            return False
        if entry is self.current.entry:
            self._put_back()
            return True
        stamp = file_stamp(entry.path)
        try:
            picture = read_picture(entry.path)
            if not self._may_leave():
                return False
            with self.viewer.layers.batched_update():  # drawn once, not for each layer that goes or comes
                self.marks.show(project, entry)
                self.maps.clear()
                self._picture.show(picture, is_volume(entry.path))
        except (LazyLabelsError, OSError) as error:
            self.said.emit(str(error), True)
            return False
        self.current.look_at(entry, picture)
        self._stamp = stamp
        self.corrections.clear()
        self.clock.stop()
        self.shown.emit()
        self.current.listed.emit()
        self.predictions.show_kept()
        if self.predictions.ahead:
            self.predictions.predict()
        if not self._told_bar and not is_volume(entry.path):
            self.work.behind(lambda: data_bar(picture), lambda bar: self._tell_bar(entry, bar))
        return True

    def _tell_bar(self, entry: ImageEntry, bar: tuple[str, int] | None) -> None:
        """Say once for each project what may be taken for objects."""
        if bar is None or self._told_bar or entry is not self.current.entry:
            return
        self._told_bar = True
        self.said.emit(
            f"'{entry.name}' has a data bar, {bar[1]} rows along its {bar[0]} edge, whose letters may be taken for objects: "
            "mark it as background, or cut such bars off by `lazylabels crop FOLDER NEW` before you draw, and open NEW.",
            True,
        )

    def next(self) -> None:
        """Show the image to draw on next."""
        if self.current.is_open():
            others = [entry for entry in self.order.images() if entry is not self.current.entry]
            if others:
                if self._may_leave():  # asked once, not for each image that cannot be read
                    self._show_first(others)
            else:
                self.said.emit("every other training image is finished: look at the sizes, or add images to the folder.", False)

    def leave_image(self) -> bool:
        """Save what is in view and show nothing; False where marks cannot be saved and the person stays with them."""
        if not self._may_leave():
            return False
        with self.viewer.layers.batched_update():
            self.marks.remove()
            self.maps.clear()
            self._picture.remove()
        self.current.look_at(None)
        return True

    def set_complete(self, task: str, complete: bool) -> None:
        """ "Everything is marked here", or only some objects are."""
        project, entry = self.current.project, self.current.entry
        if project is not None and entry is not None:
            if not self.marks.flush():  # what is shown anew is what is on the disk
                self.said.emit(f"it can be said when all marks are saved. {self.marks.why_unsaved}", True)
                return
            if not complete and not project.records.state(entry).complete.get(task):
                self.corrections.clear()  # a label that came complete: to undo one would bring its background back
            self.work.attempt(lambda: project.labels.set_complete(entry, task, complete))
            self.marks.fill(task, complete)
            self.current.listed.emit()

    def set_section(self, entry: ImageEntry, section: str) -> None:
        """Move an image to another split; where that is to measure weights which have learnt from it, it is said."""
        learnt: list[bool] = []
        if section != "training" and section != entry.section:
            self.work.attempt(lambda: learnt.append(self.trainer.has_learnt_from(entry)))  # as it is in the training now
        if self.work.attempt(lambda: self.current.project.records.set_section(entry, section)) and any(learnt):
            self.said.emit(
                f"the last weights have learnt from '{entry.name}', so that scores on it are no measure of new images: choose "
                "another image, or begin the next training from the starter.",
                True,
            )
        self.current.listed.emit()

    def _show_first(self, entries: Iterable[ImageEntry]) -> bool:
        """Show the first image that can be read; of those before it is said why they cannot."""
        return any(self.show(entry) for entry in entries)

    def _may_leave(self) -> bool:
        """Save the image in view; where marks cannot be saved, the person says whether they go."""
        self._leave()
        if self.marks.flush():
            return True
        self._is_asking = True
        try:
            if not self.lets_go(self.marks.why_unsaved):
                return False
        finally:
            self._is_asking = False
        self.marks.drop()
        return True

    def _leave(self) -> None:
        if self.current.entry is not None:
            self.leaving.emit()
        self.spend()

    def _put_back(self) -> None:
        active = self.viewer.layers.selection.active
        self._picture.put_back()
        self.marks.put_back()
        if self.current.seen is not None:
            self.predictions.show()
        if active is not None:
            self.viewer.layers.selection.active = active

    # --------------------------------------------------------------------------------------------- drawing

    def spend(self, task: str | None = None) -> None:
        """Put the seconds since the last time down to the image in view."""
        seconds, project, entry = self.clock.take(), self.current.project, self.current.entry
        if seconds and project is not None and entry is not None:
            self.work.attempt(lambda: project.records.spend(entry, seconds, task))

    def _saved(self, task: str) -> None:
        self.corrections.clear()  # to undo one would take back what was drawn since
        self.clock.act()
        self.spend(task)
        self.current.listed.emit()

    def _not_ours(self, event: object) -> None:
        """Napari's own buttons make layers, too, and what one draws there teaches nothing."""
        name = event.value.name
        ours = is_prediction(name) or name in {*map(layer_name, TASKS), PROPOSAL}
        if self.current.entry is not None and isinstance(event.value, Labels) and not ours:
            self.said.emit(
                f"what is drawn in the layer '{name}' is saved nowhere, as it is napari's own: choose a kind on the tab Draw.",
                True,
            )

    def _touched(self, viewer: Viewer, event: object) -> None:
        if self.current.entry is not None:
            self.clock.act()

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
        if self.current.is_open() and not self.trainer.running:
            self.marks.flush()
            self.spend()
            self.trainer.weights = weights
            self.work.attempt(self.trainer.start)

    def stop_training(self) -> None:
        """End it; what was learnt is kept."""
        if self.trainer is not None:
            self.trainer.stop()

    def pause_training(self, pause: bool) -> None:
        """Hold it, or go on."""
        if self.trainer is not None:
            (self.trainer.pause if pause else self.trainer.resume)()

    def poll(self) -> None:
        """Look what trainer and predictor have to tell, and now and then at the folder."""
        if self._is_asking:  # what is in view stays until there is an answer
            return
        if self.trainer is not None:
            for event in self.trainer.poll():
                self._heard(event)
        self.predictions.poll()
        self._polls += 1
        if self._polls % _LOOKS == 0:
            self.look_again()
            if self.marks.unsaved and not self._is_replaced() and self.marks.flush():
                self.said.emit("all marks are saved now.", False)

    def _heard(self, event: Event) -> None:
        if event.weights is not None and event.kind == "weights":
            self.predictions.load(Path(event.weights))
            self.predictions.predict()
        if event.sentence:
            self.said.emit(event.sentence, event.error)
        if event.kind == "ended":
            self.work.attempt(self.trainer.prepare)  # the next one begins at once
        self.training.emit(event)
