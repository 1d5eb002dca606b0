"""Uncertainty: entropy and disagreement against a plain restatement, flips, dropout samples, and uncertainty about objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, ScaleIntensityd
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.readers import MicroscopyReader
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.predicting.uncertainty import (
    dropout_layers,
    dropout_on,
    entropy,
    object_uncertainty,
    plane_flips,
    uncertainty_maps,
)
from lazylabels_monai.tasks import TASKS


class Pixelwise(torch.nn.Module):
    """Logits that depend on the pixel's own value: flips change nothing but the place."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), 8 * x - 4] * 3, dim=1)


class Leftmost(torch.nn.Module):
    """Sure of class 1 in the left half of what it is shown, whatever that is, and of class 0 in the right half."""

    def forward(self, x):
        logits = torch.full((len(x), 6, *x.shape[2:]), -30.0)
        half = x.shape[2] // 2  # MONAI's (B, C, W, H)
        for first in (0, 2, 4):
            logits[:, first + 1, :half] = logits[:, first, half:] = 30.0
        return logits


class Undecided(torch.nn.Module):
    """Both classes alike, always."""

    def forward(self, x):
        return torch.zeros(len(x), 6, *x.shape[2:])


def model_of(network, size=(64, 64)):
    """What a prediction needs of a model around any network of two classes."""
    keys = {"keys": "image"}
    load = LoadImaged(**keys, reader=MicroscopyReader(), ensure_channel_first=True, image_only=True)
    model = Model.__new__(Model)  # without a bundle's config
    vars(model).update(
        network=network.eval(),
        preprocessing=Compose([load, ScaleIntensityd(**keys)]),
        inferer=MultiTaskSlidingWindowInferer(roi_size=size, num_classes=2, overlap=0.5),
        device=torch.device("cpu"),
        amp=False,
        num_classes=2,
        channels=1,
        tasks=TASKS,
        room=lambda path, uncertainty: None,
    )
    return model


@pytest.fixture
def image(tmp_path):
    """A picture of 20 rows and 36 columns that is alike in no direction."""
    pixels = np.add.outer(np.arange(20) * 3, np.arange(36) * 5).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def plain_entropy(p):
    return -sum(x * math.log(x) for x in p if x > 0) / math.log(len(p))


@pytest.mark.parametrize(
    ("probabilities", "value"), [([0.5, 0.5], 1.0), ([1.0, 0.0], 0.0), ([1 / 3] * 3, 1.0), ([0.5, 0.5, 0.0], math.log(2, 3))]
)
def test_entropy_is_a_share_of_the_highest(probabilities, value):
    assert entropy(torch.tensor(probabilities, dtype=torch.float64)).item() == pytest.approx(value)


def test_maps_are_those_of_a_plain_restatement(image):
    torch.manual_seed(1)
    network = torch.nn.Conv2d(1, 6, 5, padding=2)
    torch.nn.init.normal_(network.weight, 0, 0.5)  # unlike its mirror image
    model = model_of(network)
    found = uncertainty_maps(model, image)
    answers = []
    pixels = model.preprocessing({"image": str(image)})["image"].as_tensor()[None]
    with torch.no_grad():
        for dims in ((), (2,), (3,), (2, 3)):
            answers.append(model.inferer(pixels.flip(dims), model.network).flip(dims)[0].transpose(1, 2).numpy())
    answers = np.stack(answers).astype(float)
    assert list(found) == list(TASKS)
    for number, task in enumerate(TASKS):
        part = answers[:, 2 * number : 2 * number + 2]
        mean = part.mean(0)
        predictive = np.apply_along_axis(plain_entropy, 0, mean)
        disagreement = predictive - np.mean([np.apply_along_axis(plain_entropy, 0, p) for p in part], axis=0)
        np.testing.assert_allclose(found[task].probabilities, mean, atol=1e-6)
        np.testing.assert_allclose(found[task].entropy, predictive, atol=1e-6)
        np.testing.assert_allclose(found[task].mutual_information, disagreement, atol=1e-6)
        assert disagreement.max() > 0.01, "there is something to compare"
        assert found[task].entropy.shape == (20, 36)
        assert (found[task].mutual_information <= found[task].entropy).all()
        assert found[task].samples == 4


def test_a_network_that_flips_with_its_image_agrees_with_itself(image):
    found = uncertainty_maps(model_of(Pixelwise()), image)["segmentation"]
    assert found.mutual_information.max() < 1e-6
    # the picture's own orientation: the value, and with it the probability, rises downwards and to the right
    assert (np.diff(found.probabilities[1], axis=0) > 0).all()
    assert (np.diff(found.probabilities[1], axis=1) > 0).all()
    once = uncertainty_maps(model_of(Pixelwise()), image, flips=False)["segmentation"]
    np.testing.assert_allclose(found.probabilities, once.probabilities, atol=1e-6)
    assert (once.samples, float(once.mutual_information.max())) == (1, 0.0)
    assert found.entropy.max() > 0.9, "it may well be unsure"


