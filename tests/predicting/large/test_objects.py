"""Objects over the borders of tiles are those of the whole picture: thousands of random layouts, by seed."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings, separate_objects
from tests.predicting.large.stitching import layout, same_objects, stitched

SEEDS = 1200


def in_one_piece(maps, settings, three=True):
    """As the bundle's post-processing calls it: on (W, H)."""
    classes, detection, separation = (np.ascontiguousarray(values.swapaxes(-1, -2)) for values in maps)
    return separate_objects(classes, *((detection, separation) if three else (None, None)), settings).T


def settings_of(rng, **given):
    drawn = {
        "min_marker": int(rng.integers(0, 20)),
        "min_size": int(rng.integers(0, 20)),
        "max_hole": int(rng.choice([0, 0, 3, 12])),
        "detection_threshold": float(rng.uniform(0.3, 0.7)),
        "separation_threshold": float(rng.uniform(0.3, 0.7)),
        "drop_undetected": bool(rng.integers(2)),
    }
    return InstanceSettings(**{**drawn, **given})


def drawn(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(20, 90, 2))
    maps = layout(rng, shape, float(rng.uniform(0.7, 6)))
    return rng, maps, int(rng.integers(5, 40))


@pytest.mark.parametrize("part", range(4))
def test_three_maps_give_the_same_ids(part):
    for seed in range(part, SEEDS, 4):
        rng, maps, side = drawn(seed)
        settings = settings_of(rng)
        found, unproven = stitched(maps, settings, side, halo=int(rng.integers(1, 20)))
        assert unproven == 0
        np.testing.assert_array_equal(found, in_one_piece(maps, settings), err_msg=f"seed {seed}: {settings}")


@pytest.mark.parametrize("part", range(2))
def test_components_give_the_same_ids(part):
    for seed in range(part, SEEDS, 2):
        rng, maps, side = drawn(seed)
        three = bool(rng.integers(2))
        settings = settings_of(rng, route="components" if three else "three maps")
        found, _ = stitched(maps, settings, side, halo=60, three=three)
        np.testing.assert_array_equal(found, in_one_piece(maps, settings, three), err_msg=f"seed {seed}: {settings}")


@pytest.mark.parametrize("given", [{"route": "distance"}, {"neck": 0.6}, {"cut": True}, {"neck": 0.5, "cut": True}])
def test_routes_that_see_a_piece_whole_give_the_same_objects(given):
    for seed in range(300):
        rng, maps, side = drawn(seed)
        settings = settings_of(rng, **given)
        found, _ = stitched(maps, settings, side, halo=int(rng.integers(26, 60)))
        assert same_objects(found, in_one_piece(maps, settings)), f"seed {seed}: {settings}"
