"""Checkpoints are whole or not there."""

from __future__ import annotations

import math
import os

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.engines import SupervisedEvaluator
from monai.handlers import EarlyStopHandler

from lazylabels_monai.checkpoints import (
    CheckpointSaver,
    best_score,
    better,
    clean_checkpoints,
    copy_previous_model,
    keep_previous_model,
    latest_checkpoint,
)


def test_resume_without_a_checkpoint_overwrites_no_model(tmp_path, caplog):
    (tmp_path / "model.pt").write_bytes(b"weights from elsewhere")
    keep_previous_model(tmp_path, resume=True)
    assert "no readable checkpoint" in caplog.text
    assert [file.read_bytes() for file in tmp_path.glob("previous_*/model.pt")] == [b"weights from elsewhere"]


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    class Unsavable:
        def state_dict(self):
            return {"weight": lambda: None}  # pickling fails half way

    good, saver = torch.nn.Linear(2, 2), {}
    for part, name in ((good, "good"), (Unsavable(), "bad")):
        saver[name] = CheckpointSaver(str(tmp_path), {"model": part}, save_key_metric=True, key_metric_filename="model.pt")
    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name, engine.state.metrics = "dice", {"dice": 0.5}
    saver["good"].metrics_completed(engine)
    before = (tmp_path / "model.pt").read_bytes()
    with pytest.raises((AttributeError, TypeError, RuntimeError), match=r"(?i)pickle|local"):
        saver["bad"].metrics_completed(engine)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model.pt.sha256"]
    assert (tmp_path / "model.pt").read_bytes() == before


def test_the_newest_checkpoint_goes_by_its_number(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for name in ("checkpoint_epoch=9.pt", "checkpoint_epoch=10.pt", "checkpoint_epoch=final.pt", "model.pt"):
        torch.save({"model": {"w": torch.zeros(1)}}, tmp_path / name)
    os.utime(tmp_path / "checkpoint_epoch=10.pt", (1, 1))  # neither by its date nor by its letters
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint_epoch=10.pt")
    (tmp_path / "checkpoint_epoch=11.pt").write_bytes(b"cut short")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint_epoch=10.pt")


def test_what_moves_aside_goes_together_and_never_over_another(tmp_path):
    keep_previous_model(tmp_path, resume=False)
    assert list(tmp_path.iterdir()) == []
    contents = []
    for number in range(3):
        for name in ("model.pt", "classes.json", "network.json", "instances.json", "notes.txt"):
            (tmp_path / name).write_text(f"{name} {number}")
            os.utime(tmp_path / name, (10**9, 10**9))  # trainings of one second
        contents.append({name: f"{name} {number}" for name in ("model.pt", "classes.json", "network.json", "instances.json")})
        keep_previous_model(tmp_path, resume=False)
        assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["notes.txt"]
    kept = [{file.name: file.read_text() for file in folder.iterdir()} for folder in sorted(tmp_path.glob("previous_*"))]
    assert kept == contents


def test_a_training_that_goes_on_keeps_its_files(tmp_path):
    torch.save({"model": {"w": torch.zeros(1)}}, tmp_path / "checkpoint_epoch=1.pt")
    (tmp_path / "model.pt").write_bytes(b"best")
    keep_previous_model(tmp_path, resume=True)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint_epoch=1.pt", "model.pt"}


def test_a_score_that_cannot_be_known_gives_way_to_any_other_and_to_the_next(tmp_path):
    """The weights of the first validation are not the best for ever because nothing was to be seen there."""
    model = torch.nn.Linear(1, 1, bias=False)
    saver = CheckpointSaver(str(tmp_path), {"model": model}, save_key_metric=True, key_metric_filename="model.pt")
    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name = "dice"
    kept = []
    for step, score in enumerate([math.nan, math.nan, 0.2, math.nan, 0.1, 0.3]):
        torch.nn.init.constant_(model.weight, step)
        engine.state.metrics = {"dice": score}
        saver.metrics_completed(engine)
        kept.append(int(torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item()))
    assert kept == [0, 1, 2, 2, 2, 5]


def test_what_is_to_happen_before_the_first_save_happens_once_and_not_when_a_training_fails(tmp_path):
    called = []
    saver = CheckpointSaver(
        str(tmp_path),
        {"model": torch.nn.Linear(1, 1)},
        save_final=True,
        final_filename="model.pt",
        save_interval=1,
        before_first_save=lambda: called.append(sorted(file.name for file in tmp_path.iterdir())),
    )
    broken = Engine(lambda engine, batch: 1 / 0)
    saver.attach(broken)
    with pytest.raises(ZeroDivisionError):
        broken.run([0])
    assert called == []
    assert list(tmp_path.iterdir()) == []
    engine = Engine(lambda engine, batch: None)
    saver.attach(engine)
    engine.run([0], max_epochs=2)
    assert called == [[]]
    assert "model.pt" in {file.name for file in tmp_path.iterdir()}


def test_a_loss_is_better_the_lower_it_is():
    assert better("val_loss")(0.4, 0.5)
    assert not better("val_loss")(0.6, 0.5)
    assert better("val_mean_dice")(0.6, 0.5)
    engine = Engine(lambda engine, batch: None)
    for name, score in (("val_loss", -0.5), ("val_mean_dice", 0.5)):
        engine.state.key_metric_name, engine.state.metrics = name, {name: 0.5}
        assert best_score(engine) == score


@pytest.mark.parametrize("name", ["val_mean_dice", "val_loss"])
@pytest.mark.parametrize(
    ("scores", "ends_after"),
    [
        ([0.5, math.nan, 0.5, 0.9], 3),  # NaN and no better: two validations without a better score
        ([0.5, math.nan, math.nan, 0.9], 3),
        ([0.5, math.nan, 0.9, math.nan, math.nan], 5),
        ([math.nan] * 6, 6),  # nothing to judge by: it goes on
        ([math.nan, math.nan, math.nan, 0.5, math.nan, math.nan, 0.9], 6),
    ],
)
def test_a_score_that_cannot_be_known_is_no_better_one(name, scores, ends_after):
    scores = [1 - score for score in scores] if name == "val_loss" else scores
    given = iter(scores)

    class Given(Metric):
        def reset(self):
            pass

        def update(self, output):
            pass

        def compute(self):
            return next(given)

    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=[{"image": torch.zeros(1, 1, 4, 4), "label": torch.zeros(1, 1, 4, 4)}],
        network=torch.nn.Identity(),
        key_val_metric={name: Given(output_transform=lambda output: (0, 0))},
        metric_cmp_fn=better(name),
        decollate=False,
    )
    trainer = Engine(lambda engine, batch: None)
    stop = EarlyStopHandler(patience=2, score_function=best_score, trainer=trainer)
    stop.attach(evaluator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(engine.state.epoch))
    trainer.run([0], max_epochs=len(scores))
    assert trainer.state.epoch == ends_after


