"""Objects that a person corrected stay, whatever the network answers afterwards, and are there again later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.correcting import erase, join, line_of, outline, relabel, split
from lazylabels_monai.interactive.kept import (
    GONE,
    Kept,
    accepted,
    kept_after,
    nothing_kept,
    over,
    read_kept,
    taken_back,
    write_kept,
)

SHAPE = (40, 60)
ids_of = hnp.arrays(np.int32, (7, 9), elements=st.integers(0, 4))


def scene() -> np.ndarray:
    """Three objects in a row, the first of them wide."""
    objects = np.zeros(SHAPE, np.int32)
    objects[5:15, 4:30], objects[5:15, 34:44], objects[25:35, 10:20] = 1, 2, 3
    return objects


CLASSES = np.array([0, 1, 2, 1])


def kept_of(correction, before=None, kept=None) -> Kept:
    before = scene() if before is None else before
    classes = np.r_[CLASSES, np.zeros(10, int)]
    classes[list(correction.classes)] = list(correction.classes.values())
    return kept_after(kept or nothing_kept(SHAPE), before, correction.objects, classes, correction.classes)


def masks(objects, classes) -> set[tuple[bytes, int]]:
    """Objects without their ids."""
    return {((objects == n).tobytes(), int(classes[n])) for n in np.unique(objects[objects > 0])}


def moved(objects: np.ndarray) -> np.ndarray:
    """A later answer of the network: the same things, a little elsewhere, with other ids."""
    later = np.roll(objects, 1, axis=1)
    return np.where(later > 0, 5 - later, 0).astype(np.int32)


MADE = {
    "split": lambda: split(scene(), line_of([(2, 17), (18, 17)], SHAPE), CLASSES),
    "join": lambda: join(scene(), line_of([(10, 20), (10, 40)], SHAPE), CLASSES),
    "erase": lambda: erase(scene(), scene() == 3),
    "relabel": lambda: relabel(scene(), scene() == 1, 2),
    "outline": lambda: outline(scene(), 2, np.indices(SHAPE)[1] // 10 == 4, 1),
    "outline of a new one": lambda: outline(scene(), 4, (np.indices(SHAPE) // 10 == [[[3]], [[4]]]).all(0), 2),
}


@pytest.mark.parametrize("tool", MADE)
def test_what_a_person_made_is_there_after_another_answer(tool):
    correction = MADE[tool]()
    kept = kept_of(correction)
    _, shown, classes = over(kept, moved(scene()), np.array([0, 0, 1, 2, 1]))
    made = {number: correction.objects == number for number in correction.classes}
    for number, mask in made.items():
        assert (mask.tobytes(), correction.classes[number]) in masks(shown, classes)
    if tool == "erase":
        assert not shown[(scene() == 3) & ~(np.roll(scene(), 1, axis=1) == 2)].any()
    # of the thing that was corrected nothing of the network's is left beside it
    expected = {"split": 4, "join": 2, "erase": 2, "relabel": 3, "outline": 3, "outline of a new one": 4}[tool]
    assert len(masks(shown, classes)) == expected


def test_the_network_decides_about_all_others():
    kept = kept_of(erase(scene(), scene() == 3))
    later = np.zeros(SHAPE, np.int32)
    later[5:15, 4:16], later[20:24, 40:50], later[26:36, 11:21] = 7, 2, 1
    _, shown, classes = over(kept, later, np.array([0, 1, 2, 0, 0, 0, 0, 1]))
    assert masks(shown, classes) == {((later == 7).tobytes(), 1), ((later == 2).tobytes(), 2)}


def test_what_reaches_into_a_kept_object_is_cut_off():
    kept = kept_of(relabel(scene(), scene() == 1, 2))
    later = np.zeros(SHAPE, np.int32)
    later[5:15, 25:55] = 1
    _, shown, classes = over(kept, later, np.array([0, 1]))
    assert masks(shown, classes) == {((scene() == 1).tobytes(), 2), (((later == 1) & (scene() != 1)).tobytes(), 1)}


def test_corrections_of_corrected_objects():
    """Split, then one of the pieces erased, then the other one of another class."""
    first = split(scene(), line_of([(2, 17), (18, 17)], SHAPE), CLASSES)
    kept = kept_of(first)
    second = erase(first.objects, first.objects == 4)
    kept = kept_of(second, first.objects, kept)
    assert set(np.unique(kept.ids)) == {GONE, 0, 1}
    assert (kept.ids == GONE).sum() == (first.objects == 4).sum()
    third = relabel(second.objects, second.objects == 1, 2)
    kept = kept_of(third, second.objects, kept)
    _, shown, classes = over(kept, scene(), CLASSES)
    assert masks(shown, classes) >= {((first.objects == 1).tobytes(), 2)}
    assert not shown[first.objects == 4].any()
    again = outline(third.objects, 9, first.objects == 4, 1)
    kept = kept_of(again, third.objects, kept)
    assert not (kept.ids == GONE).any()


@given(ids_of, ids_of, ids_of)
def test_all_of_an_accepted_picture_stays_and_nothing_is_added(objects, corrected, later):
    classes = np.arange(5) % 3
    kept = accepted(objects, classes)
    assert kept.everything
    _, shown, found = over(kept, later, classes)
    assert masks(shown, found) == masks(objects, classes)
    _, shown, found = over(kept_after(kept, objects, corrected, classes, ()), later, classes)
    assert masks(shown, found) == masks(corrected, classes)


@pytest.mark.parametrize("tool", MADE)
def test_a_correction_is_taken_back_among_objects_of_other_ids(tool):
    """Another object came meanwhile."""
    correction = MADE[tool]()
    before = np.r_[CLASSES, np.zeros(10, int)]
    after = before.copy()
    after[list(correction.classes)] = list(correction.classes.values())
    now, classes = np.where(correction.objects > 0, 9 - correction.objects, 0).astype(np.int32), np.zeros(10, int)
    for number in np.unique(correction.objects[correction.objects > 0]):
        classes[9 - number] = after[number]
    added = np.indices(SHAPE)[1] >= 56
    now[added], classes[9] = 9, 2
    shown, found = taken_back((scene(), before), (correction.objects, after), (now, classes))
    assert masks(shown, found) == masks(scene(), CLASSES) | {(added.tobytes(), 2)}


@given(hnp.arrays(np.int32, (7, 9), elements=st.integers(GONE, 4)), ids_of)
def test_ids_that_are_shown_are_dense_and_those_of_what_is_kept(ids, later):
    kept, shown, classes = over(Kept(ids, np.array([0, 1, 2, 1, 2])), later, np.array([0, 1, 1, 2, 2]))
    there = np.unique(shown[shown > 0])
    if ids.any():
        np.testing.assert_array_equal(there, np.arange(1, len(there) + 1))
        assert len(classes) == len(there) + 1
        assert classes[1:].all()
        np.testing.assert_array_equal(shown[ids > 0], kept.ids[ids > 0])
        np.testing.assert_array_equal(kept.ids == GONE, ids == GONE)
        again, same, same_classes = over(kept, later, np.array([0, 1, 1, 2, 2]))
        np.testing.assert_array_equal(same, shown)
        np.testing.assert_array_equal(again.ids, kept.ids)
        np.testing.assert_array_equal(same_classes, classes)
    else:
        assert shown is later


# ------------------------------------------------------------------------------------------------- files


@given(kept=st.builds(Kept, hnp.arrays(np.int32, (7, 9), elements=st.integers(GONE, 4)), st.just(np.array([0, 1, 2, 1, 2]))))
def test_there_and_back(tmp_path_factory, kept):
    project = tmp_path_factory.mktemp("project")
    write_kept(project / "corrected" / "a.npz", kept, project)
    found = read_kept(project / "corrected" / "a.npz", (7, 9))
    np.testing.assert_array_equal(found.ids, kept.ids)
    if not kept.nothing:
        np.testing.assert_array_equal(found.classes, kept.classes)


def test_without_anything_to_keep_there_is_no_file(tmp_path):
    file = tmp_path / "corrected" / "a.npz"
    write_kept(file, accepted(scene(), CLASSES), tmp_path)
    write_kept(file, nothing_kept(SHAPE), tmp_path)
    assert not file.exists()
    assert read_kept(file, SHAPE).nothing


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 and then nothing", "other arrays", "other size", "pickled"])
def test_a_file_that_is_no_such_is_said_and_not_lost(tmp_path, content):
    file = tmp_path / "corrected" / "a.npz"
    file.parent.mkdir()
    if content == "other arrays":
        np.savez(file, x=np.zeros(3))
    elif content == "other size":
        write_kept(file, accepted(np.ones((3, 3), np.int32), np.array([0, 1])), tmp_path)
    elif content == "pickled":
        np.savez(file, ids=np.array([{}], object), classes=np.zeros(1, int))
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(LazyLabelsError, match=r"a\.npz.*the prediction is shown") as caught:
        read_kept(file, SHAPE)
    assert "\n" not in str(caught.value)
    write_kept(file, accepted(scene(), CLASSES), tmp_path)
    assert read_kept(file, SHAPE).everything
    assert [copy.read_bytes() for copy in (tmp_path / "replaced" / "corrected").glob("*")] == [before]
