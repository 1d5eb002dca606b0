"""Candidates and models whose answers are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from lazylabels_monai.predicting.uncertainty import TaskUncertainty
from lazylabels_monai.suggest import Candidate
from lazylabels_monai.tasks import TASKS


def candidate(image, gain, seconds, features=None, task="segmentation"):
    return Candidate(image, task, gain, 0.1, 1.0, seconds, None if features is None else np.array(features, float))


def maps_of(objects, strokes, classes=2):
    """Maps of 40 by 60 with squares of 6 pixels of class 1, sure of themselves, and vertical lines of interfaces."""
    labels = np.zeros((40, 60), int)
    for i in range(objects):
        labels[2:8, 2 + 8 * i : 8 + 8 * i] = 1
    sure = np.eye(classes)[labels].transpose(2, 0, 1)
    separation = np.zeros((2, 40, 60))
    for i in range(strokes):
        separation[1, 20:35, 5 + 10 * i : 8 + 10 * i] = 1
    separation[1, 38, 50:53] = 1  # a speck of three pixels
    separation[0] = 1 - separation[1]
    nothing = np.zeros((40, 60))
    found = {"segmentation": sure, "detection": sure, "separation": separation}
    return {task: TaskUncertainty(p.astype(np.float32), nothing, nothing, 1) for task, p in found.items()}


class FakeUncertainty:
    """Stands for uncertainty_maps: by the image's name, how many objects and strokes are seen, and how much of it."""

    def __init__(self, by_name):
        self.by_name = by_name

    def __call__(self, model, path, flips=True, dropout_samples=0):
        objects, strokes, uncertainty = self.by_name[str(path).rsplit("/", 1)[-1].split(".")[0]]
        full = np.full((40, 60), uncertainty, np.float32)
        return {
            task: TaskUncertainty(m.probabilities, full / 2, full, 4)
            for task, m in maps_of(objects, strokes).items()
            if task in model.tasks
        }


def fake_model(tasks=TASKS):
    model = SimpleNamespace(tasks=tasks, num_classes=2, network=torch.nn.Identity())
    model.answering = lambda answered: SimpleNamespace(**{**vars(model), "tasks": tuple(answered)})
    return model
