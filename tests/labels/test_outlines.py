"""Outlines of objects: the field's own programs fill them with the objects' very pixels, and find them valid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage.draw import polygon2mask

from lazylabels_monai.labels.outlines import outlines
from lazylabels_monai.labels.rasterize import fill_polygons

#: Few values on few pixels: corners that touch, holes in holes, pieces, objects at the border.
ID_MAPS = st.tuples(st.integers(1, 9), st.integers(1, 11)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.sampled_from([0, 1, 1, 2, 70000]))
)


def geometry(outline):
    """The polygons of an object for shapely, (x, y)."""
    return shapely.MultiPolygon([(rings[0][:, ::-1], [ring[:, ::-1] for ring in rings[1:]]) for rings in outline])


def by_ours(outline, shape):
    mask = np.zeros(shape, bool)
    part, drawn = fill_polygons(outline, shape)
    mask[part] = drawn
    return mask


def by_shapely(outline, shape):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains(geometry(outline), shapely.points(x, y))


def by_skimage(outline, shape):
    """Vertices in scikit-image are relative to the centre of the first pixel; holes are cut out."""
    mask = np.zeros(shape, bool)
    for rings in outline:
        for ring in rings:
            mask ^= polygon2mask(shape, ring - 0.5)
    return mask


def by_pycocotools(outline, shape):
    """COCO's polygons have no holes: those of the outer rings, less those of the others."""
    mask = np.zeros(shape, bool)
    for rings in outline:
        for ring in rings:
            (runs,) = coco_mask.frPyObjects([ring[:, ::-1].astype(float).ravel().tolist()], *shape)
            mask ^= coco_mask.decode(runs).astype(bool)
    return mask


@pytest.mark.parametrize("fill", [by_ours, by_shapely, by_skimage, by_pycocotools])
@given(ids=ID_MAPS)
@settings(max_examples=60, deadline=None)
def test_every_program_fills_the_pixels_of_the_object(fill, ids):
    found = outlines(ids)
    assert list(found) == [id for id in np.unique(ids).tolist() if id]
    for id, outline in found.items():
        np.testing.assert_array_equal(fill(outline, ids.shape), ids == id)


@given(ids=ID_MAPS)
@settings(max_examples=150, deadline=None)
def test_polygons_are_valid_and_every_piece_is_one(ids):
    for id, outline in outlines(ids).items():
        shape = geometry(outline)
        assert shape.is_valid, shapely.is_valid_reason(shape)
        assert shape.area == (ids == id).sum()
        assert len(outline) == ndimage.label(ids == id)[1]
        for rings in outline:
            assert [shapely.is_ccw(shapely.LinearRing(ring[:, ::-1])) for ring in rings] == [True] + [False] * (len(rings) - 1)
            for ring in rings:
                steps = np.diff(np.vstack([ring, ring[:1]]), axis=0)
                assert ((steps != 0).sum(axis=1) == 1).all()  # along the pixels' edges
                assert ((steps[:, 0] != 0) != (np.roll(steps, 1, axis=0)[:, 0] != 0)).all()  # a vertex only where it turns
                assert len(np.unique(ring, axis=0)) == len(ring)


def test_a_ring_of_pixels_that_meets_itself_at_a_corner():
    """The hole touches the outside at a corner: two rings, as one would touch itself there."""
    ids = np.array([[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]])
    (polygon,) = outlines(ids)[1]
    assert [len(ring) for ring in polygon] == [6, 4]
    assert [1, 1] in polygon[0].tolist()
    assert [1, 1] in polygon[1].tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (3, 4)])
def test_no_object(shape):
    assert outlines(np.zeros(shape, np.uint16)) == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_one_pixel_at_the_border(dtype):
    ids = np.zeros((2, 3), dtype)
    ids[1, 2] = np.iinfo(dtype).max
    assert {id: [[r.tolist() for r in p] for p in found] for id, found in outlines(ids).items()} == {
        int(np.iinfo(dtype).max): [[[[1, 2], [1, 3], [2, 3], [2, 2]]]]
    }


def test_a_long_spiral():
    """Rings of many edges: as many as the longest one needs."""
    ids = np.zeros((61, 61), int)
    y, x, dy, dx = 0, 0, 0, 1
    ids[0, 0] = 1
    for length in [60, *(n for n in range(60, 1, -2) for _ in range(2))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            ids[y, x] = 1
        dy, dx = dx, -dy
    (polygon,) = outlines(ids)[1]
    assert len(polygon) == 1
    np.testing.assert_array_equal(by_ours([polygon], ids.shape), ids == 1)
