"""A project of three pictures, for the tests of all that a project does."""

from __future__ import annotations

import pytest

from lazylabels_monai.interactive.project import Project
from tests.interactive.folders import pictures


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "my")


@pytest.fixture
def project(folder):
    with Project.open(folder, create=True, classes=["pore", "grain"]) as project:
        yield project
