"""Results of a folder, measured and shown without a command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.reporting import report_folder
from lazylabels_monai.measure.folder import measure_folder
from tests.interactive.folders import SHAPE
from tests.interactive.test_joining import PREDICTED, results


@pytest.fixture
def images(tmp_path):
    """Three pictures, of which one states the size of its pixels."""
    folder = tmp_path / "other"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(folder / f"{name}.png")
    stated = {"resolution": (50000.0, 50000.0), "resolutionunit": "CENTIMETER"}  # 0.2 um
    tifffile.imwrite(folder / "c.tif", rng.integers(0, 255, SHAPE, np.uint8), **stated)
    return folder


@pytest.fixture
def predicted(images, tmp_path):
    return results(tmp_path / "out", sorted(images.iterdir()))


def test_the_typed_size_is_of_the_pictures_that_state_none(predicted, images, tmp_path):
    page = report_folder(predicted, images, "0.5um")
    assert page == predicted / "report.html"
    rows = pd.read_csv(predicted / "measured" / "objects.csv")
    pixels = (PREDICTED == 1).sum()
    expected = {"a": 0.25 * pixels, "b": 0.25 * pixels, "c": 0.04 * pixels}
    assert rows.groupby("image")["area_um2"].first().to_dict() == pytest.approx(expected)
    assert "mean_intensity" in rows, "the pictures are measured, too"
    sizes = {"a": 0.5, "b": 0.5, "c": 0.2}
    alone = measure_folder(predicted, tmp_path / "alone", images=images, pixel_size=sizes)
    there = json.loads((predicted / "measured" / "summary.json").read_text())
    assert there["classes"] == json.loads(json.dumps(alone["classes"]))
    with pytest.raises(LazyLabelsError, match="pixel size 'wide' is no length"):
        report_folder(predicted, images, "wide")
    with pytest.raises(LazyLabelsError, match="pixel size"):  # one states it, and nobody knows the others'
        report_folder(predicted, images)


def test_a_table_that_somebody_changed_is_kept(predicted, images):
    said = []
    report_folder(predicted, images, "0.5um")
    table = predicted / "measured" / "objects.csv"
    table.write_text(table.read_text() + "my note\n")
    report_folder(predicted, images, "0.5um", said.append)
    assert "my note" not in table.read_text()
    assert (predicted / "replaced" / "measured" / "objects.csv").read_text().endswith("my note\n")
    assert [s for s in said if s.startswith("'objects.csv' in '") and "was changed since a report was made" in s]
    said.clear()
    report_folder(predicted, images, "0.5um", said.append)
    assert not any("was changed" in s for s in said)