def test_what_a_killed_save_left_is_removed_and_what_is_not_ours_stays(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "whole")
    left = (tmp_path / "whole").read_bytes()[:100].replace(b"whole/", b"archive/")
    for name, content in {
        "tmpab12_x9z": left,
        "tmp_my_notes": left,
        "tmpabcdefgh": b"PK notes",
        "tmpab12_x9z.txt": left,
    }.items():
        (tmp_path / name).write_bytes(content)
    clean_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp_my_notes", "tmpab12_x9z.txt", "tmpabcdefgh", "whole"]


def test_a_resumed_training_keeps_as_many_checkpoints_as_any(tmp_path):
    for epoch in (1, 2, 3, 9):
        torch.save({}, tmp_path / f"checkpoint_epoch={epoch}.pt")
    parts = {"model": torch.nn.Linear(1, 1), "other": torch.nn.Linear(1, 1)}
    saver = CheckpointSaver(str(tmp_path), parts, save_interval=1, n_saved=2)
    engine = Engine(lambda engine, batch: None)
    saver.attach(engine)
    engine.state.epoch = 3
    engine.add_event_handler("STARTED", lambda engine: setattr(engine.state, "epoch", 3))
    engine.run([0], max_epochs=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint_epoch={epoch}.pt" for epoch in (4, 5, 9)]


def test_weights_that_are_kept_already_are_not_copied_again(tmp_path, caplog):
    caplog.set_level("INFO")
    for content, copies in ((b"first", 1), (b"first", 1), (b"second", 2)):
        (tmp_path / "model.pt").write_bytes(content)
        copy_previous_model(tmp_path)
        kept = {path.read_bytes() for path in tmp_path.glob("previous_*/model.pt")}
        assert content in kept
        assert len(list(tmp_path.glob("previous_*"))) == copies
    assert caplog.text.count("are kept in") == 2
    (tmp_path / "model.pt").unlink()
    copy_previous_model(tmp_path)  # nothing is there
