"""Earlier trainings: moved aside, resumed, never overwritten."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest
import torch

from lazylabels_monai import precision
from lazylabels_monai.checkpoints import latest_checkpoint
from tests.bundle.tiny import STEPS, adam_steps
from tests.helpers import events, load


def test_a_second_training_moves_the_first_aside(bundle, tiny_data, trained, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    before = {file.name: file.read_bytes() for file in models.iterdir()}
    bundle.train(tiny_data, tmp_path, max_epochs=1, seed=1)
    (previous,) = models.glob("previous_*")
    assert {file.name: file.read_bytes() for file in previous.iterdir()} == before
    assert sorted(file.name for file in models.glob("*.pt")) == ["checkpoint_epoch=1.pt", "model.pt"]
    assert (models / "model.pt").read_bytes() != before["model.pt"]
    bundle.train(tiny_data, tmp_path, max_epochs=1, seed=2)
    assert len(list(models.glob("previous_*"))) == 2
    assert {file.name: file.read_bytes() for file in previous.iterdir()} == before


def test_a_truncated_checkpoint_is_passed_over(bundle, tiny_data, trained, tmp_path, caplog):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    newest = models / "checkpoint_epoch=2.pt"
    os.truncate(newest, newest.stat().st_size // 2)
    assert latest_checkpoint(models) == str(models / "checkpoint_epoch=1.pt")
    assert "checkpoint_epoch=2.pt is damaged" in caplog.text
    bundle.train(tiny_data, tmp_path, max_epochs=3, resume=True)
    assert [value.step for value in events(tmp_path).Scalars("loss/total")] == [2, 3]  # epoch 2 was repeated
    assert adam_steps(load(models / "checkpoint_epoch=3.pt")) == {3 * STEPS}
    assert adam_steps(load(newest)) == {2 * STEPS}
    assert not list(models.glob("previous_*"))


@pytest.mark.parametrize(("best", "replaced"), [(0.999, False), (-1.0, True)])
def test_resume_keeps_the_best_model_unless_it_finds_a_better_one(bundle, tiny_data, trained, tmp_path, best, replaced):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    checkpoint = load(models / "checkpoint_epoch=2.pt")
    ((score, name),) = checkpoint["best"]["_saved"]
    assert score == pytest.approx(max(value.value for value in events(trained).Scalars("val_mean_dice")), abs=1e-6)
    checkpoint["best"]["_saved"] = [(best, name)]
    torch.save(checkpoint, models / "checkpoint_epoch=2.pt")
    before = (models / "model.pt").read_bytes()
    bundle.train(tiny_data, tmp_path, max_epochs=3, resume=True)
    assert ((models / "model.pt").read_bytes() != before) == replaced
    assert load(models / "checkpoint_epoch=3.pt")["trainer"]["iteration"] == 3 * STEPS


def test_a_training_goes_on_at_the_rate_that_its_beginning_got(bundle, tiny_data, trained, tmp_path, caplog):
    """Lowered once, not twice and not never, along the schedule of the training that was not stopped."""
    caplog.set_level("INFO")
    more = {
        "init_weights": str(trained / "models" / "model.pt"),
        "learning_rate": 0.01,
        "lr_decay": True,
        "fine_tuning_rate": 1e-3,
    }
    found = {}
    for name, each in {"whole": {}, "stopped": {}, "given": {"fine_tuning_from": None, "learning_rate": 0.001}}.items():
        known = {**more, "fine_tuning_from": 0.0, **each}
        if name == "stopped":
            bundle.train(tiny_data, tmp_path / name, max_epochs=2, **known)
        bundle.train(tiny_data, tmp_path / name, max_epochs=4, resume=name == "stopped", **known)
        states = [load(tmp_path / name / "models" / f"checkpoint_epoch={epoch}.pt") for epoch in (3, 4)]
        found[name] = [(state["optimizer"]["param_groups"][0]["lr"], *state["lr_scheduler"]["base_lrs"]) for state in states]
    assert found["given"][0] == pytest.approx((0.001 * (1 - 2**-0.5) / 2, 0.001))
    for name in ("whole", "stopped"):
        assert [pytest.approx(rates, abs=1e-12) for rates in found[name]] == found["given"]
    assert caplog.text.count("the learning rate is 0.001 at most (fine_tuning_rate), as when this training began") == 1


@pytest.mark.parametrize("first", [9.0, 0.9])
def test_a_resumed_training_keeps_its_precision(bundle, tiny_data, tmp_path, monkeypatch, caplog, first):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    for gain, more in ((first, {"max_epochs": 1}), (10 - first, {"max_epochs": 2, "resume": True})):
        precision._is_faster.cache_clear()
        monkeypatch.setattr(precision, "measured_gain", lambda gain=gain: gain)
        workflow = bundle.train(tiny_data, tmp_path, cpu_bfloat16="auto", **more)
        assert workflow.parser.get_parsed_content("train#inferer").enabled is (first > 1)
    precision._is_faster.cache_clear()
    assert "bfloat16" not in caplog.text.partition("resumed with other settings")[2]


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_epoch_count(bundle, tiny_data, python, tmp_path):
    models, more = tmp_path / "models", {**bundle.training, **bundle.overrides(tiny_data, tmp_path)}

    def command(**changes: object) -> list[str]:
        return [python, *bundle.arguments("training", bundle.files("train.yaml"), **{**more, **changes})]

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command(max_epochs=500), cwd=tmp_path, env=bundle.environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            end = time.monotonic() + 120
            while not (models / "checkpoint_epoch=2.pt").exists():
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    newest = latest_checkpoint(models)
    done = int(newest.rpartition("=")[2].removesuffix(".pt"))
    assert 2 <= done < 400
    target = done + 2
    resumed = subprocess.run(
        command(max_epochs=target, resume="true"), cwd=tmp_path, env=bundle.environment, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"epoch {target}/{target}" in resumed.stdout
    assert f"epoch {done}/{target}" not in resumed.stdout
    assert latest_checkpoint(models) == str(models / f"checkpoint_epoch={target}.pt")
    last = load(models / f"checkpoint_epoch={target}.pt")
    assert adam_steps(last) == {target * STEPS}
    assert last["trainer"]["iteration"] == target * STEPS
