"""What several test files read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parents[1]  # of the repository


def load(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def events(out: Path) -> EventAccumulator:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # not in every app's environment

    accumulator = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator
