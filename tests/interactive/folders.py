"""Projects that the tests draw in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from lazylabels_monai.interactive.project import Project

SHAPE = (40, 56)
#: A label on which nothing is drawn.
NONE = np.full(SHAPE, 255, np.uint8)


def pictures(folder: Path, count: int = 3, shape: tuple[int, int] = SHAPE) -> Path:
    """A folder with ``images/`` and nothing else."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(folder / "images" / f"{'abcdefgh'[number]}.png")
    return folder


def stroke(label: np.ndarray, value: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A copy of a label with a box painted: top, left, bottom, right."""
    painted = label.copy()
    painted[box[0] : box[2], box[1] : box[3]] = value
    return painted


def listed(folder: Path) -> dict:
    return json.loads((folder / "datalist.json").read_text())


def again(project: Project) -> Project:
    """The project opened by another window, after this one was closed."""
    project.close()
    return Project.open(project.folder)
