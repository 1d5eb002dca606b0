"""Objects from class maps, and ids of any kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interface_labels, touching_pairs
from lazylabels_monai.labels.objects import connected_pieces, instances_from_classes, uniforms


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


@pytest.mark.parametrize("shape", [(30, 40), (6, 9, 11)])
def test_connected_pieces_of_each_value(shape):
    values = np.random.default_rng(3).integers(0, 3, shape)
    pieces = connected_pieces(values)
    for value in (1, 2):
        expected, count = ndimage.label(values == value)
        pairs = np.unique(np.stack([expected, pieces])[:, expected > 0], axis=1)
        assert pairs.shape[1] == count == np.unique(pairs[1]).size
    assert ((pieces == 0) == (values == 0)).all()
    assert connected_pieces(np.zeros(shape, bool)).max() == 0


def test_ids_may_be_sparse_and_large():
    instances = np.zeros((10, 20), np.int64)
    instances[2:8, 2:9], instances[2:8, 9:17] = 2_000_000_000, 41
    assert touching_pairs(instances, 0).tolist() == [[41, 2_000_000_000]]
    assert interface_labels(instances, 0, 3)[1].tolist() == [[41, 2_000_000_000]]
    assert inner_regions(instances)[5, 5] == 1


def test_uniform_numbers_of_ids():
    draws = uniforms(5, np.arange(20000), 3)
    assert draws.shape == (20000, 3)
    assert 0 <= draws.min() < draws.max() < 1
    np.testing.assert_allclose(np.histogram(draws, 10, (0, 1))[0], 6000, rtol=0.06)
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.03
    assert np.array_equal(uniforms(5, np.array([77, 3]), 3), draws[[77, 3]])
    assert np.abs(np.corrcoef(uniforms(6, np.arange(20000), 1)[:, 0], draws[:, 0])[0, 1]) < 0.03
    assert np.unique(uniforms(5, np.array([[1, 2], [2, 1], [1, 3], [3, 2]]), 1)).size == 4
