"""Lazy labels against plain re-statements of their rules."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lazylabels_monai.labels.inner import STYLES, dice_of_inner_regions, inner_regions, shares_kept
from lazylabels_monai.labels.interfaces import interface_labels, interfaces, scribbles, touching_pairs
from lazylabels_monai.labels.objects import instances_from_classes, object_classes


def discs(shape, circles):
    """Instances 1..n of (row, column, radius), later ones on top."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.int32)
    for index, (r, c, radius) in enumerate(circles, start=1):
        out[(rows - r) ** 2 + (columns - c) ** 2 <= radius**2] = index
    return out


def blobs(seed, shape=(18, 23), objects=6):
    """Random small objects with ragged borders, of every size down to one pixel."""
    rng = np.random.default_rng(seed)
    out = np.zeros(shape, np.int64)
    for index in range(1, objects + 1):
        box = tuple(slice(s := int(rng.integers(n)), s + int(rng.integers(1, 8))) for n in shape)
        out[box] = index * 7
    out[rng.random(shape) < 0.1] = 0
    return out


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


CASES = [
    discs((40, 52), [(12, 12, 8), (12, 29, 8), (30, 40, 9)]),
    blobs(3),
    blobs(4, (9, 10, 12), 5),
    np.pad(np.arange(1, 10).reshape(3, 3), 1),
]


@pytest.mark.parametrize("instances", CASES)
def test_inner_region_lies_inside_its_object_and_none_is_lost(instances):
    region = inner_regions(instances, rng=1)
    assert region.dtype == np.uint8
    assert region.shape == instances.shape
    assert not region[instances == 0].any()
    for index in np.unique(instances[instances > 0]):
        assert region[instances == index].any()


def test_inner_region_misses_the_border():
    instances = discs((60, 70), [(20, 20, 12), (20, 44, 12), (45, 50, 5)])
    region = inner_regions(instances) > 0
    for index in (1, 2, 3):
        mask = instances == index
        border = mask & ~ndimage.binary_erosion(mask)
        assert border.any()
        assert not region[border].any()


def test_inner_region_carries_the_class_of_most_of_the_object():
    instances = discs((40, 60), [(20, 14, 10), (20, 42, 10)])
    classes = np.where(instances == 1, 3, np.where(instances == 2, 1, 0))
    classes[18:20, 14] = 2  # a slip of the pen
    region = inner_regions(instances, classes)
    assert set(np.unique(region[instances == 1])) == {0, 3}
    assert set(np.unique(region[instances == 2])) == {0, 1}
    assert object_classes(instances, classes) == {1: 3, 2: 1}


def test_image_border_does_not_erode():
    instances = np.zeros((30, 40), np.int32)
    instances[:, :15] = 5  # cut by three sides of the image
    region = inner_regions(instances) > 0
    assert region[:, 0].all()
    assert region[0, :8].all()
    assert region[-1, :8].all()
    assert not region[:, 14].any()
    assert (inner_regions(np.full((8, 9), 3)) == 1).all()  # no border at all


def test_outline_that_stops_just_before_the_image_border():
    instances = np.zeros((40, 50), np.int32)
    instances[1:25, 10:40] = 1  # one row short
    instances[0, 20] = 1
    region = inner_regions(instances, jitter=0) > 0
    assert region[2, 18:32].all()
    assert not region[instances == 0].any()
    assert not region[1, 10:19].any()  # the outline itself is still missed


def test_share_sets_the_depth():
    instances = discs((90, 90), [(45, 45, 40)])
    sizes = [(inner_regions(instances, share=s, jitter=0) > 0).sum() / (instances > 0).sum() for s in (0.1, 0.3, 0.6)]
    # A disc keeps (1 - share)^2 of its area.
    np.testing.assert_allclose(sizes, [0.81, 0.49, 0.16], atol=0.03)


def test_jitter_differs_between_objects_and_seeds_but_not_between_calls():
    instances = discs((40, 80), [(20, 18, 14), (20, 58, 14)])
    region = inner_regions(instances, rng=4)
    assert not np.array_equal(region[:, :40], region[:, 40:])
    assert np.array_equal(region, inner_regions(instances, rng=4))
    assert not np.array_equal(region, inner_regions(instances, rng=5))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        *[({"share": 1.0}, "share 1.0"), ({"share": -0.1}, "share"), ({"jitter": 2}, "jitter 2")],
        *[({"keep": 1.1}, "keep 1.1"), ({"keep": 0.5, "share": 0.2}, "give either"), ({"style": "pen"}, "style 'pen'")],
    ],
)
def test_ill_arguments_of_inner_regions(kwargs, message):
    with pytest.raises(ValueError, match=message):
        inner_regions(CASES[0], **kwargs)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("keep", [0.15, 0.35, 0.6])
def test_keep_sets_the_area(style, keep):
    instances = discs((300, 300), [(r, c, 22) for r in range(25, 300, 50) for c in range(25, 300, 50)])
    kept = shares_kept(inner_regions(instances, style=style, keep=keep), instances)
    assert kept.shape == (36,)
    assert kept.mean() == pytest.approx(keep, abs=0.05)
    assert kept.std() > 0.01  # no two objects alike
    same = shares_kept(inner_regions(instances, style=style, keep=keep, jitter=0), instances)
    assert same.std() < 0.03


def test_default_blobs_are_as_rough_as_the_papers_marks():
    instances = discs((300, 300), [(r, c, 22) for r in range(25, 300, 50) for c in range(25, 300, 50)])
    assert 0.68 < dice_of_inner_regions(inner_regions(instances, style="blob"), instances > 0) < 0.76


