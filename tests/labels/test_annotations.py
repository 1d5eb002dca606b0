"""Drawing of marks against shapely, and against their rules counted out in fractions."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lazylabels_monai.labels.annotations import Mark

SHAPE = (19, 31)


def canvas(mark, shape=SHAPE, **options):
    """The mark's pixels in the whole image."""
    out = np.zeros(shape, bool)
    part, mask = mark.draw(shape, **options)
    assert mask.dtype == bool
    assert mask.shape == out[part].shape
    out[part] = mask
    return out


def area(*polygons):
    """Mark of polygons, each a list of rings of (y, x)."""
    return Mark("area", polygons=[[np.array(ring, float) for ring in polygon] for polygon in polygons])


def centres(shape=SHAPE):
    return (np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1) + 0.5).reshape(-1, 2)


def distance_to_line(points):
    with np.errstate(divide="ignore", invalid="ignore"):  # shapely, where vertices coincide
        return shapely.distance(shapely.LineString(points), shapely.points(centres())).reshape(SHAPE)


def even_odd(rings, shape=SHAPE):
    """The rule, pixel by pixel and without rounding: edges at or left of the centre, upper end in, lower end out."""
    out = np.zeros(shape, bool)
    exact = [[(Fraction(float(y)), Fraction(float(x))) for y, x in ring] for ring in rings]
    for row in range(shape[0]):
        y = row + Fraction(1, 2)
        crossings = []
        for ring in exact:
            for (y0, x0), (y1, x1) in zip(ring, ring[1:] + ring[:1], strict=True):
                if min(y0, y1) <= y < max(y0, y1):
                    crossings.append(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        for column in range(shape[1]):
            out[row, column] = sum(x <= column + Fraction(1, 2) for x in crossings) % 2
    return out


halves = st.integers(-8, 80).map(lambda n: n / 2)
# few heights: level edges, also through centres, are common
vertices = st.tuples(halves, halves) | st.tuples(st.sampled_from([2.5, 3.5, 6.0, 7.5]), halves)
rings = st.lists(vertices, min_size=3, max_size=7)


def test_y_comes_before_x():
    drawn = canvas(area([[(2, 5), (2, 25), (6, 25), (6, 5)]]))
    expected = np.zeros(SHAPE, bool)
    expected[2:6, 5:25] = True
    np.testing.assert_array_equal(drawn, expected)


def test_a_centre_on_an_edge_belongs_to_what_is_below_or_right_of_it():
    drawn = canvas(area([[(1.5, 2.5), (1.5, 6.5), (4.5, 6.5), (4.5, 2.5)]]))
    expected = np.zeros(SHAPE, bool)
    expected[1:4, 2:6] = True
    np.testing.assert_array_equal(drawn, expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(rings, min_size=1, max_size=3))
def test_an_area_follows_the_even_odd_rule_also_on_its_edges(polygon):
    # half pixels: centres on edges and vertices are common; rings cross and touch themselves and each other, leave the image
    np.testing.assert_array_equal(canvas(area(polygon)), even_odd(polygon))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_polygon_with_holes_holds_the_centres_that_shapely_finds_in_it(seed):
    rng = np.random.default_rng(seed)
    outer = shapely.Point(rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])).buffer(rng.uniform(3, 20), quad_segs=5)
    shape = outer
    for _ in range(3):
        shape = shape.difference(shapely.Point(rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])).buffer(rng.uniform(1, 5)))
    polygons = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon"]
    mark = area(*[[ring.coords for ring in (p.exterior, *p.interiors)] for p in polygons])
    inside = shapely.contains_xy(shape, *centres().T)
    np.testing.assert_array_equal(canvas(mark).ravel(), inside)


@settings(max_examples=30, deadline=None)
@given(st.lists(vertices, min_size=3, max_size=12, unique=True))
def test_polygons_that_share_edges_neither_overlap_nor_leave_a_gap(points):
    corners = [(-5, -5), (-5, 45), (45, 45), (45, -5)]
    tiles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint([*points, *corners])))
    count = sum(canvas(area([tile.exterior.coords])).astype(int) for tile in tiles)
    np.testing.assert_array_equal(count, np.ones(SHAPE, int))


def test_holes_cut_only_their_own_polygon():
    square = [(0, 0), (0, 10), (10, 10), (10, 0)]
    hole = [(2, 2), (2, 8), (8, 8), (8, 2)]
    island = [(4, 4), (4, 6), (6, 6), (6, 4)]
    drawn = canvas(area([square, hole], [island]))
    assert drawn.sum() == 100 - 36 + 4
    assert drawn[5, 5]
    assert not drawn[3, 3]


def test_overlapping_polygons_of_one_mark_are_united():
    a, b = [(0, 0), (0, 6), (6, 6), (6, 0)], [(3, 3), (3, 9), (9, 9), (9, 3)]
    assert canvas(area([a], [b])).sum() == 36 + 36 - 9


