"""Files of a small comparison."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from lazylabels_monai.experiments import runner
from tests.experiments.places import FOLDER, OWN, write_spec


@pytest.fixture
def specs(tmp_path) -> Path:
    """A folder with the project's sets and methods, a scale of two steps, and a table of two methods on the built-in set."""
    folder = tmp_path / "specs"
    folder.mkdir()
    for name in OWN:
        shutil.copy(FOLDER / name, folder)
    tiny = {"channels": [4, 8], "num_multitask_blocks": 1, "crop_size": [32, 32], "batch_size": 2, "crops_per_epoch": 2}
    tiny |= {"max_epochs": 1, "val_interval": 1, "val_overlap": 0.0}
    (folder / "tiny_run.yaml").write_text(yaml.safe_dump(tiny))
    scales = yaml.safe_load((folder / "scales.yaml").read_text())
    scales["tiny"] = {"overlays": [str(folder / "tiny_run.yaml")], "values": {"height": 64, "width": 64, "half": 0.5}}
    (folder / "scales.yaml").write_text(yaml.safe_dump(scales))
    write_spec(folder, methods=["multitask", "unet_full"])
    return folder


@pytest.fixture
def quick_calls(monkeypatch, python) -> None:
    """Steps of a run start without the seconds that imports take."""
    call, ours = runner.call, sys.executable

    def quick(parts, log, program=None) -> None:
        call(parts, log, python if program in (None, ours) else program)

    monkeypatch.setattr(runner, "call", quick)
