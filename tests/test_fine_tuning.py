"""Weights that find the objects before the first step are trained at a lower rate, and others at the one that was given."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lazylabels_monai.fine_tuning import FEW, FineTuning
from lazylabels_monai.optimizers import CosineAnnealingLR
from lazylabels_monai.transforms import ImpliedSegmentationd
from lazylabels_monai.warm_start import NOTHING, STARTER
from tests.test_interpolation import made

EXACT = {"segmentation": "exact.png"}  # that it has one; what it is stands in the samples


def parts(tmp_path, metric="val_mean_dice", weight=0.0, items=None, lr=0.2, **settings):
    interpolation, network = made(tmp_path, metric)
    with torch.no_grad():
        network.weight.fill_(weight)
    choice = interpolation.choice
    items = [dict(item) for item in choice.images.data] if items is None else items
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    scheduler = CosineAnnealingLR(optimizer, 4, 0.0)
    settings = {"implied": ImpliedSegmentationd(background_margin=1.0), "score": 0.8, "rate": 0.02, **settings}
    return FineTuning(choice, items, **settings), optimizer, scheduler


def dice(image, threshold) -> float:
    """Of what is brighter than the threshold, with what is brighter than 0.5."""
    one, other = image >= threshold, image >= 0.5
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("weight", [0.5, 0.6, 0.9])
def test_the_rate_is_lowered_where_the_weights_find_the_objects(tmp_path, caplog, weight):
    caplog.set_level("INFO")
    fine_tuning, optimizer, scheduler = parts(tmp_path, weight=weight)
    # a window of 8 x 8 of each image, of which it is not known here which; of all of it the Dice is about the same
    about = np.mean([dice(item["image"], weight) for item in fine_tuning.items])
    assert abs(about - 0.8) > 0.05
    fine_tuning.begin(STARTER, optimizer, scheduler)
    lowered = about > 0.8
    assert fine_tuning.known == lowered
    assert fine_tuning.factor == pytest.approx(0.1 if lowered else 1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02 if lowered else 0.2)
    assert scheduler.base_lrs == [pytest.approx(0.02 if lowered else 0.2)]
    (said,) = [record.getMessage() for record in caplog.records if "before any training" in record.getMessage()]
    assert f"the learning rate is {0.02 if lowered else 0.2}" in said
    assert float(said.split("Dice of ")[1].split()[0]) == pytest.approx(about, abs=0.1)
    assert ("instead of 0.2, so that they do not forget" in said) == lowered
    assert float(fine_tuning.choice.network.weight.detach()) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("settings", "beginning"),
    [
        ({}, (None,)),
        ({}, ("",)),
        ({}, (NOTHING,)),
        ({}, (STARTER, "checkpoint_epoch=1.pt")),
        ({"score": None}, (STARTER,)),
        ({"items": []}, (STARTER,)),
        ({"items": [{"image": "a.png", "separation": "a_lines.png"}]}, (STARTER,)),
        ({"items": [{"image": "a.png", "detection": "a.png"}], "implied": ImpliedSegmentationd(enabled=False)}, (STARTER,)),
        ({"items": [{"image": "a.png", "detection": "a.png"}], "implied": ImpliedSegmentationd()}, (STARTER,)),
        ({"metric": "val_loss"}, (STARTER,)),
    ],
)
def test_nothing_is_scored_where_there_is_nothing_to_know(tmp_path, caplog, settings, beginning):
    caplog.set_level("INFO")
    fine_tuning, optimizer, scheduler = parts(tmp_path, weight=0.5, **settings)
    fine_tuning.choice.score = None  # nobody asks
    fine_tuning.begin(beginning[0], optimizer, scheduler, *beginning[1:])
    assert (fine_tuning.factor, optimizer.param_groups[0]["lr"]) == (1.0, 0.2)
    assert caplog.text == ""


def test_labels_that_say_nothing_leave_the_rate_as_it_is(tmp_path):
    fine_tuning, optimizer, scheduler = parts(tmp_path, weight=0.5)
    fine_tuning.items = [{**item, "segmentation": torch.full((1, 24, 24), 255)} for item in fine_tuning.items]
    fine_tuning.begin(STARTER, optimizer, scheduler)
    assert (fine_tuning.known, optimizer.param_groups[0]["lr"]) == (False, 0.2)


def test_one_window_of_one_image_is_said_to_be_one(tmp_path, caplog):
    caplog.set_level("INFO")
    fine_tuning, optimizer, scheduler = parts(tmp_path, weight=0.5)
    small = {key: value[:, :8, :8] if isinstance(value, torch.Tensor) else value for key, value in fine_tuning.items[0].items()}
    fine_tuning.items = [small]
    fine_tuning.begin(STARTER, optimizer, scheduler)
    assert "inner regions of 1 window of 1 image:" in caplog.text


@pytest.mark.parametrize(("weight", "known"), [(0.5, True), (0.9, False)])
def test_inner_regions_say_where_objects_are(tmp_path, weight, known):
    """One mask shows what the weights do not find, in a picture that is like none of the others."""
    fine_tuning, *schedule = parts(tmp_path, weight=weight)
    marked = [{**item, "detection": item["segmentation"]} for item in fine_tuning.items]
    for item in marked:
        item.update(segmentation=torch.full((1, 24, 24), 255), segmentation_present=0, detection_present=1)
    odd = {**fine_tuning.items[0], "image": torch.zeros(1, 24, 24)}
    fine_tuning.items = [odd, *marked]
    fine_tuning.score = 0.7
    fine_tuning.begin(STARTER, *schedule)
    assert fine_tuning.known == known
    fine_tuning.items = [odd]
    fine_tuning.begin(STARTER, *schedule)
    assert not fine_tuning.known


@pytest.mark.parametrize("number", [1, FEW, FEW + 1, 100])
def test_many_images_are_learnt_from_at_the_rate_that_was_given(tmp_path, number):
    """Those that say where objects are; others are none of them."""
    items = [{"image": f"{n}.png", **(EXACT if n % 2 else {"separation": "a.png"})} for n in range(2 * number)]
    found = parts(tmp_path, items=items)[0].items
    assert found == ([item for item in items if "segmentation" in item] if number <= 16 else [])


def test_a_seed_draws_the_same_whether_it_is_looked_or_not(tmp_path):
    drawn = []
    for beginning in (NOTHING, STARTER):
        fine_tuning, optimizer, scheduler = parts(tmp_path, weight=0.5)
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(5)
        fine_tuning.begin(beginning, optimizer, scheduler)
        drawn.append((random.random(), np.random.rand(), float(torch.rand(1))))
    assert fine_tuning.known
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("given", "now"), [(0.2, 0.2), (0.2, 0.5), (0.2, 0.01), (0.01, 0.2)])
def test_a_training_that_goes_on_is_as_gentle(tmp_path, given, now):
    """Whatever rate is given then: what it may be at most is the same."""
    first, *schedule = parts(tmp_path, weight=0.5, lr=given)
    first.begin(STARTER, *schedule)
    assert schedule[0].param_groups[0]["lr"] == pytest.approx(min(given, 0.02))
    again, *schedule = parts(tmp_path, lr=now)
    again.begin(STARTER, *schedule, "checkpoint_epoch=1.pt")
    assert schedule[0].param_groups[0]["lr"] == now  # the checkpoint is yet to be read
    again.load_state_dict(first.state_dict())
    assert now * again.factor == pytest.approx(min(now, 0.02))
