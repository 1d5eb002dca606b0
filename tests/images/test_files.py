"""Pictures and labels are read pixel by pixel, compared with the libraries that wrote the files."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from monai.transforms import LoadImage, LoadImaged
from PIL import Image

from lazylabels_monai.images.files import ReadError, file_suffix, read_image, read_label
from lazylabels_monai.images.readers import MicroscopyReader
from tests.images.matrix import filled
from tests.images.written import CLASSES, CLASSES255, FLOAT, GRAY8, GRAY16, RGB8, RGB16, RGBA8, RGBA16, H, W, noise, pil, tif


def save_png16(path, array):
    """A 16-bit colour PNG, which Pillow cannot write: LA, RGB or RGBA by the number of channels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def save_palette(path, indices):
    image = Image.fromarray(indices, mode="P")
    image.putpalette([v for i in range(256) for v in (i, 255 - i, (7 * i) % 256)])
    image.save(path)


def palette_rgb(indices):
    i = indices.astype(int)
    return np.stack([i, 255 - i, (7 * i) % 256], axis=-1).astype(np.uint8)


def save_lzw16(path, array):
    """16-bit colour TIFF in LZW, without imagecodecs: LZW codes of 9 bits with a clear code often enough."""
    data = array.astype("<u2").tobytes()
    codes = []
    for i, byte in enumerate(data):
        if i % 200 == 0:
            codes.append(256)
        codes.append(byte)
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    strip = int(bits, 2).to_bytes(len(bits) // 8, "big")
    height, width, samples = array.shape
    extra = struct.pack("<3H", *[16] * samples)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, samples, 8), (259, 3, 1, 5), (262, 3, 1, 2),
        (273, 4, 1, 14), (277, 3, 1, samples), (278, 3, 1, height), (279, 4, 1, len(strip)), (284, 3, 1, 1),
    ]  # fmt: skip
    strip += b"\0" * (len(strip) % 2)
    offset = 14 + len(strip)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    path.write_bytes(b"II*\0" + struct.pack("<I", offset) + extra + strip + directory)


