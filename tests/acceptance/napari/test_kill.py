"""A window that is killed while one draws: every stroke that was drawn is there when the project is opened again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.interactive.project import Project

#: More of them are tried by hand: KILLS=10 make test-napari.
KILLS = int(os.environ.get("KILLS", "1"))
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("seed", range(KILLS))
def test_no_stroke_is_lost(built_in, seed):
    """Killed between two strokes or in the middle of one, by SIGKILL."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("drawing_child.py")), str(built_in)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    chance = random.Random(seed)
    name, drawn, enough = None, [], chance.randint(3, 25)
    for line in child.stdout:
        word, *rest = line.split()
        if word == "image":
            name = " ".join(rest)
        elif word == "drawn":
            drawn.append(tuple(map(int, rest)))
        if len(drawn) == enough:
            time.sleep(chance.random() / 10)
            child.send_signal(signal.SIGKILL)
            break
    drawn += [tuple(map(int, line.split()[1:])) for line in child.stdout if line.count(" ") == 2 and line.endswith("\n")]
    child.wait()
    assert len(drawn) >= enough
    with Project.open(built_in) as project:
        entry = project.entry(name)
        marks = project.labels.read(entry, "detection")
        assert [place for place in drawn if marks[place] != 1] == []
        assert entry.seconds > 0
    assert load_datalist(built_in)["training"]
