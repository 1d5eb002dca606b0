"""A folder of images nobody annotated."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Three pictures."""
    for name in "abc":
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path
