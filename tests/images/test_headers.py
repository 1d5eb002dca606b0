"""Sizes from headers."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.images.headers import extent, orientation, volume_header


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_pictures(tmp_path, suffix):
    file = tmp_path / f"a{suffix}"
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(file)
    assert extent(file) == (5, 9)


@pytest.mark.parametrize("turn", range(10))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_orientation_by_which_a_picture_is_turned(tmp_path, suffix, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(tmp_path / f"a{suffix}", exif=exif)
    assert orientation(tmp_path / f"a{suffix}") == (turn if 2 <= turn <= 8 else 1)


def test_no_orientation_is_the_first(tmp_path):
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(tmp_path / "a.bmp")
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    (tmp_path / "c.jpg").mkdir()
    assert [orientation(tmp_path / name) for name in ("a.bmp", "b.tif", "c.jpg", "missing.png")] == [1] * 4


def test_a_pyramid_counts_by_its_largest_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(np.zeros((40, 60), np.uint8))
        tif.write(np.zeros((20, 30), np.uint8), subfiletype=1)
    assert extent(tmp_path / "a.tif") == (40, 60)


def test_volumes(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4)), tmp_path / "a.nii.gz")
    assert extent(tmp_path / "a.nii.gz") == (3, 4, 5)
    assert extent(tmp_path / "missing.nrrd") is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_header_says_what_itk_reads(tmp_path, suffix):
    import itk

    file = tmp_path / f"a{suffix}"
    itk.imwrite(itk.image_from_array(np.zeros((5, 4, 3), np.int16)), str(file), compression=True)
    assert extent(file) == (3, 4, 5)
    sides, itemsize, _ = volume_header(file)
    assert (sides, itemsize) == ([3, 4, 5], 1.0 if suffix == ".nrrd" else 2.0)


def test_what_cannot_be_read_is_left_to_others(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    assert [extent(tmp_path / name) for name in ("a.png", "a.tif", "missing.png")] == [None] * 3
