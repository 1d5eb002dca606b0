"""Who stands where: every turn of axes against numpy's transpose, on arrays and tensors that are not square."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.images.axes import (
    from_channels_last,
    like_image,
    swap_plane,
    to_channels_last,
    to_numpy_order,
    to_picture,
    to_tiff_order,
)
from lazylabels_monai.images.files import read_label

C, W, H, D = 3, 5, 4, 7
both = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])


def numbered(*shape: int) -> np.ndarray:
    """All values differ, so that no two places can be mistaken for each other."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@both
@pytest.mark.parametrize("shape", [(W, H), (C, W, H), (2, C, W, H)])
def test_the_plane_is_swapped_and_nothing_else(kind, shape):
    values = numbered(*shape)
    turned = swap_plane(kind(values))
    assert isinstance(turned, type(kind(values)))
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    np.testing.assert_array_equal(np.asarray(turned), np.transpose(values, order))
    np.testing.assert_array_equal(np.asarray(swap_plane(turned)), values)


@both
def test_only_pictures_change_to_numpys_order(kind):
    picture, volume = numbered(C, W, H), numbered(C, W, H, D)
    np.testing.assert_array_equal(np.asarray(to_numpy_order(kind(picture))), np.transpose(picture, (0, 2, 1)))
    np.testing.assert_array_equal(np.asarray(to_numpy_order(kind(volume))), volume)


@both
def test_a_picture_has_its_channels_last_and_a_volume_shows_its_middle_slice(kind):
    picture, volume = numbered(C, W, H), numbered(C, W, H, D)
    found = to_picture(kind(picture))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, np.transpose(picture, (2, 1, 0)))
    np.testing.assert_array_equal(to_picture(kind(volume)), np.transpose(volume[:, :, :, 3], (2, 1, 0)))


@both
def test_a_single_channel_loses_its_axis(kind):
    for shape, order in (((C, W, H), (2, 1, 0)), ((W, H), (1, 0))):
        values = numbered(*shape)
        found = to_channels_last(kind(values))
        np.testing.assert_array_equal(found, np.transpose(values, order))
        assert found.flags.c_contiguous
    np.testing.assert_array_equal(to_channels_last(kind(numbered(1, W, H))), np.transpose(numbered(W, H), (1, 0)))


def test_tensors_with_a_gradient_are_shown_too():
    values = torch.from_numpy(numbered(1, W, H)).requires_grad_()
    np.testing.assert_array_equal(to_picture(values)[..., 0], numbered(W, H).transpose(1, 0))


def test_from_channels_last_is_the_way_back():
    gray, colour = numbered(H, W), numbered(H, W, C)
    np.testing.assert_array_equal(from_channels_last(gray), np.transpose(gray, (1, 0))[None])
    np.testing.assert_array_equal(from_channels_last(colour), np.transpose(colour, (2, 1, 0)))
    for values in (gray, colour):
        assert from_channels_last(values).flags.c_contiguous
        np.testing.assert_array_equal(to_channels_last(from_channels_last(values)), values)


@pytest.mark.parametrize(
    ("shape", "channels", "order", "axes"),
    [
        ((W, H), False, (1, 0), "YX"),
        ((C, W, H), True, (0, 2, 1), "CYX"),
        ((W, H, D), False, (2, 1, 0), "ZYX"),
        ((C, W, H, D), True, (0, 3, 2, 1), "CZYX"),
    ],
)
def test_order_of_a_tiff(shape, channels, order, axes):
    values = numbered(*shape)
    turned, names = to_tiff_order(values, channels)
    assert names == axes
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, np.transpose(values, order))


@pytest.mark.parametrize(
    ("label", "image", "turned"),
    [
        ("a.png", "a.tif", False),
        ("a.nii.gz", "a.nrrd", False),
        ("a.png", "a.nii.gz", True),
        ("a.nii", "a.png", True),
    ],
)
def test_a_label_lies_as_its_image_does(label, image, turned):
    values = numbered(H, W)
    expected = np.transpose(values, (1, 0)) if turned else values
    np.testing.assert_array_equal(like_image(values, label, image), expected)


def test_labels_in_a_volumes_format_are_those_of_the_picture(tiny_data, tmp_path):
    """Every command that reads a picture's labels takes them from NIfTI, whose axes are the other way round, as from PNG."""
    content = json.loads((tiny_data / "datalist.json").read_text())
    shutil.copytree(tiny_data, tmp_path / "png")
    shutil.copytree(tiny_data, tmp_path / "nii")
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            for key in set(item) & {"segmentation", "detection", "separation", "instances"}:
                label = read_label(tiny_data / item[key])
                item[key] = str(Path(item[key]).with_suffix(".nii.gz"))
                nibabel.save(nibabel.Nifti1Image(label.T.astype(np.int32), np.eye(4)), tmp_path / "nii" / item[key])
    (tmp_path / "nii" / "datalist.json").write_text(json.dumps(content))
    (tmp_path / "maps").mkdir()
    for item in json.loads((tiny_data / "datalist.json").read_text())["testing"]:
        classes = read_label(tiny_data / item["segmentation"])
        classes[:30, 50:] = 0
        Image.fromarray(classes).save(tmp_path / "maps" / Path(item["image"]).name)
    for kind in ("png", "nii"):
        data, out = tmp_path / kind, tmp_path / f"from_{kind}"
        for command in (
            ("export", data, out / "exported"),
            ("grabcut", data, out / "proposed", "--method", "distance"),
            ("measure", data, out / "measured"),
            ("score", data, tmp_path / "maps", "--out", out / "scored"),
        ):
            done = CliRunner().invoke(app, [str(argument) for argument in command])
            assert done.exit_code == 0, (command, done.output, done.exception)
    for made in ("exported", "proposed"):
        files = [path.relative_to(tmp_path / "from_png") for path in (tmp_path / "from_png" / made).rglob("*.png")]
        assert len(files) > 3
        for file in files:
            assert (tmp_path / "from_png" / file).read_bytes() == (tmp_path / "from_nii" / file).read_bytes(), file
    for file in ("measured/objects.csv", "scored/metrics.json"):
        texts = [(tmp_path / f"from_{kind}" / file).read_text().replace(f'/{kind}",', '",') for kind in ("png", "nii")]
        assert texts[0] == texts[1]  # but for the folder that was scored
