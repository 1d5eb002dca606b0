"""A clumsy person: buttons in the wrong order, layers thrown away, files that come, go or are broken. One sentence, no loss."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hand import press
from napari.utils.notifications import NotificationSeverity, notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton
from test_first_steps import answer, marked

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.interactive.finish import write_masks
from lazylabels_monai.interactive.next_images import next_images
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import sound_weights, trained_settings
from lazylabels_monai.warm_start import STARTER, weights_named


def button(panel, text) -> QPushButton:
    return next(made for made in panel.findChildren(QPushButton) if made.text() == text)


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures, none of which is like another."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("b", "c", "d")):
        Image.fromarray(np.add.outer(np.arange(128), np.arange(160) + 9 * number).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


ACTS = {
    "Rank": lambda dock: press(button(dock.train, "Rank the images")),
    "Predict again": lambda dock: press(button(dock.train, "Predict again")),
    "Split": lambda dock: press(dock.correct.buttons["Split"]),
    "Polygon": lambda dock: press(button(dock.draw, "Polygon")),
    "Outline": lambda dock: dock.draw.ask_for_object(),
    "Report": lambda dock: press(button(dock.sizes, "Report")),
    "Export": lambda dock: press(button(dock.folder, "Export")),
    "Kinds": lambda dock: press(button(dock.images, "Kinds…")),
}


@pytest.mark.parametrize("act", ACTS)
def test_without_a_project_every_button_says_what_is_missing(dock, act):
    dock.heard.clear()
    ACTS[act](dock)
    assert dock.heard == [("open a project first, or make one of a folder of pictures.", True)]
    assert not any(made.isChecked() for made in dock.correct.buttons.values())


def test_ranked_images_come_in_the_order_of_their_uncertainty(dock, pictures, until):
    dock.open(pictures)
    dock.heard.clear()
    ACTS["Rank"](dock)
    until(lambda: len(dock.heard) > 1)
    assert [wrong for _, wrong in dock.heard] == [False, False]
    weights = weights_named(STARTER)
    expected = next_images(dock.session.current.project, Model(weights), trained_settings(weights))
    assert dock.session.order.images() == expected
    assert len(expected) == 3


def test_a_picture_that_cannot_be_read_does_not_stand_in_the_way(dock, hand, pictures):
    for name in ("a", "c"):
        (pictures / f"{name}.png").write_bytes(b"no picture")
    dock.open(pictures)
    assert dock.session.current.entry.name == "b.png"
    assert any(wrong and "a.png" in sentence for sentence, wrong in dock.heard)
    press(dock.images.next)
    assert dock.session.current.entry.name == "d.png"
    hand.click((30, 30))
    assert marked(dock, (30, 30)) == 1


def test_only_pictures_that_cannot_be_read(dock, pictures):
    for file in pictures.iterdir():
        file.write_bytes(b"no picture")
    dock.open(pictures)
    press(dock.images.next)
    assert dock.session.current.entry is None
    assert dock.heard[-1][1]


def test_a_folder_that_is_named_like_a_picture_is_told_of(dock, pictures):
    (pictures / "x.png").mkdir()
    dock.open(pictures)
    assert [sentence for sentence, _ in dock.heard if "x.png" in sentence and "folder" in sentence]
    assert dock.images.table.rowCount() == 3


LAYERS = ("Picture", "Predicted: objects", "Predicted: classes", "Inner regions", "Interface scribbles", "Shapes to marks")


def test_a_project_that_is_opened_again_is_the_windows_own_and_whole(dock, hand, built_in):
    dock.open(built_in)
    entry = dock.session.current.entry
    hand.stroke([(40, 40), (40, 60)])
    dock.session.clock.take()
    dock.session.current.project.records.spend(entry, 30.0, "detection")
    assert dock.open(built_in / "datalist.json")
    other = f"from lazylabels_monai.interactive.project import Project; Project.open({str(built_in)!r})"
    refused = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False).stderr
    assert "in use by another window" in refused
    dock.session.show(dock.session.current.project.entry(entry.name))
    assert marked(dock, (40, 50)) == 1
    assert dock.session.current.entry.seconds >= 30.0
    (built_in / "datalist.json").write_text("{")
    assert not dock.open(built_in)
    assert "datalist.json" in dock.heard[-1][0]
    assert dock.session.current.entry.name == entry.name


@pytest.mark.parametrize("name", [*LAYERS, None], ids=[*LAYERS, "all"])
def test_layers_that_were_thrown_away_are_not_missed(dock, hand, window, built_in, name):
    viewer, _ = window
    dock.open(built_in)
    hand.click((30, 30))
    answer(dock, [(40, 80, 40, 90), (90, 110, 40, 90)])
    if name is None:
        viewer.layers.clear()
    else:
        viewer.layers.remove(name)
    press(dock.draw.kinds["detection"])
    hand.click((20, 120))
    assert (marked(dock, (30, 30)), marked(dock, (20, 120))) == (1, 1)
    dock.tabs.setCurrentIndex(2)
    press(dock.correct.buttons["Split"])
    hand.stroke([(60, 30), (60, 65), (60, 100)])
    assert len(np.unique(dock.session.maps.objects)) == 4
    dock.tabs.setCurrentIndex(0)
    line = next(line for line, entry in enumerate(dock.images._order) if entry is dock.session.current.entry)
    dock.images._clicked(line, 0)
    shown = {layer.name for layer in viewer.layers}
    assert shown >= {"Picture", "Inner regions", "Interface scribbles", "Exact masks", "Predicted: objects"}
    press(dock.images.next)
    assert not dock.session.marks.layers["detection"].data.any()


def test_a_layer_of_naparis_own_is_told_of(dock, window, built_in):
    viewer, _ = window
    dock.open(built_in)
    dock.heard.clear()
    viewer._new_labels()
    ((sentence, wrong),) = dock.heard
    assert wrong
    assert "saved nowhere" in sentence
    viewer.layers.remove(viewer.layers.selection.active)


def test_undo_of_everything_and_more(dock, hand, built_in, until):
    dock.open(built_in)
    for place in ((30, 30), (60, 60)):
        hand.click(place)
    for _ in range(5):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    until(lambda: not dock.session.current.entry.drawn)
    assert not any("detection" in item for item in load_datalist(built_in)["training"])
    for _ in range(5):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    until(lambda: (marked(dock, (30, 30)), marked(dock, (60, 60))) == (1, 1))
    assert dock.session.current.entry.drawn == {"detection"}


def test_a_picture_that_is_added_joins_the_list(dock, pictures):
    dock.open(pictures)
    shutil.copy(pictures / "b.png", pictures / "new.png")
    dock.session.look_again()
    assert dock.images.table.rowCount() == 4
    assert "new.png" in dock.heard[-1][0]


def test_a_picture_that_is_renamed_keeps_its_marks(dock, hand, pictures):
    dock.open(pictures)
    hand.click((30, 30))
    (pictures / "b.png").rename(pictures / "z.png")
    hand.click((60, 60))
    dock.session.look_again()
    assert dock.session.current.entry.name == "z.png"
    hand.click((90, 90))
    press(dock.images.next)
    assert dock.session.current.entry.name != "z.png"
    dock.session.close()
    dock.open(pictures)
    dock.session.show(dock.session.current.project.entry("z.png"))
    assert [marked(dock, place) for place in ((30, 30), (60, 60), (90, 90))] == [1, 1, 1]


def test_a_picture_that_is_taken_away_is_told_of(dock, pictures):
    dock.open(pictures)
    (pictures / "b.png").unlink()
    dock.session.look_again()
    assert any(wrong and "b.png" in sentence for sentence, wrong in dock.heard)
    press(dock.images.next)
    assert dock.session.current.entry.name == "c.png"


def test_finished_on_a_picture_without_objects(dock, built_in, until, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    dock.open(built_in)
    answer(dock, [])
    press(dock.images.finished)
    assert not dock.heard[-1][1]
    dock.sizes.report()
    until(lambda: opened or any(wrong for _, wrong in dock.heard))
    assert opened


def test_what_cannot_be_done_in_the_background_is_a_sentence_and_no_traceback(dock, qtbot, pictures, until):
    """napari shows what its workers raise in a window of its own."""
    dock.open(pictures)
    count = len(notification_manager.records)
    with qtbot.captureExceptions() as raised:
        press(button(dock.folder, "Export"))
        until(lambda: "finish an image first" in dock.heard[-1][0], 20)
    assert dock.heard[-1][1]
    assert raised == []
    assert not any(record.severity >= NotificationSeverity.ERROR for record in list(notification_manager.records)[count:])


def test_export_takes_the_typed_pixel_size_and_says_what_is_left_out(dock, pictures, until):
    dock.open(pictures)
    project, out = dock.session.current.project, dock.session.finished.folder
    for entry in project.images:
        project.claim(entry)
        ids = np.pad(np.ones((10, 10), int), ((5, 113), (5, 145)))
        write_masks(out, project.files.result_name(entry.name), ids, {1: 1}, project.classes)
        project.finish(entry)
    gone, *others = project.images
    gone.path.unlink()
    dock.sizes.pixel_size.setText("3um")
    dock.folder.format.setCurrentText("QuPath")
    press(button(dock.folder, "Export"))
    until(lambda: dock.heard[-1][0].startswith("written: "), 20)
    assert [wrong for sentence, wrong in dock.heard if Path(gone.name).stem in sentence and "left out" in sentence] == [True]
    (file,) = (out / "geojson").glob(f"{Path(others[0].name).stem}.geojson")
    assert '"area_um2": 900' in file.read_text()


def test_a_project_closed_while_it_trains_is_whole_when_it_opens_again(dock, hand, built_in, until):
    dock.open(built_in)
    hand.click((64, 80))
    session = dock.session
    press(dock.train.train)
    weights = built_in / "training" / "models" / "model.pt"
    until(weights.is_file)
    process, name = session.trainer._process, session.current.entry.name
    hand.stroke([(30, 30), (30, 60)])  # not taken up by any epoch yet
    session.close()
    assert process.poll() is not None
    assert dock.open(built_in)
    assert session.current.project.labels.read(session.current.project.entry(name), "detection")[30, 45] == 1
    assert session.predictions.weights == weights
    sound_weights(weights)
    assert dock.train.start_from.currentText() == "From this project's last weights"
