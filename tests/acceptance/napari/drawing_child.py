"""Draws dabs on a project in a window of its own and tells of each, until it is killed: python drawing_child.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from hand import Hand

from lazylabels_monai.apps.napari.opening import open_window


def main(folder: Path) -> None:
    viewer, dock = open_window(folder)
    viewer.window._qt_window.resize(800, 600)
    hand = Hand(viewer)
    hand.settle()
    for layer in dock.session.marks.layers.values():
        layer.brush_size = 3
    height, width = dock.session.current.picture.shape[:2]
    places = [(row, column) for row in range(6, height - 6, 6) for column in range(6, width - 6, 6)]
    print("image", dock.session.current.entry.name, flush=True)
    for row, column in places:
        hand.click((row, column))
        print("drawn", row, column, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
