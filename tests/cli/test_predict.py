"""``predict``: options that are not given."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.predicting.images import images_to_predict


@pytest.fixture
def folder(tiny_data, tmp_path):
    """Three images, one of them 16-bit OME-TIFF, and a file that is none."""
    return images_to_predict(tmp_path / "in", tiny_data)


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


@pytest.mark.parametrize(("option", "written"), [((), True), (("--no-probabilities",), False)])
def test_an_option_that_is_not_given_leaves_the_config_its_word(option, written, folder, trained, tmp_path):
    config = tmp_path / "own.yaml"
    config.write_text("save_probabilities: true\n")
    result = run(folder / "a.png", "--out", tmp_path / "out", "--weights", trained, "--config", config, *option)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "a_detection_probability.tif").is_file() == written
