"""Which page of a TIFF is the picture, and colours that only TIFF has."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from lazylabels_monai.images.files import ReadError, read_image, read_label

RNG = np.random.default_rng(3)
H, W = 96, 128
#: Smooth, as pictures are, so that a smaller copy looks like it.
PICTURE = (ndimage.gaussian_filter(RNG.normal(size=(H, W)), 4) * 9000 + 2000).clip(0).astype(np.uint16)
OTHER = PICTURE[::-1, ::-1].copy()
RGB = np.ascontiguousarray(np.dstack([PICTURE >> 6] * 3).astype(np.uint8))
MASK = PICTURE > 2000


def pages(*writes):
    """A file of pages: array and options of tifffile's write."""

    def write(path):
        with tifffile.TiffWriter(path) as writer:
            for array, options in writes:
                writer.write(np.ascontiguousarray(array), metadata=None, **options)

    return write


REDUCED, OLD = {"subfiletype": 1}, {"extratags": [(255, 3, 1, 2, True)]}
ONE_PICTURE = {
    "pyramid": pages((PICTURE, {"tile": (32, 32)}), (PICTURE[::2, ::2], REDUCED), (PICTURE[::4, ::4], REDUCED)),
    "pyramid that does not say so": pages((PICTURE, {}), (PICTURE[::2, ::2], {}), (PICTURE[::4, ::4], {})),
    "odd pyramid that does not say so": pages((PICTURE, {}), (PICTURE[::3, ::3], {})),
    "thumbnail before": pages((RGB[::4, ::4], REDUCED), (PICTURE, {})),
    "thumbnail behind": pages((PICTURE, {}), (RGB[::4, ::4], REDUCED)),
    "thumbnail of the old tag": pages((PICTURE, {}), (RGB[::4, ::4], OLD)),
    "thumbnail that does not say so": pages((RGB[::4, ::4], {"photometric": "rgb"}), (PICTURE, {})),
    "macro photograph": pages((PICTURE, {}), (RGB[:50, :30], {"subfiletype": 9})),
    "mask beside": pages((PICTURE, {}), (MASK, {"subfiletype": 4, "photometric": "minisblack"})),
    "below the page": lambda path: _below(path, PICTURE, PICTURE[::2, ::2], 0, 1),
    "below a thumbnail": lambda path: _below(path, RGB[::4, ::4], PICTURE, 1, 0),
}


def _below(path, first, second, kind, kind_below):
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.ascontiguousarray(first), subfiletype=kind, subifds=1, metadata=None)
        writer.write(np.ascontiguousarray(second), subfiletype=kind_below, metadata=None)


@pytest.mark.parametrize("write", ONE_PICTURE.values(), ids=ONE_PICTURE)
@pytest.mark.parametrize("read", [read_image, read_label])
def test_what_lies_beside_the_picture_is_no_page_of_it(tmp_path, write, read):
    write(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), PICTURE)


SEVERAL = {
    "stack": pages((PICTURE, {}), (OTHER, {}), (PICTURE, {})),
    "stack with thumbnails": pages((PICTURE, {}), (PICTURE[::2, ::2], REDUCED), (OTHER, {}), (OTHER[::2, ::2], REDUCED)),
    "another picture of half the size": pages((PICTURE, {}), (OTHER[::2, ::2], {})),
    "another shape": pages((PICTURE, {}), (PICTURE[::2, ::4], {})),
    "imagej": lambda path: tifffile.imwrite(path, np.stack([PICTURE, OTHER]), imagej=True),
    "one header": lambda path: tifffile.imwrite(path, np.stack([PICTURE, OTHER]), contiguous=True),
    "ome": lambda path: tifffile.imwrite(path, np.stack([PICTURE, OTHER]), ome=True, metadata={"axes": "ZYX"}),
}


@pytest.mark.parametrize("write", SEVERAL.values(), ids=SEVERAL)
def test_several_pictures_are_counted(tmp_path, write):
    write(tmp_path / "a.tif")
    with pytest.raises(ReadError, match=r"a\.tif' has [23] pages, which is not one image: save each page"):
        read_image(tmp_path / "a.tif")


def test_cmyk_and_ycbcr_become_rgb_at_every_depth(tmp_path):
    for dtype in (np.uint8, np.uint16):
        top = np.iinfo(dtype).max
        inks = np.zeros((8, 9, 4), dtype)
        inks[:4, :, 0] = top  # cyan
        inks[:, 5:, 3] = top // 2  # half black
        tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
        found = read_image(tmp_path / "a.tif")
        assert found.dtype == dtype
        assert found[0, 0].tolist() == [0, top, top]
        assert found[7, 0].tolist() == [top, top, top]
        np.testing.assert_allclose(found[7, 8], top / 2, atol=1)
    rgb = RNG.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", ycbcr, photometric="ycbcr")
    reference = np.asarray(Image.fromarray(ycbcr, mode="YCbCr").convert("RGB"))
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - reference).max() <= 1
    with pytest.raises(ReadError, match="colour picture"):
        read_label(tmp_path / "a.tif")


def test_cielab_becomes_rgb(tmp_path):
    lab = np.zeros((8, 9, 3), np.uint8)
    lab[..., 0] = np.linspace(0, 255, 9)  # gray, from black to white
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab")
    found = read_image(tmp_path / "a.tif").astype(int)
    assert np.ptp(found, axis=-1).max() <= 2
    assert found[0, 0].max() == 0
    assert found[0, -1].min() >= 254
    assert (np.diff(found[0, :, 0]) > 0).all()


def test_colours_without_a_meaning_here_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, photometric="cfa", extratags=[(33421, 3, 2, (2, 2), True)])
    with pytest.raises(ReadError, match=r"a\.tif' has the colours CFA.*save it as gray or RGB"):
        read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", PICTURE.astype(np.complex64))
    with pytest.raises(ReadError, match=r"b\.tif' holds complex numbers"):
        read_image(tmp_path / "b.tif")


def without_extra_samples(path):
    """As OpenCV writes four channels: without the tag that says what the fourth is."""
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x52\x01\x03\x00", b"\x53\xfd\x03\x00"))


def test_a_fourth_sample_that_nobody_explains_is_alpha_or_a_filler(tmp_path):
    four = RNG.integers(1, 256, (8, 9, 4), dtype=np.uint8)
    four[..., 1:3] = four[..., :1]
    expected = four[..., 0].copy()
    for alpha, drawn in ((0, expected), (255, expected), (None, np.where(np.arange(9) < 4, expected, 0))):
        four[..., 3] = alpha if alpha is not None else np.where(np.arange(9) < 4, 255, 0)
        tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), four)  # "unspecified": a channel
        without_extra_samples(tmp_path / "a.tif")
        np.testing.assert_array_equal(read_label(tmp_path / "a.tif"), drawn)
        assert read_image(tmp_path / "a.tif").shape == (8, 9, 3)


def test_palettes_of_8_bit_colours(tmp_path):
    index = RNG.integers(0, 256, (8, 9), dtype=np.uint8)
    table = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), table.T[index])
