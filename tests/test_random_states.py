"""A training that was stopped and goes on ends with the weights of one that was not, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from tests.helpers import ROOT, events, load

EPOCHS = 4
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


@pytest.mark.parametrize(
    ("more", "overlays", "stops"),
    [
        ({}, (), (4,)),  # the second step of the second epoch
        ({}, (), (3, 4, 8)),
        ({"ema_decay": 0.9, "lr_decay": True}, (), (5,)),
        ({}, (MEAN_TEACHER,), (6,)),
        ({"num_workers": 2}, (), (5, 7)),
        ({"val_interval": 3, "dropout": 0.3, "batch_size": 2}, (), (10, 13)),
        ({"cpu_bfloat16": True, "early_stop_patience": 5, "norm": "BATCH"}, (), (3, 6)),
        ({"batch_size": 3, "cache_rate": 0.5, "channels_last": False, "affine_prob": 1.0}, (), (8,)),
    ],
)
def test_stopped_and_resumed_is_not_stopped(bundle, tiny_data, tmp_path, more, overlays, stops):
    train(bundle, tiny_data, tmp_path / "whole", overlays, None, **more)
    for number, stop in enumerate([*stops, None]):
        train(bundle, tiny_data, tmp_path / "stopped", overlays, stop, **more, resume=number > 0)
    same_training(tmp_path / "whole", tmp_path / "stopped")
