"""Results as they are written and printed."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from lazylabels_monai.evaluation.results import ResultsWriter, format_results
from tests.metrics.filled import batch, three_images


@pytest.fixture
def filled():
    """A metric that has seen three images: one unknown, one of 8 objects of which 6 are found, one without any object."""
    return three_images()


def test_written_results(filled, tmp_path):
    """metrics.json and metrics.csv hold every score of every method; infinity and NaN become null, as JSON has neither."""
    objects = {"three maps": filled(glas=True), "components": filled(glas=True)}
    nothing = batch(np.zeros((40, 50), int), np.ones((40, 50), int), np.ones((40, 50), int))
    objects["components"](*nothing)
    objects["three maps"](*nothing)
    writer = ResultsWriter(tmp_path, ["a", "b"], objects=objects)
    writer._names = [f"{number}.png" for number in range(4)]
    writer._completed(SimpleNamespace(state=SimpleNamespace(rank=0)))
    text = (tmp_path / "metrics.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    part = json.loads(text)["objects"]
    assert next(iter(part)) == "f1@0.5"
    for name in ("f1@0.5", "f1@0.95", "ap@0.5", "ap@0.5:0.95", "pq", "aji", "count_error", "glas_f1", "glas_object_dice"):
        assert part[name] == part[f"{name} three maps"] == part[f"{name} components"]
        assert isinstance(part[name], float)
    assert part["count_error"] == pytest.approx((6 - 9) / 9)
    assert part["glas_object_hausdorff"] is None
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["objects three maps tp"] for row in rows] == ["", "6.0", "0.0", "0.0"]
    assert [row["objects components ap@0.5"] for row in rows] == ["", "0.75", "", "0.0"]
    assert rows[3]["objects components glas_object_hausdorff"] == ""
    table = format_results(json.loads(text))
    assert "f1@0.5 three maps" in table
    assert "f1@0.55" not in table
