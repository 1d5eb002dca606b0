"""Pictures of the objects to check."""

from __future__ import annotations

import shutil

import numpy as np

from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.report import make_report
from lazylabels_monai.report.gallery import object_colours


def test_objects_in_contact_differ_in_colour():
    ids = np.kron(np.arange(1, 145).reshape(12, 12), np.ones((4, 4), int))  # each touches the one 12 further, too
    colours = object_colours(ids)
    for a, b in touching_pairs(ids):
        assert colours[a] != colours[b], (a, b)
    assert set(colours[1:]) == set(range(12))
    assert object_colours(np.zeros((3, 4), int)).tolist() == [0]


def test_pictures_are_limited_in_number_and_side(made, tmp_path):
    shutil.copytree(made / "pred", tmp_path / "pred")
    text = make_report(tmp_path / "pred", images=made / "images", max_images=2, max_objects=5, longest_side=60).read_text()
    assert text.count("aspect-ratio: 60 / 48") == 2
    assert "2 of 3 images" in text
    assert text.count("<li><img") == 5
