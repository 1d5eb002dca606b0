"""Which image trains, validates and tests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.building.splits import ImageToPlace, draw_sections, notes_on_splits, same_pixels_apart


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


def test_rough_marks_validate_where_no_image_has_an_exact_mask():
    drawn = draw_sections([ImageToPlace(str(i), None, str(i), 0) for i in range(10)], 0.2, 0, 0)
    assert list(drawn.values()).count("validation") == 2
    assert set(draw_sections([ImageToPlace("a", None, "a", 0)], 0, 0, 0).values()) == {"training"}


def test_the_draw_goes_by_content_not_by_name():
    """Fresh draws of a folder whose images were renamed are the same."""
    digests = [f"{i:032x}" for i in range(9)]
    first = draw_sections([ImageToPlace(f"a{d}", None, d, 3) for d in digests], 0.3, 0.2, 0)
    second = draw_sections([ImageToPlace(f"{9 - i}", None, d, 3) for i, d in enumerate(digests)], 0.3, 0.2, 0)
    assert [first[f"a{d}"] for d in digests] == [second[f"{9 - i}"] for i in range(9)]


@settings(max_examples=150, deadline=None)
@given(
    days=st.lists(st.lists(st.integers(0, 11), min_size=2, max_size=14), min_size=2, max_size=8),
    ranks=st.lists(st.integers(0, 3), min_size=5, max_size=17),
    share=st.sampled_from([0.2, 0.5, 0.1, 1, 2, 0]),
    test=st.sampled_from([0, 0.2, 1]),
    seed=st.integers(0, 3),
)
def test_no_image_ever_changes_sides(days, ranks, share, test, seed):
    """Images come, also several times, go and come back, by any shares and masks: a content stands where it first stood."""
    stood: dict[str, str] = {}
    for day in days:
        images = [
            ImageToPlace(f"n{k}", None, str(i), ranks[(i + k) % len(ranks)], stood.get(str(i))) for k, i in enumerate(day)
        ]
        try:
            drawn = draw_sections(images, share, test, seed)
        except BuildError:
            continue  # said, nothing was made
        for image in images:
            assert stood.setdefault(image.digest, drawn[image.name]) == drawn[image.name]
        assert "training" in drawn.values()
        notes_on_splits(images, drawn, {"validation": share, "testing": test}, "the last")


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(30)), share=st.sampled_from([0.1, 0.2, 0.4]), seed=st.integers(0, 5))
def test_shares_stay_near_what_was_asked_while_a_folder_grows(order, share, seed):
    stood: dict[str, str] = {}
    for n in range(2, 31):
        images = [ImageToPlace(f"{i}", None, str(i), 3, stood.get(str(i))) for i in order[:n]]
        stood.update(draw_sections(images, share, 0, seed))
        assert list(stood.values()).count("validation") == max(1, int(n * share + 0.5))


def test_folders_win_over_what_was_and_it_is_said():
    pool = [
        ImageToPlace("a", "training", "a", 3, "validation"),
        ImageToPlace("b", "validation", "b", 3, "training"),
        ImageToPlace("c", "training", "c", 3, "training"),
    ]
    drawn = draw_sections(pool, 0.5, 0, 0)
    assert drawn == {"a": "training", "b": "validation", "c": "training"}
    notes = notes_on_splits(pool, drawn, {"validation": 0.5, "testing": 0}, "'old'")
    assert any("'b' had to train before" in note and "has seen it" in note for note in notes)


def test_what_is_kept_against_the_shares_asked_for_is_said():
    pool = [ImageToPlace(str(i), None, str(i), 3, "validation" if i < 2 else "training") for i in range(10)]
    shares = {"validation": 0, "testing": 0}
    drawn = draw_sections(pool, 0, 0, 0)
    assert list(drawn.values()).count("validation") == 2
    assert "2 images validate where --validation 0 asks for 0" in " ".join(notes_on_splits(pool, drawn, shares, "'old'"))
    notes = notes_on_splits(pool, draw_sections(pool, 0.5, 0, 0), {**shares, "validation": 0.5}, "'old'")
    assert "2 images validate where 5 would" in " ".join(notes)


def test_a_copy_of_a_validating_image_validates():
    pool = [ImageToPlace(str(i), None, str(i), 3, "validation" if i == 0 else "training") for i in range(5)]
    drawn = draw_sections([*pool, ImageToPlace("copy", None, "0", 3)], 0.2, 0, 0)
    assert drawn["copy"] == "validation"


def test_one_content_in_two_folders_stays_where_it_is_held_out():
    pool = [
        ImageToPlace("a", "training", "x", 3),
        ImageToPlace("b", "validation", "x", 3),
        ImageToPlace("c", "training", "c", 3),
        ImageToPlace("d", "testing", "x", 3),
    ]
    assert same_pixels_apart(pool) == {"a": "d", "b": "d"}
    assert same_pixels_apart([ImageToPlace("a", None, "x", 3), ImageToPlace("b", None, "x", 3)]) == {}


def test_nothing_left_to_train_on_is_said():
    pool = [ImageToPlace(str(i), None, str(i), 3, "validation") for i in range(2)]
    with pytest.raises(BuildError, match="--keep-splits none"):
        draw_sections(pool, 0.2, 0, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([None, "training", "validation"])), min_size=2, max_size=12
    ),
    st.sampled_from([1, 2, 3, 0.2, 0.5]),
    st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_predictions_that_nobody_changed_are_held_out_after_all_that_people_made(images, validation, seed):
    pool = [ImageToPlace(str(i), None, str(i), rank, old, predicted) for i, (rank, predicted, old) in enumerate(images)]
    try:
        drawn = draw_sections(pool, validation, 0, seed)
    except BuildError as error:
        assert "ask for fewer" in str(error) or all(c.earlier == "validation" for c in pool)  # noqa: PT017
        return
    joined = [c for c in pool if drawn[c.name] == "validation" and c.earlier is None]
    made = [c for c in pool if c.rank and not c.predicted]
    old = [c for c in pool if c.earlier == "validation"]
    assert joined or any(c.earlier for c in pool)
    if any(c.predicted for c in joined):
        assert all(c in joined or c.earlier for c in made)
    if isinstance(validation, float) and made:
        assert all(c in made for c in joined)
        assert not joined or len(joined) + len(old) <= max(1, len(made) // 2)


def test_a_share_for_testing_takes_no_predictions_where_the_masks_of_people_validate():
    pool = [ImageToPlace(str(i), None, str(i), 3, None, i > 0) for i in range(10)]
    with pytest.raises(BuildError, match=r"no image is left for testing .* --test 0"):
        draw_sections(pool, 0.2, 0.2, 0)
    assert list(draw_sections(pool, 0.2, 2, 0).values()).count("testing") == 2, "a count is taken at its word"
    drawn = draw_sections([*pool, ImageToPlace("mine", None, "mine", 3)], 0.2, 0.2, 0)
    assert {name for name, section in drawn.items() if section != "training"} == {"0", "mine"}
