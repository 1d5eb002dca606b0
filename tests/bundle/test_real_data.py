"""The whole way on real images: simulate, train, evaluate, predict. What comes out must beat a guess."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.data.simulating.simulate import simulate
from lazylabels_monai.images.files import read_label

NETWORK = {"channels": [8, 16, 32, 64], "num_multitask_blocks": 3, "crop_size": [64, 64]}


@pytest.mark.real_data
@pytest.mark.slow
def test_superalloy_from_one_exact_mask(data_root, bundle, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    simulate(data_root / "superalloy", data, strong=1, detection=8, separation=10, seed=0, scale=0.5)
    assert check_datalist(data).errors == []
    schedule = {"crops_per_epoch": 40, "batch_size": 4, "max_epochs": 4, "val_interval": 4, "learning_rate": 3.0e-3}
    bundle.train(data, out, lr_decay=True, **schedule, **{**NETWORK, "class_weights": {}})
    bundle.evaluate(data, out, overlap=0.25, mirroring=False, **NETWORK)
    dice = json.loads((out / "metrics.json").read_text())["segmentation"]["dice"]
    # everything of the commoner class: what one gets without looking at the image
    truths = [read_label(item["segmentation"]) for item in read_items(data, "testing")]
    guess = np.mean([2 * np.mean(t == 1) / (1 + np.mean(t == 1)) for t in truths])
    assert dice["object1"] > guess + 0.05

    bundle.infer(data, out, overlap=0.25, mirroring=False, **NETWORK)
    for item in read_items(data, "testing"):
        stem = item["image"].rsplit("/", 1)[-1].removesuffix(".png")
        assert np.asarray(Image.open(out / f"{stem}_pred.png")).shape == read_label(item["segmentation"]).shape
        assert (out / f"{stem}_overlay.png").is_file()


@pytest.mark.real_data
def test_every_set_makes_a_valid_lazy_data_set(data_root, tmp_path):
    for name, count in (("emps", 12), ("glas", 8), ("nuclei_fluo", 12)):
        out = tmp_path / name
        simulate(data_root / name, out, strong=2, subset={"train": count, "val": 4, "test": 4}, scale=0.5)
        report = check_datalist(out, sections=("training", "validation", "testing"))
        assert report.errors == [], name
