"""Volumes in a window: drawn on as one looks at them, stored as MONAI loads them, trained on and predicted as a whole."""

from __future__ import annotations

import json
import shutil
import time

import nibabel
import numpy as np
import pytest

from lazylabels_monai.data.simulating.synthetic import make_volume_dataset
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.interactive import finish, volumes
from lazylabels_monai.interactive.answering import Answerer, Request
from lazylabels_monai.interactive.image_files import read_picture
from lazylabels_monai.interactive.label_files import is_ours
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import trained_network
from lazylabels_monai.workflow import require_valid
from tests.helpers import ROOT
from tests.interactive.folders import listed, pictures

SHAPE = (5, 7, 9)  # (X, Y, Z)


def make(folder, suffix: str, array: np.ndarray | None = None):
    """A project's folder with one volume, whose axes lie askew in space."""
    array = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.int16) if array is None else array
    (folder / "images").mkdir(parents=True)
    file = folder / "images" / f"a{suffix}"
    affine = np.array([[0, -2.0, 0, 3], [0.5, 0, 0, 1], [0, 0, 4.0, 2], [0, 0, 0, 1]])
    if suffix.startswith(".nii"):
        nibabel.save(nibabel.Nifti1Image(array, affine), file)
    else:
        import itk

        image = itk.image_from_array(np.ascontiguousarray(array.T))
        image.SetSpacing([0.5, 2.0, 4.0])
        itk.imwrite(image, str(file))
    return folder


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_marks_of_a_slice_lie_where_they_were_drawn(tmp_path, suffix):
    with Project.open(make(tmp_path, suffix), create=True) as project:
        (entry,) = project.images
        assert entry.name == f"images/a{suffix}"
        picture = read_picture(entry.path)
        assert picture.shape == SHAPE[::-1]
        assert np.array_equal(picture.T, read_image(entry.path))
        marks = project.labels.read(entry, "detection")
        assert marks.shape == SHAPE[::-1]
        marks[8, 6, 1:3] = 1  # the last slice, the last row
        marks[0, 0, 4] = 0
        project.labels.save(entry, "detection", marks)
        file = tmp_path / "detection" / "a.nii.gz"
        assert is_ours(file)
        stored = read_label(file)  # as the training reads it
        assert stored.shape == SHAPE
        assert np.argwhere(stored == 1).tolist() == [[1, 6, 8], [2, 6, 8]]
        assert np.argwhere(stored == 0).tolist() == [[4, 0, 0]]
        written = nibabel.load(file)
        assert np.array_equal(np.asarray(written.dataobj), stored)
        if suffix.startswith(".nii"):  # in the same place in space
            assert np.array_equal(written.affine, nibabel.load(entry.path).affine)
        assert np.allclose(np.abs(written.header.get_zooms()), [0.5, 2, 4])
        assert np.array_equal(project.labels.read(entry, "detection"), marks)
        (item,) = listed(tmp_path)["training"]
        assert item["detection"] == "detection/a.nii.gz"
    require_valid(tmp_path / "datalist.json", ["training"])


def test_what_was_drawn_is_there_after_a_kill_and_is_taken_back(tmp_path):
    with Project.open(make(tmp_path, ".nii.gz"), create=True) as project:
        (entry,) = project.images
        before = listed(tmp_path)
        marks = project.labels.read(entry, "detection")
        marks[2, 3, 3] = 1
        project.labels.save(entry, "detection", marks)
        project.labels.set_complete(entry, "detection", True)
        assert np.count_nonzero(project.labels.read(entry, "detection") == 0) == marks.size - 1
        project.labels.set_complete(entry, "detection", False)
        assert np.array_equal(project.labels.read(entry, "detection"), marks)
    (tmp_path / "datalist.json").write_text(json.dumps(before))
    with Project.open(tmp_path) as project:
        assert project.images[0].drawn == {"detection"}
        assert "are there again" in project.notes[0]


def test_labels_of_others_are_kept(tmp_path):
    folder = make(tmp_path, ".nii.gz")
    theirs = folder / "detection" / "a.nii.gz"
    theirs.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)), theirs)
    content = theirs.read_bytes()
    assert not is_ours(theirs)
    with Project.open(folder, create=True) as project:
        (entry,) = project.images
        project.labels.save(entry, "detection", np.ones(SHAPE[::-1], np.uint8))
    assert (folder / "replaced" / "detection" / "a.nii.gz").read_bytes() == content


def test_what_cannot_be_drawn_on_is_one_sentence(tmp_path):
    folder = make(tmp_path / "large", ".nii.gz")
    header = nibabel.Nifti1Header()
    header.set_data_shape((512, 512, 200))  # nothing but its head is read
    (folder / "images" / "b.nii").write_bytes(header.binaryblock + bytes(4))
    make(tmp_path / "channels", ".nii.gz", np.zeros((*SHAPE, 3), np.uint8))
    sentence = r"512 x 512 x 200 voxels.* cut it into blocks"
    with Project.open(folder, create=True) as project, pytest.raises(LazyLabelsError, match=sentence):
        read_picture(project.entry("images/b.nii").path)
    with Project.open(tmp_path / "channels", create=True) as project, pytest.raises(LazyLabelsError, match="one channel"):
        read_picture(project.images[0].path)


