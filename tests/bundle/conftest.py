"""A trained model whose predictions hold every class."""

from __future__ import annotations

import pytest
import torch

from lazylabels_monai.tasks import task_slices
from tests.bundle.tiny import network, normalised
from tests.helpers import load, pixels


@pytest.fixture(scope="module")
def predicted(bundle, tiny_data, trained, tmp_path_factory):
    """An evaluation and a prediction of the test images by a model that predicts every class somewhere."""
    out = tmp_path_factory.mktemp("predicted")
    (out / "models").mkdir()
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
    return out
