"""A prediction with everything beside it, and its report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lazylabels_monai.report import make_report
from tests.report.predicted import make_prediction


@pytest.fixture(scope="session")
def made(made_once) -> Path:
    """Images, a prediction of them with everything, the folder of its training; not to be written to."""
    return made_once("report", make_prediction)


@pytest.fixture(scope="session")
def page(made, tmp_path_factory) -> Path:
    """The full report, moved away from everything that it was made from."""
    weights = made / "trained" / "models" / "model.pt"
    file = make_report(made / "pred", images=made / "images", weights=weights, command="a <command>")
    return Path(shutil.move(file, tmp_path_factory.mktemp("page") / "report.html"))