@pytest.mark.parametrize("style", ["blob", "stroke"])
def test_a_region_is_one_piece_that_depends_on_its_own_object_alone(style):
    several = discs((80, 120), [(20, 20, 15), (20, 60, 15), (55, 95, 20)])
    alone = np.where(several == 3, 3, 0)
    regions = inner_regions(several, style=style, rng=7)
    assert np.array_equal(inner_regions(alone, style=style, rng=7)[alone == 3], regions[alone == 3])
    for index in (1, 2, 3):
        assert ndimage.label((regions > 0) & (several == index), np.ones((3, 3)))[1] == 1
    assert not np.array_equal(regions, inner_regions(several, style=style, rng=8))


def test_a_stroke_runs_along_a_bent_object():
    rows, columns = np.ogrid[:120, :120]
    radius = np.hypot(rows - 60, columns - 60)
    ring = ((radius > 35) & (radius < 50) & ~((rows > 60) & (abs(columns - 60) < 20))).astype(int)
    stroke = inner_regions(ring, style="stroke", keep=0.2) > 0
    angles = np.unwrap(np.sort(np.arctan2(*(np.argwhere(stroke) - 60).T[::-1])))
    assert angles.max() - angles.min() > np.pi  # around most of the horseshoe
    assert not stroke[radius < 37].any()
    assert not stroke[radius > 48].any()


def test_strokes_are_for_two_dimensions():
    with pytest.raises(ValueError, match="style 'stroke' draws in two dimensions only"):
        inner_regions(np.zeros((4, 5, 6), int), style="stroke")


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


def test_ill_instances():
    with pytest.raises(ValueError, match="two or three dimensions"):
        inner_regions(np.zeros((1, 1, 4, 4), int))
    with pytest.raises(ValueError, match="whole numbers"):
        interfaces(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="must have the shape"):
        inner_regions(np.zeros((4, 5), int), np.zeros((5, 4), int))
    with pytest.raises(ValueError, match="gap -1"):
        touching_pairs(np.zeros((4, 5), int), -1)
    with pytest.raises(ValueError, match="thickness 0"):
        interface_labels(np.zeros((4, 5), int), 1, 0)


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
def test_every_pair_has_a_scribble_near_both_objects(seed, gap, thickness):
    instances = blobs(seed)
    labels, pairs = interface_labels(instances, gap, thickness)
    assert labels.dtype == np.int32
    assert pairs.tolist() == touching_pairs(instances, gap).tolist()
    assert set(np.unique(labels)) - {0} == set(range(1, len(pairs) + 1))
    for label, (a, b) in enumerate(pairs, start=1):
        for index in (a, b):
            distance = ndimage.distance_transform_edt(instances != index)
            assert distance[labels == label].max() <= (gap + 2) / 2 + thickness / 2 + 1
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


def test_instances_from_classes():
    classes = np.zeros((10, 12), np.uint8)
    classes[1:4, 1:4] = 2
    classes[4:6, 4:6] = 2  # shares a corner with the first: another object
    classes[1:4, 4:6] = 1  # shares a face with both, of another class
    classes[8, 8] = 1
    classes[9] = 255  # nobody labelled this row
    instances = instances_from_classes(classes)
    assert instances.dtype == np.int32
    assert sorted(np.unique(instances)) == [0, 1, 2, 3, 4]
    assert np.array_equal(instances > 0, (classes > 0) & (classes != 255))
    assert instances[2, 2] != instances[4, 4]
    assert instances_from_classes(classes, min_size=2).max() == 3
    assert instances_from_classes(classes, min_size=2)[8, 8] == 0


def test_ids_may_be_sparse_and_large():
    instances = np.zeros((10, 20), np.int64)
    instances[2:8, 2:9], instances[2:8, 9:17] = 2_000_000_000, 41
    assert touching_pairs(instances, 0).tolist() == [[41, 2_000_000_000]]
    assert interface_labels(instances, 0, 3)[1].tolist() == [[41, 2_000_000_000]]
    assert inner_regions(instances)[5, 5] == 1


def test_no_objects():
    empty = np.zeros((7, 9), np.uint16)
    assert not inner_regions(empty).any()
    labels, pairs = interface_labels(empty, 2, 3)
    assert not labels.any()
    assert pairs.shape == (0, 2)
    assert touching_pairs(empty, 2).shape == (0, 2)
    assert np.isnan(dice_of_inner_regions(empty, empty))


def test_dice_by_hand():
    truth = np.array([[1, 1, 1, 0, 2, 2]])
    marks = np.array([[0, 1, 0, 0, 2, 2]])
    assert dice_of_inner_regions(marks, truth) == pytest.approx((2 * 1 / 4 + 1) / 2)


@pytest.mark.real_data
def test_powder_is_fast_and_its_regions_are_as_rough_as_the_papers(data_root):
    path = sorted((data_root / "powder" / "train" / "masks").glob("*.png"))[0]
    instances = np.array(Image.open(path))
    start = time.process_time()
    region = inner_regions(instances)
    middle = time.process_time()
    _labels, pairs = interface_labels(instances, 2, 3)
    end = time.process_time()
    assert len(pairs) == len(touching_pairs(instances, 2)) > 100
    assert 0.67 < dice_of_inner_regions(region, instances > 0) < 0.77
    assert set(np.unique(instances[region > 0])) == set(np.unique(instances)) - {0}
    # About 0.2 and 0.5 s here; the limit leaves room for a loaded machine.
    assert middle - start < 2
    assert end - middle < 2
