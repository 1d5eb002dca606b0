"""Whether the compression of a picture alters its values: seen from the compressed bytes, whatever the file is called.

A label must hold exactly what was drawn. Several codecs do both: JPEG 2000, WebP, JPEG XR, JPEG XL, LERC and JPEG in its
lossless processes keep every value or not, as the writer chose. What cannot be proven exact counts as lossy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO

__all__ = ["LOSSLESS_TIFF", "jpeg", "jpeg2000", "jpegxl", "jpegxr", "lerc", "lossy_tiff_segment", "webp"]

#: Compressions of a TIFF (tag 259) that keep every value: none, fax, LZW, deflate, PackBits, LZMA, Zstandard, PNG ...
LOSSLESS_TIFF: frozenset[int] = frozenset(
    {1, 2, 3, 4, 5, 8, 32766, 32771, 32773, 32809, 32895, 32946, 34925, 34926, 34933, 50000, 50013, 65000, 65001, 65002}
)

# Start-of-frame markers of the lossless processes of JPEG (ITU-T T.81, table B.1)
_LOSSLESS_SOF = (0xC3, 0xC7, 0xCB, 0xCF)
# JPEG 2000 may be cut off at a wanted size; coding the cut picture again without loss then takes more. Share by which the
# sizes of two encoders may differ.
_OTHER_ENCODER = 0.15


def jpeg(data: bytes) -> bool:
    """Whether a JPEG or JPEG-LS stream is lossy: all are but the lossless processes."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in _LOSSLESS_SOF:
            return False
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return True
        if marker == 0xDA:  # JPEG-LS (start of frame F7) tells in its scan how far values may lie off
            return data[at + 5 + 2 * data[at + 4]] != 0
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return True


def jpeg2000(data: bytes) -> bool:
    """Whether a JPEG 2000 file or codestream is lossy: by its wavelet, and by whether it was cut off at a wanted size.

    What OpenJPEG wrote (Pillow, tifffile, GDAL ...) must be the same bytes when it is coded again without loss; of other
    encoders the size must agree.
    """
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 60:
        return True
    at, coding, ours = start + 2, b"", False
    while data[at : at + 2] != b"\xff\x90":  # the first tile
        if len(data) < at + 12:
            return True
        marker, content = data[at + 1], data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
        if marker == 0x52:  # COD
            coding = content
        elif marker == 0x64:  # a comment
            ours |= b"OpenJPEG" in content
        at += 4 + len(content)
    if len(coding) < 10 or coding[9] != 1:  # the 9-7 wavelet, which is not exact
        return True
    again, same = _coded_again(data, data[start + 4 :], coding)
    if ours and same:
        return not data[at:].startswith(again)
    return len(again) > (1 + _OTHER_ENCODER) * (len(data) - at) + 16


def _coded_again(data: bytes, size: bytes, coding: bytes) -> tuple[bytes, bool]:
    """The decoded picture coded without loss, from its first tile on, and whether in the same settings.

    Args:
        data: file or codestream.
        size: its marker SIZ from the length on: capabilities, width, height, offsets, width and height of a tile ...
        coding: content of its marker COD: style, order, layers (2 bytes), colour transform, levels, sides of blocks ...
    """
    import imagecodecs  # loaded where it is needed: most pictures need neither
    from PIL import Image

    array = imagecodecs.jpeg2k_decode(data)
    width, height, tile_width, tile_height = (int.from_bytes(size[i : i + 4], "big") for i in (4, 8, 20, 24))
    options = {
        "num_resolutions": coding[5] + 1,
        "codeblock_size": (4 << coding[6], 4 << coding[7]),
        "progression": ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")[min(coding[1], 4)],
        "mct": coding[4],
        "no_jp2": True,
    }
    if (tile_width, tile_height) != (width, height):
        options["tile_size"] = (tile_width, tile_height)
    if coding[0] & 1:
        largest = coding[-1]
        options["precinct_size"] = (1 << (largest & 15), 1 << (largest >> 4))
    try:
        written = BytesIO()
        Image.fromarray(array).save(written, "JPEG2000", **options)
        again, same = written.getvalue(), True
    except (TypeError, ValueError, OSError):  # depths and channels that Pillow has not
        again, same = imagecodecs.jpeg2k_encode(array, level=0, reversible=True, mct=bool(coding[4])), False
    return again[again.find(b"\xff\x90") :], same


def webp(data: bytes) -> bool:
    """Whether a WebP file is lossy: its frames are of the kind ``VP8`` and not ``VP8L``."""
    return b"VP8 " in data[12:] if data[12:16] != b"VP8L" else False


def jpegxr(data: bytes) -> bool:
    """Whether a JPEG XR stream is lossy: quantised, cut or scaled (ITU-T T.832, 8.3 and 8.4)."""
    start = data.find(b"WMPHOTO\0")
    if start < 0 or len(data) < start + 40:
        return True
    bits = _Bits(data[start + 8 :], big=True)
    bits.take(8)
    tiles = bits.take(1)
    bits.take(7)
    short, _, windowed, trimmed, _, _, _, _ = (bits.take(1) for _ in range(8))
    bits.take(8)
    bits.take(32 if short else 64)
    if tiles:
        columns, rows = bits.take(12), bits.take(12)
        bits.take((columns + rows) * (8 if short else 16))
    if windowed:
        bits.take(24)
    bits.take(3)  # the planes' colours
    scaled, bands = bits.take(1), bits.take(4)
    return bool(trimmed or scaled or bands)


