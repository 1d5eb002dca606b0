"""What holds for the lazy labels of any map: small random ones, against restatements that go through all pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.bench.labels import disc_map, format_label_bench, run_label_bench
from lazylabels_monai.labels import interfaces as interfaces_module
from lazylabels_monai.labels import objects
from lazylabels_monai.labels.inner import STYLES, inner_regions
from lazylabels_monai.labels.interfaces import interface_labels, scribbles, touching_pairs
from lazylabels_monai.labels.objects import compact_instances, count_values, distinct_values, uniforms


@st.composite
def id_maps(draw, shape=None):
    """Ids on rectangles that hide one another, with single pixels strewn in."""
    size = draw(st.tuples(st.integers(1, 14), st.integers(1, 16)) if shape is None else shape)
    values = st.sampled_from([0, 0, 0, 3, 4, 7, 70000])
    out = np.zeros(size, np.int64)
    for _ in range(draw(st.integers(0, 7))):
        corners = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in size]
        out[tuple(slice(a, b) for a, b in corners)] = draw(values)
    for _ in range(draw(st.integers(0, 5))):
        out[tuple(draw(st.integers(0, n - 1)) for n in size)] = draw(st.sampled_from([0, 5, 9]))
    return out


VOLUMES = id_maps(shape=st.tuples(*[st.integers(1, 6)] * 3))


def ids_of(instances):
    return [int(i) for i in np.unique(instances) if i]


def face_neighbours(pixel, shape):
    for axis, step in itertools.product(range(len(shape)), (-1, 1)):
        other = list(pixel)
        other[axis] += step
        if 0 <= other[axis] < shape[axis]:
            yield tuple(other)


def border_of(instances, index):
    """Pixels of an object with a face neighbour that is not the object's; the image's border is none."""
    pixels = [tuple(p) for p in np.argwhere(instances == index)]
    return {p for p in pixels if any(instances[q] != index for q in face_neighbours(p, instances.shape))}


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


def test_uniform_numbers_of_ids():
    draws = uniforms(5, np.arange(20000), 3)
    assert draws.shape == (20000, 3)
    assert 0 <= draws.min() < draws.max() < 1
    np.testing.assert_allclose(np.histogram(draws, 10, (0, 1))[0], 6000, rtol=0.06)
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.03
    assert np.array_equal(uniforms(5, np.array([77, 3]), 3), draws[[77, 3]])
    assert np.abs(np.corrcoef(uniforms(6, np.arange(20000), 1)[:, 0], draws[:, 0])[0, 1]) < 0.03
    assert np.unique(uniforms(5, np.array([[1, 2], [2, 1], [1, 3], [3, 2]]), 1)).size == 4


def test_bench_measures_what_it_says():
    result = run_label_bench((60, 80), 20, steps=("blob", "interfaces"))
    assert result["blob"]["found"] == disc_map((60, 80), 20).max() == 20
    assert result["interfaces"]["found"] == len(touching_pairs(disc_map((60, 80), 20)))
    assert result["blob"]["seconds"] > 0
    assert result["blob"]["peak MiB"] >= result["blob"]["before MiB"] > 0
    assert "60 x 80" in format_label_bench(result)
    with pytest.raises(ValueError, match="too small"):
        run_label_bench((4, 80), 20)
