"""Objects over the borders of tiles are those of the whole picture, by random layouts, one a seed."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings
from tests.predicting.large.stitching import differing, separated, stitched

#: In `tools/stitching.py` they are thousands.
SEEDS = 100


@pytest.mark.parametrize("kind", ["flood", "pieces", "distance", "neck", "cut", "neck and cut"])
def test_objects_are_those_of_the_whole_picture(kind):
    assert differing(kind, range(SEEDS if kind in ("flood", "pieces") else SEEDS // 4)) == []


def gradient(shape=(40, 200)):
    """One piece with a marker at each end, and heights that rise towards a ridge right of the middle."""
    classes = np.ones(shape, np.uint8)
    columns = np.arange(shape[1])
    detection = np.full((2, *shape), 0.5, np.float32)
    inner = (columns < 6) | (columns > shape[1] - 7)
    heights = np.where(columns < 120, columns, 320 - 1.5 * columns) / 400
    detection[0] = np.where(inner, 0.01, 0.51 + heights + np.random.default_rng(0).uniform(0, 1e-4, shape))
    detection[1] = 1 - detection[0]
    separation = np.stack([np.ones(shape), np.zeros(shape)]).astype(np.float32)
    return classes, detection.astype(np.float32), separation


def test_a_flood_from_far_away_widens_the_halo_until_it_is_proven():
    maps, settings = gradient(), InstanceSettings(min_size=0)
    expected = separated(maps, settings)
    assert expected.max() == 2
    found, unproven = stitched(maps, settings, side=20, halo=8)
    assert unproven == 0
    np.testing.assert_array_equal(found, expected)


def test_what_is_not_proven_is_counted():
    maps, settings = gradient(), InstanceSettings(min_size=0)
    found, unproven = stitched(maps, settings, side=20, halo=8, largest=60)
    assert unproven > 0
    assert ((found != separated(maps, settings)).sum()) <= unproven


def test_a_piece_too_large_to_be_seen_whole_is_refused():
    with pytest.raises(LazyLabelsError, match=r"40 x 200 pixels, which route .* neck 0 and cut false"):
        stitched(gradient(), InstanceSettings(neck=0.5), side=32, halo=30, largest=64)


@pytest.mark.parametrize("classes", [np.zeros((30, 50), np.uint8), np.ones((30, 50), np.uint8)])
@pytest.mark.parametrize("route", ["three maps", "components", "distance"])
def test_nothing_and_one_piece(classes, route):
    maps = (classes, np.full((2, 30, 50), 0.5, np.float32), np.full((2, 30, 50), 0.5, np.float32))
    settings = InstanceSettings(route=route)
    found, _ = stitched(maps, settings, side=16, halo=60)
    assert found.max() == separated(maps, settings).max()
