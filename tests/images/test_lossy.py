"""A label is refused for what its file is: each codec with and without loss, under names that do not say so."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.images import lossy
from lazylabels_monai.images.files import ReadError, read_image, read_label


def label(dtype=np.uint8):
    """Three regions on background, one of them 255."""
    classes = np.zeros((96, 128), dtype)
    classes[20:50, 30:70], classes[60:80, 10:60], classes[70:90, 90:120] = 1, 2, 255
    return classes


def colours():
    return np.repeat(label()[..., None], 3, axis=-1)


def pillow(array, format, **options):
    return lambda path: Image.fromarray(array).save(path, format, **options)


def tiff(array, codec, **args):
    return lambda path: tifffile.imwrite(path, array, compression=codec, compressionargs=args)


EXACT = {
    "png": pillow(label(), "PNG"),
    "gif": pillow(label(), "GIF"),
    "webp": pillow(colours(), "WEBP", lossless=True),
    "webp with metadata": pillow(colours(), "WEBP", lossless=True, exif=Image.Exif(), icc_profile=b"x"),
    "jpeg 2000": pillow(label(), "JPEG2000"),
    **{
        f"tiff {name}": tiff(label(), name)
        for name in ("jpeg2000", "jpegxl", "jpegxr", "lerc", "png", "zstd", "lzma", "packbits", "lzw", "zlib")
    },
    **{f"tiff 16 {name}": tiff(label(np.uint16), name) for name in ("jpeg2000", "jpegxl", "jpegxr", "lerc", "png")},
    "tiff webp": tiff(colours(), "webp", lossless=True),
    "tiff float lerc": tiff(label(np.float32), "lerc"),
    "tiff lerc in deflate": tiff(label(), "lerc", compression="deflate"),
    "tiff lerc in zstd": tiff(label(), "lerc", compression="zstd"),
}

ALTERED = {
    "jpeg": (pillow(label(), "JPEG", quality=100), "a JPEG"),
    "webp": (pillow(colours(), "WEBP", quality=95), "a lossy WebP"),
    "webp with alpha": (pillow(np.dstack([colours(), label() // 2 + 99]), "WEBP", quality=95), "a lossy WebP"),
    "avif": (pillow(colours(), "AVIF", quality=95), "an AVIF"),
    "jpeg 2000": (pillow(label(), "JPEG2000", irreversible=True), "a lossy JPEG 2000"),
    "jpeg 2000 cut": (pillow(label(), "JPEG2000", quality_mode="dB", quality_layers=[38]), "a lossy JPEG 2000"),
    "tiff jpeg": (tiff(label(), "jpeg", level=100), "a TIFF of lossy JPEG compression"),
    "tiff jpeg rgb": (tiff(colours(), "jpeg"), "a TIFF of lossy JPEG compression"),
    "tiff 12-bit jpeg": (tiff(label(np.uint16), "jpeg"), "a TIFF of lossy JPEG compression"),
    "tiff jpeg 2000": (tiff(label(), "jpeg2000", level=50), "a TIFF of lossy JPEG 2000 compression"),
    "tiff jpeg xl": (tiff(label(), "jpegxl", level=90), "a TIFF of lossy JPEG XL compression"),
    "tiff jpeg xr": (tiff(label(), "jpegxr", level=0.9), "a TIFF of lossy JPEG XR compression"),
    "tiff webp": (tiff(colours(), "webp", level=90, lossless=False), "a TIFF of lossy WebP compression"),
    "tiff lerc": (tiff(label(), "lerc", level=2), "a TIFF of lossy LERC compression"),
    "tiff lerc in zstd": (tiff(label(), "lerc", level=2, compression="zstd"), "a TIFF of lossy LERC compression"),
}


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
@pytest.mark.parametrize("write", EXACT.values(), ids=EXACT)
def test_an_exact_compression_is_a_label(tmp_path, write, name):
    write(tmp_path / name)
    np.testing.assert_array_equal(read_label(tmp_path / name), label())


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
@pytest.mark.parametrize(("write", "what"), ALTERED.values(), ids=ALTERED)
def test_a_lossy_label_is_refused_under_any_name(tmp_path, write, what, name):
    write(tmp_path / name)
    with pytest.raises(ReadError, match=rf"^label '.*{name}' is {what}, whose compression alters class values: save it as PNG"):
        read_label(tmp_path / name)
    assert read_image(tmp_path / name).shape[:2] == (96, 128)


@pytest.mark.parametrize(
    "settings", [{}, {"num_resolutions": 3}, {"codeblock_size": (32, 32)}, {"progression": "RPCL"}], ids=str
)
@pytest.mark.parametrize("quality", [None, 30, 50, 60, 70, 90])
def test_a_jpeg_2000_that_was_cut_off_is_lossy_though_its_wavelet_is_exact(settings, quality):
    disc = np.hypot(*np.mgrid[-48:48, -60:68]) < 40
    array = (disc * (1 + np.arange(128) // 50)).astype(np.uint8)
    cut = {} if quality is None else {"quality_mode": "dB", "quality_layers": [quality]}
    written = BytesIO()
    Image.fromarray(array).save(written, "JPEG2000", **cut, **settings)
    altered = not np.array_equal(imagecodecs.jpeg2k_decode(written.getvalue()), array)
    assert altered is (quality is not None)
    assert lossy.jpeg2000(written.getvalue()) is altered


@pytest.mark.parametrize(("encode", "altered"), [(imagecodecs.ljpeg_encode, False), (imagecodecs.jpeg8_encode, True)])
def test_jpegs_own_lossless_process(encode, altered):
    assert lossy.jpeg(encode(label())) is altered


@pytest.mark.parametrize("level", [0, 3])
def test_jpeg_ls_says_how_far_values_lie_off(level):
    data = imagecodecs.jpegls_encode(label() // 3 + (np.arange(128) % 5).astype(np.uint8), level=level)
    assert lossy.jpeg(data) is (level > 0)


@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_xl_of_every_depth_and_number_of_channels(depth, channels):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2**depth, (40, 51, channels)).astype(np.uint8 if depth == 8 else np.uint16)
    for lossless in (True, False):
        for container in (True, False):
            data = imagecodecs.jpegxl_encode(
                array, lossless=lossless, bitspersample=depth, usecontainer=container, distance=None if lossless else 1.0
            )
            assert lossy.jpegxl(data) is not lossless


@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000", "jpegxl", "jpegxr", "lerc"])
def test_what_cannot_be_understood_counts_as_lossy(codec):
    compression = {"jpeg": 7, "jpeg2000": 34712, "jpegxl": 50002, "jpegxr": 34934, "lerc": 34887}[codec]
    for data in (b"", b"\xff", b"\xff\x0a", b"Lerc2 ", b"WMPHOTO\0", b"\xff\x4f\xff\x51", bytes(200)):
        assert lossy.lossy_tiff_segment(compression, data)
    assert lossy.lossy_tiff_segment(12345, b"")
