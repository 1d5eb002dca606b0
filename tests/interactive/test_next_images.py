"""Which image to draw on next."""

from __future__ import annotations

import os
import shutil

import numpy as np

from lazylabels_monai.interactive.next_images import next_images
from lazylabels_monai.interactive.project import Project
from tests.interactive.folders import NONE, stroke


def test_images_without_marks_come_first_and_finished_ones_not_at_all(project):
    a, b, c = project.images
    project.labels.save(a, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    assert next_images(project) == [b, c, a]
    project.finish(b)
    project.records.set_section(c, "testing")
    assert next_images(project) == [a]


def test_the_networks_uncertainty_ranks_images(trained, tiny_data, tmp_path):
    """The order is that of `lazylabels suggest`."""
    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.suggest import suggest

    shutil.copytree(tiny_data, tmp_path / "set")
    model = Model(trained / "models" / "model.pt", overrides={"device": "cpu"})
    with Project.open(tmp_path / "set") as project:
        for entry in project.images:
            project.labels.save(entry, "separation", np.full_like(project.labels.read(entry, "separation"), 255))
        names = [entry.path.name for entry in next_images(project, model)]
        expected = suggest(tmp_path / "set" / "images", model, tmp_path / "set").ranked
        order = list(dict.fromkeys(os.path.basename(one.image) for one in expected))
        assert names == [*order, *(name for name in names if name not in order)]
        assert len(order) > 1
