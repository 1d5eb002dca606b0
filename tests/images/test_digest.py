"""What makes two images the same."""

from __future__ import annotations

import numpy as np

from lazylabels_monai.images.digest import pixel_digest


def test_same_pixels_have_the_same_name_in_any_memory_order():
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert pixel_digest(array) == pixel_digest(np.asfortranarray(array)) == pixel_digest(array.copy())
    assert len(pixel_digest(array)) == 32


def test_a_value_the_shape_and_the_type_tell_images_apart():
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    changed = array.copy()
    changed[2, 3] += 1
    others = [array, changed, array.reshape(4, 3), array.astype(np.int16)]
    assert len({pixel_digest(other) for other in others}) == 4
