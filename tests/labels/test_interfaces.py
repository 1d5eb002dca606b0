"""Interfaces and scribbles against plain re-statements of their rules, and on any small map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lazylabels_monai.labels import interfaces as interfaces_module
from lazylabels_monai.labels import objects
from lazylabels_monai.labels.inner import STYLES, inner_regions
from lazylabels_monai.labels.interfaces import interface_labels, interfaces, scribbles, touching_pairs
from lazylabels_monai.labels.objects import (
    compact_instances,
    count_values,
    distinct_values,
)
from tests.labels.maps import blobs, border_of, discs, id_maps


def brute_force_pairs(instances, gap):
    """Smallest distance between any two pixels of two objects, one by one."""
    ids = [i for i in np.unique(instances) if i]
    points = {i: np.argwhere(instances == i) for i in ids}
    found = []
    for a, b in itertools.combinations(ids, 2):
        squared = ((points[a][:, None] - points[b][None]) ** 2).sum(axis=2).min()
        if squared < (gap + 2) ** 2:
            found.append([int(a), int(b)])
    return found


def straight_contact():
    instances = np.zeros((120, 60), np.int32)
    instances[:, :30], instances[:, 30:] = 1, 2
    return instances


def test_wobble_moves_a_scribble_smoothly_and_not_far():
    straight = straight_contact()
    line = scribbles(straight, 0, 3, wobble=4, rng=2).label
    middle = np.array([np.flatnonzero(row).mean() for row in line])
    assert np.abs(middle - 29.5).max() <= 4.6
    assert np.ptp(middle) > 2
    assert np.abs(np.diff(middle)).max() <= 1
    assert not np.array_equal(line, scribbles(straight, 0, 3, wobble=4, rng=3).label)
    assert np.array_equal(line, scribbles(straight, 0, 3, wobble=4, rng=2).label)


def test_share_of_the_interfaces():
    instances = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((20, 20), int))
    full = scribbles(instances, 0)
    previous = np.zeros(len(full.pairs), bool)
    for share, count in ((0, 0), (0.001, 1), (0.25, 18), (0.5, 36), (1, 72)):
        made = scribbles(instances, 0, share=share, rng=5)
        assert np.array_equal(made.pairs, full.pairs)
        assert made.drawn.sum() == count
        # A scribble is drawn in full, even where it meets one that is missing.
        assert np.array_equal(made.label == 1, np.isin(interface_labels(instances, 0)[0], np.flatnonzero(made.drawn) + 1))
        assert (made.drawn >= previous).all()
        previous = made.drawn
    assert not np.array_equal(scribbles(instances, 0, share=0.5, rng=5).drawn, scribbles(instances, 0, share=0.5, rng=6).drawn)


def test_interfaces_that_were_missed():
    instances = np.zeros((30, 60), np.int32)
    instances[:, :20], instances[:, 20:40], instances[:, 40:] = 1, 2, 3
    full = scribbles(instances, 0).label
    made = scribbles(instances, 0, share=0.5)
    left, right = (full * (np.arange(60) // 30 == k) for k in (0, 1))
    drawn, skipped = (left, right) if made.drawn[0] else (right, left)
    assert np.array_equal(made.label == 1, drawn == 1)
    assert np.array_equal(made.label == 255, ndimage.distance_transform_edt(skipped == 0) <= 2)
    overlooked = scribbles(instances, 0, share=0.5, missed="other").label
    assert np.array_equal(overlooked, drawn)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), gap=st.integers(0, 4))
def test_touching_pairs_equal_brute_force(seed, gap):
    instances = blobs(seed)
    assert touching_pairs(instances, gap).tolist() == brute_force_pairs(instances, gap)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), gap=st.integers(0, 2))
def test_touching_pairs_equal_brute_force_in_3d(seed, gap):
    instances = blobs(seed, (8, 9, 11), 5)
    assert touching_pairs(instances, gap).tolist() == brute_force_pairs(instances, gap)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), gap=st.integers(0, 3), thickness=st.integers(1, 5))
@example(seed=2388, gap=0, thickness=1)  # crowded: the pair's one pixel is looked for up to 2.5 pixels from the contact
def test_every_pair_has_a_scribble_near_both_objects(seed, gap, thickness):
    instances = blobs(seed)
    labels, pairs = interface_labels(instances, gap, thickness)
    assert labels.dtype == np.int32
    assert pairs.tolist() == touching_pairs(instances, gap).tolist()
    assert set(np.unique(labels)) - {0} == set(range(1, len(pairs) + 1))
    for label, (a, b) in enumerate(pairs, start=1):
        for index in (a, b):
            distance = ndimage.distance_transform_edt(instances != index)
            reach = thickness if (labels == label).sum() > 1 else max(thickness, 5)  # a single pixel may be a spare one
            assert distance[labels == label].max() <= (gap + 2) / 2 + reach / 2 + 1
    assert np.array_equal(interfaces(instances, gap, thickness), labels > 0)


def test_crowded_single_pixels_get_as_many_scribbles_as_fit():
    instances = np.arange(1, 10).reshape(3, 3)
    labels, pairs = interface_labels(instances, 0, 3)
    assert len(pairs) == labels.max() == np.unique(labels[labels > 0]).size <= 9
    allowed = {tuple(p) for p in touching_pairs(instances, 0).tolist()}
    assert {tuple(p) for p in pairs.tolist()} <= allowed


@pytest.mark.parametrize("between", [0, 1, 2, 3, 4])
def test_no_scribble_beyond_the_gap(between):
    instances = np.zeros((12, 30), np.int32)
    instances[2:10, 4:12] = 1
    instances[2:10, 12 + between : 22] = 2
    for gap in range(5):
        assert interfaces(instances, gap).any() == (between <= gap)


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5])
def test_thickness_along_a_straight_contact(thickness):
    instances = np.zeros((41, 50), np.int32)
    instances[:, :25], instances[:, 25:] = 1, 2
    line = interfaces(instances, 0, thickness)
    assert line.sum(axis=1)[5:-5].tolist() == [thickness] * 31
    columns = np.flatnonzero(line[20])
    assert columns.min() <= 24 + (thickness == 1)
    assert abs(columns.mean() - 24.5) <= 0.5


def test_scribble_runs_in_the_middle_of_a_gap():
    instances = np.zeros((30, 40), np.int32)
    instances[:, :18], instances[:, 21:] = 1, 2
    assert np.flatnonzero(interfaces(instances, 3, 3)[15]).tolist() == [18, 19, 20]
    assert np.flatnonzero(interfaces(instances, 3, 1)[15]).tolist() == [19]


def test_small_object_between_large_ones_is_not_swallowed():
    instances = discs((60, 80), [(30, 18, 17), (30, 58, 17), (30, 38, 3)])
    line = interfaces(instances, 2, 5)
    small = instances == 3
    assert small.sum() == 29
    assert (line[small] == 0).sum() >= 5
    assert (inner_regions(instances)[small] == 1).any()


def test_scribbles_keep_out_of_objects_that_do_not_touch():
    instances = discs((50, 50), [(12, 12, 8), (12, 27, 7), (38, 38, 9)])
    labels, pairs = interface_labels(instances, 1, 3)
    assert pairs.tolist() == [[1, 2]]
    assert not labels[instances == 3].any()


def close_pixel_pairs(instances, gap):
    """For each two objects the pairs of their pixels that are less than ``gap + 2`` apart; O(N^2)."""
    found = {}
    pixels = np.argwhere(instances > 0)
    for p, q in itertools.combinations(pixels, 2):
        a, b = int(instances[tuple(p)]), int(instances[tuple(q)])
        if a != b and ((p - q) ** 2).sum() < (gap + 2) ** 2:
            found.setdefault((min(a, b), max(a, b)), []).append((p, q))
    return found


def depth_in(instances, pixel):
    """Distance of an object's pixel to the nearest pixel of its object's border, plus 1."""
    border = np.array(list(border_of(instances, instances[pixel])))
    return 1 + np.sqrt(((border - np.array(pixel)) ** 2).sum(axis=1).min())


SMALL = id_maps(shape=st.tuples(st.integers(1, 9), st.integers(1, 11)))


@settings(max_examples=80, deadline=None)
@given(SMALL, st.integers(0, 4))
def test_touching_pairs_are_those_within_the_tolerance(instances, gap):
    assert [tuple(p) for p in touching_pairs(instances, gap).tolist()] == sorted(close_pixel_pairs(instances, gap))


@settings(max_examples=20, deadline=None)
@given(id_maps(shape=st.tuples(*[st.integers(1, 5)] * 3)), st.integers(0, 2))
def test_touching_pairs_in_volumes(instances, gap):
    assert [tuple(p) for p in touching_pairs(instances, gap).tolist()] == sorted(close_pixel_pairs(instances, gap))


@settings(max_examples=60, deadline=None)
@given(SMALL, st.integers(0, 3), st.integers(1, 5), st.sampled_from([0, 0, 2.0]), st.integers(0, 50))
def test_scribbles_keep_to_where_they_may_be(instances, gap, thickness, wobble, seed):
    labels, pairs = interface_labels(instances, gap, thickness, wobble, seed)
    close = close_pixel_pairs(instances, gap)
    assert {tuple(p) for p in pairs.tolist()} <= set(close)
    assert set(np.unique(labels)) - {0} == set(range(1, len(pairs) + 1))
    if len(close) != len(pairs):  # only where there was no room: every pixel near the contact stands for another pair
        for pair in set(close) - {tuple(p) for p in pairs.tolist()}:
            for p, q in close[pair]:
                middle = tuple((p + q) // 2)
                assert labels[middle] or instances[middle] not in (0, *pair)
    # A line lies within half its thickness of the middle of two close pixels, rounded to a pixel: half a diagonal more.
    reach = max(thickness / 2, 0.75) + np.sqrt(0.5) + (wobble + 0.8 if wobble else 0)
    for number, pair in enumerate(pairs.tolist(), start=1):
        own = np.argwhere(labels == number)
        middles = np.array([(p + q) / 2 for p, q in close[tuple(pair)]])
        away = np.sqrt(((own[:, None] - middles[None]) ** 2).sum(axis=-1)).min(axis=1)
        assert set(instances[labels == number]) <= {0, *pair}
        inner_half = [
            instances[tuple(p)] > 0
            and depth_in(instances, tuple(p))
            > 0.5 * max(depth_in(instances, tuple(q)) for q in np.argwhere(instances == instances[tuple(p)]))
            for p in own
        ]
        if any(inner_half) or away.max() > reach:  # one pixel stands for a pair that has no room
            assert len(own) == 1
            assert away.max() <= max(thickness, 5) / 2 + 1


@settings(max_examples=30, deadline=None)
@given(id_maps(), st.floats(0, 1), st.integers(0, 50), st.sampled_from([0, 1.5]))
def test_labels_with_missed_interfaces(instances, share, seed, wobble):
    full = scribbles(instances, rng=seed, wobble=wobble)
    part = scribbles(instances, rng=seed, wobble=wobble, share=share)
    assert np.array_equal(full.pairs, part.pairs)
    assert set(np.unique(part.label)) <= {0, 1, 255}
    assert not (part.label[full.label == 1] == 0).any()  # nothing wrong is taught
    assert not (part.label[full.label == 0] == 1).any()


@settings(max_examples=30, deadline=None)
@given(id_maps(), st.integers(0, 3), st.integers(1, 5), st.sampled_from([0, 2.0]))
def test_working_in_parts_changes_nothing(instances, gap, thickness, wobble):
    whole = interface_labels(instances, gap, thickness, wobble)
    regions = inner_regions(instances, classes=(instances > 0).astype(int))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "_PART", 7)
        patch.setattr(interfaces_module, "bands", lambda shape: objects.bands(shape, 7))
        parts = interface_labels(instances, gap, thickness, wobble)
        assert np.array_equal(inner_regions(instances, classes=(instances > 0).astype(int)), regions)
        assert distinct_values(instances).tolist() == np.unique(instances).tolist()
        compact, table = compact_instances(instances.astype(np.int32))
        assert np.array_equal(table[compact], instances)
        assert np.array_equal(count_values(compact, table.size), np.bincount(compact.ravel(), minlength=table.size))
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])


@settings(max_examples=40, deadline=None)
@given(id_maps(), st.sampled_from(STYLES), st.integers(0, 50))
def test_scribbles_leave_inner_regions_alone(instances, style, seed):
    marks = inner_regions(instances, style=style, rng=seed)
    plain, kept_off = scribbles(instances, wobble=1, rng=seed), scribbles(instances, wobble=1, rng=seed, marks=marks)
    assert np.array_equal(plain.pairs, kept_off.pairs)
    assert np.array_equal(plain.label * (marks == 0), kept_off.label * (marks == 0))
    numbered, pairs = interface_labels(instances, wobble=1, seed=int(np.random.default_rng(seed).integers(2**63, size=2)[0]))
    for number in range(1, len(pairs) + 1):
        own = kept_off.label[numbered == number] == 1
        free = marks[numbered == number] == 0
        assert own.any()
        assert np.array_equal(own, free if free.any() else np.ones_like(free))
