"""What the window says, below the panels: the newest sentence, warnings for a while longer, all of them on demand."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QSizePolicy, QVBoxLayout, QWidget

from lazylabels_monai.apps.napari.widgets import button, scrolled, words

__all__ = ["Messages"]

#: How long a warning stays above newer sentences, in milliseconds, and how many sentences are kept.
STAYS, KEPT = 30_000, 200
#: Lines of text that are seen without scrolling.
_LINES = 3


class Messages(QWidget):
    """The newest sentence, and above it the last warning, which a later sentence does not push away before it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.warning, self.said = words("", "warning"), words("", "said")
        for line in (self.warning, self.said):
            line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.warning.setStyleSheet("font-weight: bold;")
        self.warning.hide()
        self.earlier = QListWidget()
        self.earlier.setWordWrap(True)
        self.earlier.setMaximumHeight(140)
        self.earlier.hide()
        self.more = button("Earlier", self._show_earlier, "everything that was said, with its time", checkable=True)
        self.more.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        lines = QWidget()
        below = QVBoxLayout(lines)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(2)
        for line in (self.warning, self.said):
            below.addWidget(line)
        below.addStretch(1)
        place = scrolled(lines)
        # always as high: whatever is said, the picture beside it does not jump while one draws
        place.setFixedHeight(_LINES * self.fontMetrics().lineSpacing() + 4)
        beside = QHBoxLayout()
        beside.addWidget(place, 1)
        beside.addWidget(self.more, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.earlier)
        layout.addLayout(beside)
        self._stays = QTimer(self)
        self._stays.setSingleShot(True)
        self._stays.timeout.connect(self.warning.hide)
        self._newest = ("", False)

    def say(self, sentence: str, wrong: bool) -> None:
        """Show a sentence until the next one; what went wrong begins with a sign that needs no colour, and stays a while."""
        last, was_wrong = self._newest
        shown = ("⚠ " if wrong else "") + sentence
        if was_wrong and shown != last:
            self.warning.setText(last)
            self.warning.show()
            self._stays.start(STAYS)
        self._newest = (shown, wrong)
        self.said.setText(shown)
        self.said.setStyleSheet("font-weight: bold;" if wrong else "")
        if self.warning.text() == shown:
            self.warning.hide()
        self.earlier.addItem(f"{datetime.now():%H:%M:%S} {shown}")
        if self.earlier.count() > KEPT:
            self.earlier.takeItem(0)
        if not self.earlier.isVisible():  # who reads there is left alone
            self.earlier.scrollToBottom()

    def _show_earlier(self) -> None:
        self.earlier.setVisible(self.more.isChecked())
        self.earlier.scrollToBottom()
