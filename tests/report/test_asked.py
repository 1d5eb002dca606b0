"""Measurements that were not made as a report asks are not shown as if they were."""

from __future__ import annotations

import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from tests.report.predicted import CLASSES


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pixel_size": "2um"}, "a pixel size of 0.5 um, not 2um: "),
        ({"classes": ["grain", "pore"]}, 'the classes <b>air</b> & $x_, ice "crystal", not grain, pore: '),
        ({"pixel_size": "2um", "classes": ["grain", "pore"]}, "of 0.5 um, not 2um and the classes <b>air</b> & $x_, ice"),
    ],
)
def test_measurements_made_with_another_pixel_size_or_names_are_refused_with_what_measures_anew(made, tmp_path, asked, said):
    out = shutil.copytree(made / "pred", tmp_path / "a pred")
    options = {"pixel_size": "0.5um", "classes": CLASSES, "resamples": 200, "overwrite": True}
    measure_folder(out, out / "measured", images=made / "images", min_size=3, **options)
    before = pd.read_csv(out / "measured" / "objects.csv")
    with pytest.raises(LazyLabelsError) as found:
        make_report(out, images=made / "images", **asked)
    assert said in str(found.value)
    assert not (out / "report.html").exists()
    command = shlex.split(str(found.value).split("`")[1])
    assert command.pop(0) == "lazylabels"
    assert CliRunner().invoke(app, command).exit_code == 0
    make_report(out, images=made / "images", **asked)
    after = pd.read_csv(out / "measured" / "objects.csv")
    factor = 4.0 if "pixel_size" in asked else 1.0
    assert np.allclose(after["equivalent_diameter_um"], factor * before["equivalent_diameter_um"])
    assert set(after["class_name"]) <= set(asked.get("classes", CLASSES))
    assert "mean_intensity" in after, "the images are named again"


def test_what_was_measured_so_is_shown(made, tmp_path):
    out = shutil.copytree(made / "pred", tmp_path / "pred")
    assert "0.5" in make_report(out, pixel_size="500 nm", classes=CLASSES).read_text()
