"""Class maps with a colour table: every reader gives the values, every viewer shows colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor, PILReader
from monai.transforms import LoadImage, SaveImage
from PIL import Image

from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.images.pictures import class_colour, has_label_palette, label_palette
from lazylabels_monai.images.readers import MicroscopyReader
from lazylabels_monai.images.writers import LabelPictureWriter, label_writer
from lazylabels_monai.labels.formats import read_label_picture

CLASSES = np.random.default_rng(0).integers(0, 4, (5, 9)).astype(np.uint8)
CLASSES[0, :3] = 255, 254, 8


def written(folder: Path, suffix: str, classes: np.ndarray = CLASSES) -> Path:
    """As the bundle writes a prediction."""
    pred = MetaTensor(torch.as_tensor(classes.T[None].copy()), meta={"filename_or_obj": "folder/a.png"})
    saved = {"output_ext": suffix, "output_postfix": "pred", "output_dtype": torch.uint8, "separate_folder": False}
    SaveImage(folder, writer=label_writer(suffix), resample=False, print_log=False, **saved)(pred)
    return folder / f"a_pred{suffix}"


@pytest.fixture(params=[".png", ".bmp"])
def picture(request, tmp_path):
    return written(tmp_path, request.param)


READERS = {
    "ours": read_label,
    "ours for labels that people made": read_label_picture,
    "ours with a legend": lambda path: read_label_picture(path, {(1, 2, 3): 7}),
    "Pillow": lambda path: np.asarray(Image.open(path)),
    "MONAI": lambda path: np.asarray(LoadImage(image_only=True)(path)).T,
    "MONAI, Pillow": lambda path: np.asarray(LoadImage(PILReader(), image_only=True)(path)).T,
    "MONAI, ours": lambda path: np.asarray(LoadImage(MicroscopyReader(label=True), image_only=True)(path)).T,
}


@pytest.mark.parametrize("reader", READERS)
def test_values_are_what_they_were(picture, reader):
    np.testing.assert_array_equal(READERS[reader](picture), CLASSES)


def test_a_tiff_is_gray_as_it_was(tmp_path):
    path = written(tmp_path, ".tif")
    for reader in READERS.values():
        np.testing.assert_array_equal(reader(path), CLASSES)
    np.testing.assert_array_equal(tifffile.imread(path), CLASSES)


def test_a_picture_of_few_classes_has_eight_bits(tmp_path):
    """ImageJ and others take fewer bits for something else."""
    path = written(tmp_path, ".png", CLASSES % 2)
    assert path.read_bytes()[24:26] == bytes([8, 3])  # IHDR: bits, palette
    assert b"tRNS" not in path.read_bytes()  # ImageJ makes RGB of what may be transparent


def test_colours_are_those_of_the_overlay(picture):
    shown = read_image(picture)
    for value in np.unique(CLASSES):
        (colour,) = {tuple(rgb) for rgb in shown[value == CLASSES].tolist()}
        assert colour == ((0, 0, 0) if value == 0 else (90, 90, 90) if value == 255 else class_colour(value))
    assert (label_palette()[1:].max(axis=1) > 80).all()


def test_a_table_of_its_own_is_told_from_others(picture, tmp_path):
    assert has_label_palette(picture)
    other = Image.fromarray(CLASSES)
    other.save(tmp_path / "gray.png")
    other.putpalette(list(range(256)) * 3)
    other.save(tmp_path / "other.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    assert not any(has_label_palette(tmp_path / name) for name in ("gray.png", "other.png", "none.png", "missing.png"))


def test_other_formats_are_left_to_monai():
    assert [label_writer(suffix) for suffix in (".PNG", ".nii.gz", ".tif", ".jpg", "")] == [LabelPictureWriter, *[None] * 4]
