"""Rounds as a person goes through them, with the real trainer and the real network: draw, train, correct, measure."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from hand import press
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial.distance import cdist
from skimage.measure import label as components
from skimage.measure import regionprops

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.interactive.correcting import line_of
from lazylabels_monai.interactive.finish import write_masks
from lazylabels_monai.tasks import BACKGROUND, INTERFACE

SIZE = (128, 160)


@pytest.fixture
def truth(tmp_path):
    """The built-in pictures with all their labels; the same pictures as those of ``built_in``."""
    folder = tmp_path / "truth"
    make_dataset(folder, num_train=3, num_validation=1, num_test=1, size=SIZE, strong=3, detection=3, separation=3, seed=3)
    return {
        item["image"]: {
            k: read_label(folder / item[k]) for k in item if k in ("detection", "separation", "segmentation", "instances")
        }
        for section in ("training", "validation")
        for item in load_datalist(folder)[section]
    }


def largest(mask) -> list:
    """The largest pieces of a mask, as many as are marked."""
    return sorted(regionprops(components(mask, connectivity=2)), key=lambda region: -region.area)[:OBJECTS]


#: Objects of each class, and interfaces, that are marked on a picture: a lazy hand leaves the others out.
OBJECTS, INTERFACES = 10, 3


def draw(dock, hand, labels) -> None:
    """Marks of a picture as a person draws them: dabs in objects, strokes along interfaces."""
    press(dock.draw.kinds["detection"])
    for value, key in ((1, Qt.Key.Key_1), (2, Qt.Key.Key_2)):
        hand.key(key)
        for region in largest(labels["detection"] == value):
            if region.area > 20:
                row, column = region.coords[len(region.coords) // 2]
                dock.session.marks.layers["detection"].brush_size = max(2, int(np.sqrt(region.area) * 0.8))
                hand.click((row, column))
    press(dock.draw.kinds["separation"])
    for _, _, stroke in sorted(borders(labels), key=lambda found: -np.ptp(found[2], axis=0).max())[:INTERFACES]:
        hand.stroke(stroke)


def dice(dock, entry, truth) -> float:
    """Mean over the classes of what is shown of a picture."""
    exact = truth[entry.name]["segmentation"]
    found = dock.session.current.seen.segmentation
    return float(np.mean([2 * ((found == k) & (exact == k)).sum() / ((found == k).sum() + (exact == k).sum()) for k in (1, 2)]))


def parts_of(labels) -> np.ndarray:
    """Ids of the pieces of the exact mask between its interfaces."""
    return components((labels["segmentation"] > 0) & (labels["separation"] != INTERFACE), connectivity=1)


def deepest(mask) -> tuple[int, int]:
    """The pixel of a mask that is farthest from its border."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return tuple(int(place) for place in np.unravel_index(depth.argmax(), depth.shape))


def borders(labels) -> list[tuple[int, int, np.ndarray]]:
    """Two true objects each that touch, and the stroke along the interface between them, where it is about straight."""
    parts, found = parts_of(labels), []
    interface = labels["separation"] == INTERFACE
    for first in range(1, parts.max() + 1):
        near = binary_dilation(parts == first, iterations=4)
        for second in np.unique(parts[near & (parts > first)]):
            border = near & binary_dilation(parts == second, iterations=4) & interface
            places = np.argwhere(border)
            if len(places) > 12:
                apart = cdist(places, places)
                ends = places[list(np.unravel_index(apart.argmax(), apart.shape))]
                line = line_of(ends, border.shape)
                if (binary_dilation(border)[line]).mean() > 0.9:
                    found.append((first, int(second), ends))
    return found


def taken_for_one(objects, labels) -> list[tuple[tuple[int, int], tuple[int, int], np.ndarray]]:
    """True objects that one predicted object covers both of: a pixel deep in each, and the stroke that parts them."""
    parts, found = parts_of(labels), []
    for first, second, stroke in borders(labels):
        deep = deepest(parts == first), deepest(parts == second)
        if objects[deep[0]] and objects[deep[0]] == objects[deep[1]]:
            along = (stroke[1] - stroke[0]) / np.linalg.norm(stroke[1] - stroke[0])
            found.append((*deep, stroke + 4 * np.array([-along, along])))  # right across, and out on both sides
    return found


