"""Inner regions against plain re-statements of their rules, and on any small map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lazylabels_monai.labels.inner import STYLES, dice_of_inner_regions, inner_regions, shares_kept
from lazylabels_monai.labels.interfaces import interface_labels, interfaces, touching_pairs
from lazylabels_monai.labels.objects import object_classes
from tests.labels.maps import CASES, VOLUMES, border_of, discs, id_maps, ids_of


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
def test_regions_of_powder_are_as_rough_as_the_papers(data_root):
    path = sorted((data_root / "powder" / "train" / "masks").glob("*.png"))[0]
    instances = np.array(Image.open(path))
    region = inner_regions(instances)
    _labels, pairs = interface_labels(instances, 2, 3)
    assert len(pairs) == len(touching_pairs(instances, 2)) > 100
    assert 0.67 < dice_of_inner_regions(region, instances > 0) < 0.77
    assert set(np.unique(instances[region > 0])) == set(np.unique(instances)) - {0}


def check_regions(instances, region):
    assert region.dtype == np.uint8
    assert region.shape == instances.shape
    assert not region[instances == 0].any()
    for index in ids_of(instances):
        pixels = {tuple(p) for p in np.argwhere(instances == index)}
        marked = {tuple(p) for p in np.argwhere((instances == index) & (region > 0))}
        border = border_of(instances, index)
        assert marked
        if pixels - border:
            assert not marked & border


@settings(max_examples=80, deadline=None)
@given(id_maps(), st.sampled_from(STYLES), st.sampled_from([None, 0.05, 0.5, 1.0]), st.integers(0, 1000), st.floats(0, 1))
def test_inner_regions(instances, style, keep, seed, jitter):
    region = inner_regions(instances, style=style, keep=keep, jitter=jitter, rng=seed)
    check_regions(instances, region)
    assert np.array_equal(region, inner_regions(instances, style=style, keep=keep, jitter=jitter, rng=seed))


@settings(max_examples=40, deadline=None)
@given(VOLUMES, st.sampled_from(["erode", "blob"]), st.sampled_from([None, 0.5]), st.integers(0, 1000))
def test_inner_regions_of_volumes(instances, style, keep, seed):
    check_regions(instances, inner_regions(instances, style=style, keep=keep, rng=seed))


@settings(max_examples=30, deadline=None)
@given(id_maps(), st.floats(0, 0.99), st.integers(0, 1000))
def test_inner_regions_of_any_cut_off(instances, share, seed):
    check_regions(instances, inner_regions(instances, share=share, jitter=1, rng=seed))


@settings(max_examples=30, deadline=None)
@given(id_maps(), st.sampled_from(["blob", "stroke"]), st.integers(0, 1000), st.data())
def test_a_region_does_not_depend_on_other_objects(instances, style, seed, data):
    ids = ids_of(instances)
    if ids:
        own = instances == data.draw(st.sampled_from(ids))
        alone = inner_regions(np.where(own, instances, 0), style=style, rng=seed)
        assert np.array_equal(alone[own], inner_regions(instances, style=style, rng=seed)[own])