def test_the_network_is_that_of_the_images(tmp_path):
    flat, deep = tmp_path / "a.png", tmp_path / "b.nii.gz"
    assert volumes.training_settings([flat]) == volumes.training_settings([]) == {}
    given = volumes.training_settings([deep])
    assert len(given["val_window_size"]) == 3
    assert given["channels_last"] is False
    with pytest.raises(LazyLabelsError, match="use two projects"):
        volumes.training_settings([flat, deep])


def test_masks_of_a_finished_volume(tmp_path):
    folder = make(tmp_path, ".nii.gz")
    objects = np.zeros(SHAPE[::-1], np.int32)
    objects[1:3, 2, 3], objects[5, 0, 0] = 1, 2
    image = folder / "images" / "a.nii.gz"
    shown, ids = finish.write_masks(tmp_path / "out", "images/a.nii.gz", objects, {1: 2, 2: 1}, ["x", "y"], image)
    assert [path.name for path in (shown, ids)] == ["a_pred.nii.gz", "a_instances.nii.gz"]
    assert np.array_equal(read_label(ids), objects.T)
    assert np.array_equal(read_label(shown), np.array([0, 2, 1])[objects].T)
    assert not is_ours(ids)


TINY = {"channels": [4, 8], "num_multitask_blocks": 1, "crop_size": [16, 16, 16], "crops_per_epoch": 4, "batch_size": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes") / "data"
    make_volume_dataset(folder, num_train=2, num_test=1, size=(20, 24, 28), strong=1, detection=2, separation=2, radius=(3, 5))
    return folder


@pytest.fixture(scope="module")
def trained_volume(bundle, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    bundle.train(data, out, ROOT / "configs" / "volume.yaml", **TINY, max_epochs=1)
    return out / "models" / "model.pt"


def test_a_volume_is_answered_as_predict_answers_it(trained_volume, data, tmp_path, trained):
    image = sorted((data / "images").iterdir())[0]
    predict(image, tmp_path, weights=trained_volume, overrides={"device": "cpu"})
    answerer = Answerer(device="cpu")
    answerer.load(trained_volume)
    picture = volumes.read_volume(image)
    (found,) = answerer.answers(Request("a", picture, None, 7, volume=True))
    expected = Model(trained_volume, overrides={"device": "cpu"}).probabilities(image)
    for task in ("segmentation", "detection"):
        assert np.array_equal(getattr(found, task), expected[task].transpose(0, 3, 2, 1))
    assert np.array_equal(found.separation, expected["separation"][1].T)
    stem = image.name.removesuffix(".nii.gz")
    assert np.array_equal(found.objects, read_label(tmp_path / f"{stem}_instances.nii.gz").T)
    assert found.uncertainty.shape == picture.shape
    assert found.region == tuple(slice(0, side) for side in picture.shape)
    assert found.last
    with pytest.raises(LazyLabelsError, match="for volumes and this is a picture"):
        list(answerer.answers(Request("b", picture[0], None, 7)))
    answerer.load(trained / "models" / "model.pt")
    with pytest.raises(LazyLabelsError, match="for pictures and this is a volume"):
        list(answerer.answers(Request("a", picture, None, 7, volume=True)))


def test_a_project_of_volumes_trains_from_nothing_and_goes_on(data, tmp_path, python):
    folder = shutil.copytree(data, tmp_path / "data")
    with Project.open(folder) as project:
        trainer = Trainer(project, **{**TINY, "max_epochs": 1, "val_window_size": [16, 16, 16]})
        trainer.python = python
        try:
            for _ in range(2):
                trainer.start()
                heard, end = [], time.monotonic() + 120
                while not any(event.kind == "ended" for event in heard):
                    assert time.monotonic() < end
                    heard += trainer.poll()
                    time.sleep(0.05)
                assert [event.sentence for event in heard if event.error] == []
                assert trained_network(trainer.current_weights)["spatial_dims"] == 3
        finally:
            trainer.close()


def test_marks_on_pictures_and_volumes_do_not_go_together(tmp_path):
    folder = pictures(make(tmp_path / "a", ".nii.gz").parent / "b", 1)
    shutil.copy(tmp_path / "a" / "images" / "a.nii.gz", folder / "images" / "v.nii.gz")
    with Project.open(folder, create=True) as project:
        for entry in project.images:
            marks = project.labels.read(entry, "detection")
            marks[..., 1, 1] = 1
            project.labels.save(entry, "detection", marks)
        with pytest.raises(LazyLabelsError, match="use two projects"):
            Trainer(project).start()
