"""Rounds as a person goes through them, with the real trainer and the real network: draw, train, correct, measure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hand import press
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.measure import label as components
from skimage.measure import regionprops

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.images.files import read_label
from lazylabels_monai.tasks import INTERFACE

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


def draw(dock, hand, labels) -> None:
    """The marks of a picture as a person draws them: a dab in each object, a stroke along each interface."""
    press(dock.draw.kinds["detection"])
    for value, key in ((1, Qt.Key.Key_1), (2, Qt.Key.Key_2)):
        hand.key(key)
        for region in regionprops(components(labels["detection"] == value)):
            if region.area > 20:
                row, column = region.coords[len(region.coords) // 2]
                dock.session.marks.layers["detection"].brush_size = max(2, int(np.sqrt(region.area) * 0.8))
                hand.click((row, column))
    press(dock.draw.kinds["separation"])
    for region in regionprops(components(labels["separation"] == INTERFACE, connectivity=2)):
        if region.area > 12:
            ends = region.coords[[0, len(region.coords) // 2, -1]]
            hand.stroke(ends)


def dice(dock, entry, truth) -> float:
    """Mean over the classes of what is shown of a picture."""
    exact = truth[entry.name]["segmentation"]
    found = dock.session.seen.segmentation
    return float(np.mean([2 * ((found == k) & (exact == k)).sum() / ((found == k).sum() + (exact == k).sum()) for k in (1, 2)]))


def parts_of(labels) -> np.ndarray:
    """Ids of the pieces of the exact mask between its interfaces."""
    return components((labels["segmentation"] > 0) & (labels["separation"] != INTERFACE), connectivity=1)


def deepest(mask) -> tuple[int, int]:
    """The pixel of a mask that is farthest from its border."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return tuple(int(place) for place in np.unravel_index(depth.argmax(), depth.shape))


def taken_for_one(objects, labels) -> list[tuple[tuple[int, int], tuple[int, int], np.ndarray]]:
    """Pairs of true objects that one predicted object covers: a pixel deep in each, and the border to draw along."""
    parts, found = parts_of(labels), []
    for found_id in np.unique(objects[objects > 0]):
        inside = np.unique(parts[(objects == found_id) & (parts > 0)], return_counts=True)
        covered = [part for part, count in zip(*inside, strict=True) if count > 40 and count > 0.6 * (parts == part).sum()]
        for first, second in itertools.combinations(covered, 2):
            border = binary_dilation(parts == first, iterations=4) & binary_dilation(parts == second, iterations=4)
            pieces = components(border & (labels["separation"] == INTERFACE), connectivity=2)
            if pieces.max() == 1 and (pieces > 0).sum() > 15:
                found.append((deepest(parts == first), deepest(parts == second), np.argwhere(pieces)))
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
    dock.session.seen = None
    dock.session.predict()
    until(lambda: dock.session.seen is not None and dock.session.seen.whole, 300)


def test_draw_train_correct_measure(dock, hand, built_in, truth, until, tmp_path, monkeypatch, run):
    session = dock.session
    session.ahead = True
    assert dock.open(built_in)
    pictures = [entry for entry in session.project.images if entry.section == "training"]
    validation = next(entry for entry in session.project.images if entry.section == "validation")
    for entry in pictures:
        session.show(entry)
        draw(dock, hand, truth[entry.name])
        assert entry.drawn == {"detection", "separation"}
        assert entry.seconds > 0
    session.show(validation)
    wait_for_prediction(dock, until)
    before, shown = dice(dock, validation, truth), session.seen.segmentation.copy()

    # train: what is seen changes by itself, and becomes better
    events = []
    session.training.connect(events.append)
    train(dock, until, lambda: sum(event.kind == "epoch" for event in events) >= 6, weights_from=1)
    assert any(event.losses.get("separation") for event in events)
    assert (session.seen.segmentation != shown).any()
    wait_for_prediction(dock, until)
    after = dice(dock, validation, truth)
    assert after > before + 0.1, (before, after)
    assert validation.predicted
    assert "Loss" in dock.train.losses.text()

    # split two objects that were taken for one
    for entry in pictures:
        session.show(entry)
        wait_for_prediction(dock, until)
        pairs = taken_for_one(session.seen.objects, truth[entry.name])
        if pairs:
            break
    assert pairs, "every object was told apart: train less, or draw fewer interfaces"
    first, second, border = pairs[0]
    dock.tabs.setCurrentIndex(2)
    hand.key(Qt.Key.Key_S)
    hand.stroke(border[[0, len(border) // 2, -1]])
    hand.key(Qt.Key.Key_S)
    objects = session.maps.objects
    assert objects[first] != objects[second]
    assert "separation" in entry.corrected
    drawn = session.project.marks(entry, "separation")
    assert (drawn[tuple(border.T)] == INTERFACE).mean() > 0.5

    # they stay apart, as the next training has learnt it
    def apart() -> bool:
        seen = session.seen
        return (
            seen is not None
            and seen.whole
            and seen.objects[first] != seen.objects[second]
            and min(seen.objects[first], seen.objects[second]) > 0
        )

    epochs = len(events) + 12
    train(dock, until, lambda: len(events) >= epochs and apart(), weights_from=0)
    wait_for_prediction(dock, until)
    assert apart()

    # the table is linked with the picture
    dock.tabs.setCurrentIndex(3)
    until(lambda: dock.sizes.model.rowCount() > 3)
    dock.sizes.table.selectRow(2)
    shown = dock.sizes.model.rows[2]
    centre = session.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(centre, (shown["centroid_row_px"], shown["centroid_col_px"]), atol=1)
    assert "Chosen object" in session.viewer.layers
    press(dock.sizes.find)
    number = int(session.seen.objects[first])
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
    until(lambda: opened, 120)
    assert (built_in / "finished" / "report.html").is_file()

    # and the objects go to other programs
    press(next(b for b in dock.folder.findChildren(QPushButton) if b.text() == "Export"))
    until(lambda: list((built_in / "finished").rglob("*.zip")), 60)

    # opened again, it goes on from what was learnt
    session.close()
    assert dock.open(built_in)
    assert session.weights == built_in / "training" / "models" / "model.pt"


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
    until(lambda: not session.is_training, 60)
    assert any(wrong and "ended by the system" in sentence for sentence, wrong in dock.heard)
    hand.click((60, 60))
    assert session.project.marks(session.entry, "detection")[60, 60] == 1


def test_a_folder_is_predicted_with_progress(dock, built_in, until, tmp_path):
    dock.open(built_in)
    dock.folder.source.setText(str(built_in / "images"))
    dock.folder.out.setText(str(tmp_path / "out"))
    press(dock.folder.start)
    until(lambda: dock.folder.start.isEnabled(), 240)
    assert dock.folder.told.text().startswith("written:"), dock.folder.told.text()
    assert len(list((tmp_path / "out").glob("*_instances.tif"))) == 5


def test_a_folder_that_is_not_there_is_a_sentence(dock, built_in, until, tmp_path):
    dock.open(built_in)
    dock.folder.source.setText(str(tmp_path / "nowhere"))
    dock.folder.out.setText(str(tmp_path / "out"))
    press(dock.folder.start)
    until(lambda: dock.folder.start.isEnabled(), 240)
    assert "nowhere" in dock.folder.told.text()
