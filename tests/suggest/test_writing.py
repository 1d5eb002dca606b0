"""The table of suggestions."""

from __future__ import annotations

from lazylabels_monai.suggest import format_suggestions, rank
from tests.suggest.faked import candidate


def test_table_names_what_fits():
    from lazylabels_monai.suggest import Suggestions

    text = format_suggestions(Suggestions(rank([candidate("x/a.png", 10, 90), candidate("b.png", 1, 5000)], 1.0), 1.0), top=1)
    assert "a.png" in text
    assert "b.png" not in text
    assert "In 1 h: exact masks of 1 (1 image), 90 s in all." in text
