"""Which image trains, validates and tests."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.building.splits import ImageToPlace, draw_sections


def test_validation_is_drawn_from_the_best_masks_and_leaves_half_to_training():
    pool = [ImageToPlace(f"{i:02}", None, str(i), 3 if i in (4, 7, 9) else 0) for i in range(20)]
    drawn = draw_sections(pool, 0.2, 0, 0)
    chosen = {name for name, section in drawn.items() if section == "validation"}
    assert len(chosen) == 1
    assert chosen <= {"04", "07", "09"}
    assert drawn == draw_sections(pool[::-1], 0.2, 0, 0)
    assert len({frozenset(draw_sections(pool, 0.2, 0, seed).items()) for seed in range(8)}) > 1
    sections = list(draw_sections([ImageToPlace(str(i), None, str(i), 3) for i in range(10)], 0.2, 0.3, 0).values())
    # the share for testing is one of what validation left
    assert [sections.count(s) for s in ("training", "validation", "testing")] == [6, 2, 2]


def test_images_with_the_same_pixels_stay_together():
    pool = [ImageToPlace(str(i), None, str(i // 2), 3) for i in range(8)]
    for seed in range(6):
        drawn = draw_sections(pool, 2, 0, seed)
        assert all(drawn[str(2 * i)] == drawn[str(2 * i + 1)] for i in range(4))
        assert list(drawn.values()).count("validation") == 2


def test_folders_decide_where_they_are_there():
    pool = [
        ImageToPlace("a", "training", "a", 3),
        ImageToPlace("b", "training", "b", 3),
        ImageToPlace("c", "validation", "c", 0),
    ]
    assert draw_sections(pool, 0.5, 0, 0) == {"a": "training", "b": "training", "c": "validation"}


@pytest.mark.parametrize(
    ("ranks", "validation", "said"),
    [
        ([0, 0], 0.2, "none of the 2 images has an exact mask"),
        ([3], 0.2, "is the only image"),
        ([3, 3], 2, "ask for fewer"),
        ([3, 0, 0], 2, "ask for fewer"),
        ([3, 3], "many", "--validation many must be"),
        ([3, 3], 1.5, "--validation 1.5 must be"),
        ([3, 3], -1, "--validation -1 must be"),
    ],
)
def test_a_split_that_cannot_be_drawn(ranks, validation, said):
    with pytest.raises(BuildError, match=said):
        draw_sections([ImageToPlace(str(i), None, str(i), rank) for i, rank in enumerate(ranks)], validation, 0, 0)


def test_images_of_one_content_cannot_be_split():
    with pytest.raises(BuildError, match="same pixels"):
        draw_sections([ImageToPlace("a", None, "x", 3), ImageToPlace("b", None, "x", 3)], 1, 0, 0)
