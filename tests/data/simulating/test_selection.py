"""Which images get which label: counts, shares, hours."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.simulating.selection import fitting, hours_of_work, image_count


@pytest.mark.parametrize(
    ("value", "total", "count"),
    [
        *[(1, 10, 1), (1.0, 10, 1), ("1", 10, 1), ("1.0", 10, 1), (10, 10, 10), (0, 10, 0)],
        *[(0.1, 10, 1), ("0.25", 20, 5), (0.01, 10, 1), (0.75, 20, 15), (0.999, 10, 10), ("all", 7, 7)],
    ],
)
def test_image_count(value, total, count):
    assert image_count(value, total, "strong") == count


@pytest.mark.parametrize(
    ("value", "hours"),
    [("2.5h", 2.5), ("3 H", 3.0), ("0h", 0.0), ("h", None), ("-1h", None), ("infh", None), ("3", None), (3, None)],
)
def test_hours_of_work(value, hours):
    assert hours_of_work(value) == hours


@pytest.mark.parametrize(
    ("costs", "budget", "chosen"),
    [
        ([3, 3, 3], 7, [0, 1]),
        ([3, 9, 3, 1], 7, [0, 2]),  # the second takes longer than is left; then less is left than half of the mean, 2
        ([3, 9, 3, 1], 8, [0, 2, 3]),
        ([5, 5], 4, []),
        ([], 4, []),
    ],
)
def test_fitting_stays_within_the_budget(costs, budget, chosen):
    assert fitting([str(i) for i in range(len(costs))], lambda name: costs[int(name)], budget) == [str(i) for i in chosen]


@pytest.mark.parametrize("value", [-1, 2.5, "many", float("nan"), None, 11])
def test_ill_image_count(value):
    with pytest.raises(ValueError, match="strong"):
        image_count(value, 10, "strong")
