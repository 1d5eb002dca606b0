from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lazylabels_monai.data.simulating.items import SimulationError
from lazylabels_monai.data.simulating.scene_objects import MIN_PIXELS
from lazylabels_monai.data.simulating.scenes import KINDS, make_scene

SIZE = (96, 128)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_one_picture(kind):
    first, again, other = (make_scene(SIZE, seed, kind) for seed in ((3, 1), (3, 1), (3, 2)))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["image"], other["image"])


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_numbered_without_gaps_and_each_object_is_one_piece_that_can_be_seen(kind):
    found = 0
    for seed in range(6):
        made = make_scene(SIZE, seed, kind)
        image, ids = made["image"], made["instances"]
        assert image.shape == ids.shape == SIZE
        assert image.dtype == np.uint8
        assert ids.dtype == np.uint16
        sizes = np.bincount(ids.ravel())[1:]
        assert (sizes[sizes > 0] >= MIN_PIXELS).all()
        found += np.count_nonzero(sizes)
    assert found > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_labelled_can_be_told_from_what_is_not(kind):
    """Object pixels beside the background's differ in grey, in one direction or the other, in most pictures."""
    seen = []
    for seed in range(12):
        made = make_scene((160, 160), (5, seed), kind)
        inside = made["instances"] > 0
        rim = ndimage.binary_dilation(inside, iterations=3) & ~inside
        edge = inside & ~ndimage.binary_erosion(inside, iterations=3, border_value=1)
        if rim.sum() < 30 or edge.sum() < 30:
            continue
        image = made["image"].astype(float)
        pooled = np.sqrt((image[rim].var() + image[edge].var()) / 2) + 1e-9
        seen.append(abs(image[rim].mean() - image[edge].mean()) / pooled)
    assert np.median(seen) > 0.15


def test_kinds_come_both_ways_of_contrast_and_with_many_and_few_objects():
    signs, counts = set(), []
    for seed in range(60):
        made = make_scene((128, 128), (9, seed))
        inside = made["instances"] > 0
        counts.append(int(made["instances"].max()))
        if 0.02 < inside.mean() < 0.98:
            signs.add(bool(made["image"][inside].mean() > made["image"][~inside].mean()))
    assert signs == {True, False}
    assert min(counts) <= 5
    assert max(counts) >= 40


@pytest.mark.parametrize(("size", "kind"), [((32, 128), None), ((128, 128), "no such kind")])
def test_what_cannot_be_made_is_said(size, kind):
    with pytest.raises(SimulationError, match=r"must be at least 64|does not exist"):
        make_scene(size, 0, kind)
