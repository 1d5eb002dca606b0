"""One window of napari for all tests, moved by real events of mouse and keys, and small projects to open in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hand import Hand

from lazylabels_monai.apps.napari.dock import LazyLabels
from lazylabels_monai.apps.napari.opening import open_window
from lazylabels_monai.data.simulating.synthetic import make_dataset

SIZE = (128, 160)


@pytest.fixture(scope="session")
def window(qapp, tmp_path_factory) -> Iterator[tuple]:
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("napari") / "settings.yaml")
    viewer, dock = open_window()
    viewer.window._qt_window.resize(800, 560)  # software draws it: few pixels, little time
    yield viewer, dock
    viewer.close()


@pytest.fixture
def hand(window) -> Hand:
    return Hand(window[0])


@pytest.fixture
def dock(window) -> Iterator[LazyLabels]:
    """The dock; what a test has opened is closed after it."""
    said: list[tuple[str, bool]] = []
    _, dock = window
    dock.session.said.connect(lambda *sentence: said.append(sentence))
    dock.heard = said
    dock.session.predictions.ahead = False  # most tests need neither trainer nor network, whose processes take seconds to start
    yield dock
    lets_go, dock.session.lets_go = dock.session.lets_go, lambda why: True  # nobody is there to be asked
    dock.session.close()
    dock.session.lets_go = lets_go
    dock.folder.format.setCurrentIndex(0)  # all tests share the window


@pytest.fixture
def built_in(tmp_path) -> Path:
    """Three pictures with nothing drawn on them, one that validates."""
    folder = tmp_path / "built-in"
    make_dataset(folder, num_train=3, num_validation=1, num_test=1, size=SIZE, strong=0, detection=0, separation=0, seed=3)
    return folder


@pytest.fixture
def until(qtbot) -> Callable:
    """Wait for something that is to become true, while the window goes on."""

    def wait(true: Callable[[], object], seconds: float = 400) -> None:
        qtbot.waitUntil(lambda: bool(true()), timeout=int(seconds * 1000))

    return wait


@pytest.fixture
def run() -> Callable:
    """Run a command of ``lazylabels``."""
    from typer.testing import CliRunner

    from lazylabels_monai.cli import app

    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
