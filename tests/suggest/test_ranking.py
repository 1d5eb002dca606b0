"""Which label comes first: costs by hand, ranking, diversity."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.suggest import rank
from tests.suggest.faked import candidate


def order(ranked):
    return [(s.image, s.task) for s in ranked]


def test_the_most_uncertainty_per_second_comes_first():
    ranked = rank([candidate("a", 10, 10), candidate("b", 30, 100), candidate("c", 6, 2, task="separation")])
    assert order(ranked) == [("c", "separation"), ("a", "segmentation"), ("b", "segmentation")]
    assert [s.rank for s in ranked] == [1, 2, 3]
    assert [s.gain_per_second for s in ranked] == pytest.approx([3, 1, 0.3])
    assert [s.label for s in ranked] == ["interface scribbles", "exact masks", "exact masks"]


def test_hours_are_filled_by_what_still_fits():
    ranked = rank(
        [candidate("a", 90, 30), candidate("b", 80, 40), candidate("c", 7, 6), candidate("d", 0, 1)], hours=36.5 / 3600
    )
    assert [(s.image, s.planned) for s in ranked] == [("a", True), ("b", False), ("c", True), ("d", False)]


def test_a_copy_comes_last_and_is_not_planned():
    pool = [candidate("a", 10, 1, [1, 5]), candidate("copy", 9, 1, [1, 5]), candidate("other", 2, 1, [4, 2])]
    ranked = rank(pool)
    assert [s.image for s in ranked] == ["a", "other", "copy"]
    assert (ranked[2].similarity, ranked[2].score, ranked[2].planned) == (1.0, 0.0, False)
    assert ranked[1].similarity == 0.0
    assert [s.image for s in rank(pool, diversity=0)] == ["a", "copy", "other"]
    half = rank(pool, diversity=0.5)
    assert [s.image for s in half] == ["a", "copy", "other"]
    assert half[1].score == pytest.approx(4.5)


def test_similarity_is_the_cosine_of_standardised_features():
    table = np.array([[0, 0, 7], [2, 4, 7], [4, 2, 7], [6, 6, 7]], float)
    ranked = rank([candidate(str(i), 10 - i, 1, row) for i, row in enumerate(table)])
    z = (table[:, :2] - table[:, :2].mean(0)) / table[:, :2].std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    cosine = np.clip(z @ z.T, 0, 1)
    chosen = []
    for s in ranked:
        i = int(s.image)
        assert s.similarity == pytest.approx(max((cosine[i, j] for j in chosen), default=0.0), abs=1e-4)
        chosen.append(i)


def test_another_label_of_the_same_image_is_no_copy():
    pool = [candidate("a", 10, 1, [1, 5]), candidate("a", 9, 1, [1, 5], task="detection"), candidate("b", 2, 1, [4, 2])]
    assert order(rank(pool)) == [("a", "segmentation"), ("a", "detection"), ("b", "segmentation")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hours": 0}, "hours 0 must be a positive number"),
        ({"diversity": 1.5}, "diversity 1.5 must lie between 0 and 1"),
        ({"candidates": [candidate("a", 1, 0)]}, "exact masks of 'a' would cost 0 s"),
    ],
)
def test_ranking_refuses(change, message):
    with pytest.raises(LazyLabelsError, match=message):
        rank(**{"candidates": [candidate("a", 1, 1)], **change})
