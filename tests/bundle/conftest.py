"""A trained model whose predictions hold every class."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lazylabels_monai.tasks import task_slices
from tests.bundle.tiny import network, normalised
from tests.helpers import load, pixels


@pytest.fixture(scope="session")
def predicted(bundle, tiny_data, trained, made_once):
    """An evaluation and a prediction of the test images by a model that predicts every class somewhere."""
    return made_once("predicted", lambda out: _predict(bundle, tiny_data, trained, out))


def _predict(bundle, tiny_data: Path, trained: Path, out: Path) -> None:
    (out / "models").mkdir(parents=True)
    for name in ("classes.json", "network.json", "images.json"):
        shutil.copy2(trained / "models" / name, out / "models" / name)
    net, weights = network(), load(trained / "models" / "model.pt")
    net.load_state_dict(weights)
    images = [normalised(pixels(file)) for file in sorted((tiny_data / "images").glob("*test*.png"))]
    assert len(images) == 2
    with torch.no_grad():
        logits = torch.cat([net(image)[0].flatten(1) for image in images], dim=1)
    for task, channels in task_slices(3).items():  # after so few steps one class would be everywhere
        weights[f"heads.{task}.conv.bias"] -= logits[channels].median(dim=1).values
    torch.save(weights, out / "models" / "model.pt")
    bundle.evaluate(tiny_data, out)
    bundle.infer(tiny_data, out, save_probabilities=True)