def train(dock, until, enough, weights_from: int, seconds: float = 1200) -> None:
    """Press Train, wait for what is wanted, press Stop."""
    dock.tabs.setCurrentIndex(1)
    dock.train.start_from.setCurrentIndex(weights_from)
    press(dock.train.train)
    assert dock.session.is_training
    until(enough, seconds)
    press(dock.train.stop)
    until(lambda: not dock.session.is_training, 120)


def wait_for_prediction(dock, until) -> None:
    dock.session.current.seen = None
    dock.session.predictions.predict()
    until(lambda: dock.session.current.seen is not None and dock.session.current.seen.whole, 300)


def test_draw_train_split_train(dock, hand, built_in, truth, until):
    session = dock.session
    session.predictions.ahead = True
    assert dock.open(built_in)
    pictures = [entry for entry in session.current.project.images if entry.section == "training"]
    validation = next(entry for entry in session.current.project.images if entry.section == "validation")
    for entry in pictures:
        session.show(entry)
        draw(dock, hand, truth[entry.name])
        assert entry.drawn == {"detection", "separation"}
        assert entry.seconds > 0
    session.show(validation)
    wait_for_prediction(dock, until)
    before, shown = dice(dock, validation, truth), session.current.seen.segmentation.copy()

    # train: what is seen changes by itself, and becomes better
    events = []
    session.training.connect(events.append)
    train(dock, until, lambda: events and dice(dock, validation, truth) > before + 0.1, weights_from=1)
    assert any(event.losses.get("separation") for event in events)
    assert (session.current.seen.segmentation != shown).any()
    wait_for_prediction(dock, until)
    assert dice(dock, validation, truth) > before + 0.1
    assert validation.predicted
    assert "Draw here" not in session.viewer.layers  # its mask says all
    assert "Loss" in dock.train.losses.text()

    # split two objects that were taken for one
    for entry in pictures:
        session.show(entry)
        wait_for_prediction(dock, until)
        assert session.viewer.layers["Draw here"].nshapes in (1, 2, 3)
        pairs = taken_for_one(session.current.seen.objects, truth[entry.name])
        if pairs:
            break
    if not pairs:  # all are told apart: the person sees two in one that is large
        found = max(regionprops(session.current.seen.objects), key=lambda region: region.area * (region.solidity > 0.85))
        pairs = [(*halves(found), np.array(cut(found))[[0, -1]])]
    dock.tabs.setCurrentIndex(2)
    hand.key(Qt.Key.Key_S)
    for first, second, stroke in pairs:  # a stroke that does not part the predicted object is one to draw again
        hand.stroke([stroke[0], stroke.mean(0), stroke[1]])
        objects = session.maps.objects
        if objects[first] != objects[second]:
            break
    hand.key(Qt.Key.Key_S)
    assert objects[first] != objects[second]
    assert "separation" in entry.corrected
    drawn = session.current.project.labels.read(entry, "separation")
    assert (drawn == INTERFACE)[line_of(stroke, drawn.shape)].mean() > 0.3

    # they stay apart whatever the next training answers, and the network begins to see an interface along the stroke
    def interface() -> float:
        return float(session.current.seen.interface[line_of(stroke, drawn.shape)].mean())

    unsure, trained = interface(), len(events)
    train(
        dock,
        until,
        lambda: len(events) > trained + 4 and session.current.seen.whole and interface() > unsure + 0.05,
        weights_from=0,
    )
    wait_for_prediction(dock, until)
    assert interface() > unsure
    assert session.maps.objects[first] != session.maps.objects[second]

    # opened again, it goes on from what was learnt, and what was corrected is as it was left
    name = session.current.entry.name
    session.close()
    assert dock.open(built_in)
    session.show(session.current.project.entry(name))
    assert session.maps.objects[first] != session.maps.objects[second]
    assert session.predictions.weights == built_in / "training" / "models" / "model.pt"


def ends_of(region) -> tuple[np.ndarray, np.ndarray]:
    """A step along the longer side of an object, and one across it."""
    angle = region.orientation
    return np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])


def halves(region) -> tuple[tuple[int, int], tuple[int, int]]:
    """A pixel in each half of an object."""
    along, _ = ends_of(region)
    middle = np.array(region.centroid)
    places = region.coords
    return tuple(
        tuple(places[np.linalg.norm(places - (middle + sign * along * region.axis_major_length / 4), axis=1).argmin()])
        for sign in (-1, 1)
    )