# (file name, writer), array (H, W[, C]) that must come back
IMAGES = {
    "png gray 8": (pil("a.png", GRAY8), GRAY8),
    "png gray 16": (pil("a.png", GRAY16), GRAY16),
    "png rgb": (pil("a.png", RGB8), RGB8),
    "png rgba": (pil("a.png", RGBA8), filled(RGBA8[..., :3], RGBA8[..., 3])),
    "png la": (("a.png", lambda p: Image.fromarray(RGBA8[..., :2], mode="LA").save(p)), filled(RGBA8[..., 0], RGBA8[..., 1])),
    "png 1 bit": (pil("a.png", GRAY8 > 99), (GRAY8 > 99) * np.uint8(255)),
    "png palette": (("a.png", lambda p: save_palette(p, GRAY8)), palette_rgb(GRAY8)),
    "png rgb 16": (("a.png", lambda p: save_png16(p, RGB16)), RGB16),
    "png rgba 16": (("a.png", lambda p: save_png16(p, RGBA16)), RGBA16[..., :3]),
    "png la 16": (("a.png", lambda p: save_png16(p, RGB16[..., :2])), RGB16[..., 0]),
    "suffix in capitals": (("A.PNG", lambda p: Image.fromarray(RGB8).save(p)), RGB8),
    "bmp rgb": (pil("a.bmp", RGB8), RGB8),
    "tif gray 8": (tif("a.tif", GRAY8), GRAY8),
    "tif gray 16": (tif("a.tiff", GRAY16), GRAY16),
    "tif gray 16 big endian": (tif("a.tif", GRAY16, byteorder=">"), GRAY16),
    "tif gray 16 lzw": (pil("a.tif", GRAY16, compression="tiff_lzw"), GRAY16),
    "tif rgb lzw": (pil("a.tif", RGB8, compression="tiff_lzw"), RGB8),
    "tif rgb 16": (tif("a.tif", RGB16, photometric="rgb"), RGB16),
    "tif rgb 16 deflate": (tif("a.tif", RGB16, photometric="rgb", compression="zlib"), RGB16),
    "tif rgb 16 lzw": (("a.tif", lambda p: save_lzw16(p, RGB16)), RGB16),
    "tif rgb 16 planar": (
        tif("a.tif", RGB16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        RGB16,
    ),
    "tif rgba": (tif("a.tif", RGBA8, photometric="rgb", extrasamples=["unassalpha"]), filled(RGBA8[..., :3], RGBA8[..., 3])),
    "tif rgba 16": (tif("a.tif", RGBA16, photometric="rgb", extrasamples=["unassalpha"]), RGBA16[..., :3]),
    "tif two channels": (tif("a.tif", RGB8[..., :2], photometric="minisblack", planarconfig="contig"), RGB8[..., :2]),
    "tif five channels": (
        tif("a.tif", noise(np.uint8, 5), photometric="minisblack", planarconfig="contig"),
        noise(np.uint8, 5),
    ),
    "tif float": (tif("a.tif", FLOAT), FLOAT),
    "tif float rgb": (tif("a.tif", np.dstack([FLOAT] * 3), photometric="rgb"), np.dstack([FLOAT] * 3)),
    "tif double": (tif("a.tif", FLOAT.astype(np.float64)), FLOAT.astype(np.float64)),
    "tif int8": (tif("a.tif", noise(np.int8)), noise(np.int8)),
    "tif int16": (tif("a.tif", noise(np.int16) - 2**14), noise(np.int16) - 2**14),
    "tif uint32": (tif("a.tif", noise(np.uint32)), noise(np.uint32)),
    "ome-tif": (tif("a.ome.tif", GRAY16, ome=True), GRAY16),
    "imagej tif": (tif("a.tif", GRAY16, imagej=True), GRAY16),
    "tif palette": (("a.tif", lambda p: save_palette(p, GRAY8)), palette_rgb(GRAY8)),
}


LABELS = {
    "png gray": (pil("a.png", CLASSES255), CLASSES255),
    "png 16 ids": (pil("a.png", GRAY16), GRAY16),
    "png 1 bit": (pil("a.png", CLASSES > 1), (CLASSES > 1).astype(np.uint8)),
    "png 2 bit": (pil("a.png", CLASSES, bits=2), CLASSES),
    "png 4 bit": (pil("a.png", CLASSES + 9, bits=4), CLASSES + 9),
    "png palette": (("a.png", lambda p: save_palette(p, CLASSES)), CLASSES),
    "tif palette": (("a.tif", lambda p: save_palette(p, CLASSES)), CLASSES),
    "gray saved as rgb": (pil("a.png", np.dstack([CLASSES255] * 3)), CLASSES255),
    "gray saved as rgba": (pil("a.png", np.dstack([CLASSES255] * 3 + [CLASSES * 0 + 255])), CLASSES255),
    "gray saved as rgb 16": (("a.png", lambda p: save_png16(p, np.dstack([GRAY16] * 3))), GRAY16),
    "tif 16": (tif("a.tif", GRAY16), GRAY16),
    "tif uint32": (tif("a.tif", noise(np.uint32)), noise(np.uint32)),
    "whole floats": (tif("a.tif", CLASSES.astype(np.float32)), CLASSES),
    "negative": (tif("a.tif", noise(np.int16) - 9), noise(np.int16) - 9),
    "bmp": (pil("a.bmp", CLASSES), CLASSES),
}


def written(tmp_path, case):
    (name, write), expected = case
    path = tmp_path / name
    write(path)
    return path, expected


# Image.fromarray(mode=...) is deprecated but the only short way to LA and P
pytestmark = pytest.mark.filterwarnings("ignore:'mode' parameter")


@pytest.mark.parametrize("case", IMAGES.values(), ids=IMAGES)
def test_image_is_read_exactly(tmp_path, case):
    path, expected = written(tmp_path, case)
    image = read_image(path)
    # wider is fine: Pillow has no int16
    assert image.dtype.kind == expected.dtype.kind
    assert np.can_cast(expected.dtype, image.dtype)
    np.testing.assert_array_equal(image, expected)

    loaded = LoadImaged("image", reader=MicroscopyReader(), ensure_channel_first=True, image_only=True, dtype=None)(
        {"image": str(path)}
    )["image"]
    first = expected[None] if expected.ndim == 2 else np.moveaxis(expected, -1, 0)
    assert loaded.shape == (len(first), W, H)
    np.testing.assert_array_equal(loaded.numpy(), first.swapaxes(1, 2))


@pytest.mark.parametrize("case", LABELS.values(), ids=LABELS)
def test_label_is_read_exactly(tmp_path, case):
    path, expected = written(tmp_path, case)
    label = read_label(path)
    assert label.shape == (H, W)
    assert label.dtype.kind in "ui"
    np.testing.assert_array_equal(label, expected)

    loaded = LoadImage(reader=MicroscopyReader(label=True), ensure_channel_first=True, dtype=np.int64)(path)
    assert loaded.shape == (1, W, H)
    np.testing.assert_array_equal(loaded.numpy()[0], expected.T.astype(np.int64))


def test_default_dtype_keeps_16_bits(tmp_path):
    Image.fromarray(GRAY16).save(tmp_path / "a.png")
    loaded = LoadImaged("image", reader=MicroscopyReader(), ensure_channel_first=True)({"image": tmp_path / "a.png"})
    np.testing.assert_array_equal(loaded["image"].numpy()[0], GRAY16.T)


def test_jpeg_is_what_pillow_decodes(tmp_path):
    for name, array in (("gray.jpg", GRAY8), ("rgb.jpeg", RGB8)):
        Image.fromarray(array).save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), np.asarray(Image.open(tmp_path / name)))
    Image.fromarray(RGBA8, mode="CMYK").save(tmp_path / "cmyk.jpg")
    assert read_image(tmp_path / "cmyk.jpg").shape == (H, W, 3)


