"""Trainings that are stopped by a signal or killed, and two on one folder; `tools/interrupting.py` does it at any moment."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys

import pytest

from lazylabels_monai.errors import user_error
from lazylabels_monai.locks import FolderLock
from tests.helpers import ROOT
from tests.test_random_states import same_training

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="command lines are forks of this process")


@pytest.fixture(scope="module")
def interrupting():
    """The tool."""
    spec = importlib.util.spec_from_file_location("interrupting", ROOT / "tools" / "interrupting.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["interrupting"] = module
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.mark.slow
def test_a_training_that_is_asked_to_stop_says_so_and_goes_on_as_if_it_had_not(bundle, tiny_data, tmp_path, interrupting):
    def command(out, **more):
        given = {**bundle.overrides(tiny_data, out), **bundle.training, "max_epochs": 6, "val_interval": 2, **more}
        return bundle.arguments("training", bundle.files("train.yaml"), **given)[1:]

    bundle.train(tiny_data, tmp_path / "whole", max_epochs=6, val_interval=2)
    out = tmp_path / "stopped"
    first = out / "models" / "checkpoint_epoch=1.pt"
    stopped = interrupting.run(command(out), tmp_path, signal.SIGTERM, first.exists)
    assert stopped.status == 143, stopped.said
    assert stopped.late < 10
    (said,) = [line for line in stopped.said.splitlines() if line.startswith("stopped by")]
    assert said.startswith(f"stopped by SIGTERM: '{out / 'models'}/checkpoint_epoch=")
    assert said.endswith("keeps the training up to its last whole epoch; --resume True goes on there.")
    assert "Traceback" not in stopped.said
    resumed = interrupting.run(command(out, resume=True), tmp_path)
    assert resumed.status == 0, resumed.said
    same_training(tmp_path / "whole", out)


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_training_on_a_folder_is_refused_and_moves_nothing(bundle, tiny_data, tmp_path, resume):
    models = tmp_path / "models"
    models.mkdir()
    (models / "model.pt").write_bytes(b"of the first")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        held = FolderLock(models, "training", "", ".training.lock")
        os.write(told, b"1")
        signal.pause()
        os._exit(held is None)
    try:
        assert os.read(ready, 1) == b"1"
        with pytest.raises(Exception) as caught:  # noqa: PT011  MONAI wraps it
            bundle.train(tiny_data, tmp_path, resume=resume)
        sentence = str(user_error(caught.value))
        assert sentence.startswith(f"'{models}' is in use by another training that still runs: ")
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".training.lock", "model.pt", "models"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    bundle.train(tiny_data, tmp_path, max_epochs=1)
    assert not (models / ".training.lock").exists()


@pytest.mark.slow
def test_the_tool_finds_nothing_in_a_few_kills(interrupting, capsys):
    assert interrupting.main(["--quick"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.rstrip().endswith(" 0 faults")
