"""Command lines run in this process, and an image set for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.simulating.microstructures import make_image


@pytest.fixture
def run():
    """Run a command line in this process."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An exactly labelled image set in the layout that ``simulate`` reads."""
    root = tmp_path_factory.mktemp("source")
    for first, (split, count) in enumerate((("train", 4), ("val", 1), ("test", 1))):
        for folder in ("images", "masks", "classes"):
            (root / split / folder).mkdir(parents=True)
        for number in range(count):
            made = make_image((64, 80), seed=[first, number])
            for folder, key in (("images", "image"), ("masks", "instances"), ("classes", "classes")):
                Image.fromarray(made[key]).save(root / split / folder / f"{split}{number}.png")
    return root


@pytest.fixture(scope="session")
def trained(weights_with_dropout) -> Path:
    """Weights of a tiny training with dropout."""
    return weights_with_dropout
