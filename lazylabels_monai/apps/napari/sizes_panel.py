"""Sizes: a table of the objects in view, linked with the picture, their distribution, CSV and report."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import numpy as np
from qtpy.QtCore import QItemSelection
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QHeaderView, QLineEdit, QTableView, QWidget

from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.widgets import Histogram, RowsModel, button, column, row, words
from lazylabels_monai.interactive import sizes

__all__ = ["SizesPanel"]


class SizesPanel(QWidget):
    """Measures what is in view when it changes; only while this panel is looked at.

    Args:
        session: what it shows and tells.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.model = RowsModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setMinimumHeight(140)
        self.table.setMinimumWidth(200)
        self.table.selectionModel().selectionChanged.connect(self._row_chosen)
        self.histogram = Histogram()
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("pixel size, such as 0.5um")
        self.pixel_size.setToolTip("where the file does not state it; empty: from the file, or sizes in pixels")
        self.pixel_size.editingFinished.connect(self.measure)
        self.summary = words("", "summary")
        parts = column(
            self.pixel_size,
            self.summary,
            self.table,
            self.histogram,
            row(
                button("Save CSV…", self.ask_for_csv, "the table, as `lazylabels measure` writes it"),
                button("Report", self.report, "one page of all predicted images, in the browser"),
            ),
        )
        self.setLayout(parts.layout())
        self._out_of_date = True
        session.predicted.connect(self._changed)
        session.shown.connect(self._changed)

    def showEvent(self, event: object) -> None:  # noqa: N802, Qt's name
        """Qt asks: now it is looked at."""
        super().showEvent(event)
        if self._out_of_date:
            self.measure()

    def _changed(self) -> None:
        self._out_of_date = True
        if self.isVisible():
            self.measure()

    def measure(self) -> None:
        pass

    def _row_chosen(self, chosen: QItemSelection, before: QItemSelection) -> None:
        pass

    def ask_for_csv(self) -> None:
        pass

    def report(self) -> None:
        pass
