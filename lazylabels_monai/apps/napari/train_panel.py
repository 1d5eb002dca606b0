"""Train, stop, pause; how far it is, what it loses, how good it is; what is shown of the prediction."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QProgressBar, QSlider, QWidget

from lazylabels_monai.apps.napari.prediction_layers import DETECTION, PREDICTED, UNCERTAINTY
from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.apps.napari.widgets import button, choice, column, row, words
from lazylabels_monai.interactive.events import Event
from lazylabels_monai.interactive.trainer import ANEW, LAST
from lazylabels_monai.progress import clock
from lazylabels_monai.warm_start import STARTER

__all__ = ["TrainPanel"]

_STARTS = {
    "From this project's last weights": LAST,
    "From the starter": STARTER,
    "From the starter, learning anew": ANEW,
}


class TrainPanel(QWidget):
    """Shows the training, which runs in a process of its own.

    Args:
        session: what it shows and tells.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.start_from = choice(
            _STARTS,
            "the weights that the training begins from; learning anew lets go of their answers, where they are of no use",
        )
        self.train = button("Train", self._train, "learn from all that was drawn, in a process of its own")
        self.stop = button("Stop", self._stop, "end it; what was learnt is kept")
        self.pause = button("Pause", self._pause, "hold it, and go on", checkable=True)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self.progress.setTextVisible(False)
        self.epoch = words("Nothing is being trained.", "epoch")
        self.losses = words("", "losses")
        self.dice = words("", "dice")
        self.told = words("", "told")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(1, 99)
        self.threshold.setValue(50)
        self.threshold.setToolTip("interfaces of a lower probability are not shown")
        self.threshold.valueChanged.connect(self._threshold)
        self.threshold_words = words()
        self.detection, self.uncertainty = QCheckBox("Inner regions"), QCheckBox("Uncertainty")
        for box, layer, tip in (
            (self.detection, DETECTION, "show where the network sees the insides of objects"),
            (self.uncertainty, UNCERTAINTY, "show how uncertain the network is of the class of each pixel"),
        ):
            box.setToolTip(tip)
            box.clicked.connect(partial(self.session.maps.set_visible, layer))
        parts = column(
            self.start_from,
            row(self.train, self.pause, self.stop),
            self.progress,
            self.epoch,
            self.losses,
            self.dice,
            self.told,
            button("Predict again", session.predictions.predict_again, "predict the image in view by the newest weights"),
            button(
                "Rank the images",
                session.order.rank,
                "which image to draw on next, by the network's uncertainty; takes minutes",
            ),
            Visibility(session),
            row(self.detection, self.uncertainty),
            self.threshold_words,
            self.threshold,
            None,
        )
        self.setLayout(parts.layout())
        self._scores: list[float] = []
        self._sentences: list[str] = []
        session.opened.connect(self._opened)
        session.training.connect(self._heard)
        self._threshold(50)
        self._enable()

    def _opened(self) -> None:
        self._scores, self._sentences = [], []
        self.start_from.setCurrentIndex(0 if self.session.trainer.current_weights is not None else 1)
        self.epoch.setText("Nothing is being trained.")
        for line in (self.losses, self.dice, self.told):
            line.setText("")
        self._enable()

    def _enable(self) -> None:
        running = self.session.is_training
        self.train.setEnabled(not running and self.session.current.project is not None)
        self.start_from.setEnabled(not running)
        self.stop.setEnabled(running)
        self.pause.setEnabled(running)
        if not running:
            self.pause.setChecked(False)
        self.pause.setText("Go on" if self.pause.isChecked() else "Pause")

    def _train(self) -> None:
        self.session.train(_STARTS[self.start_from.currentText()])
        if self.session.is_training:
            self.progress.setRange(0, 0)  # busy, until the first epoch is over
            self.epoch.setText("The training starts; you can go on drawing.")
            self._scores, self._sentences = [], []
            self.dice.setText("")
            self.told.setText("")
        self._enable()

    def _stop(self) -> None:
        self.epoch.setText("The training ends and saves.")
        self.session.stop_training()

    def _pause(self) -> None:
        self.session.pause_training(self.pause.isChecked())
        self._enable()

    def _heard(self, event: Event) -> None:
        if event.kind == "ended":
            self.progress.setRange(0, 1)
            self.progress.setValue(0)
            self.epoch.setText(event.sentence or f"The training ended after epoch {event.epoch}.")
            self.start_from.setCurrentIndex(0)
        elif event.kind == "sentence":
            if event.sentence not in self._sentences:  # they stay until the next training, whatever else is said
                self._sentences.append(event.sentence)
                self.told.setText("\n".join(self._sentences))
        elif event.epochs:
            self.progress.setRange(0, event.epochs)
            self.progress.setValue(event.epoch)
            left = f", {clock(event.eta)} left" if event.eta is not None else ""
            self.epoch.setText(f"Epoch {event.epoch} of {event.epochs}{left}")
        if event.losses:
            self.losses.setText(
                "Loss: " + ", ".join(f"{PREDICTED[t]} {v:.3f}" for t, v in event.losses.items() if v is not None)
            )
        if event.kind == "validated" and event.dice is not None:
            self._scores.append(event.dice)
            shown = "Dice on validation images: " + " → ".join(f"{score:.3f}" for score in self._scores[-4:])
            self.dice.setText(shown + (" (no measure: learnt from them)" if event.learnt else ""))
        elif event.kind == "validated" and event.loss is not None and not self._scores:
            self.dice.setText(f"Loss on the marks of validation images: {event.loss:.3f} (exact masks there give a Dice)")
        self._enable()

    def _threshold(self, percent: int) -> None:
        self.threshold_words.setText(f"Interfaces shown from a probability of {percent / 100:.2f}")
        self.session.predictions.set_threshold(percent / 100)
