"""The drawn microstructure: exact, varied, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lazylabels_monai.data.simulating.microstructures import make_image, make_volume
from lazylabels_monai.labels.inner import dice_of_inner_regions, inner_regions
from lazylabels_monai.labels.interfaces import touching_pairs

SIZE = (96, 128)


def test_image_and_labels():
    made = make_image((96, 128), seed=3)
    assert {k: (v.shape, v.dtype) for k, v in made.items()} == {
        "image": ((96, 128), np.uint8),
        "classes": ((96, 128), np.uint8),
        "instances": ((96, 128), np.uint16),
    }
    assert set(np.unique(made["classes"])) == {0, 1, 2}
    assert np.array_equal(made["classes"] > 0, made["instances"] > 0)
    assert np.unique(made["instances"]).tolist() == list(range(made["instances"].max() + 1))
    for index in range(1, made["instances"].max() + 1):
        mask = made["instances"] == index
        assert np.unique(made["classes"][mask]).size == 1
        assert ndimage.label(mask)[1] == 1
        assert mask.sum() >= 24


def test_seed_decides():
    first, again, other = make_image(SIZE, 7), make_image(SIZE, 7), make_image(SIZE, 8)
    for key in first:
        assert np.array_equal(first[key], again[key])
        assert not np.array_equal(first[key], other[key])


def test_images_are_dense_and_varied():
    made = [make_image((192, 240), seed) for seed in range(16)]
    for m in made:
        assert 0.4 < (m["classes"] > 0).mean() < 0.95
        assert min((m["classes"] == 1).mean(), (m["classes"] == 2).mean()) > 0.04
        assert len(touching_pairs(m["instances"], 2)) > 0.5 * m["instances"].max()
        assert m["image"].std() > 12
    # The sign of the contrast changes from image to image: no grey value tells the classes apart.
    for value in (1, 2):
        darker = [m["image"][m["classes"] == value].mean() < m["image"][m["classes"] == 0].mean() for m in made]
        assert 2 <= sum(darker) <= 14
    darker = [m["image"][m["classes"] == 1].mean() < m["image"][m["classes"] == 2].mean() for m in made]
    assert 2 <= sum(darker) <= 14
    counts = [m["instances"].max() for m in made]
    assert max(counts) > 2 * min(counts)


def test_inner_regions_are_as_rough_as_the_papers():
    scores = []
    for seed in range(6):
        made = make_image((192, 240), seed)
        scores.append(dice_of_inner_regions(inner_regions(made["instances"], made["classes"]), made["classes"]))
    assert np.mean(scores) == pytest.approx(0.72, abs=0.03)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": (16, 100)}, "at least 32 pixels"),
        ({"size": (64, 64, 64)}, r"\(height, width\)"),
        ({"radius": (20, 10)}, "radius"),
        ({"radius": (1, 10)}, "at least 4 pixels"),
    ],
)
def test_ill_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_image(**kwargs)


def test_volume():
    made = make_volume((24, 32, 40), seed=2)
    assert made["image"].shape == made["classes"].shape == made["instances"].shape == (24, 32, 40)
    assert set(np.unique(made["classes"])) == {0, 1, 2}
    assert len(touching_pairs(made["instances"], 1)) > 3
    assert np.array_equal(made["instances"], make_volume((24, 32, 40), seed=2)["instances"])


def test_ill_volume_size():
    with pytest.raises(ValueError, match="at least 16 voxels"):
        make_volume((8, 20, 20))
