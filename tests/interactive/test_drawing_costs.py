"""A person's own seconds in the place of the published ones."""

from __future__ import annotations

import pytest

from lazylabels_monai.interactive.drawing_costs import measured_costs
from tests.interactive.folders import NONE, stroke


def test_a_persons_own_seconds_are_fitted(project):
    """Seconds of a task over what was drawn; classes that are not there cost their second."""
    regions = NONE
    for number in range(6):
        regions = stroke(regions, 1 + number % 2, (4, 2 + 8 * number, 10, 7 + 8 * number))
    assert measured_costs(project).inner == 10.9
    project.labels.save(project.images[0], "detection", regions)
    project.records.spend(project.images[0], 24.0, "detection")
    project.records.spend(project.images[0], 100.0)
    costs = measured_costs(project)
    assert costs.inner == pytest.approx(4.0)
    assert (costs.strong, costs.scribble) == (79.0, 2.4)
