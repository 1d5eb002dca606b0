"""Prediction by the bundle: orientation, kinds of pictures, what is written."""

from __future__ import annotations

import numpy as np
import tifffile
import torch
from PIL import Image

from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.tasks import task_slices
from tests.bundle.tiny import network, normalised
from tests.helpers import load, pixels


def test_written_maps_are_the_networks_in_the_orientation_of_the_image(predicted, tiny_data):
    net = network()
    net.load_state_dict(load(predicted / "models" / "model.pt"))
    inferer = MultiTaskSlidingWindowInferer((64, 64), sw_batch_size=1, overlap=0.5, num_classes=3)
    for file in sorted((tiny_data / "images").glob("*test*.png")):
        image = pixels(file)
        assert image.shape == (64, 80)
        with torch.no_grad():
            expected = inferer(normalised(image), net)[0].numpy().transpose(0, 2, 1)
        for task, channels in task_slices(3).items():
            written = tifffile.imread(predicted / f"{file.stem}_{task}_probability.tif")
            assert written.dtype == np.float32
            np.testing.assert_allclose(written, expected[channels], atol=1e-5)
        label = pixels(predicted / f"{file.stem}_pred.png")
        assert label.dtype == np.uint8
        segmentation = tifffile.imread(predicted / f"{file.stem}_segmentation_probability.tif")
        np.testing.assert_array_equal(label, segmentation.argmax(0))
        overlay = pixels(predicted / f"{file.stem}_overlay.png")
        assert overlay.shape == (64, 80, 3)
        coloured = np.ptp(overlay.astype(int), axis=2) > 0  # contours; the image itself is gray
        assert 0 < coloured.mean() < 0.9


def test_every_kind_of_picture_is_predicted_alike(bundle, predicted, tiny_data, tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    gray = pixels(tiny_data / "images" / "microstructure_test_000.png")
    Image.fromarray(gray).save(source / "gray.png")
    Image.fromarray(gray).convert("RGB").save(source / "rgb.png")
    Image.fromarray(gray).convert("RGBA").save(source / "rgba.tif")
    Image.fromarray(gray.astype(np.uint16) * 257).save(source / "deep.png")
    tifffile.imwrite(source / "float.tif", gray.astype(np.float32) / 255)
    palette = Image.fromarray(255 - gray, mode="P")  # index k shows the gray level 255 - k
    palette.putpalette([255 - k // 3 for k in range(768)])
    palette.save(source / "palette.png")
    bundle.infer(source, tmp_path / "out", ckpt_dir=str(predicted / "models"), save_overlay=False, save_instances=False)
    maps = {file.stem.removesuffix("_pred"): pixels(file) for file in (tmp_path / "out").glob("*.png")}
    assert set(maps) == {"gray", "rgb", "rgba", "deep", "float", "palette"}
    for name, label in maps.items():
        assert label.shape == (64, 80), name
        assert (label == maps["gray"]).mean() > 0.995, name  # rounding may turn a pixel on a border
    np.testing.assert_array_equal(maps["gray"], pixels(predicted / "microstructure_test_000_pred.png"))


def test_one_picture_can_be_named(bundle, predicted, tiny_data, tmp_path):
    bundle.infer(tiny_data / "images" / "microstructure_train_000.png", tmp_path, weights=str(predicted / "models/model.pt"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "microstructure_train_000_instances.tif",
        "microstructure_train_000_overlay.png",
        "microstructure_train_000_pred.png",
        "predicted.jsonl",
    ]
