"""Where volumes lie: a label in another order of voxels is laid upon its image as viewers do, another grid is refused."""

from __future__ import annotations

import itertools

import itk
import nibabel
import numpy as np
import pytest

from lazylabels_monai.images.axes import in_voxel_order, like_image
from lazylabels_monai.images.files import ReadError, read_label
from lazylabels_monai.images.places import ElsewhereError, place_of

SHAPE = (4, 5, 6)
#: To the right, front and top in mm; oblique, of voxels that are no cubes.
OBLIQUE = np.array([[0.48, 0.2, 0.0, -7.0], [-0.14, 0.68, 0.0, 3.0], [0.0, 0.0, -1.5, 20.0], [0, 0, 0, 1]])
VALUES = np.arange(1, 1 + np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)  # all differ


def write(file, values, affine, code=1):
    """Voxels (X, Y, Z) at a place in space, by nibabel or ITK."""
    if file.name.endswith((".nii", ".nii.gz")):
        image = nibabel.Nifti1Image(values, affine)
        image.set_sform(affine, code)
        image.set_qform(affine if code else None, code)
        nibabel.save(image, file)
        return file
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK counts to the left and to the back
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
    itk.imwrite(image, str(file))
    return file


def reordered(values, affine, axes, flips):
    """The same voxels at the same places, stored in another order."""
    turned, matrix = values.transpose(axes), affine[:, [*axes, 3]].copy()
    for axis in np.flatnonzero(flips):
        matrix[:, 3] += matrix[:, axis] * (turned.shape[axis] - 1)
        matrix[:, axis] *= -1
        turned = np.flip(turned, axis)
    return np.ascontiguousarray(turned), matrix


ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


@pytest.mark.parametrize("affine", [np.diag([-0.5, -0.5, 1, 1]), np.eye(4), OBLIQUE], ids=["las", "identity", "oblique"])
def test_each_order_of_the_same_voxels_is_brought_into_that_of_the_image(tmp_path, affine):
    image = write(tmp_path / "image.nii.gz", VALUES, affine)
    assert len(ORDERS) == 48
    for axes, flips in ORDERS:
        stored, matrix = reordered(VALUES, affine, axes, flips)
        label = write(tmp_path / "label.nii", stored, matrix)
        found = like_image(read_label(label), label, image)
        np.testing.assert_array_equal(found, VALUES, err_msg=f"{axes} {flips}")
        assert found.flags.c_contiguous


@pytest.mark.parametrize("suffixes", list(itertools.product([".nii.gz", ".nrrd", ".mha", ".mhd"], repeat=2)))
def test_formats_are_mixed(tmp_path, suffixes):
    """By the place of each voxel in space, whatever the format."""
    image = write(tmp_path / f"image{suffixes[0]}", VALUES, OBLIQUE)
    label = write(tmp_path / f"label{suffixes[1]}", *reordered(VALUES, OBLIQUE, (2, 0, 1), (True, False, True)))
    found = in_voxel_order(read_label(label), label, image)
    np.testing.assert_array_equal(found, VALUES)
    np.testing.assert_array_equal(in_voxel_order(found, image, image), found)


def test_as_another_program_saves_it(tmp_path):
    """nibabel's own way to the order that most programs show, there and back."""
    image = write(tmp_path / "image.nii.gz", VALUES, OBLIQUE)
    nibabel.save(nibabel.as_closest_canonical(nibabel.load(image)), tmp_path / "label.nii.gz")
    stored = read_label(tmp_path / "label.nii.gz")
    assert not np.array_equal(stored, VALUES)
    np.testing.assert_array_equal(like_image(stored, tmp_path / "label.nii.gz", image), VALUES)


def test_flat_volumes(tmp_path):
    image = write(tmp_path / "image.nii.gz", VALUES[:, :, 0], OBLIQUE)
    flipped, matrix = reordered(VALUES[:, :, :1], OBLIQUE, (1, 0, 2), (True, False, False))
    label = write(tmp_path / "label.nii.gz", flipped[:, :, 0], matrix)
    assert read_label(label).shape == SHAPE[1::-1]
    np.testing.assert_array_equal(like_image(read_label(label), label, image), VALUES[:, :, 0])