def test_answers_that_depend_on_the_place_disagree(image):
    found = uncertainty_maps(model_of(Leftmost(), size=(36, 20)), image)["detection"]
    # two of four views say 1 and two say 0, each for sure
    np.testing.assert_allclose(found.probabilities, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.mutual_information, 1.0, atol=1e-5)


def test_to_be_undecided_is_no_disagreement(image):
    found = uncertainty_maps(model_of(Undecided()), image)["separation"]
    np.testing.assert_allclose(found.entropy, 1.0)
    np.testing.assert_allclose(found.mutual_information, 0.0)


def test_disagreement_stands_where_it_arises(image):
    class Corner(Pixelwise):
        def forward(self, x):
            logits = torch.cat([torch.full_like(x, 30.0), torch.full_like(x, -30.0)] * 3, dim=1)
            logits[:, :, :3, :2] *= -1  # columns 0..2, rows 0..1 of what it is shown
            return logits

    found = uncertainty_maps(model_of(Corner(), size=(36, 20)), image)["segmentation"].mutual_information
    expected = np.zeros((20, 36), bool)
    for rows in (slice(None, 2), slice(-2, None)):
        for columns in (slice(None, 3), slice(-3, None)):
            expected[rows, columns] = True
    np.testing.assert_array_equal(found > 0.1, expected)
    assert found[expected] == pytest.approx(plain_entropy([0.25, 0.75]), abs=1e-5)


def test_dropout_samples_disagree_and_can_be_repeated(image):
    torch.manual_seed(0)
    model = model_of(MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1, dropout=0.3))
    state = torch.get_rng_state()
    first = uncertainty_maps(model, image, flips=False, dropout_samples=3)["segmentation"]
    assert first.samples == 4
    assert first.mutual_information.max() > 1e-4
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again = uncertainty_maps(model, image, flips=False, dropout_samples=3)["segmentation"]
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    other = uncertainty_maps(model, image, flips=False, dropout_samples=3, seed=1)["segmentation"]
    assert (first.probabilities != other.probabilities).any()
    assert uncertainty_maps(model, image, flips=True, dropout_samples=3)["segmentation"].samples == 7
    assert not any(module.training for module in model.network.modules())


def test_without_dropout_it_is_said_and_no_sample_is_taken(image, caplog):
    model = model_of(MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1, dropout=0.0))
    assert dropout_layers(model.network) == []
    found = uncertainty_maps(model, image, flips=False, dropout_samples=5)["segmentation"]
    assert found.samples == 1
    assert "no dropout" in caplog.text


def test_batch_normalization_stays_as_it_is(image):
    network = MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1, dropout=0.2).eval()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    before = [(m.running_mean.clone(), m.running_var.clone(), m.num_batches_tracked.clone()) for m in norms]
    with dropout_on(network) as layers:
        assert layers
        assert all(layer.training for layer in layers)
        assert not any(norm.training for norm in norms)
    assert not any(layer.training for layer in layers)
    uncertainty_maps(model_of(network), image, dropout_samples=2)
    for norm, values in zip(norms, before, strict=True):
        for now, then in zip((norm.running_mean, norm.running_var, norm.num_batches_tracked), values, strict=True):
            assert torch.equal(now, then)
    network.down[0].train()  # what was training before is so after
    with dropout_on(network):
        pass
    assert network.down[0].training


@pytest.mark.parametrize("samples", [-1, 1.5, True])
def test_a_number_of_samples_that_is_none_is_refused(samples, image):
    with pytest.raises(LazyLabelsError, match="must be a whole number, 0 or more"):
        uncertainty_maps(model_of(Pixelwise()), image, dropout_samples=samples)


def test_views_are_the_four_of_the_plane():
    assert plane_flips() == ((), (2,), (3,), (2, 3))
    assert plane_flips(False) == ((),)


def test_uncertainty_about_objects():
    ids = np.zeros((5, 9), int)
    ids[1:4, 1:4] = 7  # nine pixels, one of them inside
    ids[0:2, 6:9] = 3  # at the picture's corner: its pixels there have no neighbour outside
    uncertainty = np.zeros((5, 9))
    uncertainty[2, 2], uncertainty[1, 1], uncertainty[0, 8] = 0.9, 0.8, 0.6
    table = object_uncertainty(ids, uncertainty)
    assert table["id"].tolist() == [3, 7]
    assert table["pixels"].tolist() == [6, 9]
    assert table["uncertainty"].tolist() == pytest.approx([0.6 / 6, 1.7 / 9])
    assert table["border_uncertainty"].tolist() == pytest.approx([0.0, 0.8 / 8])


def test_uncertainty_about_objects_that_are_none_or_all():
    assert object_uncertainty(np.zeros((3, 4), int), np.ones((3, 4))).empty
    whole = object_uncertainty(np.ones((3, 4), int), np.full((3, 4), 0.25))
    assert whole["uncertainty"].tolist() == [0.25]
    assert np.isnan(whole["border_uncertainty"]).all()
    with pytest.raises(LazyLabelsError, match="must be of one shape"):
        object_uncertainty(np.ones((3, 4), int), np.ones((4, 3)))
