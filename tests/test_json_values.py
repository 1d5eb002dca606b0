"""Values as JSON has them."""

from __future__ import annotations

from pathlib import Path

from lazylabels_monai.json_values import as_json, shown


def test_tuples_are_lists_and_what_json_does_not_know_is_text():
    assert as_json({"a": (1, 2.5), "b": None, 3: Path("x")}) == {"a": [1, 2.5], "b": None, "3": "x"}
    assert as_json((1, 2)) == as_json([1, 2])


def test_a_long_value_is_cut():
    assert shown({"a": 1}) == '{"a": 1}'
    assert shown("b" * 98) == f'"{"b" * 98}"'
    assert shown("b" * 99) == f'"{"b" * 96}...'
    assert len(shown(list(range(1000)))) == 100
