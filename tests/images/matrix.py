"""Pictures of every tag, depth and colour, by every library that can write them, with what must come back.

The expected arrays are those handed to the writer, turned and filled by the plain numpy of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import itk
import numpy as np
import tifffile
from PIL import Image

H, W = 20, 31
RNG = np.random.default_rng(7)

# EXIF 2.32, table of tag 274: where row 0 and column 0 of the file lie in the picture
TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
DEPTHS = [np.dtype(name) for name in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8")]


class Case(NamedTuple):
    """A file: how it is written, and what must be read; a label of None must be refused."""

    name: str
    write: Callable[[Path], Any]
    image: np.ndarray
    label: np.ndarray | None


def noise(dtype: np.dtype, *channels: int, top: int | None = None) -> np.ndarray:
    """Whole numbers over the whole range, negative ones too; of floats those that are exact."""
    if dtype.kind == "f":
        return RNG.integers(-900, 900, (H, W, *channels)).astype(dtype)
    info = np.iinfo(dtype)
    top = 2**62 if top is None and dtype == np.uint64 else top  # torch's integers end at 2**63
    return RNG.integers(info.min, info.max if top is None else top, (H, W, *channels), dtype=dtype, endpoint=True)


def filled(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """An image whose transparent pixels have the median of the others."""
    shown = alpha > 0
    result = colours.copy()
    for index in np.ndindex(colours.shape[2:]):
        plane = colours[(..., *index)]
        result[(..., *index)][~shown] = np.median(plane[shown]).astype(colours.dtype)
    return result


def veil(dtype: np.dtype) -> np.ndarray:
    """Alpha: nothing at the border, all inside, something between."""
    top = 1 if dtype.kind == "f" else np.iinfo(dtype).max
    alpha = np.full((H, W), top, dtype)
    alpha[:4] = 0
    alpha[:, 25:] = 0
    alpha[9, 3:20] = top if dtype.kind == "f" else top - top // 4
    return alpha


def cases() -> Iterator[Case]:
    """All of them."""
    for make in (_tiff_gray, _tiff_codings, _tiff_bits, _tiff_colour, _tiff_palette, _pillow, _pillow_lossy, _others):
        yield from make()


def _tiff(name: str, array: np.ndarray, image: np.ndarray, label: np.ndarray | None, turn: int = 1, **options: Any) -> Case:
    tags = [(274, 3, 1, turn, True)]
    return Case(
        f"tifffile {name} {turn}.tif",
        lambda p: tifffile.imwrite(p, array, extratags=tags, metadata=None, **options),
        TURNED[turn](image),
        None if label is None else TURNED[turn](label),
    )


def _tiff_gray() -> Iterator[Case]:
    for dtype in DEPTHS:
        for photometric in ("minisblack", "miniswhite"):
            for order in "<>":
                for turn in TURNED:
                    array = noise(dtype)
                    yield _tiff(
                        f"{dtype}{order} {photometric}", array, array, array, turn, photometric=photometric, byteorder=order
                    )


def _tiff_codings() -> Iterator[Case]:
    for compression in ("zlib", "lzw", "zstd", "lzma", "packbits"):
        for dtype in (np.dtype("u1"), np.dtype("u2"), np.dtype("u4"), np.dtype("f4")):
            for predictor in (False, True) if compression in ("zlib", "lzw", "zstd") else (False,):
                for tile in (None, (16, 32)):
                    array = noise(dtype)
                    options = {"compression": compression, "predictor": predictor, "tile": tile, "photometric": "minisblack"}
                    yield _tiff(f"{dtype} {compression} {predictor} {tile}", array, array, array, **options)
    for compression in ("jpeg2000", "jpegxl", "jpegxr", "lerc", "png"):
        for dtype in (np.dtype("u1"), np.dtype("u2")):
            array = noise(dtype)
            yield _tiff(f"{dtype} {compression}", array, array, array, compression=compression)
    for bigtiff in (False, True):
        for tile in (None, (32, 32)):
            array = noise(np.dtype("u2"))
            yield _tiff(f"big {bigtiff} {tile}", array, array, array, 6, bigtiff=bigtiff, tile=tile)
    for rows in (1, 7):
        array = noise(np.dtype("u1"))
        yield _tiff(f"strips {rows}", array, array, array, rowsperstrip=rows)


def _tiff_bits() -> Iterator[Case]:
    for photometric in ("minisblack", "miniswhite"):
        for turn in (1, 3, 6):
            array = noise(np.dtype("u1"), top=1)
            options = {"photometric": photometric}
            yield _tiff(f"1 bit {photometric}", array.astype(bool), array * np.uint8(255), array, turn, **options)
            for bits in (2, 4, 12):
                array = noise(np.dtype("u2" if bits > 8 else "u1"), top=2**bits - 1)
                yield _tiff(f"{bits} bits {photometric}", array, array, array, turn, bitspersample=bits, **options)


def _tiff_colour() -> Iterator[Case]:
    for dtype in (np.dtype("u1"), np.dtype("u2"), np.dtype("u4"), np.dtype("f4")):
        for turn in (1, 4, 8):
            for planar in ("contig", "separate"):
                options = {"photometric": "rgb", "planarconfig": planar}

                def laid(array: np.ndarray, planar: str = planar) -> np.ndarray:
                    return array if planar == "contig" else np.ascontiguousarray(np.moveaxis(array, -1, 0))

                rgb, alpha = noise(dtype, 3), veil(dtype)
                yield _tiff(f"{dtype} rgb {planar}", laid(rgb), rgb, None, turn, **options)
                gray = np.repeat(noise(dtype)[..., None], 3, axis=-1)
                yield _tiff(f"{dtype} gray rgb {planar}", laid(gray), gray, gray[..., 0], turn, **options)
                rgba = laid(np.dstack([rgb, alpha]))
                hidden = filled(rgb, alpha)
                yield _tiff(f"{dtype} rgba {planar}", rgba, hidden, None, turn, extrasamples=["unassalpha"], **options)
                four = np.dstack([rgb, alpha])
                yield _tiff(f"{dtype} rgb+1 {planar}", rgba, four, None, turn, extrasamples=["unspecified"], **options)
                if dtype.kind == "u":
                    drawn = np.dstack([gray, alpha])
                    # drawn: alpha is three quarters or all
                    label = np.where(alpha > 0, gray[..., 0], 0)
                    extra = {"extrasamples": ["unassalpha"], **options}
                    yield _tiff(f"{dtype} drawn {planar}", laid(drawn), filled(gray, alpha), label, turn, **extra)
                    held = (label // 8 * 4)[..., None] * np.ones(3, dtype)
                    multiplied = np.rint(held.astype(float) * alpha[..., None] / alpha.max()).astype(dtype)
                    extra["extrasamples"] = ["assocalpha"]
                    yield _tiff(
                        f"{dtype} multiplied {planar}",
                        laid(np.dstack([multiplied, alpha])),
                        filled(multiplied, alpha),
                        held[..., 0],
                        turn,
                        **extra,
                    )
        for channels in (2, 5):
            many = noise(dtype, channels)
            options = {"photometric": "minisblack", "planarconfig": "contig"}
            yield _tiff(f"{dtype} {channels} channels", many, many, None, 5, **options)


def _tiff_palette() -> Iterator[Case]:
    ramp = np.arange(256, dtype=np.uint16) * 257
    colours = RNG.integers(0, 65536, (3, 256)).astype(np.uint16)
    green = np.stack([ramp * 0, ramp, ramp * 0])
    for turn in TURNED:
        index = noise(np.dtype("u1"))
        options = {"photometric": "palette"}
        yield _tiff("gray palette", index, index, index, turn, colormap=np.stack([ramp] * 3), **options)
        yield _tiff("black on white palette", index, 255 - index, index, turn, colormap=np.stack([ramp[::-1]] * 3), **options)
        yield _tiff("one hue", index, index, index, turn, colormap=green, **options)
        yield _tiff("palette", index, (colours >> 8).astype(np.uint8).T[index], index, turn, colormap=colours, **options)
    deep = noise(np.dtype("u2"))
    ramp16 = np.arange(65536, dtype=np.uint16)
    yield _tiff("gray palette 16", deep, deep, deep, 6, photometric="palette", colormap=np.stack([ramp16] * 3))
    colours16 = RNG.integers(0, 65536, (3, 65536)).astype(np.uint16)
    yield _tiff("palette 16", deep, colours16.T[deep], deep, 6, photometric="palette", colormap=colours16)
    for bits in (2, 4):
        index = noise(np.dtype("u1"), top=2**bits - 1)
        table = RNG.integers(0, 65536, (3, 2**bits)).astype(np.uint16)
        expected = (table >> 8).astype(np.uint8).T[index]
        write = lambda p, i=index, t=table, b=bits: _small_palette(p, i, t, b)  # noqa: E731
        yield Case(f"palette {bits} bits.tif", write, expected, index)


def _small_palette(path: Path, index: np.ndarray, table: np.ndarray, bits: int) -> None:
    """What tifffile does not write by itself: a palette for fewer than 8 bits."""
    colours = [(320, 3, table.size, table.ravel().tolist(), True)]
    tifffile.imwrite(path, index, photometric="minisblack", bitspersample=bits, extratags=colours, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags[262].overwrite(3)


def _pillow_images() -> Iterator[tuple[str, Image.Image, np.ndarray, np.ndarray | None]]:
    """Mode, picture, expected image, expected label."""
    byte = np.dtype("u1")
    gray, gray16, rgb, alpha = noise(byte), noise(np.dtype("u2")), noise(byte, 3), veil(byte)
    yield "L", Image.fromarray(gray), gray, gray
    yield "I;16", Image.fromarray(gray16), gray16, gray16
    yield "RGB", Image.fromarray(rgb), rgb, None
    yield "RGBA", Image.fromarray(np.dstack([rgb, alpha])), filled(rgb, alpha), None
    drawn = np.where(alpha > 0, gray, 0)
    yield "LA", Image.fromarray(np.dstack([gray, alpha])), filled(gray, alpha), drawn
    same = np.repeat(gray[..., None], 3, axis=-1)
    yield "drawn", Image.fromarray(np.dstack([same, alpha])), filled(same, alpha), drawn
    bits = gray > 99
    yield "1", Image.fromarray(bits), bits * np.uint8(255), bits.astype(np.uint8)
    table = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    coloured = Image.fromarray(gray)
    coloured.putpalette(table.tobytes())
    yield "P", coloured, table[gray], gray
    scale = Image.fromarray(gray)
    scale.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    yield "gray P", scale, gray, gray


def _pillow() -> Iterator[Case]:
    for turn in TURNED:
        exif = Image.Exif()
        exif[0x0112] = turn
        for mode, picture, image, label in _pillow_images():
            turned = TURNED[turn](image), None if label is None else TURNED[turn](label)
            for suffix, options in ((".png", {}), (".tif", {}), (".tif", {"compression": "tiff_lzw"})):
                name = f"pillow {mode} {options.get('compression', 'plain')} {turn}{suffix}"
                yield Case(name, lambda p, i=picture, e=exif, o=options: i.save(p, exif=e, **o), *turned)
        for bits in (2, 4):
            gray = noise(np.dtype("u1"), top=2**bits - 1)
            name = f"pillow {bits} bits {turn}.png"
            # Pillow takes the values as they are where it is told the depth
            write = lambda p, g=gray, b=bits, e=exif: Image.fromarray(g).save(p, bits=b, exif=e)  # noqa: E731
            yield Case(name, write, TURNED[turn](gray), TURNED[turn](gray))
        for kind in (np.int32, np.float32):
            array = RNG.integers(-900, 900, (H, W)).astype(kind)
            write = lambda p, a=array, e=exif: Image.fromarray(a).save(p, exif=e)  # noqa: E731
            yield Case(f"pillow {np.dtype(kind)} {turn}.tif", write, TURNED[turn](array), TURNED[turn](array))
        rgb = noise(np.dtype("u1"), 3)
        write = lambda p, a=rgb, e=exif: Image.fromarray(a).save(p, "WEBP", lossless=True, exif=e)  # noqa: E731
        yield Case(f"pillow webp {turn}.png", write, TURNED[turn](rgb), None)
    for key in (0, 77):  # one value stands for transparent
        gray = noise(np.dtype("u1"))
        alpha = (gray != key).astype(np.uint8)
        write = lambda p, g=gray, k=key: Image.fromarray(g).save(p, transparency=k)  # noqa: E731
        yield Case(f"pillow key {key}.png", write, filled(gray, alpha), np.where(alpha, gray, 0))
    gray = noise(np.dtype("u1"))
    yield Case("pillow group 4.tif", _group4(gray > 99), (gray > 99) * np.uint8(255), (gray > 99).astype(np.uint8))
    yield Case("pillow.bmp", lambda p: Image.fromarray(gray).save(p), gray, gray)
    yield Case("pillow gif.png", lambda p: Image.fromarray(gray).save(p, "GIF"), gray, gray)
    few = np.where(gray > 200, 255, gray % 3).astype(np.uint8)  # whose palette GIF reorders
    yield Case("pillow few gif.png", lambda p: Image.fromarray(few).save(p, "GIF"), few, few)


def _group4(bits: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(bits).save(path, compression="group4")


def _pillow_lossy() -> Iterator[Case]:
    """What they hold is what Pillow decodes; labels are refused, whatever the file is called."""
    for turn in TURNED:
        exif = Image.Exif()
        exif[0x0112] = turn
        for suffix in (".jpg", ".png", ".tif", ".bmp"):
            for array in (noise(np.dtype("u1")), noise(np.dtype("u1"), 3)):
                yield _decoded(array, "JPEG", suffix, turn, exif)
        yield _decoded(noise(np.dtype("u1"), 3), "WEBP", ".png", turn, exif)


def _decoded(array: np.ndarray, format: str, suffix: str, turn: int, exif: Image.Exif) -> Case:
    from io import BytesIO

    data = BytesIO()
    Image.fromarray(array).save(data, format, exif=exif)
    decoded = np.asarray(Image.open(BytesIO(data.getvalue())))
    return Case(
        f"pillow {format} {array.ndim} {turn}{suffix}", lambda p: p.write_bytes(data.getvalue()), TURNED[turn](decoded), None
    )


def _others() -> Iterator[Case]:
    """ITK and imageio."""
    for suffix, dtypes in ((".png", ("u1", "u2")), (".tif", ("u1", "u2", "i2", "f4")), (".bmp", ("u1",))):
        for name in dtypes:
            array = noise(np.dtype(name), top=900 if name == "i2" else None)
            yield Case(f"itk {name}{suffix}", lambda p, a=array: itk.imwrite(itk.image_from_array(a), str(p)), array, array)
    rgb = noise(np.dtype("u1"), 3)
    for suffix in (".png", ".tif", ".bmp"):
        write = lambda p: itk.imwrite(itk.image_from_array(rgb, ttype=itk.Image[itk.RGBPixel[itk.UC], 2]), str(p))  # noqa: E731
        yield Case(f"itk rgb{suffix}", write, rgb, None)
    for suffix, dtypes in ((".png", ("u1", "u2")), (".tif", [d.str[1:] for d in DEPTHS]), (".bmp", ("u1",))):
        for name in dtypes:
            array = noise(np.dtype(name))
            yield Case(f"imageio {name}{suffix}", lambda p, a=array: iio.imwrite(p, a), array, array)
    for suffix in (".png", ".tif", ".bmp"):
        colours = noise(np.dtype("u1"), 3)
        yield Case(f"imageio rgb{suffix}", lambda p, a=colours: iio.imwrite(p, a), colours, None)
    alpha = veil(np.dtype("u1"))
    yield Case("imageio rgba.png", lambda p: iio.imwrite(p, np.dstack([rgb, alpha])), filled(rgb, alpha), None)
