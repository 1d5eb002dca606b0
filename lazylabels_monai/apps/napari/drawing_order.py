"""In which order the images are to be drawn on."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from lazylabels_monai.apps.napari.current import Current
from lazylabels_monai.apps.napari.predictions import Predictions
from lazylabels_monai.apps.napari.work import Work
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.next_images import next_images

__all__ = ["DrawingOrder"]


class DrawingOrder(QObject):
    """The order of the project's images.

    Args:
        current: what is open.
        predictions: by whose weights the images are ranked.
        work: says what goes wrong.
        parent: owns it.

    Attributes:
        changed: signal: the images are to be drawn on in another order.
    """

    changed = Signal()

    def __init__(self, current: Current, predictions: Predictions, work: Work, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._current, self._predictions, self._work = current, predictions, work
        self._ranked: list[ImageEntry] = []

    def images(self) -> list[ImageEntry]:
        """Images to draw on next, the best first: as :meth:`rank` found, else those without labels in their order."""
        order = {entry.name: place for place, entry in enumerate(self._ranked)}
        return sorted(next_images(self._current.project), key=lambda entry: order.get(entry.name, len(order)))  # stable

    def forget(self) -> None:
        """Another project is there: nothing is ranked."""
        self._ranked = []

    def rank(self) -> None:
        """Rank the images by what a label would tell the network per second of this person's work; in a thread, minutes."""
        project, weights = self._current.project, self._predictions.weights
        if not self._current.is_open():
            return

        def act() -> list[ImageEntry]:
            from lazylabels_monai.predicting.model import Model
            from lazylabels_monai.trained import trained_settings

            return next_images(project, Model(weights), trained_settings(weights))

        def then(ranked: list[ImageEntry]) -> None:
            if project is self._current.project:
                self._ranked = ranked
                self._work.say("the images are ranked: the first in the list is the one to draw on next.", False)
                self.changed.emit()

        self._work.say("every training image is predicted four times; you can go on meanwhile.", False)
        self._work.behind(act, then)
