#!/usr/bin/env python
"""The screenshots of docs/napari.md and of the README: a window that draws, trains, corrects and measures for real.

make napari-pictures    # that is, under xvfb: python tools/napari_pictures.py docs/images

The marks are those that `lazylabels synthetic` draws on the built-in images; the rest is what the window makes of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication, QWidget

from lazylabels_monai.apps.napari.coding import to_shown
from lazylabels_monai.apps.napari.dock import LazyLabels
from lazylabels_monai.apps.napari.opening import open_window
from lazylabels_monai.apps.napari.visibility import Visibility
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.images.files import read_label

#: Pixels of the window, and colours of a PNG: text stays sharp, files small.
WINDOW, COLOURS = (1280, 800), 96
IMAGES = {"num_train": 6, "num_validation": 2, "num_test": 1, "size": (256, 320), "seed": 4}


def spin(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the window live for so long, or until something is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.02)


def shoot(widget: QWidget, file: Path) -> None:
    """A PNG with a palette of what the window shows."""
    spin(0.5)
    temporary = file.with_suffix(".full.png")
    widget.grab().save(str(temporary))
    with Image.open(temporary) as picture:
        picture.convert("RGB").quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE).save(file, optimize=True)
    temporary.unlink()
    print(f"written: {file} ({file.stat().st_size / 1e3:.0f} kB)")


def draw(dock: LazyLabels, full: Path, tasks: tuple[str, ...]) -> None:
    """Put the marks of the image in view into its layers, as one stroke each."""
    items = {item["image"]: item for item in load_datalist(full)["training"]}
    for task in tasks:
        marks = to_shown(read_label(full / items[dock.session.current.entry.name][task]))
        where = np.nonzero(marks)
        dock.session.marks.layers[task].data_setitem(where, marks[where])
    dock.session.marks.flush()


def take(out: Path, epochs: int) -> None:
    """All pictures, into the folder ``out``; the training lasts so many epochs."""
    with tempfile.TemporaryDirectory() as folder:
        project, full = Path(folder, "ice cream"), Path(folder, "full")
        make_dataset(project, **IMAGES, strong=0, detection=0, separation=0)
        make_dataset(full, **IMAGES, strong=6, detection=6, separation=6)
        viewer, dock = open_window(project)
        window = viewer.window._qt_window
        window.resize(*WINDOW)
        spin(2)
        session = dock.session
        for number in range(3):
            draw(dock, full, ("detection", "separation", "segmentation") if number == 0 else ("detection", "separation"))
            if number < 2:
                session.next()
        spin(2)
        viewer.layers.selection.active = session.marks.layers["detection"]
        dock.tabs.setCurrentWidget(dock.tabs.widget(0))
        session.maps.clear()
        shoot(window, out / "napari-draw.png")
        session.predictions.predict()
        dock.tabs.setCurrentIndex(1)
        done = []
        session.training.connect(lambda event: done.append(event.epoch))
        dock.train.train.click()
        spin(1800, lambda: max(done, default=0) >= epochs)
        spin(3)
        shoot(window, out / "napari-train.png")
        dock.train.stop.click()
        spin(120, lambda: not session.is_training)
        session.current.seen = None
        session.predictions.predict()
        spin(120, lambda: session.current.seen is not None and session.current.seen.whole)
        dock.tabs.setCurrentIndex(2)
        dock.correct.findChild(Visibility).marks.click()
        dock.correct.toggle("Split")
        shoot(window, out / "napari-correct.png")
        dock.correct.toggle("Split")
        dock.tabs.setCurrentIndex(3)
        dock.sizes.pixel_size.setText("0.5um")
        dock.sizes.measure()
        spin(60, lambda: dock.sizes.model.rowCount() > 3)
        dock.sizes.table.selectRow(3)
        shoot(window, out / "napari-sizes.png")
        viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=25, help="of the training")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    take(given.out, given.epochs)
