"""Label files of a window: what the training reads, told from what others made, never instead of it."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.label_files import is_ours, keep_copy, read_marks, write_marks
from tests.interactive.folders import SHAPE


@pytest.fixture
def image(tmp_path):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_a_label_is_read_as_the_training_reads_it(tmp_path, image):
    label = np.random.default_rng(0).choice(np.array([0, 1, 2, 254, 255], np.uint8), SHAPE)
    write_marks(tmp_path / "made" / "a.png", label)
    assert np.array_equal(read_label(tmp_path / "made" / "a.png"), label)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "made" / "a.png")), label)  # any program sees the same
    read = read_marks(tmp_path / "made" / "a.png", image, SHAPE)
    assert np.array_equal(read, label)
    assert read.dtype == np.uint8
    read[:] = 0  # the caller's own


def test_a_volumes_label_is_shown_where_it_lies(tmp_path):
    """Another program has saved it in the order of voxels that most programs show."""
    values = np.arange(1, 61, dtype=np.uint8).reshape(3, 4, 5)
    volume = nibabel.Nifti1Image(values, np.array([[0, -0.7, 0, 5], [0.5, 0, 0, -3], [0, 0, -2.0, 11], [0, 0, 0, 1]]))
    nibabel.save(volume, tmp_path / "image.nii.gz")
    nibabel.save(nibabel.as_closest_canonical(volume), tmp_path / "label.nii.gz")
    read = read_marks(tmp_path / "label.nii.gz", tmp_path / "image.nii.gz", (5, 4, 3))
    assert np.array_equal(read, values.T)


def test_a_file_that_another_program_saved_is_not_ours(tmp_path):
    write_marks(tmp_path / "a.png", np.zeros(SHAPE, np.uint8))
    assert is_ours(tmp_path / "a.png")
    Image.open(tmp_path / "a.png").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    assert not any(is_ours(tmp_path / name) for name in ("b.png", "c.png", "none.png"))


@pytest.mark.parametrize(("label", "said"), [(np.zeros((4, 4), np.uint8), "size"), (np.full(SHAPE, 300, np.uint16), "255")])
def test_a_label_that_does_not_fit_is_refused(tmp_path, image, label, said):
    Image.fromarray(label).save(tmp_path / "a.png")
    with pytest.raises(LazyLabelsError, match=said):
        read_marks(tmp_path / "a.png", image, SHAPE)


def test_copies_replace_no_other_and_are_made_once(tmp_path):
    file = tmp_path / "a.png"
    copies = []
    for content in (b"1", b"2", b"1"):
        file.write_bytes(content)
        copies.append(keep_copy(file, tmp_path / "kept"))
    assert [copy.read_bytes() for copy in copies] == [b"1", b"2", b"1"]
    assert copies[0] == copies[2]
    assert len(list((tmp_path / "kept").iterdir())) == 2
