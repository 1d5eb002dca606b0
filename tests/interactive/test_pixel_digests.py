"""What pixels files show now, and how often they are read for it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.interactive import pixel_digests
from lazylabels_monai.interactive.file_stamp import file_stamp
from lazylabels_monai.interactive.pixel_digests import PixelDigests


@pytest.fixture
def reads(monkeypatch):
    """Files that were read."""
    found = []
    read = pixel_digests.read_image
    monkeypatch.setattr(pixel_digests, "read_image", lambda path: found.append(os.path.basename(path)) or read(path))
    return found


def picture(path, value):
    pixels = np.full((6, 7), value, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixel_digest(pixels)


def test_a_file_is_read_once_until_it_is_replaced(tmp_path, reads):
    digests, path = PixelDigests(), tmp_path / "a.png"
    first = picture(path, 3)
    assert [digests.of(path), digests.of(str(path))] == [first, first]
    assert reads == ["a.png"]
    os.utime(path, ns=(1, 1))
    second = picture(path, 4)
    assert digests.of(path) == second != first
    assert reads == ["a.png"] * 2
    assert digests.stamp(path) == file_stamp(path)


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_file_that_cannot_be_read_has_none_until_it_is_another(tmp_path, reads, content):
    digests, path = PixelDigests(), tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    assert not digests.knows(path)
    assert [digests.of(path), digests.of(path)] == [None, None]
    assert digests.knows(path)
    assert len(reads) == (content is not None)
    assert digests.of(path) is None
    assert digests.of(path) != picture(path, 3) == digests.of(path)


def test_a_file_that_no_memory_was_there_for_is_tried_again(tmp_path, monkeypatch):
    digests, path = PixelDigests(), tmp_path / "a.png"
    expected = picture(path, 3)
    with monkeypatch.context() as full:
        full.setattr(pixel_digests, "read_image", lambda path: (_ for _ in ()).throw(MemoryError))
        assert digests.of(path) is None
    assert digests.of(path) == expected


def test_what_somebody_else_computed_stands_where_the_file_was_not_looked_at(tmp_path, reads):
    digests, path = PixelDigests(), tmp_path / "a.png"
    expected = picture(path, 3)
    digests.note(path, file_stamp(path), expected)
    assert digests.of(path) == expected
    digests.note(path, None, "another")
    assert digests.of(path) == expected
    assert reads == []