@pytest.mark.parametrize(
    "mark",
    [
        area([[(-9, -9), (-9, -3), (-3, -3)]]),
        area([[(1, 40), (1, 50), (9, 45)]]),
        area(),
        area([[(1, 1), (5, 5)]]),
        Mark("line", points=np.array([[30.0, 0], [40, 9]])),
        Mark("point", points=np.array([[-4.0, 4]])),
        Mark("area", raster=(np.ones((3, 3), bool), (-3, 4))),
        Mark("area", raster=(np.ones((3, 3), bool), (0, 31))),
    ],
)
def test_what_lies_outside_gives_an_empty_part(mark):
    part, mask = mark.draw(SHAPE)
    assert mask.size == 0
    assert np.zeros(SHAPE)[part].size == 0


@settings(max_examples=40, deadline=None)
@given(rings, st.sampled_from(["area", "line", "point"]), st.integers(0, 9), st.integers(0, 14))
def test_the_border_only_cuts(ring, kind, down, right):
    points = np.array(ring)
    whole = Mark(kind, polygons=[[points]], points=points)
    shifted = Mark(kind, polygons=[[points - (down, right)]], points=points - (down, right))
    np.testing.assert_array_equal(canvas(shifted), canvas(whole, (60, 70))[down : down + SHAPE[0], right : right + SHAPE[1]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 40)), min_size=2, max_size=8), st.floats(1.5, 9))
def test_a_line_holds_the_centres_within_half_its_width(points, width):
    drawn = canvas(Mark("line", points=np.array(points)), width=width)
    distance = distance_to_line(points)
    clear = np.abs(distance - width / 2) > 1e-9
    np.testing.assert_array_equal(drawn[clear], (distance <= width / 2)[clear])


@pytest.mark.parametrize(("width", "rows"), [(1, 1), (2, 3), (3, 3), (5, 5)])
def test_a_level_line_through_centres(width, rows):
    drawn = canvas(Mark("line", points=np.array([[9.5, 4.5], [9.5, 20.5]])), width=width)
    assert drawn[:, 12].sum() == rows
    assert drawn[9, 4:21].all()
    np.testing.assert_array_equal(drawn[:, 12][::-1], drawn[:, 12])  # as far up as down: row 9 is the middle of 19


def test_a_line_keeps_the_width_of_its_file():
    mark = Mark("line", points=np.array([[9.5, 4.5], [9.5, 20.5]]), width=5)
    assert canvas(mark, width=1)[:, 12].sum() == 5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 18.5), st.floats(0.5, 30.5)), min_size=2, max_size=8), st.sampled_from([0, 0.3, 1]))
def test_a_thin_line_is_one_connected_line_through_the_pixels_of_its_vertices(points, width):
    drawn = canvas(Mark("line", points=np.array(points)), width=width)
    assert ndimage.label(drawn, np.ones((3, 3)))[1] == 1
    distance = distance_to_line(points)
    assert distance[drawn].max() < 0.71
    assert drawn[distance < 0.499].all()


def test_a_line_shorter_than_a_pixel_is_drawn():
    assert canvas(Mark("line", points=np.array([[3.0, 4.0], [3.02, 4.02]])), width=1).sum() == 1


@pytest.mark.parametrize("radius", [0, 0.5, 2, 3.7])
def test_points_are_discs(radius):
    points = np.array([[4.2, 5.9], [12.0, 29.5]])
    drawn = canvas(Mark("point", points=points), radius=radius)
    distance = np.sqrt(((centres()[:, None] - points) ** 2).sum(axis=-1)).min(axis=1).reshape(SHAPE)
    expected = distance <= radius
    expected[4, 5] = expected[12, 29] = True
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("origin", [(2, 3), (-2, -1), (17, 29), (-1, 28)])
def test_a_raster_is_placed_and_cut(origin):
    raster = np.arange(12).reshape(4, 3) % 5 > 0
    wide = np.zeros((40, 50), bool)
    wide[10 + origin[0] : 14 + origin[0], 10 + origin[1] : 13 + origin[1]] = raster
    drawn = canvas(Mark("area", raster=(raster, origin)))
    np.testing.assert_array_equal(drawn, wide[10 : 10 + SHAPE[0], 10 : 10 + SHAPE[1]])


def test_drawing_does_not_grow_with_the_image():
    angle = np.linspace(0, 6.2, 40)
    ring = np.stack([5000 + 20 * np.sin(angle), 5000 + 20 * np.cos(angle)], axis=1)
    marks = [Mark("area", polygons=[[ring]]), Mark("line", points=ring), Mark("point", points=ring[:1])]
    tracemalloc.start()
    for mark in marks:
        mark.draw((10000, 10000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # bytes; one array of the whole image takes 1e8
