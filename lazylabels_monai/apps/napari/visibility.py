"""Two ticks: whether one sees one's own marks, and what the network predicts."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from lazylabels_monai.apps.napari.prediction_layers import INTERFACES, OBJECTS, SEGMENTATION
from lazylabels_monai.apps.napari.session import Session

__all__ = ["Visibility"]


class Visibility(QWidget):
    """Shows and hides layers together; several of these widgets go with each other.

    Args:
        session: whose layers.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.marks, self.prediction = QCheckBox("My marks"), QCheckBox("Prediction")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box, act, tip in (
            (self.marks, self._show_marks, "show what you drew"),
            (self.prediction, self._show_prediction, "show what the network predicts"),
        ):
            box.setChecked(True)
            box.setToolTip(tip)
            box.clicked.connect(act)
            layout.addWidget(box)
        layout.addStretch(1)

    def showEvent(self, event: object) -> None:
        """Qt asks: another of these, or napari's own list, may have changed what is seen."""
        super().showEvent(event)
        layers = list(self.session.marks.layers.values())
        self.marks.setChecked(not layers or any(layer.visible for layer in layers))
        shown = [self.session.maps.layers[name] for name in (SEGMENTATION, OBJECTS) if name in self.session.maps.layers]
        self.prediction.setChecked(not shown or any(layer.visible for layer in shown))

    def _show_marks(self, visible: bool) -> None:
        for layer in self.session.marks.layers.values():
            if layer.visible != visible:  # shown once more, a layer would lose its brush to napari's hand
                layer.visible = visible

    def _show_prediction(self, visible: bool) -> None:
        for name in (SEGMENTATION, INTERFACES, OBJECTS):
            self.session.maps.set_visible(name, visible)