def cut(region) -> list[np.ndarray]:
    """A stroke right across an object."""
    _, across = ends_of(region)
    reach = region.axis_minor_length / 2 + 6
    return [region.centroid - across * reach, np.array(region.centroid), region.centroid + across * reach]


def test_correct_and_measure(dock, hand, built_in, until, tmp_path, monkeypatch, run):
    """What the starter takes for objects, without any training."""
    session = dock.session
    session.predictions.ahead = True
    assert dock.open(built_in)
    entry = session.current.entry
    until(lambda: session.current.seen is not None and session.current.seen.whole)
    inside = [
        r
        for r in regionprops(session.current.seen.objects)
        if min(r.bbox[:2]) > 8 and r.bbox[2] < SIZE[0] - 8 and r.bbox[3] < SIZE[1] - 8
    ]
    found = max(inside, key=lambda region: region.area * (region.solidity > 0.85))
    first, second = halves(found)

    # a stroke parts an object, and Undo takes it back, marks and all
    before = session.current.seen.objects.copy()
    dock.tabs.setCurrentIndex(2)
    press(dock.correct.buttons["Split"])
    hand.stroke(cut(found))
    assert session.maps.objects[first] != session.maps.objects[second]
    assert entry.corrected == {"separation"}
    assert (session.current.project.labels.read(entry, "separation") == INTERFACE).any()
    press(next(b for b in dock.correct.findChildren(QPushButton) if b.text() == "Undo the correction"))
    np.testing.assert_array_equal(session.maps.objects, before)
    assert not (session.current.project.labels.read(entry, "separation") == INTERFACE).any()

    # a line joins two objects, a click relabels one, a click erases one
    hand.stroke(cut(found))
    press(dock.correct.buttons["Split"])
    hand.key(Qt.Key.Key_J)
    hand.stroke([first, second])
    assert session.maps.objects[first] == session.maps.objects[second] > 0
    hand.key(Qt.Key.Key_J)
    hand.key(Qt.Key.Key_R)
    dock.correct.classes.setCurrentIndex(1)
    hand.click(first)
    assert session.current.seen.classes[session.maps.objects[first]] == 2
    assert 2 in session.current.project.labels.read(entry, "detection")
    hand.key(Qt.Key.Key_R)
    other = next(region for region in inside if region.label != session.maps.objects[first])
    place = tuple(other.coords[len(other.coords) // 2])
    hand.key(Qt.Key.Key_D)
    hand.click(place)
    assert session.maps.objects[place] == 0
    assert session.current.project.labels.read(entry, "detection")[place] == BACKGROUND
    hand.key(Qt.Key.Key_D)

    # the table is linked with the picture
    dock.tabs.setCurrentIndex(3)
    until(lambda: dock.sizes.model.rowCount() > 3)
    dock.sizes.table.selectRow(2)
    shown = dock.sizes.model.rows[2]
    centre = session.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(centre, (shown["centroid_row_px"], shown["centroid_col_px"]), atol=1)
    assert "Chosen object" in session.viewer.layers
    press(dock.sizes.find)
    number = int(session.current.seen.objects[first])
    hand.click(first)
    assert dock.sizes.model.rows[dock.sizes.table.currentIndex().row()]["id"] == number
    press(dock.sizes.find)

    # and it is that of `measure` on the masks of the finished picture
    dock.sizes.save_csv(tmp_path / "window.csv")
    press(dock.images.finished)
    assert entry.finished
    done = run("measure", built_in / "finished", tmp_path / "measured", "--images", built_in / "images")
    assert done.exit_code == 0, (done.output, done.exception)
    assert (tmp_path / "window.csv").read_text() == (tmp_path / "measured" / "objects.csv").read_text()

    # the report opens in the browser
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    dock.sizes.report()
    until(lambda: opened)
    assert (built_in / "finished" / "report.html").is_file()

    # and the objects go to other programs
    press(next(b for b in dock.folder.findChildren(QPushButton) if b.text() == "Export"))
    until(lambda: list((built_in / "finished").rglob("*.zip")))


def test_what_went_wrong_with_a_training_is_a_sentence_and_drawing_goes_on(dock, hand, built_in, until):
    dock.open(built_in)
    session = dock.session
    press(dock.train.train)
    sentence, wrong = dock.heard[-1]
    assert wrong
    assert "no image for training has marks" in sentence
    hand.click((30, 30))
    press(dock.train.train)
    assert session.is_training
    until(lambda: session.trainer._process is not None)
    session.trainer._process.kill()
    until(lambda: not session.is_training)
    assert any(wrong and "ended by the system" in sentence for sentence, wrong in dock.heard)
    hand.click((60, 60))
    assert session.current.project.labels.read(session.current.entry, "detection")[60, 60] == 1


def test_a_folder_is_predicted_with_progress(dock, built_in, until, tmp_path):
    dock.open(built_in)
    dock.folder.source.setText(str(built_in / "images"))
    dock.folder.out.setText(str(tmp_path / "out"))
    press(dock.folder.start)
    until(lambda: dock.folder.start.isEnabled())
    assert dock.folder.told.text().startswith("written:"), dock.folder.told.text()
    assert len(list((tmp_path / "out").glob("*_instances.tif"))) == 5


def test_finished_pictures_are_in_the_results_as_corrected(dock, built_in, until, tmp_path, monkeypatch):
    """Of the weights in use, which here are the starter's: a project of one kind that is called as the starter calls it."""
    shutil.copytree(built_in / "images", tmp_path / "my" / "images")
    dock.open(tmp_path / "my")
    project = dock.session.current.project
    assert list(project.classes) == ["object"]
    entry = project.images[1]
    ids = np.zeros(read_image(entry.path).shape[:2], np.int32)
    ids[10:40, 10:40] = 1
    project.finish(entry)
    write_masks(project.files.finished_folder, project.files.result_name(entry.name), ids, {1: 1}, project.classes)
    dock.folder.source.setText(str(tmp_path / "my" / "images"))
    dock.folder.out.setText(str(tmp_path / "out"))
    press(dock.folder.start)
    until(lambda: any("is there as you corrected it" in sentence for sentence, _ in dock.heard))
    assert np.array_equal(read_label(tmp_path / "out" / f"{entry.path.stem}_instances.tif"), ids)

    # and one page is about all of them
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    dock.sizes.pixel_size.setText("0.5um")
    press(next(b for b in dock.folder.findChildren(QPushButton) if b.text() == "Measure and report"))
    until(lambda: opened)
    dock.sizes.pixel_size.setText("")
    rows = pd.read_csv(tmp_path / "out" / "measured" / "objects.csv")
    assert rows[rows["image"] == entry.path.stem]["area_um2"].tolist() == [900 * 0.25]
    assert rows["image"].nunique() > 1


def test_finished_pictures_are_there_though_one_failed_and_another_project_is_open_by_then(
    dock, built_in, until, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("my", "other"):
        shutil.copytree(built_in / "images", tmp_path / name / "images")
    dock.open(tmp_path / "my")
    project = dock.session.current.project
    entry = project.images[1]
    ids = np.zeros(read_image(entry.path).shape[:2], np.int32)
    ids[10:40, 10:40] = 1
    project.finish(entry)
    write_masks(project.files.finished_folder, project.files.result_name(entry.name), ids, {1: 1}, project.classes)
    shutil.copytree(tmp_path / "my" / "images", tmp_path / "all")
    (tmp_path / "all" / "broken.png").write_bytes(b"no picture")
    dock.folder.source.setText(str(tmp_path / "all"))
    dock.folder.out.setText("~/out")
    press(dock.folder.start)
    dock.open(tmp_path / "other")
    dock.folder.out.setText(str(tmp_path / "next"))
    until(lambda: any("is there as you corrected it" in sentence for sentence, _ in dock.heard))
    assert any(sentence.startswith(str(tmp_path / "out")) for sentence, _ in dock.heard)
    assert "broken.png" in dock.folder.told.text()
    assert np.array_equal(read_label(tmp_path / "out" / f"{entry.path.stem}_instances.tif"), ids)


def test_a_folder_that_is_not_there_is_a_sentence(dock, built_in, until, tmp_path):
    dock.open(built_in)
    dock.folder.source.setText(str(tmp_path / "nowhere"))
    dock.folder.out.setText(str(tmp_path / "out"))
    press(dock.folder.start)
    until(lambda: dock.folder.start.isEnabled())
    assert "nowhere" in dock.folder.told.text()
