"""Sizes: what is large is read, what only claims to be large is one sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai import memory
from lazylabels_monai.images import stored
from lazylabels_monai.images.files import ReadError, read_image, read_label
from lazylabels_monai.images.stored import ReadError as Defined
from lazylabels_monai.images.stored import check_decoded_size


@pytest.fixture
def empty(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(bytes(1000))
    return path


def test_one_error_for_all():
    assert ReadError is Defined


@pytest.mark.parametrize(
    ("width", "height", "pixel_bytes", "words"),
    [
        (14000, 14000, 1, None),
        (30000, 30000, 1, None),
        (40000, 40000, 1, r"claims 40000 x 40000 pixels but holds only 1000 bytes: it is damaged, export it again"),
        (2**31, 2**31, 16, r"claims .* but holds only 1000 bytes"),
    ],
)
def test_claims_are_weighed_against_the_files_size(empty, width, height, pixel_bytes, words):
    if words is None:
        check_decoded_size(empty, width, height, pixel_bytes)
        return
    with pytest.raises(ReadError, match=words) as caught:
        check_decoded_size(empty, width, height, pixel_bytes)
    assert str(empty) in str(caught.value)


def test_what_is_too_large_for_one_piece(empty, monkeypatch):
    monkeypatch.setattr(memory, "memory_at_hand", lambda: None)
    monkeypatch.setattr(Path, "stat", lambda self, **_: type("S", (), {"st_size": 2**33}))
    check_decoded_size(empty, 2**16, 2**16, 2)
    with pytest.raises(ReadError, match=r"has 65537 x 65536 pixels \(8 GiB in memory\), more than the 8 GiB .*smaller images"):
        check_decoded_size(empty, 2**16 + 1, 2**16, 2)


def huge_png(path):
    """A header of 90000 x 90000 pixels before nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 90000, 90000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def huge_tiff(path):
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for code in (256, 257):
            tif.pages[0].tags[code].overwrite(65000)


def huge_bmp(path):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[18:26] = struct.pack("<ii", 60000, 60000)
    path.write_bytes(data)


def huge_jpeg(path):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "write"), [("a.png", huge_png), ("a.tif", huge_tiff), ("a.bmp", huge_bmp), ("a.jpg", huge_jpeg)]
)
@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_tiny_file_that_claims_gigabytes(tmp_path, name, write, read):
    write(tmp_path / name)
    with pytest.raises(ReadError, match=rf"{name}' claims \d+ x \d+ pixels but holds only \d+ bytes: it is damaged"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.bmp"])
def test_pillows_limit_holds_for_nobody_here_and_stays_for_others(tmp_path, monkeypatch, name):
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 2000 pixels are a "decompression bomb" then
    assert read_image(tmp_path / name).shape == (40, 50)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_limit_is_generous():
    assert stored.MAX_DECODED_BYTES >= 14000 * 14000 * 3 * 2  # a slide's overview in 16-bit colour
