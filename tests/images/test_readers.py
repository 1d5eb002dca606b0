"""MONAI's side of reading: axes, metadata, channels, volumes."""

from __future__ import annotations

import os

import itk
import nibabel as nib
import numpy as np
import pytest
from monai.data import PILReader
from monai.transforms import LoadImage, LoadImaged, SaveImage
from PIL import Image

from lazylabels_monai.errors import user_error
from lazylabels_monai.images import files
from lazylabels_monai.images.files import ReadError, read_image, read_label
from lazylabels_monai.images.readers import MicroscopyReader
from tests.images.written import CLASSES255, GRAY8, RGB8, rng

# Image.fromarray(mode=...) is deprecated but the only short way to LA and P
pytestmark = pytest.mark.filterwarnings("ignore:'mode' parameter")


def test_axes_and_metadata_are_those_of_pilreader(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.png")
    ours, theirs = MicroscopyReader(), PILReader()
    array, meta = ours.get_data(ours.read(tmp_path / "a.png"))
    their_array, their_meta = theirs.get_data(theirs.read(tmp_path / "a.png"))
    np.testing.assert_array_equal(array, their_array)
    assert meta.keys() == their_meta.keys()
    np.testing.assert_equal(meta, their_meta)
    plain = MicroscopyReader(reverse_indexing=False)
    np.testing.assert_array_equal(plain.get_data(plain.read(tmp_path / "a.png"))[0], RGB8)


def test_saveimage_round_trip(tmp_path):
    Image.fromarray(CLASSES255).save(tmp_path / "a.png")
    label = LoadImage(reader=MicroscopyReader(label=True), ensure_channel_first=True)(tmp_path / "a.png")
    SaveImage(tmp_path, output_postfix="out", output_ext=".png", output_dtype=np.uint8, separate_folder=False, resample=False)(
        label
    )
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a_out.png")), CLASSES255)


def test_several_files_become_channels(tmp_path):
    Image.fromarray(GRAY8).save(tmp_path / "a.png")
    Image.fromarray(255 - GRAY8).save(tmp_path / "b.png")
    loaded = LoadImage(reader=MicroscopyReader(), ensure_channel_first=True)([tmp_path / "a.png", tmp_path / "b.png"])
    np.testing.assert_array_equal(loaded.numpy(), np.stack([GRAY8.T, 255 - GRAY8.T]))


VOLUME = rng().integers(0, 1000, (7, 8, 9), dtype=np.int16)


def save_volume(path):
    """(X, Y, Z) with the library that owns the format."""
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(VOLUME, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    else:
        itk.imwrite(itk.image_from_array(np.ascontiguousarray(VOLUME.T)), str(path))


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.nrrd", "v.mha", "v.mhd"])
def test_volumes_fall_back_to_monais_readers(tmp_path, name):
    path = tmp_path / name
    save_volume(path)
    for reader in (MicroscopyReader(), MicroscopyReader(label=True)):
        assert not reader.verify_suffix(path)
        loaded = LoadImaged("image", reader=reader, ensure_channel_first=True, image_only=True)({"image": path})
        np.testing.assert_array_equal(loaded["image"].numpy()[0], VOLUME)
    np.testing.assert_array_equal(read_image(path), VOLUME)
    np.testing.assert_array_equal(read_label(path), VOLUME)
    assert files.read_image_and_dims(path)[1] == 3


def test_volume_with_channels(tmp_path):
    array = np.stack([VOLUME, VOLUME + 1], axis=-1)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "v.nii.gz")
    vector = itk.image_from_array(np.ascontiguousarray(array.transpose(2, 1, 0, 3)).astype(np.float32), is_vector=True)
    itk.imwrite(vector, str(tmp_path / "v.nrrd"))
    for name in ("v.nii.gz", "v.nrrd"):
        image, dims = files.read_image_and_dims(tmp_path / name)
        assert dims == 3
        np.testing.assert_array_equal(image, array)
        with pytest.raises(ReadError, match=rf"{name}' has 2 channels: save it with one class value per voxel"):
            read_label(tmp_path / name)


def test_bad_volume(tmp_path):
    (tmp_path / "v.nii.gz").write_text("no volume")
    with pytest.raises(ReadError, match=r"v\.nii\.gz' cannot be read \(.*export it again"):
        read_image(tmp_path / "v.nii.gz")
    with pytest.raises(ReadError, match=r"w\.nrrd' does not exist"):
        read_label(tmp_path / "w.nrrd")
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(ReadError, match=r"a\.gif' is of an unknown format: convert it to one of \.png"):
        read_image(tmp_path / "a.gif")
    nib.save(nib.Nifti1Image(np.full((3, 4, 5), np.nan, np.float32), np.eye(4)), tmp_path / "n.nii")
    with pytest.raises(ReadError, match=r"n\.nii' has 60 NaN"):
        read_image(tmp_path / "n.nii")


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("name", ["images", "a.png", "a.nii.gz", "a.dcm"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nothing"])
def test_what_is_no_file_is_named_and_no_other_reader_is_tried(tmp_path, kind, name, label):
    """ITK would take a folder for a series of DICOM, and wait for a pipe."""
    path = tmp_path / name
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("gone"), "nothing": list}
    make[kind]()
    load = LoadImaged(keys="image", reader=MicroscopyReader(label=label), ensure_channel_first=True)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it in an error of its own
        load({"image": path})
    found = user_error(caught.value)
    assert isinstance(found, ReadError)
    assert str(found).startswith(f"file '{path}' ")
