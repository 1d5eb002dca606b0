"""What makes two images the same."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lazylabels_monai.images.digest import file_pixels, pixel_digest


def test_same_pixels_have_the_same_name_in_any_memory_order():
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert pixel_digest(array) == pixel_digest(np.asfortranarray(array)) == pixel_digest(array.copy())
    assert len(pixel_digest(array)) == 32


def test_files_of_the_same_pixels_have_the_same_name_whatever_else_they_say(tmp_path):
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(array).save(tmp_path / "a.png")
    Image.fromarray(array).save(tmp_path / "b.tif", dpi=(300, 300))
    Image.fromarray(array + 1).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"none")
    one, same, other, none = (file_pixels(path) for path in sorted(tmp_path.iterdir()))
    assert one == same != other
    assert none == file_pixels(tmp_path / "missing.png") == ""


def test_a_value_the_shape_and_the_type_tell_images_apart():
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    changed = array.copy()
    changed[2, 3] += 1
    others = [array, changed, array.reshape(4, 3), array.astype(np.int16)]
    assert len({pixel_digest(other) for other in others}) == 4
