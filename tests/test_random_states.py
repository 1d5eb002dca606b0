"""A training that was stopped and goes on ends with the weights of one that was not, bit by bit."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import Dataset
from monai.transforms import Compose, RandAffined, RandFlipd

from lazylabels_monai.random_states import RandomStates
from tests.helpers import ROOT, events, load

EPOCHS = 3
MEAN_TEACHER = ROOT / "configs" / "experiments" / "settings" / "mean_teacher.yaml"


class Kill(BaseException):
    """What no handler of an engine takes care of."""


def train(bundle, data: Path, out: Path, overlays: tuple[Path, ...], stop: int | None, **more) -> None:
    """All epochs, or up to a step of this number in all, at which the process is as good as killed."""
    given = {**bundle.overrides(data, out), **bundle.training, "max_epochs": EPOCHS, **more}
    try:
        with bundle.workflow(bundle.files("train.yaml", *overlays), "train", **given) as workflow:
            trainer = workflow.parser.get_parsed_content("train#trainer")

            def kill(engine) -> None:
                if engine.state.iteration == stop:
                    raise Kill

            trainer.add_event_handler(Events.ITERATION_STARTED, kill)
            workflow.run()
    except Kill:
        pass


def same(one: object, other: object, where: str = "") -> None:
    """Equal bit by bit, with the path of what is not."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{where}/{i}")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), f"{where} differs by {(one.double() - other.double()).abs().max()}"
    else:
        assert one == other or (one != one and other != other), where


def curves(out: Path) -> dict[str, dict[int, float]]:
    """Per tag the last value of each epoch: one that is repeated is written twice."""
    found = events(out)
    return {tag: {value.step: value.value for value in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def same_training(one: Path, other: Path) -> None:
    names = sorted(file.name for file in (one / "models").iterdir())
    assert sorted(file.name for file in (other / "models").iterdir()) == names
    for name in names:
        if name.endswith(".pt"):
            same(load(one / "models" / name), load(other / "models" / name), name)
    assert curves(one) == curves(other)


#: Settings, and the steps before which the training is killed; `tools/interrupting.py` kills at any moment.
SETTINGS = {
    "plain, killed twice": ({}, (), (4, 5)),  # within the second epoch, and before the third
    "mean teacher": ({"lr_decay": True}, (MEAN_TEACHER,), (4,)),
    "workers": ({"num_workers": 2, "ema_decay": 0.9}, (), (4,)),
    "batches, dropout, early stopping": (
        {"batch_size": 3, "val_interval": 2, "dropout": 0.3, "cache_rate": 0.5, "norm": "BATCH", "early_stop_patience": 5},
        (),
        (6,),
    ),
    "windows, and a choice at the end": ({"val_share": 0.45, "val_window_size": [32, 32], "lr_decay": True}, (), (4, 6)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_and_resumed_is_not_stopped(bundle, tiny_data, tmp_path, monkeypatch, name):
    more, overlays, stops = SETTINGS[name]
    if "val_share" in more:
        monkeypatch.setattr("lazylabels_monai.data.validation.FREE", 0)
    train(bundle, tiny_data, tmp_path / "whole", overlays, None, **more)
    for number, stop in enumerate([*stops, None]):
        train(bundle, tiny_data, tmp_path / "stopped", overlays, stop, **more, resume=number > 0)
    same_training(tmp_path / "whole", tmp_path / "stopped")
    assert ("val_mean_dice_windows" in curves(tmp_path / "whole")) == ("val_share" in more)


def draws(transform: Compose) -> list[object]:
    """Some draws of every generator."""
    crop = transform({"image": torch.arange(36.0).reshape(1, 6, 6)})["image"]
    return [random.random(), random.gauss(0, 1), np.random.normal(), torch.rand(2).tolist(), crop.tolist()]


def transforms(seed: int) -> Compose:
    affine = RandAffined("image", prob=0.9, rotate_range=1.0, padding_mode="zeros")
    return Compose([RandFlipd("image", prob=0.5), Compose([affine])]).set_random_state(seed)


def test_every_generator_goes_on_where_it_was_also_through_a_file(tmp_path):
    transform = transforms(0)
    states = RandomStates(Dataset([], transform))
    for _ in range(3):
        draws(transform)  # an odd number of normal draws: one is in store
    torch.save(states.state_dict(), tmp_path / "states.pt")
    expected = [draws(transform) for _ in range(3)]
    other = transforms(1)
    RandomStates(Dataset([], other)).load_state_dict(load(tmp_path / "states.pt"))
    assert [draws(other) for _ in range(3)] == expected


def test_other_transforms_or_processes_draw_anew_and_it_is_said(caplog):
    state = RandomStates(Dataset([], transforms(0))).state_dict()
    RandomStates(Dataset([], Compose([]))).load_state_dict(state)
    assert "the random transforms are others" in caplog.text
    before = torch.get_rng_state()
    RandomStates().load_state_dict({"processes": state["processes"] * 2})
    assert "ran in 2 processes and goes on in 1" in caplog.text
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_of_an_earlier_version_goes_on(bundle, tiny_data, trained, tmp_path, caplog):
    shutil.copytree(trained / "models", tmp_path / "models")
    newest = tmp_path / "models" / "checkpoint_epoch=2.pt"
    held = load(newest)
    assert {"random", "judged"} <= set(held)
    torch.save({key: held[key] for key in set(held) - {"random", "judged"}}, newest)
    bundle.train(tiny_data, tmp_path, max_epochs=3, resume=True)
    assert "holds no random states" in caplog.text
    assert sorted(path.name for path in (tmp_path / "models").glob("checkpoint_*")) == [
        "checkpoint_epoch=2.pt",
        "checkpoint_epoch=3.pt",
    ]


class FakeGPUs:
    """Generators in the place of those of GPUs, as no test machine has one."""

    def __init__(self, monkeypatch, count: int) -> None:
        self.generators = [torch.Generator().manual_seed(number) for number in range(count)]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [found.get_state() for found in self.generators])
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: self.generators[device].set_state(state))

    def draw(self) -> list[list[float]]:
        return [torch.rand(4, generator=found).tolist() for found in self.generators]


def test_each_gpu_draws_on_where_it_was(monkeypatch):
    gpus = FakeGPUs(monkeypatch, 2)
    gpus.draw()
    state = RandomStates().state_dict()
    without_a_stop = gpus.draw()
    after = FakeGPUs(monkeypatch, 2)  # a new process
    assert after.draw() != without_a_stop
    after.draw()
    RandomStates().load_state_dict(state)
    assert after.draw() == without_a_stop
    assert without_a_stop[0] != without_a_stop[1]


@pytest.mark.parametrize(
    ("before", "after", "warns"), [(2, 1, True), (1, 0, True), (1, 2, False), (0, 1, False), (1, 1, False)]
)
def test_other_gpus_than_before_are_said(monkeypatch, caplog, before, after, warns):
    gpus = FakeGPUs(monkeypatch, before)
    state = RandomStates().state_dict()
    expected = gpus.draw()
    there = FakeGPUs(monkeypatch, after)
    there.draw()
    RandomStates().load_state_dict(state)
    assert ("GPUs and goes on with" in caplog.text) is warns
    common = min(before, after)
    assert there.draw()[:common] == expected[:common]
