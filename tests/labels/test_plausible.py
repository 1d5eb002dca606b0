"""What a map of ids or classes looks like: mistakes are named, real maps are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as connected

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.images.files import read_label
from lazylabels_monai.labels.plausible import look_at, suspect_classes, suspect_ids
from tests.labels.mistaken import MISTAKEN, RESAMPLING, binary, objects, resized, swapped, touching


def codes(suspicions):
    return {(suspicion.code, suspicion.sure) for suspicion in suspicions}


@pytest.mark.parametrize("count", [1, 4], ids=["one map", "four maps"])
@pytest.mark.parametrize(("make", "code", "sure"), MISTAKEN.values(), ids=MISTAKEN)
def test_what_is_no_map_of_ids(make, code, sure, count):
    suspicions = suspect_ids([look_at(make(objects(seed))) for seed in range(count)])
    assert codes(suspicions) == {(code, sure)}
    assert [suspicion.index for suspicion in suspicions] == list(range(count))


def test_ids_that_went_around():
    """300 objects in 8 bits: those from 256 on have the numbers of the first."""
    ids = np.kron(np.arange(1, 301).reshape(15, 20), np.pad(np.ones((6, 6), int), 1))
    assert suspect_ids([look_at(ids)]) == []
    (suspicion,) = suspect_ids([look_at(ids % 256)])
    assert (suspicion.code, suspicion.sure) == ("ids-pieces", False)
    assert suspicion.what == "44 of 255 ids in two pieces or more"


def test_pieces_are_those_of_skimage():
    ids = np.where(objects() % 3 == 1, 5, objects())
    look = look_at(ids)
    expected = [connected(ids == value, connectivity=2).max() for value in look.values]
    assert look.pieces.tolist() == expected
    assert look.areas.tolist() == [np.count_nonzero(ids == value) for value in look.values]
    assert look.parts == sum(expected)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000), st.sampled_from([objects, touching]), st.sampled_from(["as is", "any numbers", "cut off", "one only"])
)
def test_ids_of_any_numbers_are_believed(seed, make, change):
    ids = make(seed)
    if change == "any numbers":
        ids = np.append(0, np.random.default_rng(seed).permutation(60000)[: ids.max()] + 1)[ids]
    elif change == "cut off":
        ids = ids[20:70, 30:90]
    elif change == "one only":
        ids = np.where(ids == ids.max(), ids, 0)
    assert suspect_ids([look_at(ids)]) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_classes_are_believed(seed, count):
    maps = [np.where(made > 0, 1 + made % count, 0) for made in (touching(seed + k, count=40) for k in range(3))]
    assert suspect_classes([look_at(made) for made in maps], named=False) == []


@pytest.mark.parametrize("named", [True, False])
def test_ids_where_classes_belong(named):
    looks = [look_at(objects(seed, count=5 + seed)) for seed in range(4)]
    suspicions = suspect_classes(looks, named)
    assert codes(suspicions) == {("classes-ids", not named)}
    assert len(suspicions) == 4


def test_named_classes_of_one_piece_each_are_classes():
    """Four parts of an animal, each once in every image."""
    looks = [look_at(objects(seed, count=4)) for seed in range(4)]
    assert suspect_classes(looks, named=True) == []
    assert codes(suspect_classes(looks, named=False)) == {("classes-ids", True)}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("anti-aliased", "label-smoothed"),
        ("halved", "label-smoothed"),
        ("enlarged", "label-smoothed"),
        ("JPEG, fine", "label-smoothed"),
        ("the picture", "label-picture"),
    ],
)
def test_what_is_no_map_of_classes(name, code):
    suspicions = suspect_classes([look_at(MISTAKEN[name][0](objects(seed))) for seed in range(3)], named=True)
    assert codes(suspicions) == {(code, True)}


def test_three_classes_resized_with_smoothing():
    classes = np.where(objects() > 0, 2, 0)
    for factor in (0.7, 2.0):
        (suspicion,) = suspect_classes([look_at(resized(classes, factor, RESAMPLING.BILINEAR))], named=True)
        assert (suspicion.code, suspicion.sure) == ("label-smoothed", False)  # a border of one pixel may be a class


def test_classes_without_a_background_at_0():
    looks = [look_at(binary(objects(seed), 1) + 1) for seed in range(3)]
    assert codes(suspect_classes(looks, named=True)) == {("classes-background", False)}


def test_one_object_around_others_is_no_background_unless_most_maps_have_it():
    looks = [look_at(swapped(objects(0))), *(look_at(objects(seed)) for seed in range(1, 4))]
    assert suspect_ids(looks) == []


def test_ids_of_a_volume():
    ids = np.repeat(objects()[None], 4, 0)
    assert suspect_ids([look_at(ids)]) == []
    assert codes(suspect_ids([look_at((ids > 0).astype(np.uint8))])) == {("ids-binary", True)}


@pytest.mark.parametrize("label", [np.zeros((40, 50), np.uint8), np.ones((40, 50), np.uint8), np.full((1, 1), 7)])
def test_maps_of_one_value_are_nobodys_fault(label):
    assert suspect_ids([look_at(label)]) == suspect_classes([look_at(label)], named=False) == []


@pytest.mark.parametrize("seed", range(6))
def test_built_in_images_raise_no_suspicion(seed):
    made = make_image((128, 160), (seed,), (5 + 2 * seed, 9 + 3 * seed))
    ids, classes = look_at(made["instances"]), look_at(made["classes"])
    assert suspect_ids([ids]) == suspect_classes([classes], named=True) == []


#: Of each public set its id maps, and every how many of them is looked at; docs/checking.md has the counts of all.
SETS = {
    "emps": ("emps/*/masks/*.png", 15),
    "glas": ("glas/*/masks/*.png", 12),
    "nuclei_fluo": ("nuclei_fluo/*/masks/*.png", 25),
    "powder": ("powder/*/masks/*.png", 2),
    "human_lazy": ("human_lazy/*/*sparse*/*.png", 1),
}


@pytest.mark.real_data
@pytest.mark.parametrize(("pattern", "step"), SETS.values(), ids=SETS)
def test_real_ids_raise_no_suspicion_but_as_anything_else(data_root, pattern, step):
    maps = [read_label(path) for path in sorted(data_root.glob(pattern))[::step]]
    assert maps
    assert suspect_ids([look_at(ids) for ids in maps]) == []
    assert [suspicion for ids in maps for suspicion in suspect_ids([look_at(ids)])] == []
    several = [ids for ids in maps if np.unique(ids).size > 6]
    assert several
    wrong = suspect_classes([look_at(ids) for ids in several], named=False)
    assert 2 * len(wrong) > len(several)


@pytest.mark.real_data
def test_real_classes_raise_no_suspicion_but_as_ids(data_root):
    looks = [look_at(read_label(path)) for path in sorted(data_root.glob("superalloy/*/classes/*.png"))[::3]]
    assert len(looks) == 6
    assert suspect_classes(looks, named=False) == []
    assert len(suspect_ids(looks)) == 6
