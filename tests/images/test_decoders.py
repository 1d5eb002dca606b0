"""What a file is, is seen from its content."""

from __future__ import annotations

import multiprocessing
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.images import decoders
from lazylabels_monai.images.decoders import stored_picture
from lazylabels_monai.images.files import ReadError, read_image, read_label
from tests.images.test_files import save_png16

GRAY = np.random.default_rng(0).integers(0, 256, (20, 31), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (20, 31, 3), dtype=np.uint8)
RGB16 = RGB.astype(np.uint16) * 257 + 3


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.bmp"])
@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda p: tifffile.imwrite(p, RGB16, photometric="rgb"), RGB16),
        (lambda p: Image.fromarray(RGB).save(p, "PNG"), RGB),
        (lambda p: Image.fromarray(GRAY).save(p, "BMP"), GRAY),
        (lambda p: Image.fromarray(GRAY).save(p, "GIF"), GRAY),
        (lambda p: Image.fromarray(RGB).save(p, "WEBP", lossless=True), RGB),
        (lambda p: Image.fromarray(GRAY).save(p, "PPM"), GRAY),
        (lambda p: p.write_bytes(imagecodecs.jpeg2k_encode(RGB16, level=0, reversible=True)), RGB16),
        (lambda p: p.write_bytes(imagecodecs.png_encode(RGB16)), RGB16),
    ],
    ids=["tiff", "png", "bmp", "gif", "webp", "pnm", "jpeg 2000", "png 16"],
)
def test_the_name_of_a_file_does_not_matter(tmp_path, name, write, expected):
    write(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (imagecodecs.jpegxl_encode(GRAY), "is a JPEG XL file by its content: convert it to PNG or TIFF"),
        (imagecodecs.jpegxr_encode(GRAY), "is a JPEG XR file by its content: convert it to PNG or TIFF"),
        (b"%PDF-1.4 x", "is a PDF file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC file or a film by its content: convert it to PNG or TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read as an image"),  # Pillow would run Ghostscript
        (b"", "cannot be read as an image"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, data, words):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ReadError, match=words):
        read_image(tmp_path / "a.png")


def test_animations_are_several_pages_and_a_cameras_preview_is_none(tmp_path):
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    for format in ("PNG", "GIF", "WEBP"):
        frames[0].save(tmp_path / "a.png", format, save_all=True, append_images=frames[1:])
        with pytest.raises(ReadError, match="has 2 pages"):
            read_image(tmp_path / "a.png")
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.jpg").shape == GRAY.shape


def test_losses_are_looked_for_in_labels_alone(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", "WEBP")
    assert stored_picture(tmp_path / "a.png").lossy is None
    assert stored_picture(tmp_path / "a.png", label=True).lossy == "a lossy WebP"


def test_a_16_bit_colour_that_stands_for_transparent(tmp_path):
    """PNG's tRNS of 16-bit colour, which Pillow compares with 8-bit values."""
    save_png16(tmp_path / "a.png", RGB16)
    data = (tmp_path / "a.png").read_bytes()
    key = RGB16[5, 6].astype(">u2").tobytes()
    chunk = struct.pack(">I", len(key)) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + chunk + data[at:])
    found = stored_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.values, RGB16)
    np.testing.assert_array_equal(found.alpha == 0, (RGB16[5, 6] == RGB16).all(-1))


def test_cmyk_of_a_jpeg(tmp_path):
    """Adobe's inverted inks, within the rounding of Pillow's own conversion."""
    Image.fromarray(np.dstack([RGB, GRAY]), mode="CMYK").save(tmp_path / "a.jpg")
    reference = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg") - reference).max() <= 1


def test_transparent_gray_of_few_bits(tmp_path):
    """The values of PNG's tRNS are those stored, not the spread ones that Pillow gives."""
    for bits in (1, 2, 4):
        image = Image.fromarray((GRAY % 2**bits).astype(np.uint8) if bits > 1 else GRAY % 2 > 0)
        image.save(tmp_path / "a.png", bits=bits, transparency=1)
        found = stored_picture(tmp_path / "a.png")
        np.testing.assert_array_equal(found.values, GRAY % 2**bits)
        np.testing.assert_array_equal(found.alpha == 0, GRAY % 2**bits == 1)


def test_an_orientation_that_is_no_number_turns_nothing(tmp_path):
    entry = struct.pack(">HHI4s", 0x0112, 2, 4, b"top")
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), GRAY)


def test_pictures_are_read_in_threads_and_in_processes_forked_from_them(tmp_path):
    """Pillow's limit is lifted for one picture at a time: nobody waits for a lock that another process held."""
    for i in range(8):
        Image.fromarray(GRAY + np.uint8(i)).save(tmp_path / f"{i}.png")
    paths = sorted(tmp_path.iterdir())
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(read_image, path) for path in paths * 20]
        with decoders._limit:  # as while a picture is opened
            child = multiprocessing.get_context("fork").Process(target=read_image, args=(paths[0],))
            child.start()
        child.join(60)
        assert child.exitcode == 0
        for future, path in zip(futures, paths * 20, strict=True):
            np.testing.assert_array_equal(future.result(), GRAY + np.uint8(path.stem))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (1, 9, 3), (9, 1, 3), (1, 1, 3), (1, 1, 4)])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pictures_of_one_row_or_column(tmp_path, name, shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) + 1
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, array, photometric="rgb" if len(shape) > 2 else "minisblack")
    else:
        Image.fromarray(array).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name), array[..., :3] if len(shape) > 2 else array)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_is_one_sentence(tmp_path, seed):
    """Bytes changed at random, most in the headers: read, or refused; never anything else."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "a.tif"
    rgba = np.dstack([RGB, GRAY])
    writers = [
        lambda: tifffile.imwrite(path, GRAY),
        lambda: tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"], compression="lzw"),
        lambda: tifffile.imwrite(path, RGB16, photometric="rgb", planarconfig="contig", tile=(16, 16), compression="zlib"),
        lambda: tifffile.imwrite(path, GRAY, compression="lerc"),
        lambda: tifffile.imwrite(path, GRAY, compression="jpegxl"),
        lambda: Image.fromarray(GRAY).convert("P").save(path),
        lambda: Image.fromarray(rgba).save(path, "PNG"),
        lambda: Image.fromarray(RGB).save(path, "WEBP", lossless=True),
    ]
    for write in writers:
        write()
        data = path.read_bytes()
        for attempt in range(8):
            damaged = bytearray(data if attempt else data[: rng.integers(1, len(data))])
            for _ in range(rng.integers(1, 6)):
                damaged[rng.integers(min(len(damaged), 300) if attempt % 2 else len(damaged))] = rng.integers(256)
            path.write_bytes(damaged)
            for read in (read_image, read_label):
                try:
                    assert read(path).ndim in (2, 3)
                except ReadError as error:
                    assert "\n" not in str(error)  # noqa: PT017
