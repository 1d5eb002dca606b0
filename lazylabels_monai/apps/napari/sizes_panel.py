"""Sizes: a table of the objects in view, linked with the picture, their distribution, CSV and report."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import numpy as np
from qtpy.QtCore import QItemSelection
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QHeaderView, QLineEdit, QTableView, QWidget

from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.tools import PictureTool
from lazylabels_monai.apps.napari.widgets import Histogram, RowsModel, button, column, row, words
from lazylabels_monai.images.pixel_size import parse_pixel_size
from lazylabels_monai.interactive import finish, sizes

__all__ = ["SizesPanel"]

#: Columns that stand first in the table; the file has them in the order of ``measure``.
_FIRST = ("id", "class_name", "area_px2", "area_um2", "equivalent_diameter_px", "equivalent_diameter_um")


class SizesPanel(QWidget):
    """Measures what is in view when it changes; only while this panel is looked at.

    Args:
        session: what it shows and tells.
        tool: catches the click on an object.
    """

    def __init__(self, session: Session, tool: PictureTool) -> None:
        super().__init__()
        self.session, self.tool = session, tool
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
        self.pixel_size.setToolTip("of all pictures whose files do not state it; without it their sizes are in pixels")
        self.pixel_size.editingFinished.connect(self.measure)
        self.summary = words("", "summary")
        self.find = button("Find in the table", self._ask_for_object, "click an object in the picture: its row is shown", True)
        parts = column(
            self.pixel_size,
            self.summary,
            self.find,
            self.table,
            self.histogram,
            row(
                button("Save CSV…", self.ask_for_csv, "the table, as `lazylabels measure` writes it"),
                button("Report", self.report, "one page of all finished pictures, in the browser"),
            ),
        )
        self.setLayout(parts.layout())
        self._rows, self._asked, self._out_of_date = None, 0, True
        session.opened.connect(self.pixel_size.clear)  # another project's pictures are of another size
        session.predictions.changed.connect(self._changed)
        session.shown.connect(self._changed)
        tool.drawn.connect(self._clicked)
        tool.chosen.connect(lambda name: self.find.setChecked(name == "find"))

    def showEvent(self, event: object) -> None:
        """Qt asks: now it is looked at."""
        super().showEvent(event)
        if self._out_of_date:
            self.measure()

    def _changed(self) -> None:
        self._out_of_date = True
        if self.isVisible():
            self.measure()

    def measure(self) -> None:
        """Measure the objects in view, in a thread of its own."""
        session, seen, entry = self.session, self.session.current.seen, self.session.current.entry
        self._out_of_date = False
        self._asked += 1
        asked, given = self._asked, self.pixel_size.text().strip()
        if seen is None or entry is None or session.current.is_volume:
            self._show(asked, None, None)
            if seen is not None and session.current.is_volume:
                count = len(np.unique(seen.objects[seen.objects > 0]))
                self.summary.setText(f"{count} objects. Sizes are measured in pictures, not in volumes.")
            return
        if seen.in_pieces:
            self._show(asked, None, None)
            self.summary.setText("The whole picture is being answered; its objects are measured then.")
            return
        project, picture, objects, classes = session.current.project, session.current.picture, seen.objects, seen.classes

        def act() -> tuple:
            stated = sizes.pixel_size_of(project, entry)
            size = parse_pixel_size(given) if given and stated is None else stated
            names = project.classes
            rows = sizes.table(objects, classes, size, name=entry.name, class_names=names, picture=picture)
            return rows, size, "as the file states" if stated is not None else "as you typed"

        session.work.behind(act, lambda found: self._show(asked, *found))

    def _show(self, asked: int, rows: object, size: float | None, source: str = "") -> None:
        if asked != self._asked:
            return  # another one is under way
        self._rows = rows
        if rows is None or not len(rows):
            self.model.fill([])
            self.histogram.show_values([], "")
            self.summary.setText("No objects are predicted yet." if rows is None else "There are no objects in this picture.")
            return
        first = [name for name in _FIRST if name in rows]
        self.model.fill(rows[[*first, *(name for name in rows if name not in first)]].to_dict("records"))
        found = sizes.distribution(rows, size)
        self.histogram.show_values(rows[found.column], found.column.replace("_", " "))
        unit = "pixels" if size is None else "µm"
        pixel = "" if size is None else f" (pixel {size:g} µm, {source})"
        self.summary.setText(f"{len(rows)} objects, median diameter {found.median:.3g} {unit}{pixel}")

    # --------------------------------------------------------------------------------------------- table and picture

    def _row_chosen(self, chosen: QItemSelection, before: QItemSelection) -> None:
        indexes = chosen.indexes()
        layer = self.session.maps.objects_layer
        if indexes and layer is not None:
            shown = self.model.rows[indexes[0].row()]
            layer.selected_label = int(shown["id"])
            place = (shown["centroid_row_px"], shown["centroid_col_px"])
            self.session.viewer.scene.camera.center = place
            self.session.maps.point_at(self.session.current.seen.objects == int(shown["id"]))

    def _ask_for_object(self) -> None:
        self.tool.choose("find" if self.find.isChecked() else None)

    def _clicked(self, name: str, points: np.ndarray) -> None:
        if name != "find" or self.session.current.seen is None:
            return
        objects = self.session.current.seen.objects
        place = np.clip(np.floor(points[-1] + 0.5).astype(int), 0, np.array(objects.shape) - 1)
        self.find_object(int(objects[tuple(place)]))

    def find_object(self, number: int) -> None:
        """Choose the row of an object."""
        line = next((line for line, shown in enumerate(self.model.rows) if shown["id"] == number), None)
        if line is not None:
            self.table.selectRow(line)
            self.table.scrollTo(self.model.index(line, 0))

    # --------------------------------------------------------------------------------------------- files

    def ask_for_csv(self) -> None:
        """Ask for a file and write the table."""
        file, _ = QFileDialog.getSaveFileName(self, "Save the table", "objects.csv", "Tables (*.csv)")
        if file:
            self.save_csv(Path(file))

    def save_csv(self, file: Path) -> None:
        """Write the table of the picture in view as ``lazylabels measure`` writes it."""
        if self._rows is None:
            self.session.said.emit("there is nothing to save yet: wait for the prediction.", True)
        elif self.session.work.attempt(lambda: sizes.write_csv([self._rows], file)):
            self.session.said.emit(f"written: {file}", False)

    def report(self) -> None:
        """Measure all finished pictures, write the page and open it in the browser."""
        if not self.session.current.is_open():
            return
        project, folder = self.session.current.project, self.session.finished.folder
        size = self.pixel_size.text().strip() or None
        self.session.said.emit("the report is being written.", False)
        told: list[str] = []

        def done(page: Path) -> None:
            for sentence in told:
                self.session.said.emit(sentence, True)
            self.session.said.emit(f"written: {page}", False)
            webbrowser.open(page.as_uri())

        self.session.work.behind(lambda: finish.report(folder, project, size, told.append), done)
