"""A volume in the window: drawn on slice by slice, trained on in three dimensions, and the result seen on its slices."""

from __future__ import annotations

import time

import nibabel
import numpy as np
import pytest
from hand import press
from qtpy.QtCore import Qt

from lazylabels_monai.apps.napari.prediction_layers import OBJECTS, SEGMENTATION
from lazylabels_monai.data.simulating.synthetic import make_volume_dataset
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.project import Project


@pytest.fixture
def folder(tmp_path):
    """Two small volumes with all their labels for training, one for validation."""
    made = tmp_path / "volumes"
    make_volume_dataset(made, num_train=2, num_validation=1, num_test=1, size=(40, 44, 36), strong=2, detection=2, separation=2)
    return made


def test_a_stroke_lies_on_its_slice(dock, hand, tmp_path):
    (tmp_path / "my").mkdir()
    values = np.random.default_rng(0).integers(0, 99, (48, 40, 12)).astype(np.uint8)  # (X, Y, Z)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 3, 1])), tmp_path / "my" / "a.nii.gz")
    assert dock.session.open(tmp_path / "my", create=True, classes=["pore", "grain"])
    session = dock.session
    assert session.current.picture.shape == (12, 40, 48)
    assert session.viewer.dims.current_step[0] == 6  # opened in its middle
    press(dock.draw.kinds["detection"])
    hand.key(Qt.Key.Key_Right)  # napari's own keys: the next slice
    hand.key(Qt.Key.Key_Right)
    hand.key(Qt.Key.Key_2)
    session.marks.layers["detection"].brush_size = 1
    hand.stroke([(10, 5), (10, 20)])
    stored = read_label(tmp_path / "my" / "detection" / "a.nii.gz")
    assert stored.shape == values.shape
    assert np.argwhere(stored == 2).tolist() == [[x, 10, 8] for x in range(5, 21)]
    assert (stored == 255).sum() == stored.size - 16
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    session.marks.flush()
    assert (read_label(tmp_path / "my" / "detection" / "a.nii.gz") == 255).all()
    assert [said for said in dock.heard if said[1]] == []


def test_a_polygon_is_filled_on_the_slice_in_view(dock, hand, folder):
    assert dock.session.open(folder)
    session = dock.session
    before = session.marks.layers["detection"].data.copy()
    session.viewer.dims.set_current_step(0, 3)
    press(dock.draw.kinds["detection"])
    layer = dock.draw._shapes_layer()
    layer.add_polygons([np.array([[4, 4], [4, 20], [16, 20], [16, 4]], float)])
    dock.draw.take_shapes()
    changed = np.argwhere(session.marks.layers["detection"].data != before)
    assert len(changed)
    assert set(changed[:, 0]) == {3}


def test_what_is_not_there_for_volumes_is_said(dock, folder):
    assert dock.session.open(folder)
    dock.draw.ask_for_object()
    dock.correct.toggle("Split")
    dock.session.predictions.predict()  # by the starter
    said = " ".join(sentence for sentence, _ in dock.heard)
    for part in ("paint the masks of its slices", "correct objects of pictures", "the starter knows pictures, not volumes"):
        assert part in said
    assert not dock.correct.buttons["Split"].isChecked()


def test_training_in_three_dimensions_shows_its_result_on_the_slices(dock, folder, until, tmp_path):
    session = dock.session
    assert session.open(folder)
    entry = next(entry for entry in session.current.project.images if entry.section == "validation")
    session.show(entry)
    truth = session.current.project.labels.read(entry, "segmentation")
    began, told = time.monotonic(), []
    session.training.connect(told.append)
    session.train("last")
    until(lambda: session.current.seen is not None or any(event.error for event in told))
    first = time.monotonic() - began
    assert [event.sentence for event in told if event.error] == []
    assert session.current.seen.segmentation.shape == session.current.picture.shape == truth.shape
    shown = session.current.seen.segmentation.copy()
    early = dice(shown, truth)
    # how good it becomes takes longer than a test may: what is seen changes with the training, and objects appear
    until(lambda: (session.current.seen.segmentation != shown).any() and (session.current.seen.objects > 0).any())
    print(
        f"first prediction after {first:.0f} s, Dice {early:.2f}; {dice(session.current.seen.segmentation, truth):.2f} after ",
        end="",
    )
    print(f"{time.monotonic() - began:.0f} s")
    for name in (SEGMENTATION, OBJECTS):
        layer = session.maps.layers[name]
        assert layer.data.shape == truth.shape
        session.viewer.dims.set_current_step(0, truth.shape[0] // 2)
        assert layer._slice.image.raw.shape == truth.shape[1:]
    session.finished.finish()
    ids = read_label(session.finished.folder / f"{entry.path.name.removesuffix('.nii.gz')}_instances.nii.gz")
    assert ids.shape == truth.shape[::-1]
    assert ids.max() >= 1
    session.stop_training()
    until(lambda: not session.is_training)
    session.close()
    with Project.open(folder) as project:
        assert project.entry(entry.name).finished


def dice(found: np.ndarray, exact: np.ndarray) -> float:
    """Of all objects together."""
    return 2 * ((found > 0) & (exact > 0)).sum() / max(1, (found > 0).sum() + (exact > 0).sum())
