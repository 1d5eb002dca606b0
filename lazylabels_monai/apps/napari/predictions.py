"""Predictions of the image in view: asked for, put together and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject, Signal

from lazylabels_monai.apps.napari.coding import NOTHING_SHOWN
from lazylabels_monai.apps.napari.current import Current
from lazylabels_monai.apps.napari.finished import BACK, FinishedImages
from lazylabels_monai.apps.napari.mark_layers import MarkLayers
from lazylabels_monai.apps.napari.picture_layer import PictureLayer
from lazylabels_monai.apps.napari.prediction_layers import PredictionLayers
from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.apps.napari.where import uncertain_boxes
from lazylabels_monai.apps.napari.work import Work
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.predictor import Prediction, WarmPredictor
from lazylabels_monai.warm_start import STARTER, weights_named

__all__ = ["Predictions"]


class Predictions(QObject):
    """Asks a predictor, which nothing here waits for, and shows what it answers.

    Args:
        current: what is open.
        picture: the part of it in view is predicted first.
        marks: where nothing is marked yet, one is told to draw.
        maps: that are filled.
        finished: of whose images the masks are shown.
        work: says what goes wrong.
        parent: owns it.

    Attributes:
        ahead: whether the network gets ready, and pictures are predicted, before anybody asks.
        weights: that are predicted by.
        changed: signal: the prediction in view changed.
        answered: signal: the network answered; its objects have other ids from now on. Before anything of it is shown.
    """

    changed = Signal()
    answered = Signal()

    def __init__(
        self,
        current: Current,
        picture: PictureLayer,
        marks: MarkLayers,
        maps: PredictionLayers,
        finished: FinishedImages,
        work: Work,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._current, self._picture, self._marks, self._maps = current, picture, marks, maps
        self._finished, self._work = finished, work
        self.ahead = True
        self.weights: Path | None = None
        self._threshold = 0.5
        self._predictor: WarmPredictor | None = None
        self._requests = 0

    # --------------------------------------------------------------------------------------------- the predictor

    def open(self) -> None:
        """Begin, for a project."""
        self._predictor = WarmPredictor()

    def close(self) -> None:
        """End the predictor's process."""
        if self._predictor is not None:
            self._predictor.close()
            self._predictor = None

    def load(self, weights: Path) -> None:
        """Predict by these weights from now on."""
        self.weights = weights
        if self._predictor is not None and (self.ahead or self._current.seen is not None):
            self._work.attempt(lambda: self._predictor.load(weights))

    def poll(self) -> None:
        """Look what the predictor has to tell."""
        if self._predictor is not None:
            for found in self._predictor.poll():
                self.take(found)

    def predict(self) -> None:
        """Ask for a prediction of the image in view; the part in view comes first."""
        entry, volume = self._current.entry, self._current.is_volume
        if self._predictor is not None and entry is not None:
            if volume and self.weights == weights_named(STARTER):
                self._work.say("the starter knows pictures, not volumes: mark objects on some slices, and press Train.", False)
                return
            if not self.ahead:
                self._predictor.load(self.weights)
            self._requests += 1
            token = self._current.looks, self._requests
            view = None if volume else self._picture.part_in_view()
            self._predictor.request(entry.name, self._current.picture, view, token, volume=volume)

    def predict_again(self) -> None:
        """Somebody asks for it; where nothing will change it is said why."""
        if not self._current.is_open():
            return
        seen, entry = self._current.seen, self._current.entry
        if seen is not None and seen.kept.everything:
            remedy = "take the tick of finished away, and " if entry.finished else ""
            self._work.say(
                f'all its objects are as you accepted them: {remedy}press "{BACK}" on the tab Correct for others.',
                False,
            )
        self.predict()

    # --------------------------------------------------------------------------------------------- what is known

    def take(self, found: Prediction) -> None:
        """Put an answer in, and show it; one about another image is left out, also one of the same name that it replaced."""
        current = self._current
        if found.sentence:
            self._work.say(found.sentence, True)
        if current.entry is None or found.entry_name != current.entry.name or found.sentence:
            return
        if found.token[0] != current.looks:
            return
        if current.seen is None:
            self.show_kept()
        seen = current.known()
        seen.take(found)
        self.answered.emit()
        self.show()
        if found.last:
            self._finished.write_awaited()
            self._marks.size_brushes(seen.objects)
            if not current.entry.predicted:
                self._work.attempt(lambda: current.project.records.note_predicted(current.entry))
                current.listed.emit()
            self._draw_here()
        self.changed.emit()

    def show_kept(self) -> None:
        """The objects that the person corrected or accepted are there at once, whatever the network answers."""
        current, kept = self._current, None

        def read() -> None:
            nonlocal kept
            kept = current.project.kept(current.entry)

        def read_finished() -> None:
            nonlocal kept
            found = self._finished.read_masks()
            kept = accepted(*found) if found is not None else kept

        self._work.attempt(read)
        if current.entry.finished:
            self._work.attempt(read_finished)
        if kept is not None and not kept.nothing:
            current.seen = Seen(current.shape, kept)
            self.show()
            self._finished.write_awaited()
            self.changed.emit()

    # --------------------------------------------------------------------------------------------- what is shown

    def show(self) -> None:
        """Fill the layers with what is known of the picture in view."""
        seen, classes = self._current.seen, self._current.project.classes
        self._maps.show(
            seen.segmentation, seen.detection, seen.interface, seen.objects, seen.uncertainty, classes, self._threshold
        )

    def set_threshold(self, threshold: float) -> None:
        """Of what is shown as an interface."""
        self._threshold = threshold
        self._maps.set_threshold(threshold)

    def _draw_here(self) -> None:
        """Outline where a mark says most, on pictures that one still draws on."""
        seen = self._current.seen
        if self._current.entry.finished or self._current.is_volume:
            self._maps.draw_here([])
            return
        marked = np.zeros(seen.objects.shape, bool)
        for task in ("detection", "segmentation"):
            marked |= self._marks.layers[task].data != NOTHING_SHOWN
        self._maps.draw_here(uncertain_boxes(seen.uncertainty, marked))
