"""Weights between beginning and end: their mean, which of them are kept, and what is said."""

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
from lazylabels_monai.checkpoints import candidates, save_weights
from lazylabels_monai.data.validation import Allowance, ValidationDataset
from lazylabels_monai.engines import PrepareEvaluationBatch, Validator
from lazylabels_monai.final_choice import FinalChoice
from lazylabels_monai.fine_tuning import FineTuning
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.interpolation import SHARES, Interpolation, interpolated, most_credible
from lazylabels_monai.losses import MaskedMultiTaskLoss, ProbabilityLoss
from lazylabels_monai.metrics import SegmentationDiceMetric
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.training_file import note_beginning, noted_beginning
from lazylabels_monai.transforms import ImpliedSegmentationd
from lazylabels_monai.warm_start import NOTHING, STARTER, begin_from
from tests.helpers import load

TASKS = ("segmentation",)


class Threshold(torch.nn.Module):
    """Objects are what is brighter than its one weight."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, image):
        above = 5 * (image - self.weight)
        return torch.cat([-above, above], dim=1)


class Writer:
    def __init__(self) -> None:
        self.scalars = {}

    def add_scalar(self, tag, value, step) -> None:
        self.scalars[tag, step] = value


def made(tmp_path, metric="val_mean_dice", allowance=None, images=4):
    """The handler of a training whose images show objects where they are 0.5 and brighter."""
    torch.manual_seed(0)
    items = []
    for _ in range(images):
        image = torch.rand(1, 24, 24)
        item = {"image": image, "segmentation": (image >= 0.5).to(torch.uint8), "instances": torch.zeros(1, 24, 24)}
        items.append(item | {task: torch.full((1, 24, 24), 255) for task in ("detection", "separation")})
    dataset = ValidationDataset(items, Compose([Identityd("image")]), window=(8, 8), allowance=allowance)
    out = from_engine(["pred", "label"])
    handler = {
        "val_mean_dice": lambda: IgniteMetricHandler(metric_fn=SegmentationDiceMetric(2, TASKS), output_transform=out),
        "val_loss": lambda: IgniteMetricHandler(
            loss_fn=ProbabilityLoss(MaskedMultiTaskLoss(2, tasks=TASKS)), output_transform=out
        ),
    }[metric]
    network, writer = Threshold(), Writer()
    evaluator = Validator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=network,
        inferer=MultiTaskSlidingWindowInferer((8, 8), 2, 0.25, num_classes=2, tasks=TASKS),
        prepare_batch=PrepareEvaluationBatch(),
        key_val_metric={metric: handler()},
        images=dataset,
    )
    return Interpolation(FinalChoice(evaluator, dataset, str(tmp_path), network, {metric: handler()}, writer)), network


def end(parts, tmp_path, begun: float, ended: float) -> float:
    """The weight in ``model.pt`` after a training from one weight to another."""
    interpolation, _ = parts
    interpolation.begun, interpolation.begun_from = {"weight": torch.tensor(begun)}, STARTER
    save_weights({"weight": torch.tensor(ended)}, tmp_path / "model.pt")
    assert candidates(tmp_path) == {}
    trainer = Engine(lambda engine, batch: None)
    interpolation.attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(list(candidates(tmp_path))))
    seen = []
    trainer.run([0], max_epochs=1)
    assert seen == [[0]]  # until it is chosen, the training is not done
    assert candidates(tmp_path) == {}
    return float(load(tmp_path / "model.pt")["weight"])


@pytest.mark.parametrize("share", SHARES)
def test_between_two_state_dicts_lies_their_weighted_mean(share):
    torch.manual_seed(1)
    one, other = ({"a": torch.randn(3, 2), "half": torch.randn(4).half(), "count": torch.tensor(n)} for n in (3, 8))
    found = interpolated(one, other, share)
    for name in ("a", "half"):
        expected = (1 - share) * one[name].double() + share * other[name].double()
        assert torch.allclose(found[name].double(), expected, atol=1e-3 if name == "half" else 1e-6)
        assert found[name].dtype == other[name].dtype
    assert found["count"] == 8


@pytest.mark.parametrize("metric", ["val_mean_dice", "val_loss"])
@pytest.mark.parametrize(("begun", "ended", "share"), [(0.1, 0.9, 0.5), (0.4, 0.9, 0.25), (0.2, 0.6, 0.75), (0.1, 0.5, 1.0)])
def test_the_best_between_becomes_the_model(tmp_path, caplog, metric, begun, ended, share):
    parts = made(tmp_path, metric)
    with caplog.at_level(logging.INFO):
        assert end(parts, tmp_path, begun, ended) == pytest.approx(begun + share * (ended - begun), abs=1e-6)
    assert parts[0].share == share
    assert hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest() in (tmp_path / "model.pt.sha256").read_text()
    assert float(parts[1].weight.detach()) == 0.0  # the network stays as it is
    said = [record.getMessage() for record in caplog.records if "weights between" in record.getMessage()]
    assert len(said) == 1
    assert "on 4 whole images: 0% " in said[0]
    assert f"holds those at {share:.0%}" in said[0]
    assert parts[0].choice.writer.scalars == {}  # they are no epochs
    assert "made nothing better" not in caplog.text


def scores_at(*values):
    return dict(zip(SHARES, values, strict=True))


@pytest.mark.parametrize(
    ("scores", "images", "share"),
    [
        (scores_at(0.6270, 0.8951, 0.8732, 0.8744, 0.8773), 1, 1.0),  # one picture of nuclei; the second was bad on others
        (scores_at(0.6270, 0.8951, 0.8732, 0.8744, 0.8773), 30, 0.25),  # on as many pictures it would be no chance
        (scores_at(0.8775, 0.7804, 0.7150, 0.6563, 0.5853), 1, 0.0),  # worse with every step
        (scores_at(0.1731, 0.2933, 0.7536, 0.7902, 0.7711), 1, 0.75),
        (scores_at(0.5, 0.5, 0.5, 0.5, 0.5), 1, 1.0),
    ],
)
def test_the_further_from_the_end_the_more_a_score_must_be_better(scores, images, share):
    assert most_credible(scores, images) == share
    doubted = {s: score - 0.1 * (1 - s) ** 2 / images**0.5 for s, score in scores.items()}
    assert doubted[share] == max(doubted.values())
    # of a loss in whatever unit: as much of it
    for unit in (1.0, 1000.0):
        losses = {s: unit * -(2 - score) for s, score in scores.items()}
        of_loss = {s: loss + 0.1 * losses[1.0] * (1 - s) ** 2 / images**0.5 for s, loss in losses.items()}
        chosen = most_credible(losses, images, is_loss=True)
        assert of_loss[chosen] == max(of_loss.values())


def test_weights_that_found_the_objects_before_the_first_step_are_believed(tmp_path):
    """The same scores: of weights that knew nothing of the images a single one is little to go by."""
    scores = scores_at(0.9818, 0.9811, 0.9788, 0.9775, 0.9774)
    for known, expected in ((False, 0.6), (True, 0.2)):
        parts = made(tmp_path / str(known), images=1)
        (tmp_path / str(known)).mkdir()
        parts[0].choice.score = lambda weights, images: ("val_mean_dice", scores)
        parts[0].fine_tuning = FineTuning(parts[0].choice, [], ImpliedSegmentationd(), 0.7, 1e-4)
        parts[0].fine_tuning.known = known
        assert end(parts, tmp_path / str(known), 0.2, 0.6) == pytest.approx(expected)


def test_a_better_score_that_is_not_believed_is_told(tmp_path, caplog):
    caplog.set_level("INFO")
    parts = made(tmp_path, images=1)
    parts[0].choice.score = lambda weights, images: ("val_mean_dice", scores_at(0.62, 0.89, 0.87, 0.87, 0.88))
    assert end(parts, tmp_path, 0.2, 0.6) == pytest.approx(0.6)
    assert "holds those at 100%, as those at 25% are better by no more than chance may give" in caplog.text


def test_a_training_that_made_nothing_better_says_so(tmp_path, caplog):
    assert end(made(tmp_path), tmp_path, 0.5, 0.9) == 0.5
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "the training made nothing better" in warned[0]
    assert "model.pt holds its weights" in warned[0]


def test_of_equal_ones_the_end_is_kept(tmp_path):
    assert end(made(tmp_path), tmp_path, 5.0, 7.0) == 7.0  # nothing is an object in any of them


@pytest.mark.parametrize("init_weights", [None, "", "nothing"])
def test_a_training_from_nothing_has_no_weights_between(tmp_path, init_weights):
    interpolation, network = made(tmp_path)
    interpolation.begin(network, init_weights, ["object"])
    assert interpolation.begun is None
    assert interpolation.choice.further == 0
    save_weights({"weight": torch.tensor(0.9)}, tmp_path / "model.pt")
    interpolation.choose(Engine(lambda engine, batch: None))
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.9)


def small() -> MultiTaskUNet:
    torch.manual_seed(3)
    return MultiTaskUNet(in_channels=1, num_classes=3, channels=(16, 32, 64, 128, 256), norm=("INSTANCE", {"affine": True}))


def test_a_training_that_was_killed_before_its_end_was_chosen_chooses_it(tmp_path):
    interpolation, network = made(tmp_path)
    save_weights({"weight": torch.tensor(0.1)}, tmp_path / "candidate_epoch=0.pt")
    save_weights({"weight": torch.tensor(0.9)}, tmp_path / "model.pt")
    interpolation.begin(network, STARTER, ["object"], "checkpoint_epoch=1.pt")
    trainer = Engine(lambda engine, batch: None)
    interpolation.choice.attach(trainer)  # clears what was kept on the way
    interpolation.attach(trainer)
    trainer.run([0], max_epochs=1)
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.5)
    assert candidates(tmp_path) == {}


def test_a_training_that_goes_on_knows_its_beginning_again(tmp_path):
    network = small()
    begin_from(network, STARTER, ["a", "b"])
    whole, resumed = made(tmp_path)[0], made(tmp_path)[0]
    whole.begin(network, STARTER, ["a", "b"])
    fresh = small()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    note_beginning(tmp_path, began_from=STARTER, share=None)
    resumed.begin(fresh, STARTER, ["a", "b"], "checkpoint_epoch=1.pt")
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert whole.begun.keys() == resumed.begun.keys()
    assert all(torch.equal(value, resumed.begun[name]) for name, value in whole.begun.items())
    assert whole.choice.further == resumed.choice.further == len(SHARES)
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert not torch.equal(next(network.parameters()), next(iter(whole.begun.values())))  # a copy


@pytest.mark.parametrize("said_again", [None, STARTER])
def test_what_an_end_chose_is_kept_when_the_training_goes_on(tmp_path, said_again):
    """Its best score on the way would let go of weights between that are better. What it began from need not be said again."""
    first = made(tmp_path)
    network = small()
    begin_from(network, STARTER, ["a", "b"])
    first[0].begin(network, STARTER, ["a", "b"])
    begun = first[0].begun
    first[0].keep()
    stopped = made(tmp_path)[0]
    stopped.begin(small(), said_again, ["a", "b"], "checkpoint_epoch=1.pt")
    assert not list(tmp_path.glob("previous_*"))  # on its way
    assert (stopped.begun_from, stopped.begun) == (STARTER, None)
    assert load(stopped.file).keys() == begun.keys()
    stopped.file.unlink()
    end(made(tmp_path), tmp_path, 0.7, 0.3)
    chosen = load(tmp_path / "model.pt")
    more = made(tmp_path)[0]
    more.begin(small(), said_again, ["a", "b"], "checkpoint_epoch=1.pt")
    (kept,) = tmp_path.glob("previous_*")
    assert load(kept / "model.pt") == chosen == load(tmp_path / "model.pt")
    assert more.begun_from == STARTER
    assert all(torch.equal(value, more.begun[name]) for name, value in begun.items())


def test_whatever_is_said_now_the_beginning_is_what_the_training_began_from(tmp_path, caplog):
    """As with a config that begins from the starter unless it is told otherwise."""
    other = small()
    with torch.no_grad():
        for value in other.parameters():
            value.add_(0.5)
    path = tmp_path / "other" / "model.pt"
    path.parent.mkdir()
    save_weights(other.state_dict(), path)
    note_beginning(tmp_path, began_from=str(path), share=1.0)
    interpolation, _ = made(tmp_path)
    caplog.set_level("INFO")
    interpolation.begin(small(), STARTER, ["a", "b"], "checkpoint_epoch=1.pt")
    assert interpolation.begun_from == str(path)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in interpolation.begun.items())
    assert "begins from" not in caplog.text  # the training goes on from its checkpoint


@pytest.mark.parametrize("said_now", [None, NOTHING, STARTER])
@pytest.mark.parametrize("earlier_version", [False, True])
def test_a_training_from_nothing_has_begun_from_nothing_when_it_goes_on(tmp_path, said_now, earlier_version):
    """Also where the config would let another one begin from the starter."""
    first, _ = made(tmp_path)
    first.begin(small(), NOTHING, ["a", "b"])
    if not earlier_version:
        first.keep()
        assert noted_beginning(tmp_path) == {"began_from": NOTHING, "share": None}
    save_weights({"weight": torch.tensor(0.3)}, tmp_path / "model.pt")
    for _ in range(2):
        more, _ = made(tmp_path)
        more.begin(small(), said_now, ["a", "b"], "checkpoint_epoch=1.pt")
        more.keep()
        assert (more.begun_from, more.begun) == ("", None)
        assert noted_beginning(tmp_path)["began_from"] == NOTHING
    assert not list(tmp_path.glob("previous_*"))


def test_weights_of_the_beginning_that_an_earlier_version_kept_are_known_without_their_name(tmp_path, caplog):
    interpolation, _ = made(tmp_path)
    save_weights({"weight": torch.tensor(0.5)}, interpolation.file)
    interpolation.begin(small(), None, ["a", "b"], "checkpoint_epoch=1.pt")
    save_weights({"weight": torch.tensor(0.3)}, tmp_path / "model.pt")
    trainer = Engine(lambda engine, batch: None)
    interpolation.attach(trainer)
    trainer.run([0], max_epochs=1)
    assert float(load(tmp_path / "model.pt")["weight"]) == pytest.approx(0.5)
    assert noted_beginning(tmp_path) == {}


def test_weights_that_are_gone_when_it_goes_on_end_nothing(tmp_path, caplog):
    interpolation, _ = made(tmp_path)
    note_beginning(tmp_path, began_from=str(tmp_path / "gone.pt"), share=1.0)
    interpolation.begin(small(), None, ["a", "b"], "checkpoint_epoch=1.pt")
    assert interpolation.begun is None
    for part in ("gone.pt", "weight_interpolation"):
        assert part in caplog.text


@pytest.mark.parametrize(
    ("images", "epochs", "on_the_way", "at_the_end"), [(1, 10, True, True), (1, 2, True, False), (40, 10, False, False)]
)
def test_all_that_is_scored_at_the_end_stays_within_its_share_of_the_time(
    tmp_path, monkeypatch, images, epochs, on_the_way, at_the_end
):
    monkeypatch.setattr(validation, "FREE", 0)
    monkeypatch.setattr(validation, "FEWEST", 1)
    allowance = Allowance(0.15, 3000.0, interval=1)
    interpolation, _ = made(tmp_path, allowance=allowance, images=images)
    choice = interpolation.choice
    save_weights({"weight": torch.tensor(0.4)}, tmp_path / "other.pt")
    interpolation.begin(Threshold(), str(tmp_path / "other.pt"), ["object"])
    kept = 0 if on_the_way else 3
    judges = choice.images_at_the_end(epochs, kept)
    assert (choice.images.is_whole, judges.is_whole) == (on_the_way, at_the_end)
    assert choice.pixels(epochs) == (kept + len(SHARES)) * judges.pixels
    assert 0 < choice.pixels(epochs) <= allowance.final(epochs)
