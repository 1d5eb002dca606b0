"""A project of three pictures, for the tests of all that a project does."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from lazylabels_monai.interactive.project import Project
from tests.interactive.folders import pictures, stroke
from tests.interactive.live_training import NONE, OVERLAY, SHAPE, TINY


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "my")


@pytest.fixture
def project(folder):
    with Project.open(folder, create=True, classes=["pore", "grain"]) as project:
        yield project


@pytest.fixture
def marked(tmp_path):
    """A project of four pictures, of which one is marked, to train on."""
    with Project.open(pictures(tmp_path / "my", 4, SHAPE), create=True, classes=["pore", "grain"]) as project:
        project.labels.save(project.images[0], "detection", stroke(stroke(NONE, 1, (5, 5, 30, 30)), 0, (40, 40, 60, 60)))
        yield project


@pytest.fixture
def parts(bundle, marked, tmp_path):
    """``parts(**overrides)``: an initialized workflow of a training on :func:`marked`, to get its parts from."""
    with ExitStack() as stack:

        def made(**more):
            given = {**bundle.overrides(marked.folder, tmp_path / "out"), **TINY, "max_epochs": 3, **more}
            return stack.enter_context(bundle.workflow(bundle.files("train.yaml", OVERLAY), "train", **given))

        yield made