def jpegxl(data: bytes) -> bool:
    """Whether a JPEG XL file or codestream is lossy: its values are those of its XYB colours, or it was a JPEG."""
    if data[:2] != b"\xff\x0a":
        if b"jbrd" in data[:4096]:
            return True
        at = max(data.find(b"jxlc") + 4, data.find(b"jxlp") + 8)
        data = data[at:]
        if data[:2] != b"\xff\x0a":
            return True
    bits = _Bits(data[2:])
    _jxl_size(bits)
    if bits.take(1):  # all at its default: XYB
        return True
    if bits.take(1):
        bits.take(3)  # orientation
        if bits.take(1):
            _jxl_size(bits)
        if bits.take(2):  # previews and animations are no labels
            return True
    _jxl_depth(bits)
    bits.take(1)
    for _ in range(bits.choose((0, 0), (0, 1), (4, 2), (12, 1))):
        _jxl_channel(bits)
    return bool(bits.take(1))


def lerc(data: bytes) -> bool:
    """Whether a LERC blob is lossy: values may lie off by more than rounding to whole numbers undoes."""
    if data[:6] != b"Lerc2 ":
        return True
    version = struct.unpack_from("<i", data, 6)[0]
    at = 10 + (4 if version > 2 else 0)
    at += 4 * (7 if version > 3 else 6)  # rows, columns, depth, valid pixels, block size, blob size, type
    kind = struct.unpack_from("<i", data, at - 4)[0]
    at += 8 if version > 5 else 0
    error = struct.unpack_from("<d", data, at)[0]
    return error > (0.5 if kind < 6 else 0)  # 6 and 7 are floats


def lossy_tiff_segment(compression: int, data: bytes, lerc_packing: int = 0) -> bool:
    """Whether a strip or tile of a TIFF was compressed with loss.

    Args:
        compression: tag 259.
        data: the strip or tile as it lies in the file.
        lerc_packing: second value of the tag LercParameters: 1 deflate, 2 Zstandard around the blob.
    """
    if compression in LOSSLESS_TIFF:
        return False
    if compression == 34887 and lerc_packing:
        import imagecodecs

        data = (imagecodecs.zlib_decode if lerc_packing == 1 else imagecodecs.zstd_decode)(data)
    inspect = _INSPECT.get(compression)
    try:
        return inspect is None or inspect(data)
    except (IndexError, struct.error):  # damaged: what reads it will say so
        return True


_INSPECT: dict[int, Callable[[bytes], bool]] = {
    6: jpeg,
    7: jpeg,
    99: jpeg,
    33007: jpeg,
    33003: jpeg2000,
    33004: jpeg2000,
    33005: jpeg2000,
    34712: jpeg2000,
    22610: jpegxr,
    34934: jpegxr,
    34887: lerc,
    34927: webp,
    50001: webp,
    50002: jpegxl,
    52546: jpegxl,
}


class _Bits:
    """A header read bit by bit: JPEG XL begins at the lowest bit of each byte, JPEG XR at the highest."""

    def __init__(self, data: bytes, big: bool = False) -> None:
        self._data, self._at, self._big = data, 0, big

    def take(self, count: int) -> int:
        value = 0
        for i in range(count):
            byte, bit = divmod(self._at, 8)
            found = (self._data[byte] >> (7 - bit if self._big else bit)) & 1
            value = (value << 1) | found if self._big else value | (found << i)
            self._at += 1
        return value

    def choose(self, *options: tuple[int, int]) -> int:
        """JPEG XL's U32: two bits choose how many bits follow, and what is added to them."""
        count, offset = options[self.take(2)]
        return self.take(count) + offset


def _jxl_size(bits: _Bits) -> None:
    small = bits.take(1)
    sizes = ((9, 1), (13, 1), (18, 1), (30, 1))
    _ = bits.take(5) if small else bits.choose(*sizes)
    if not bits.take(3):  # no fixed ratio
        _ = bits.take(5) if small else bits.choose(*sizes)


def _jxl_depth(bits: _Bits) -> None:
    if bits.take(1):
        bits.choose((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
    else:
        bits.choose((0, 8), (0, 10), (0, 12), (6, 1))


def _jxl_channel(bits: _Bits) -> None:
    if bits.take(1):
        return
    kind = bits.choose((0, 0), (0, 1), (4, 2), (6, 18))
    _jxl_depth(bits)
    bits.choose((0, 0), (0, 3), (0, 4), (3, 1))
    bits.take(8 * bits.choose((0, 0), (4, 0), (5, 16), (10, 48)))
    if kind == 0:
        bits.take(1)
    elif kind == 2:
        bits.take(64)
    elif kind == 5:
        bits.choose((0, 1), (2, 0), (4, 3), (8, 19))
