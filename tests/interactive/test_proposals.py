"""The outline of one object out of its inner region."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, ellipse

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.proposals import outline_of, region_at
from lazylabels_monai.labels.grabcut import propose

SHAPE = (160, 200)


@pytest.fixture(scope="module")
def scene():
    """A bright ellipse, a bright disc that touches it, another far away; picture, truths."""
    truths = [np.zeros(SHAPE, bool) for _ in range(3)]
    truths[0][ellipse(70, 60, 30, 40)] = True
    truths[1][disk((70, 124), 24)] = True
    truths[2][disk((130, 170), 18)] = True
    rng = np.random.default_rng(0)
    picture = 60 + 120 * np.any(truths, 0) + rng.normal(0, 12, SHAPE)
    return np.clip(picture, 0, 255).astype(np.uint8), truths


def inner(truth, share=0.3):
    depth = ndimage.distance_transform_edt(truth)
    return depth > share * depth.max()


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_outline_is_the_objects(scene, number):
    picture, truths = scene
    others = np.any([inner(truth) for k, truth in enumerate(truths) if k != number], 0)
    found = outline_of(picture, inner(truths[number]), others)
    assert found.dtype == bool
    assert found.shape == SHAPE
    assert dice(found, truths[number]) > 0.93
    assert dice(inner(truths[number]), truths[number]) < 0.85  # it has something to do
    assert not (found & others).any()
    assert found[inner(truths[number])].all()
    assert ndimage.label(found)[1] == 1


def test_it_is_near_that_of_the_whole_image(scene):
    """The reference: all marks of the image at once, as `lazylabels grabcut` does."""
    picture, truths = scene
    detection = np.zeros(SHAPE, np.uint8)
    for truth in truths:
        detection[inner(truth)] = 1
    whole, _ = ndimage.label(propose(picture, detection).classes == 1)
    own = whole == np.unique(whole[inner(truths[2])])[0]
    others = np.any([inner(truth) for truth in truths[:2]], 0)
    assert dice(outline_of(picture, inner(truths[2]), others), own) > 0.95


def test_colours_and_nothing_to_see(scene):
    picture, truths = scene
    colours = np.stack([picture, 255 - picture, picture // 2], -1)
    assert dice(outline_of(colours, inner(truths[2])), truths[2]) > 0.9
    blank = outline_of(np.full(SHAPE, 7, np.uint8), inner(truths[2]))
    assert dice(blank, truths[2]) > 0.7  # by the depth of the region
    at_border = np.zeros(SHAPE, bool)
    at_border[:20, :20] = True
    assert outline_of(picture, at_border)[at_border].all()


def test_no_region_is_said(scene):
    picture, _truths = scene
    for region in (np.zeros(SHAPE, bool), np.ones((3, 3), bool)):
        with pytest.raises(LazyLabelsError, match="inner region"):
            outline_of(picture, region)


def test_a_click_names_a_region():
    detection = np.full((20, 30), 255, np.uint8)
    detection[2:6, 2:6], detection[10:14, 10:14], detection[15:18, 2:8] = 1, 1, 0
    assert np.array_equal(np.argwhere(region_at(detection, 3, 3))[[0, -1]], [[2, 2], [5, 5]])
    for click in ((0, 0), (16, 3), (-1, 3), (3, 99)):
        with pytest.raises(LazyLabelsError, match="click"):
            region_at(detection, *click)
