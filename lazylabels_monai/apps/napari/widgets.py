"""Small parts that the panels share: rows of buttons, words that wrap, a histogram, a table of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

__all__ = ["Histogram", "RowsModel", "button", "choice", "column", "row", "scrolled", "words"]


def words(text: str = "", name: str = "") -> QLabel:
    """Text that breaks into lines where the dock is narrow, and never makes it wider."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setObjectName(name)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def button(text: str, act: Callable[[], Any], tip: str = "", checkable: bool = False) -> QPushButton:
    """A button as narrow as its text."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setCheckable(checkable)
    made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    made.clicked.connect(lambda checked=False: act())
    return made


def choice(items: Iterable[str] = (), tip: str = "") -> QComboBox:
    """A list to choose from that shortens its texts rather than make the dock wider."""
    made = QComboBox()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(8)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.addItems(list(items))
    made.setToolTip(tip)
    return made


def row(*parts: QWidget) -> QWidget:
    """Widgets beside each other."""
    made = QWidget()
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for part in parts:
        layout.addWidget(part)
    return made


def column(*parts: QWidget | None) -> QWidget:
    """Widgets below each other; None is room that grows."""
    made = QWidget()
    layout = QVBoxLayout(made)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.setSpacing(6)
    for part in parts:
        if part is None:
            layout.addStretch(1)
        else:
            layout.addWidget(part)
    return made


def scrolled(widget: QWidget) -> QScrollArea:
    """Scrolls up and down where the window is low; sideways nothing is cut off but wrapped."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    area.setMinimumWidth(widget.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())
    return area


class Histogram(QWidget):
    """Bars of how many values lie where, with the ends of the axis in words."""

    def __init__(self) -> None:
        super().__init__()
        self._counts, self._edges, self._unit = np.zeros(0, int), np.zeros(1), ""
        self.setMinimumHeight(90)

    def sizeHint(self) -> QSize:
        """Qt asks."""
        return QSize(240, 110)

    def show_values(self, values: Sequence[float], unit: str) -> None:
        """Show the distribution of values."""
        finite = np.asarray(values, float)
        finite = finite[np.isfinite(finite)]
        bins = int(np.clip(np.sqrt(len(finite)), 5, 40))
        self._counts, self._edges = np.histogram(finite, bins) if len(finite) else (np.zeros(0, int), np.zeros(1))
        self._unit = unit
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt asks."""
        painter = QPainter(self)
        text = self.palette().text().color()
        painter.setPen(text)
        height = self.fontMetrics().height()
        area = QRectF(4, 4, self.width() - 8, self.height() - height - 8)
        if not self._counts.sum():
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "no objects yet")
            return
        width, top = area.width() / len(self._counts), self._counts.max()
        for place, count in enumerate(self._counts):
            tall = area.height() * count / top
            painter.fillRect(QRectF(area.left() + place * width, area.bottom() - tall, width - 1, tall), QColor(86, 180, 233))
        below = QRectF(area.left(), area.bottom() + 2, area.width(), height)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{self._edges[0]:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self._unit)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self._edges[-1]:.3g}")


class RowsModel(QAbstractTableModel):
    """A table of rows (dictionaries of the same keys), which are strings, numbers and truth values."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def fill(self, rows: Sequence[dict[str, Any]]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = list(rows)
        self.names = list(rows[0]) if rows else []
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Qt asks."""
        return len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Qt asks."""
        return len(self.names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt asks."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        value = self.rows[index.row()][self.names[index.column()]]
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt asks."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self.names[section] if orientation == Qt.Orientation.Horizontal else str(section + 1)
