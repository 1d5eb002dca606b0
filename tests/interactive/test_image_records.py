"""Splits, seconds and ticks of images."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.datalist import DatalistError
from tests.interactive.folders import NONE, again, listed, stroke


def test_splits_times_and_ticks_last(project, folder):
    first, second = project.images[:2]
    project.records.set_section(first, "validation")
    project.labels.save(first, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.labels.save(second, "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    project.records.set_section(second, "testing")
    project.records.spend(first, 3.5, "detection")
    project.records.spend(first, 1.5)
    project.records.note_predicted(second)
    project.records.note_corrected(second, ["separation"])
    project.finish(second)
    assert [len(listed(folder)[section]) for section in ("training", "validation", "testing")] == [0, 1, 1]
    with again(project) as other:
        first, second, third = other.entry("images/a.png"), other.entry("images/b.png"), other.entry("images/c.png")
        assert (first.section, second.section, third.section) == ("validation", "testing", "training")
        assert first.seconds == 5.0
        assert second.finished
        assert second.predicted
        assert second.corrected == {"separation"}
    with pytest.raises(DatalistError, match="nowhere"):
        project.records.set_section(first, "nowhere")
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            project.records.spend(first, bad)
