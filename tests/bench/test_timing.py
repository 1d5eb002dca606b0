"""Calls in turn, and what is made of their seconds."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench.timing import Times, interleaved


def test_calls_take_turns_after_one_warm_up_of_each():
    order = []
    times = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3)
    assert order == ["a", "b"] * 4
    assert {name: (len(taken.wall), len(taken.cpu)) for name, taken in times.items()} == {"a": (3, 3), "b": (3, 3)}


def test_a_ratio_is_taken_repeat_by_repeat():
    # a busy second repeat doubles both: the ratio does not see it
    mine, theirs = Times((2.0, 4.0, 2.0), (2.0, 4.0, 3.0)), Times((1.0, 2.0, 1.0), (1.0, 2.0, 1.0))
    assert mine.ratio_to(theirs) == (2.0, 2.0, 3.0)
    assert mine.median_wall == 2.0
    assert mine.median_cpu == 3.0


def test_ratios_of_different_numbers_of_repeats_are_refused():
    with pytest.raises(ValueError, match="argument 2"):
        Times((1.0,), (1.0,)).ratio_to(Times((1.0, 1.0), (1.0, 1.0)))


def test_no_repeat_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        interleaved({}, repeats=0)
