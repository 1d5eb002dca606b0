"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real image sets; tests that need it skip where the variable is unset."""
    root = os.environ.get("LAZYLABELS_DATA")
    if not root:
        pytest.skip("LAZYLABELS_DATA is not set: no real image sets to test on")
    return Path(root).resolve()
