"""At the end of a training the best of the kept weights becomes ``model.pt``, by a better look than there was on the way."""

from __future__ import annotations

import hashlib
import logging

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.handlers import IgniteMetricHandler, from_engine
from monai.transforms import Compose, Identityd

import lazylabels_monai.data.validation as validation
from lazylabels_monai.checkpoints import candidates
from lazylabels_monai.data.validation import Allowance, ValidationDataset
from lazylabels_monai.engines import PrepareEvaluationBatch, Validator
from lazylabels_monai.final_choice import FinalChoice
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.metrics import SegmentationDiceMetric
from tests.helpers import load

TASKS = ("segmentation",)
#: Thresholds of the network after each epoch, and the scores that validation on the way gave: it errs about the best three.
EPOCHS = {1: (0.95, 0.30), 2: (0.80, 0.72), 3: (0.50, 0.71), 4: (0.60, 0.70), 5: (0.02, 0.10)}


class Threshold(torch.nn.Module):
    """Objects are what is brighter than its one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, image):
        above = 50 * (image - self.weight)
        return torch.cat([-above, above], dim=1)


class Writer:
    def __init__(self) -> None:
        self.scalars = []

    def add_scalar(self, tag, value, step) -> None:
        self.scalars.append((tag, step))


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The handler of a training whose images are bright where the truth has objects, at 0.5 and above."""
    monkeypatch.setattr(validation, "FREE", 0)
    torch.manual_seed(0)
    items = []
    for _ in range(8):
        image = torch.rand(1, 24, 24)
        item = {"image": image, "segmentation": (image >= 0.5).to(torch.uint8), "instances": torch.zeros(1, 24, 24)}
        items.append(item | {task: torch.full((1, 24, 24), 255) for task in ("detection", "separation")})
    images = ValidationDataset(
        items, Compose([Identityd("image")]), window=(8, 8), allowance=Allowance(0.15, 2500.0, interval=1)
    )
    assert not images.is_whole
    network, writer = Threshold(), Writer()

    def handler(metric):
        return IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(["pred", "label"]), save_details=False)

    evaluator = Validator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(images, batch_size=1),
        network=network,
        inferer=MultiTaskSlidingWindowInferer((8, 8), 2, 0.25, num_classes=2, tasks=TASKS),
        prepare_batch=PrepareEvaluationBatch(),
        key_val_metric={"val_mean_dice_windows": handler(SegmentationDiceMetric(2, TASKS))},
        images=images,
    )
    metric = {"val_mean_dice": handler(SegmentationDiceMetric(2, TASKS))}
    choice = FinalChoice(evaluator, images, str(tmp_path), network, metric, writer)
    return choice, network, evaluator, writer


def train(choice, network, evaluator, epochs=EPOCHS, max_epochs=5) -> None:
    trainer = Engine(lambda engine, batch: None)
    choice.attach(trainer)

    def judge(engine):
        threshold, score = epochs[engine.state.epoch]
        with torch.no_grad():
            network.weight.fill_(threshold)
        evaluator.state.metrics, evaluator.state.epoch = {"val_mean_dice_windows": score}, engine.state.epoch
        choice.keep(evaluator)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, judge)
    trainer.run([0], max_epochs=max_epochs)


def test_the_best_of_the_best_three_becomes_the_model(parts, tmp_path, caplog):
    choice, network, evaluator, writer = parts
    with caplog.at_level(logging.INFO):
        train(choice, network, evaluator)
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.5)
    assert candidates(tmp_path) == {}
    digest = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert digest in (tmp_path / "model.pt.sha256").read_text()
    assert float(network.weight.detach()) == pytest.approx(0.02)  # the last ones, as after any training
    said = next(record.getMessage() for record in caplog.records if "final choice" in record.getMessage())
    for part in ("epoch 2 ", "epoch 3 1.0000", "epoch 4 ", "weights of epoch 3", "windows of"):
        assert part in said
    assert "epoch 1 " not in said
    assert {step for _, step in writer.scalars} == {2, 3, 4}
    assert {tag for tag, _ in writer.scalars} == {"val_mean_dice_more_windows"}


def test_whole_images_judge_where_they_cost_little(parts, tmp_path, caplog, monkeypatch):
    choice, network, evaluator, writer = parts
    monkeypatch.setattr(validation, "FINAL", 100.0)
    with caplog.at_level(logging.INFO):
        train(choice, network, evaluator)
    assert "val_mean_dice on 8 whole images" in caplog.text
    assert {tag for tag, _ in writer.scalars} == {"val_mean_dice"}
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.5)


def test_a_training_that_goes_on_chooses_as_one_without_a_stop(parts, tmp_path):
    choice, network, evaluator, _ = parts
    choice_at_end = choice.choose
    choice.choose = lambda engine: None  # stopped before
    train(choice, network, evaluator, max_epochs=3)
    assert sorted(candidates(tmp_path)) == [1, 2, 3]
    state = choice.state_dict()
    choice.reset()
    assert choice.state_dict() == {"kept": [], "best": None}
    choice.load_state_dict(state)
    choice.choose = choice_at_end
    train(choice, network, evaluator, {n - 3: EPOCHS[n] for n in (4, 5)}, max_epochs=2)
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.5)


def test_weights_that_were_chosen_before_are_not_lost_to_worse_ones(parts, tmp_path):
    choice, network, evaluator, _ = parts
    train(choice, network, evaluator, max_epochs=3)
    chosen = (tmp_path / "model.pt").read_bytes()
    train(choice, network, evaluator, {1: (0.95, 0.2), 2: (0.93, 0.3)}, max_epochs=2)
    assert (tmp_path / "model.pt").read_bytes() == chosen


def test_scores_that_are_not_known_keep_nothing(parts, tmp_path):
    choice, network, evaluator, _ = parts
    train(choice, network, evaluator, {1: (0.5, float("nan"))}, max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_where_whole_images_judge_on_the_way_nothing_is_kept_and_old_candidates_go(parts, tmp_path):
    choice, *_ = parts
    choice.images.chosen = None
    (tmp_path / "candidate_epoch=7.pt").write_bytes(b"of before")
    trainer = Engine(lambda engine, batch: None)
    choice.attach(trainer)
    trainer.run([0], max_epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert choice.pixels(10) == 0
