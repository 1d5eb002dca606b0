"""A folder of images to predict."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.predicting.images import images_to_predict


@pytest.fixture
def folder(tiny_data, tmp_path):
    """Three images, one of them 16-bit OME-TIFF, and a file that is none."""
    return images_to_predict(tmp_path / "in", tiny_data)


@pytest.fixture(scope="session")
def trained(weights_with_dropout) -> Path:
    """Weights of a tiny training with dropout."""
    return weights_with_dropout
