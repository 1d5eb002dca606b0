"""Maps of objects: drawn, random and of any kind."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st


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


CASES = [
    discs((40, 52), [(12, 12, 8), (12, 29, 8), (30, 40, 9)]),
    blobs(3),
    blobs(4, (9, 10, 12), 5),
    np.pad(np.arange(1, 10).reshape(3, 3), 1),
]


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
