"""Checkpoints are whole or not there."""

from __future__ import annotations

import pytest
import torch

from lazylabels_monai.checkpoints import CheckpointSaver, keep_previous_model


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
    from ignite.engine import Engine

    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name, engine.state.metrics = "dice", {"dice": 0.5}
    saver["good"].metrics_completed(engine)
    before = (tmp_path / "model.pt").read_bytes()
    with pytest.raises((AttributeError, TypeError, RuntimeError), match=r"(?i)pickle|local"):
        saver["bad"].metrics_completed(engine)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_bytes() == before
