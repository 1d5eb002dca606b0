"""Finished pictures among predicted ones."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.finish import write_masks
from lazylabels_monai.interactive.joining import join_finished
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.predicting.results import ResultsFolder
from lazylabels_monai.stamps import Record, Records, Stamp, file_digest, locked
from tests.interactive.folders import SHAPE, pictures

CLASSES = ["pore", "grain"]


def boxes(*where) -> np.ndarray:
    ids = np.zeros(SHAPE, np.int32)
    for number, (row, column) in enumerate(where, 1):
        ids[row : row + 8, column : column + 8] = number
    return ids


PREDICTED, CORRECTED = boxes((4, 4), (4, 24)), boxes((4, 4), (4, 24), (22, 30))


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 3, SHAPE), create=True, classes=CLASSES) as project:
        for entry in project.images[:2]:
            project.finish(entry)
            name = project.files.result_name(entry.name)
            write_masks(project.files.finished_folder, name, CORRECTED, {1: 1, 2: 1, 3: 2}, CLASSES)
        yield project


def results(folder, images, classes=CLASSES):
    """What `lazylabels predict` leaves of some pictures, with its records."""
    stamp, records = Stamp("22" * 16, {"classes": list(classes)}), Records(folder)
    folder.mkdir(exist_ok=True)
    with locked(folder):
        records.add_stamp(stamp)
    for image in images:
        files = write_masks(folder, f"{image.stem}.png", PREDICTED, {1: 1, 2: 1}, classes)
        Image.new("RGB", SHAPE[::-1]).save(folder / f"{image.stem}_overlay.png")
        records.add(image.stem, Record.of(stamp, image, folder).giving(files[0], files))
    return folder


@pytest.fixture
def predicted(project, tmp_path):
    """Of a folder in which the pictures lie under other names."""
    other = tmp_path / "other"
    other.mkdir()
    for number, entry in enumerate(project.images):
        shutil.copy(entry.path, other / f"field{number}.png")
    return results(tmp_path / "out", sorted(other.iterdir()))


def counts(folder, out):
    found = measure_folder(folder, out, resamples=100)
    return [entry["objects"] for entry in found["classes"].values()]


def test_one_table_holds_what_was_corrected_and_what_was_predicted(project, predicted, tmp_path):
    assert counts(predicted, tmp_path / "before") == [6, 0]
    joined = join_finished(predicted, project)
    assert (joined.put, joined.kept) == ([e.name for e in project.images[:2]], [])
    assert joined.told() == "the finished pictures 'images/a.png', 'images/b.png' are there as you corrected them"
    for number, expected in enumerate((CORRECTED, CORRECTED, PREDICTED)):
        np.testing.assert_array_equal(read_label(predicted / f"field{number}_instances.tif"), expected)
    assert counts(predicted, tmp_path / "after") == [6, 2]
    drawn = [np.asarray(Image.open(predicted / f"field{number}_overlay.png")).any() for number in range(3)]
    assert drawn == [True, True, False], "the overlay shows what counts"
    files = {path: path.read_bytes() for path in predicted.iterdir()}
    assert join_finished(predicted, project).put == joined.put
    assert {path: path.read_bytes() for path in predicted.iterdir()} == files, "nothing is left to do"
    folder = ResultsFolder.__new__(ResultsFolder)
    folder.out, folder.records = predicted, Records(predicted)
    assert folder.why_kept(tmp_path / "other" / "field0.png"), "predicting the folder again does not take it back"


def test_what_somebody_changed_in_the_results_stays(project, predicted):
    mine = boxes((20, 4))
    write_masks(predicted, "field1.png", mine, {1: 2}, CLASSES)
    joined = join_finished(predicted, project)
    assert (joined.put, joined.kept) == (["images/a.png"], ["images/b.png"])
    np.testing.assert_array_equal(read_label(predicted / "field1_instances.tif"), mine)
    assert "'images/b.png' was changed there since the prediction, and stays as it is: remove its _pred" in joined.told()


def test_what_was_corrected_further_since_takes_the_place_of_what_was_put(project, predicted):
    join_finished(predicted, project)
    further, entry = boxes((4, 4), (20, 40)), project.images[0]
    write_masks(project.files.finished_folder, project.files.result_name(entry.name), further, {1: 2, 2: 2}, CLASSES)
    joined = join_finished(predicted, project)
    assert (joined.put, joined.kept) == ([e.name for e in project.images[:2]], [])
    np.testing.assert_array_equal(read_label(predicted / "field0_instances.tif"), further)
    np.testing.assert_array_equal(read_label(predicted / "field0_pred.png"), np.where(further, 2, 0))
    write_masks(predicted, "field0.png", mine := boxes((20, 4)), {1: 2}, CLASSES)
    assert join_finished(predicted, project).kept == [entry.name], "what somebody changed there after that stays"
    np.testing.assert_array_equal(read_label(predicted / "field0_instances.tif"), mine)


def test_a_picture_is_read_once_however_many_results_there_are(project, predicted, monkeypatch):
    read = []
    monkeypatch.setattr("lazylabels_monai.interactive.joining.file_digest", lambda path: read.append(path) or file_digest(path))
    monkeypatch.setattr("lazylabels_monai.stamps.file_digest", lambda path: read.append(path) or file_digest(path))
    joined = join_finished(predicted, project)
    assert len(joined.put) == 2
    images = [entry.path for entry in project.images]
    assert sorted(path for path in read if path in images) == images[:2]


@pytest.mark.parametrize("shape", [SHAPE, (SHAPE[0], SHAPE[1] + 9)])
def test_masks_of_a_picture_that_was_replaced_are_put_nowhere(project, tmp_path, shape):
    entry = project.images[0]
    project.claim(entry)
    Image.fromarray(np.random.default_rng(7).integers(0, 255, shape, np.uint8)).save(entry.path)
    out = results(tmp_path / "out", [each.path for each in project.images])
    joined = join_finished(out, project)
    assert (joined.put, joined.kept) == (["images/b.png"], [])
    np.testing.assert_array_equal(read_label(out / "a_instances.tif"), PREDICTED)


def test_what_was_predicted_in_tiles_is_said_to_be_left(project, predicted):
    (predicted / "field1_pred.png").unlink()
    (predicted / "field1_pred.zarr").mkdir()
    joined = join_finished(predicted, project)
    assert (joined.put, joined.left) == (["images/a.png"], ["images/b.png"])
    assert "the finished 'images/b.png' is predicted there like the others, as" in joined.told()


def test_pictures_that_are_others_not_finished_or_of_other_classes_are_left(project, predicted, tmp_path):
    project.finish(project.images[0], False)
    rng = np.random.default_rng(7)
    Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(project.images[1].path)  # another picture under its name
    before = {path: path.read_bytes() for path in predicted.iterdir()}
    joined = join_finished(predicted, project)
    assert (joined.put, joined.kept, joined.told()) == ([], [], "")
    assert {path: path.read_bytes() for path in predicted.iterdir()} == before
    starter = results(tmp_path / "starter", [project.images[2].path], ["object"])
    project.finish(project.images[2])
    write_masks(
        project.files.finished_folder, project.files.result_name(project.images[2].name), CORRECTED, {1: 1, 2: 1, 3: 2}, CLASSES
    )
    joined = join_finished(starter, project)
    assert joined.other_classes
    assert joined.told().startswith("the finished picture 'images/c.png' is predicted there like the others")
    np.testing.assert_array_equal(read_label(starter / "c_instances.tif"), PREDICTED)
    assert join_finished(tmp_path / "nothing", project).told() == ""