USUAL = {
    "label without codes": (".nii.gz", np.diag([-2.0, 3, 1, 1]), 0, OBLIQUE, 1),
    "image without codes": (".nii.gz", OBLIQUE, 1, np.diag([-2.0, 3, 1, 1]), 0),
    "label of identity": (".nii.gz", np.eye(4), 2, OBLIQUE, 1),
    "image of identity": (".nii.gz", OBLIQUE, 1, np.eye(4), 2),
    "label as ITK writes it of an array": (".mha", np.diag([-0.5, -0.5, 1.0, 1.0]), 1, OBLIQUE, 1),
    "label as ITK writes it of an array, NRRD": (".nrrd", np.diag([-1.0, -1.0, 1.0, 1.0]), 1, OBLIQUE, 1),
}


@pytest.mark.parametrize(("suffix", "affine", "code", "image_affine", "image_code"), USUAL.values(), ids=USUAL)
def test_where_nobody_stated_a_place_voxels_lie_by_their_index(tmp_path, suffix, affine, code, image_affine, image_code):
    image = write(tmp_path / "image.nii.gz", VALUES, image_affine, image_code)
    label = write(tmp_path / f"label{suffix}", VALUES, affine, code)
    np.testing.assert_array_equal(like_image(read_label(label), label, image), VALUES)


def test_rounding_and_half_a_voxel_are_no_other_grid(tmp_path):
    image = write(tmp_path / "image.nii.gz", VALUES, OBLIQUE)
    corners = OBLIQUE.copy()  # the corner of a voxel where its middle is meant
    corners[:3, 3] -= OBLIQUE[:3, :3] @ [0.5, 0.5, 0.5]
    for affine in (OBLIQUE.round(2), OBLIQUE * [1.001, 0.999, 1.001, 1], corners):
        label = write(tmp_path / "label.nii.gz", VALUES, affine)
        np.testing.assert_array_equal(like_image(read_label(label), label, image), VALUES)


def moved(affine, *by):
    affine = affine.copy()
    affine[:3, 3] += by
    return affine


CUBES = np.diag([2.0, 2, 2, 1])
MIDDLE = moved(np.eye(4), *((side - 1) / 2 for side in SHAPE))
TURNED = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
SIZES = r"voxels of 1\.5 x 0\.7\d+ x 1\.5 mm, those of the image 0\.5 x 0\.7\d+ x 1\.5"
ELSEWHERE = {
    "spacing": (OBLIQUE, OBLIQUE @ np.diag([3.0, 1, 1, 1]), SIZES),
    "origin": (OBLIQUE, moved(OBLIQUE, 30, 40, 0), "its middle 50 mm beside"),
    "rotation": (CUBES @ np.linalg.inv(MIDDLE), CUBES @ TURNED @ np.linalg.inv(MIDDLE), "turned against the image"),
}


@pytest.mark.parametrize(("image_affine", "affine", "said"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_grid_is_refused(tmp_path, image_affine, affine, said):
    image = write(tmp_path / "image.nii.gz", VALUES, image_affine)
    label = write(tmp_path / "label.nii.gz", VALUES, affine)
    with pytest.raises(ElsewhereError, match=said) as error:
        like_image(read_label(label), label, image)
    assert isinstance(error.value, ReadError)
    assert str(error.value).startswith(f"label '{label}' has another place in space than its image '{image}' (")
    assert "resample_from_to" in str(error.value)
    assert str(error.value).count("\n") == 0


def test_another_size_is_told_by_who_reads_both(tmp_path):
    image = write(tmp_path / "image.nii.gz", VALUES, OBLIQUE)
    label = write(tmp_path / "label.nii.gz", VALUES[:-1], OBLIQUE @ np.diag([-1, 1, 1, 1]))
    assert like_image(read_label(label), label, image).shape == (3, 5, 6)


def test_what_states_no_place(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    (tmp_path / "broken.nrrd").write_bytes(b"no volume")
    (tmp_path / "folder.nii").mkdir()
    write(tmp_path / "silent.nii", VALUES, OBLIQUE, 0)
    for name in ("broken.nii.gz", "broken.nrrd", "folder.nii", "silent.nii", "none.nii", "a.png"):
        assert place_of(tmp_path / name) is None, name
