"""A window of napari with the dock in it."""

from __future__ import annotations

from pathlib import Path

import napari

from lazylabels_monai.apps.napari.dock import LazyLabels
from lazylabels_monai.data.simulating.synthetic import make_dataset

__all__ = ["DOCK", "make_built_in", "open_window", "run"]

#: Name of the dock widget.
DOCK = "Lazy labels"


def make_built_in(folder: Path) -> None:
    """A project of built-in pictures: nothing is drawn on those for training, those for validation have exact masks."""
    make_dataset(folder, num_train=12, num_validation=3, num_test=3, strong=0, detection=0, separation=0)


def open_window(folder: Path | None = None, show: bool = True) -> tuple[napari.Viewer, LazyLabels]:
    """Open napari, with a project or with none."""
    viewer = napari.Viewer(title="Lazy labels", show=show)
    dock = LazyLabels(viewer)
    viewer.window.add_dock_widget(dock, name=DOCK, area="right")
    if folder is not None:
        dock.open(folder)
    return viewer, dock


def run(folder: Path | None = None, built_in: bool = False) -> None:
    """Open the window and stay until it is closed.

    Args:
        folder: of a project or of pictures; None: one is opened in the window.
        built_in: whether ``folder`` is made of built-in pictures where it is not there.
    """
    if built_in and folder is not None and not folder.exists():
        make_built_in(folder)
    open_window(folder)
    napari.run()