# ---------------------------------------------------------------------------------------------- volumes


def test_suffixes():
    assert file_suffix("a.b.NII.GZ") == ".nii.gz"
    assert file_suffix("x/a.ome.TIF") == ".tif"
    assert MicroscopyReader().verify_suffix(["a.png", "b.TIFF"])
    assert not MicroscopyReader().verify_suffix(["a.png", "b.nii.gz"])


# ---------------------------------------------------------------------------------------------- errors


def save_truncated(path):
    Image.fromarray(GRAY8).save(path)
    path.write_bytes(path.read_bytes()[:-150])


def with_nan(value):
    array = FLOAT.copy()
    array[3, 4] = value
    return array


def save_pages(path):
    Image.fromarray(GRAY8).save(path, save_all=True, append_images=[Image.fromarray(GRAY8)] * 2)


BAD_IMAGES = {
    "missing": (("a.png", lambda p: None), "does not exist: correct the path"),
    "truncated": (("a.png", save_truncated), r"cannot be read as an image \(.*export it again"),
    "text": (("a.png", lambda p: p.write_text("no image")), r"cannot be read as an image \(.*export it again"),
    "text as tif": (("a.tif", lambda p: p.write_text("no image")), r"cannot be read as an image \(.*export it again"),
    "empty file": (("a.tif", lambda p: p.write_bytes(b"")), r"cannot be read as an image \(.*export it again"),
    "pages": (("a.tif", save_pages), "has 3 pages, which is not one image: save each page"),
    "16-bit rgb pages": (tif("a.tif", np.stack([RGB16] * 2), photometric="rgb"), "has 2 pages"),
    "imagej stack": (tif("a.tif", np.stack([GRAY16] * 4), imagej=True), "has 4 pages"),
    "ome channels": (
        tif("a.ome.tif", np.stack([GRAY16] * 2), ome=True, photometric="minisblack", metadata={"axes": "CYX"}),
        "has 2 pages",
    ),
    "float pages": (tif("a.tif", np.stack([FLOAT.astype(np.float64)] * 5)), "has 5 pages"),
    "nan": (tif("a.tif", with_nan(np.nan)), "has 1 NaN or infinite values: replace them"),
    "inf": (tif("a.tif", with_nan(-np.inf)), "has 1 NaN or infinite values: replace them"),
    "nan in double": (tif("a.tif", with_nan(np.nan).astype(np.float64)), "has 1 NaN or infinite"),
}


BAD_LABELS = {
    "colour": (pil("a.png", RGB8), "is a colour picture: save it as gray or palette"),
    "colour with alpha": (pil("a.png", RGBA8), "is a colour picture: save it as gray or palette"),
    "two channels": (
        tif("a.tif", RGB8[..., :2], photometric="minisblack", planarconfig="contig"),
        "has 2 channels: save it with one class value per pixel",
    ),
    "jpeg": (("a.jpg", lambda p: Image.fromarray(CLASSES).save(p)), "is a JPEG, .* save it as PNG"),
    "fractions": (tif("a.tif", FLOAT), "fractional values: save it as integers"),
    "nan": (tif("a.tif", np.full((H, W), np.nan, np.float32)), "has NaN or fractional values"),
    "pages": (("a.tif", save_pages), "has 3 pages"),
}


@pytest.mark.parametrize(
    ("label", "case"),
    [*((False, c) for c in BAD_IMAGES.values()), *((True, c) for c in BAD_LABELS.values())],
    ids=[*BAD_IMAGES, *(f"label {name}" for name in BAD_LABELS)],
)
def test_bad_picture_gives_one_sentence(tmp_path, label, case):
    path, message = written(tmp_path, case)
    with pytest.raises(ReadError, match=message) as direct:
        (read_label if label else read_image)(path)
    assert f"'{path}'" in str(direct.value)
    assert "\n" not in str(direct.value)
    # through LoadImaged too, whose other readers would take the first page or plain NaN
    with pytest.raises(Exception, match=message):
        LoadImaged("x", reader=MicroscopyReader(label=label), ensure_channel_first=True)({"x": str(path)})


@pytest.mark.real_data
def test_what_people_drew(data_root):
    """The scribbles and sparse outlines of human_lazy, 16-bit gray, against scikit-image."""
    io = pytest.importorskip("skimage.io")
    files = sorted((data_root / "human_lazy").rglob("*.png"))
    assert len(files) == 22
    for file in files:
        is_label = "annotation" in file.name or file.parent.name == "sparse"
        array = (read_label if is_label else read_image)(file)
        np.testing.assert_array_equal(array, io.imread(file))
    scribble = read_label(data_root / "human_lazy/misc/maize_clsm_scribble_annotation.png")
    assert np.unique(scribble).tolist() == [0, 1, 2]
