"""Numbers and options as the page shows them."""

from __future__ import annotations

import re

import pytest

from lazylabels_monai.report.numbers import number, unbroken


def test_no_line_ends_inside_an_option():
    shown = unbroken("a --pixel-size <b> non--option")
    assert shown == 'a <span class="option">--pixel-size</span> &lt;b&gt; non--option'


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((0.123456,), "0.123"),
        ((99.96,), "100"),
        ((12.345, 3), "12.3"),
        ((0.5, 3, 0, 100), "50"),
        ((0.0,), "0.00"),
        ((-1.5,), "\N{MINUS SIGN}1.50"),
        ((2.5e-7,), "2.50·10⁻⁷"),
        ((1094, 3, 0), "1094"),
        ((float("nan"),), "–"),
        ((None,), "–"),
    ],
)
def test_numbers_for_readers(arguments, shown):
    assert re.sub(r"<[^>]+>", "", number(*arguments)) == shown
