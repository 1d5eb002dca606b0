from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pytest
import tifffile
import torch

from lazylabels_monai.bundle_folder import find_starter
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.starter import shipping
from lazylabels_monai.starter.making import NETWORK, half_precision
from lazylabels_monai.starter.scoring import score_weights
from lazylabels_monai.starter.shipping import CARD_FILE, CHECK_COMMAND, CHECK_PICTURES, LARGEST, install
from lazylabels_monai.trained import load_weights, trained_classes, trained_network
from tests.helpers import ROOT

TINY = {**NETWORK, "channels": [4, 8, 8], "num_multitask_blocks": 2}


def results(folder, **more):
    scores = {"builtin": {"dice": 0.91234}, "glas": {"dice": 0.3}, "emps": {"dice": 0.8}}
    runs = [
        {"name": "final", "without": None, "seconds_planned": 241.0},
        {"name": "without_builtin", "without": "builtin", "seconds_planned": 70.2},
    ]
    for run in runs:
        run["validations"] = [{"seconds": 2.0, "step": 7, "pictures_made": {"builtin": 5, "scenes": 6}, "scores": scores}]
    content = {
        "about": {"device": "a card", "torch": "2.x", "commit": "abc1234", "seconds": 9},
        "settings": {"crop_size": 64, "batch_size": 2, "seed": 3},
        "network": TINY,
        "shares": {"emps": 0.5, "builtin": 0.3, "scenes": 0.2},
        "sets": {"emps": "MIT, somebody"},
        "canvases": {"emps": 11},
        "runs": runs,
        **more,
    }
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(content))
    torch.save(half_precision(MultiTaskUNet(num_classes=2, **TINY)), folder / "final.pt")
    return folder


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(shipping, "score_weights", lambda *given, **more: {"images": 4, "dice": 0.5, "f1": 0.25})


def test_what_is_installed_is_loaded_as_any_training(tmp_path, quick):
    install(results(tmp_path / "out"), tmp_path / "starter")
    weights = tmp_path / "starter" / "model.pt"
    names = [CARD_FILE, "classes.json", "model.pt", "model.pt.sha256", "network.json"]
    assert sorted(p.name for p in weights.parent.iterdir()) == names
    assert trained_classes(weights) == ["object"]
    found = trained_network(weights)
    assert (found["channels"], found["in_channels"], found["crop_size"]) == ([4, 8, 8], 1, [64, 64])
    network = MultiTaskUNet(num_classes=2, **TINY)
    load_weights(network, weights)
    assert all(value.dtype == torch.float32 for value in network.state_dict().values())


def test_the_card_says_what_was_measured(tmp_path, quick):
    out = results(tmp_path / "out")
    install(out, tmp_path / "a")
    card = (tmp_path / "a" / CARD_FILE).read_text()
    for said in ("a card", "abc1234", "seed 3", "MIT, somebody", "7 steps", "| emps | 0.50 | 11 |", "| scenes | 0.20 | 6 |"):
        assert said in card, said
    assert "| builtin | 0.912 | 0.912 |" in card
    assert "| glas | - | 0.300 |" in card  # never learnt: there is no score "with" it
    assert "Dice of 4 built-in pictures 0.500" in card
    scored = {"final": {"builtin": {"images": 12, "dice": 0.95, "f1": 0.9}, "glas": {"images": 3, "dice": 0.4, "f1": None}}}
    scored["without_builtin"] = {"builtin": {"images": 12, "dice": 0.8, "f1": 0.7}}
    (out / "scores.json").write_text(json.dumps(scored))
    install(out, tmp_path / "b")
    card = (tmp_path / "b" / CARD_FILE).read_text()
    assert "| builtin | 12 | 0.950 | 0.800 | 0.900 | 0.700 |" in card
    assert "| glas | 3 | - | 0.400 | - | - |" in card


def test_weights_that_are_missing_or_too_large_are_refused(tmp_path, quick, monkeypatch):
    out = results(tmp_path / "out")
    monkeypatch.setattr(shipping, "LARGEST", 100)
    with pytest.raises(LazyLabelsError, match="more than the 100 that are shipped"):
        install(out, tmp_path / "starter")
    (out / "final.pt").unlink()
    with pytest.raises(LazyLabelsError, match="make --plan final"):
        install(out, tmp_path / "starter")
    assert not (tmp_path / "starter").exists()


def test_the_starter_that_is_shipped_does_what_its_card_says():
    """The one file of weights in the repository, against the number of its card, by the command that the card names."""
    weights = find_starter()
    assert weights.stat().st_size <= LARGEST
    card = weights.with_name(CARD_FILE).read_text(encoding="utf-8")
    assert f"`{CHECK_COMMAND}`" in card
    dice, f1 = re.search(r"built-in pictures (\d\.\d+), object F1 (\d\.\d+)", card).groups()
    found = score_weights(weights, "builtin", most=CHECK_PICTURES)
    assert found["dice"] == pytest.approx(float(dice), abs=0.01)
    assert found["f1"] == pytest.approx(float(f1), abs=0.01)


def test_a_hot_pixel_does_not_turn_the_starters_picture_gray(tmp_path):
    """One pixel at the top of 16 bits: without clipping all else becomes flat, and most objects are missed."""
    model = Model(find_starter(), overrides={"device": "cpu"})
    picture = make_image((128, 160), 3)["image"].astype(np.uint16)
    hot = picture.copy()
    hot[9, 7] = 65535
    masks = []
    for name, image in (("clean", picture), ("hot", hot)):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
        masks.append(model.probabilities(tmp_path / f"{name}.tif")["segmentation"].argmax(0) > 0)
    clean, found = masks
    assert clean.mean() > 0.2
    assert 2 * (clean & found).sum() / (clean.sum() + found.sum()) > 0.98


def test_no_other_weights_are_committed():
    listed = subprocess.run(
        ["git", "ls-files", "*.pt", "*.ts", "*.onnx"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    assert listed.stdout.split() in ([], ["lazylabels_monai/starter/model.pt"])
