"""The dock widget: the project's images above, what one does with them below, and below that what happened."""

from __future__ import annotations

import gc
from pathlib import Path

from napari import Viewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QMessageBox, QSplitter, QTabWidget, QVBoxLayout, QWidget

from lazylabels_monai.apps.napari.correct_panel import CorrectPanel
from lazylabels_monai.apps.napari.draw_panel import DrawPanel
from lazylabels_monai.apps.napari.folder_panel import FolderPanel
from lazylabels_monai.apps.napari.images_panel import ImagesPanel
from lazylabels_monai.apps.napari.messages import Messages
from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.sizes_panel import SizesPanel
from lazylabels_monai.apps.napari.tools import PictureTool
from lazylabels_monai.apps.napari.train_panel import TrainPanel
from lazylabels_monai.apps.napari.widgets import scrolled

__all__ = ["LazyLabels"]


class LazyLabels(QWidget):
    """What napari shows as "Lazy labels".

    Args:
        viewer: napari hands it over.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.session = Session(viewer, self)
        self.tool = PictureTool(viewer, self)
        self.images = ImagesPanel(self.session)
        self.draw = DrawPanel(self.session, self.tool)
        self.train = TrainPanel(self.session)
        self.correct = CorrectPanel(self.session, self.tool)
        self.sizes = SizesPanel(self.session, self.tool)
        self.folder = FolderPanel(self.session, self.sizes.pixel_size.text)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(True)
        for name in ("draw", "train", "correct", "sizes", "folder"):
            self.tabs.addTab(scrolled(getattr(self, name)), name.capitalize())
        self.tabs.currentChanged.connect(self._tab_chosen)
        self.messages = Messages()
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(self.images)
        parts.addWidget(self.tabs)
        parts.setStretchFactor(0, 2)
        parts.setStretchFactor(1, 3)
        parts.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(parts, 1)
        layout.addWidget(self.messages)
        self.session.said.connect(self.messages.say)
        self.session.lets_go = self._ask_to_let_go
        window = getattr(viewer.window, "_qt_window", None)
        if window is not None:
            window.installEventFilter(self)
        _spare_collections()

    def open(self, folder: str | Path) -> bool:
        """Open a project; a folder of pictures without a datalist becomes one of the class "object"."""
        return self.session.open(Path(folder), create=True)

    def _tab_chosen(self, number: int) -> None:
        """Who comes back to draw has the brush in the hand, not the tool of a correction."""
        if self.tabs.widget(number).widget() is self.draw and self.tool.name is not None:
            self.draw.choose(self.draw.task)

    def _ask_to_let_go(self, why: str) -> bool:
        """Whether marks go that cannot be saved."""
        stay, go = QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Discard
        asked = f'{why}\n\n"Cancel" stays with this picture and its marks, "Discard" drops those that are not saved.'
        return QMessageBox.warning(self, "Marks that are not saved", asked, go | stay, stay) == go

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Save before napari's window goes; it stays where that cannot be done and the person does not let the marks go."""
        if event.type() == QEvent.Type.Close and not self.end():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def closeEvent(self, event: object) -> None:
        """Qt asks."""
        if not self.end():
            event.ignore()
            return
        super().closeEvent(event)

    def end(self) -> bool:
        """Save everything, end the processes; False where marks cannot be saved and the person stays with them."""
        if not self.session.close():
            return False
        self.folder.close_process()
        return True


def _spare_collections() -> None:
    """Leave what is there now, which stays, out of later garbage collections.

    napari makes one for each layer that goes, up to nine for an image, and each would go through half a million objects of Qt,
    napari and all libraries.
    """
    gc.collect()
    gc.freeze()
