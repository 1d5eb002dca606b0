"""The budget: counts in label files, and what hours buy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lazylabels_monai.data.budget import (
    annotation_budget,
    count_objects,
    count_scribbles,
    format_budget,
)
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.errors import LazyLabelsError
from tests.data.priced import COSTS, priced_set, scribble_map


@pytest.mark.parametrize(
    ("values", "count"),
    [([], 0), ([1], 1), ([1, 1], 1), ([1, 2], 2), ([1, 0, 1], 2), ([255], 0), ([1, 255, 2, 0, 2], 3)],
)
def test_count_objects(values, count):
    label = np.zeros((6, 9), np.uint8)
    label[2, : len(values)] = values
    assert count_objects(label) == count


def test_count_ids_and_volumes():
    ids = np.array([[0, 7, 7, 9], [7, 0, 300, 300]])
    assert count_objects(ids, ids=True) == 3
    volume = np.stack([ids, ids, np.zeros_like(ids)], -1)  # an object is drawn in each plane
    assert count_objects(volume, ids=True) == 6


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ((), 0),
        (((slice(10, 40), slice(20, 23)),), 1),
        (((slice(10, 40), slice(20, 23)), (slice(10, 40), slice(40, 43))), 2),
        # three strokes meet, as the interfaces of three objects do
        (((slice(10, 30), slice(29, 32)), (slice(28, 31), slice(8, 52))), 3),
        (((slice(10, 11), slice(10, 11)),), 1),
    ],
)
def test_count_scribbles(lines, count):
    assert count_scribbles(scribble_map(*lines)) == count


@pytest.fixture
def data(tmp_path):
    """Two training images (one with an exact mask) and one for validation with ids: 4, 2 and 3 objects."""
    return priced_set(tmp_path)


def test_budget(data):
    found = annotation_budget(data, COSTS, hours=2)
    training = found.spent["training"]
    # the four touching squares are one piece of the mask, but four marks say what they are
    assert (training["segmentation"].images, training["segmentation"].objects, training["segmentation"].seconds) == (1, 4, 240)
    assert (training["detection"].images, training["detection"].objects, training["detection"].seconds) == (2, 6, 36)
    assert (training["separation"].images, training["separation"].objects, training["separation"].seconds) == (1, 2, 6)
    assert found.spent["validation"]["segmentation"].seconds == 180
    assert found.seconds == 240 + 36 + 6 + 180
    assert found.density == {"segmentation": 3, "detection": 3, "separation": 2}
    assert found.per_image == {"segmentation": 180, "detection": 18, "separation": 6, "weak": 24}
    assert found.ratio == pytest.approx(24 / 180)
    assert found.buys == {"segmentation": 40, "detection": 400, "separation": 1200, "weak": 300}
    assert found.missing == {"segmentation": 1, "detection": 0, "separation": 1}
    assert "testing" not in found.spent


def test_absent_classes_and_overhead_cost_time(data):
    content = json.loads((data / "datalist.json").read_text())
    content["classes"].append("never seen")
    content["validation"] = []
    (data / "datalist.json").write_text(json.dumps(content))
    found = annotation_budget(data, AnnotationCosts(strong=0, inner=0, scribble=0, absent=5, image=7))
    # each label costs 7, each label of classes 5 more for the one that is not there
    assert {kind: cost.seconds for kind, cost in found.spent["training"].items()} == {
        "segmentation": 12,
        "detection": 24,
        "separation": 7,
    }


def test_what_is_not_known_is_not_priced(data):
    content = json.loads((data / "datalist.json").read_text())
    for item in content["training"]:
        item.pop("separation", None)
    (data / "datalist.json").write_text(json.dumps(content))
    found = annotation_budget(data, COSTS)
    assert found.per_image["separation"] is found.per_image["weak"] is found.ratio is None
    assert any("no image has interface scribbles" in note for note in found.notes)
    assert "sixth" not in format_budget(found)


def test_table(data):
    text = format_budget(annotation_budget(data, COSTS, hours=2))
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert "4 min for 1 (4)" in rows["training"]
    assert "7 min for 2 (7)" in rows["total"]
    assert "what 2 h more would buy" in text
    assert "exact masks: 3 to draw, 3 min; buys 40.0 images; 1 training image has none" in text
    assert "Weak labels of an image cost 1/7.5 of its exact mask: at most the sixth" in text


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_bad_hours(data, hours):
    with pytest.raises(LazyLabelsError, match="must be a positive number"):
        annotation_budget(data, hours=hours)
