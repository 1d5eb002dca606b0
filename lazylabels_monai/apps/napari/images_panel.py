"""The project and its images: which are drawn on, predicted, corrected, finished; in which split; what each cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QInputDialog,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.widgets import button, choice, column, row, words
from lazylabels_monai.data.datalist import FILE_NAME, SECTIONS
from lazylabels_monai.interactive.image_files import has_pictures, no_pictures
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.option_text import read_names, written_names

__all__ = ["ImagesPanel"]

_TICK = "●"
#: Heading, what it means, and whether an image has it.
_TICKS = (
    ("I", "inner regions drawn", lambda entry: "detection" in entry.drawn),
    ("L", "interfaces drawn", lambda entry: "separation" in entry.drawn),
    ("M", "exact masks drawn", lambda entry: "segmentation" in entry.drawn),
    ("P", "predicted", lambda entry: entry.predicted),
    ("C", "corrected", lambda entry: bool(entry.corrected)),
    ("F", "finished", lambda entry: entry.finished),
)
_SPLITS = {"training": "train", "validation": "val", "testing": "test"}
_HEADINGS = ("Image", *(heading for heading, _, _ in _TICKS), "Split", "Time")


def _short(names: Iterable[str]) -> dict[str, str]:
    """Names without folder and ending, and without the words that all begin with."""
    stems = {name: Path(name).stem for name in names}
    if len(set(stems.values())) < len(stems):
        return {name: Path(name).name for name in stems}
    first, last = min(stems.values(), default=""), max(stems.values(), default="")
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    cut = max(first.rfind(mark, 0, same) for mark in "_- .") + 1
    return {name: stem[cut:] for name, stem in stems.items()}


class ImagesPanel(QWidget):
    """Opens projects and lists images; a click shows one.

    Args:
        session: what it shows and tells.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.folder = words("No project is open: open one, or make one of a folder of pictures.", "folder")
        self.table = QTableWidget(0, len(_HEADINGS))
        self.table.setHorizontalHeaderLabels(_HEADINGS)
        tips = ("click to show it", *(meaning for _, meaning, _ in _TICKS), "what it is for", "time spent drawing on it")
        for place, tip in enumerate(tips):
            self.table.horizontalHeaderItem(place).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(18)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.table.setMinimumHeight(90)
        self.table.setMinimumWidth(290)
        self.table.cellClicked.connect(self._clicked)
        tip = "what the image in view is for: training learns from it, validation measures the training on it"
        self.split = choice(SECTIONS, tip)
        self.split.activated.connect(self._split_chosen)
        self.finished = QCheckBox("finished")
        self.finished.setToolTip("you are done with the image in view; it is suggested no more")
        self.finished.clicked.connect(lambda checked: session.finished.finish(checked))
        self.next = button("Next ▸", session.next, "the image to draw on next")
        buttons = row(
            button("Open…", self.ask_for_project, f"a folder with a {FILE_NAME}"),
            button("New…", self.ask_for_images, "make a project of a folder of pictures"),
            button("Kinds…", self.ask_for_classes, "name the kinds of object anew, or more of them"),
            self.next,
        )
        parts = column(self.folder, buttons, self.table, row(self.split, self.finished))
        parts.layout().setContentsMargins(0, 0, 0, 0)
        self.setLayout(parts.layout())
        self._order: list[ImageEntry] = []
        session.opened.connect(self._arrange)
        session.shown.connect(self._arrange)
        session.order.changed.connect(self._arrange)
        session.current.listed.connect(self.fill)
        self.fill()

    def ask_for_project(self) -> None:
        """Ask for a folder and open it; where it is no project yet, one may be made of its pictures."""
        folder = QFileDialog.getExistingDirectory(self, f"Open a project: a folder with a {FILE_NAME}")
        if folder and not (Path(folder) / FILE_NAME).is_file():
            self._make(Path(folder))
        elif folder:
            self.session.open(Path(folder))

    def ask_for_images(self) -> None:
        """Ask for a folder of pictures and for what they show."""
        folder = QFileDialog.getExistingDirectory(self, "A new project: the folder of your pictures")
        if folder:
            self._make(Path(folder))

    def _make(self, folder: Path) -> None:
        if (folder / FILE_NAME).is_file():
            self.session.open(folder)
        elif not has_pictures(folder):  # before names are asked for in vain
            self.session.said.emit(no_pictures(folder), True)
        elif names := self._ask_for_names("A new project", ["object"]):
            self.session.open(folder, create=True, classes=names)

    def ask_for_classes(self) -> None:
        """Ask what the kinds of object are called, and whether there are more of them."""
        project = self.session.current.project
        if not self.session.current.is_open():
            return
        if self.session.is_training:  # before names are asked for in vain
            self.session.set_classes(project.classes)
        elif names := self._ask_for_names("The kinds of object", project.classes):
            self.session.set_classes(names)

    def _ask_for_names(self, title: str, now: Sequence[str]) -> list[str]:
        """None where the person does not agree, or where the text is no list of names, which is said."""
        asked = (
            "Names of the kinds of object in the order of their keys, separated by commas;\n"
            'as ["a, b", "c"] where a name holds a comma:'
        )
        plain = ", ".join(now)
        shown = plain if read_names(plain) == list(now) else written_names(now)
        text, agreed = QInputDialog.getText(self, title, asked, text=shown)
        if not agreed:
            return []
        if text == shown:
            return list(now)
        names = read_names(text)
        if names and re.match(r"\[\s*\"", names[0]):  # begun as a list, and read as names with quotes and brackets
            self.session.said.emit(
                f'"{text}" is no list of names: type it as ["a, b", "c"], or name kinds without commas.', True
            )
            return []
        return names

    def _arrange(self) -> None:
        """The suggested image first; the list stays in order while one draws."""
        project = self.session.current.project
        if project is not None:
            suggested = [entry for entry in self.session.order.images() if entry is not self.session.current.entry][:1]
            self._order = suggested + [entry for entry in project.images if entry not in suggested]
        self.fill()

    def fill(self) -> None:
        """Show how far each image is."""
        project = self.session.current.project
        entries = [entry for entry in self._order if project is not None and entry in project.images]
        if project is not None:
            self.folder.setText(f"<b>{project.folder.name}</b>: {', '.join(project.classes)}")
            self.folder.setToolTip(str(project.folder))
        names = _short({entry.name for entry in entries})
        self.table.setRowCount(len(entries))
        for line, entry in enumerate(entries):
            first = line == 0 and entry is not self.session.current.entry and entry.section == "training" and not entry.finished
            cells = [
                ("next: " if first else "") + names[entry.name],
                *(_TICK if has(entry) else "" for _, _, has in _TICKS),
                _SPLITS[entry.section],
                f"{int(entry.seconds // 60)}:{int(entry.seconds % 60):02d}",
            ]
            for place, text in enumerate(cells):
                item = self.table.item(line, place)
                if item is None:
                    item = QTableWidgetItem()
                    if place:
                        item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                    self.table.setItem(line, place, item)
                if item.text() != text:
                    item.setText(text)
                if not place:
                    item.setToolTip(str(entry.path))
            if entry is self.session.current.entry and self.table.currentRow() != line:
                self.table.selectRow(line)
        entry = self.session.current.entry
        for widget in (self.split, self.finished):
            widget.setEnabled(entry is not None)
        self.next.setEnabled(project is not None)
        if entry is not None:
            self.split.setCurrentText(entry.section)
            self.finished.setChecked(entry.finished)

    def _clicked(self, line: int, place: int) -> None:
        entries = [entry for entry in self._order if entry in self.session.current.project.images]
        if line < len(entries) and not self.session.show(entries[line]):
            self.fill()  # the line of the image that is in view is chosen again

    def _split_chosen(self) -> None:
        if self.session.current.entry is not None:
            self.session.set_section(self.session.current.entry, self.split.currentText())
