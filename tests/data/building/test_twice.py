from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lazylabels_monai.data.building.twice import Outlined, drawn_twice


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2, st.integers(1, 2)), max_size=12))
def test_pairs_are_those_of_a_plain_search(boxes):
    made = [Outlined(c, Path("a"), str(n), (slice(y, y + h), slice(x, x + w)), np.ones((h, w), bool)) for n, (y, x, h, w, c) in
            enumerate(boxes)]  # fmt: skip
    expected = set()
    for (n, a), (m, b) in combinations(enumerate(boxes), 2):
        pixels = [{(y, x) for y in range(top, top + h) for x in range(left, left + w)} for top, left, h, w, _ in (a, b)]
        share = len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])
        if a[4] == b[4] and 0.5 < share < 1:
            expected.add(frozenset((str(n), str(m))))
    assert {frozenset((pair.id, pair.second_id)) for pair in drawn_twice(made)} == expected
