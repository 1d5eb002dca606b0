"""Damaged files by seed against every command and every run of the bundle: a result, or one sentence that names the file.

    python tools/bad_input.py [--files 2000] [--seed 0] [--seconds 3000] [--only predict,check] [--quick]

Each run is a process of its own with a limit of time and of memory; the commands take turns. It prints how many files gave a
result, one sentence, a sentence that names no file, a traceback, a hang, or left something behind, by kind and command; the
exit code is 1 where any of the last four is not 0. Of a batch, the good images beside a damaged one must be done.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tifffile
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (64, 80)
SECONDS, GIGABYTES = 120, 4
OUTCOMES = ("result", "sentence", "unnamed", "traceback", "hang", "leftovers")


# ------------------------------------------------------------------------------------------------------ damaged files
def _scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A gray picture of a few discs, and their ids."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(SHAPE, np.uint8)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number, (row, column) in enumerate([(15, 15), (15, 45), (45, 25), (45, 60)], 1):
        ids[(y - row) ** 2 + (x - column) ** 2 < 100] = number
    return np.clip((ids > 0) * 120 + 60 + rng.normal(0, 12, SHAPE), 0, 255).astype(np.uint8), ids


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _pillow(array: np.ndarray, format: str, mode: str | None = None, **more: object) -> bytes:
    image = Image.fromarray(array)
    return _saved(lambda f: (image.convert(mode) if mode else image).save(f, format, **more))


def _tiff(array: np.ndarray, **more: object) -> bytes:
    return _saved(lambda f: tifffile.imwrite(f, array, **more))


def _nifti(array: np.ndarray, packed: bool = False) -> bytes:
    import nibabel

    data = nibabel.Nifti1Image(np.asarray(array), np.eye(4)).to_bytes()
    return gzip.compress(data) if packed else data


def _mha(array: np.ndarray, claimed: tuple[int, ...] | None = None) -> bytes:
    size = " ".join(map(str, claimed or array.shape[::-1]))
    head = f"ObjectType = Image\nNDims = {array.ndim}\nDimSize = {size}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    return head.encode() + array.astype(np.uint8).tobytes()


def _nrrd(array: np.ndarray, claimed: tuple[int, ...] | None = None) -> bytes:
    size = " ".join(map(str, claimed or array.shape[::-1]))
    head = f"NRRD0004\ntype: uint8\ndimension: {array.ndim}\nsizes: {size}\nencoding: raw\n\n"
    return head.encode() + array.astype(np.uint8).tobytes()


def _png_claiming(width: int, height: int, data: bytes = b"\0" * 100) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _tiff_claiming(width: int, height: int, big: bool = False) -> bytes:
    data = bytearray(_tiff(np.zeros((8, 8), np.uint8), bigtiff=big))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tif:
        tags = [(tif.pages[0].tags[code].valueoffset, tif.pages[0].tags[code].dtype) for code in (256, 257)]
    for (at, dtype), value in zip(tags, (width, height), strict=True):
        kind = {3: "<H", 4: "<I", 16: "<Q"}[int(dtype)]
        data[at : at + struct.calcsize(kind)] = struct.pack(kind, min(value, 2 ** (8 * struct.calcsize(kind)) - 1))
    return bytes(data)


def _nifti_claiming(*shape: int) -> bytes:
    data = bytearray(_nifti(np.zeros((4, 4), np.uint8)))
    data[40:56] = struct.pack("<8h", len(shape), *shape, *[1] * (7 - len(shape)))
    return bytes(data)


def whole_pictures(label: bool) -> dict[str, bytes]:
    """Files that are whole, though many are no picture that can be used; by name."""
    gray, ids = _scene(0)
    array = ids if label else gray
    rgb = np.stack([array] * 3, -1)
    deep = array.astype(np.uint16) * (1 if label else 200)
    f32 = array.astype(np.float32)
    five = np.stack([array] * 5)
    nan, inf = f32.copy(), f32.copy()
    nan[3, 3], inf[5, 5] = np.nan, np.inf
    frames = [Image.fromarray(np.roll(array, k, 0)) for k in range(3)]
    made = {
        "gray.png": _pillow(array, "PNG"),
        "deep.png": _pillow(deep, "PNG"),
        "rgb.png": _pillow(rgb, "PNG"),
        "rgba.png": _pillow(np.dstack([rgb, array]), "PNG"),
        "palette.png": _pillow(array, "PNG", "P"),
        "bit.png": _pillow(array, "PNG", "1"),
        "la.png": _pillow(array, "PNG", "LA"),
        "animated.png": _saved(lambda f: frames[0].save(f, "PNG", save_all=True, append_images=frames[1:])),
        "animated_gif.png": _saved(lambda f: frames[0].save(f, "GIF", save_all=True, append_images=frames[1:])),
        "gif.png": _pillow(array, "GIF"),
        "webp.png": _pillow(array, "WEBP"),
        "cmyk.jpg": _pillow(rgb, "JPEG", "CMYK"),
        "gray.jpg": _pillow(array, "JPEG"),
        "gray.bmp": _pillow(array, "BMP"),
        "gray.tif": _tiff(array),
        "zlib.tif": _tiff(deep, compression="zlib"),
        "lzw.tif": _tiff(rgb, compression="lzw"),
        "jpeg.tif": _tiff(array, compression="jpeg"),
        "tiled.tif": _tiff(array, tile=(16, 16), compression="zlib"),
        "big.tif": _tiff(array, bigtiff=True),
        "motorola.tif": _tiff(deep, byteorder=">"),
        "planar.tif": _tiff(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate"),
        "float32.tif": _tiff(f32),
        "float64.tif": _tiff(f32.astype(np.float64) / 7),
        "float16.tif": _tiff(f32.astype(np.float16)),
        "signed.tif": _tiff(array.astype(np.int16) - 60),
        "int32.tif": _tiff(array.astype(np.int32) - 2),
        "int64.tif": _tiff(array.astype(np.int64) * 10**9),
        "uint32.tif": _tiff(array.astype(np.uint32) * 10**7),
        "uint64.tif": _tiff(array.astype(np.uint64) + np.uint64(2**63)),
        "complex.tif": _tiff(f32.astype(np.complex64)),
        "complex128.tif": _tiff(f32.astype(np.complex128)),
        "five.tif": _tiff(five, photometric="minisblack", planarconfig="separate"),
        "pages.tif": _tiff(five, photometric="minisblack"),
        "cmyk.tif": _pillow(rgb, "TIFF", "CMYK"),
        "lab.tif": _pillow(rgb, "TIFF"),
        "pyramid.tif": _saved(lambda f: _pyramid(f, array)),
        "ome.tif": _tiff(array, ome=True, metadata={"axes": "YX"}),
        "ome_wrong.tif": _tiff(array, description="<OME xmlns='x'><Image><Pixels SizeX='9' SizeY='9999999'/></Image></OME>"),
        "ome_cut.tif": _tiff(array, description="<?xml version='1.0'?><OME xmlns='http://www.openmicroscopy.org/Schemas/OME"),
        "imagej_wrong.tif": _tiff(array, description="ImageJ=1.53\nimages=9999999\nslices=9999999\nunit=\\u00B5m\n"),
        "nan.tif": _tiff(nan),
        "infinity.tif": _tiff(inf),
        "all_nan.tif": _tiff(np.full(SHAPE, np.nan, np.float32)),
        "no_data.tif": _tiff(np.where(array > 100, np.float32(3.4e38), f32)),
        "constant.png": _pillow(np.full(SHAPE, 7, np.uint8), "PNG"),
        "black.png": _pillow(np.zeros(SHAPE, np.uint8), "PNG"),
        "ignored.png": _pillow(np.full(SHAPE, 255, np.uint8), "PNG"),
        "1x1.png": _pillow(np.ones((1, 1), np.uint8), "PNG"),
        "1x1.tif": _tiff(np.ones((1, 1), np.uint16)),
        "2x2.png": _pillow(np.ones((2, 2), np.uint8), "PNG"),
        "1x20000.png": _pillow(np.resize(array, (1, 20000)), "PNG"),
        "20000x1.tif": _tiff(np.resize(array, (20000, 1))),
        "3x700.png": _pillow(np.resize(array, (3, 700)), "PNG"),
        "empty.png": b"",
        "empty.tif": b"",
        "empty.nii.gz": b"",
        "zeros.png": bytes(3000),
        "text.png": b"my notes\n",
        "html.tif": b"<!DOCTYPE html><html></html>",
        "zip.png": _saved(lambda f: zipfile.ZipFile(f, "w").writestr("a", b"b")),
        "lfs.tif": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n",
        "really_jpeg.png": _pillow(array, "JPEG"),
        "really_png.tif": _pillow(array, "PNG"),
        "really_tiff.png": _tiff(array),
        "really_png.nii.gz": _pillow(array, "PNG"),
        "really_gz.png": gzip.compress(_pillow(array, "PNG")),
        "jpeg_xl.png": b"\xff\x0a" + bytes(99),
        "heic.png": b"\0\0\0\x18ftypheic" + bytes(99),
        "pdf.png": b"%PDF-1.7\n",
        "huge.png": _png_claiming(2**31 - 1, 2**31 - 1),
        "large.png": _png_claiming(60000, 60000),
        "wide.png": _png_claiming(200000, 3),
        "bomb.png": _png_claiming(13000, 13000, bytes(13001 * 400)),
        "huge.tif": _tiff_claiming(2**32 - 1, 2**32 - 1),
        "large.tif": _tiff_claiming(60000, 60000),
        "huge_big.tif": _tiff_claiming(2**60, 2**60, big=True),
        "zero_size.tif": _tiff_claiming(0, 0),
        "huge.nii": _nifti_claiming(32767, 32767, 32767),
        "huge.nii.gz": gzip.compress(_nifti_claiming(32767, 32767, 32767)),
        "negative.nii": _nifti_claiming(-5, 7),
        "zero.nii": _nifti_claiming(0, 0),
        "bomb.nii.gz": gzip.compress(_nifti_claiming(20000, 20000) + bytes(2**26)),
        "good.nii.gz": _nifti(array.T, packed=True),
        "good.nii": _nifti(array.T),
        "volume.nii.gz": _nifti(np.stack([array.T] * 4, -1), packed=True),
        "five_axes.nii.gz": _nifti(np.zeros((4, 5, 2, 2, 3), np.uint8), packed=True),
        "nan.nii.gz": _nifti(nan.T, packed=True),
        "complex.nii.gz": _nifti(f32.astype(np.complex64), packed=True),
        "good.mha": _mha(array),
        "huge.mha": _mha(array, (10**6, 10**6)),
        "huge3.mha": _mha(array, (10**5, 10**5, 10**5)),
        "elsewhere.mhd": b"NDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n",
        "good.nrrd": _nrrd(array),
        "huge.nrrd": _nrrd(array, (10**6, 10**6)),
        "negative.nrrd": _nrrd(array, (-5, 4)),
    }
    return made


def _pyramid(file: io.BytesIO, array: np.ndarray) -> None:
    with tifffile.TiffWriter(file) as writer:
        writer.write(array, subifds=1)
        writer.write(array[::2, ::2], subfiletype=1)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Truncated, flipped, zeroed, with a piece twice or missing, or with a number blown up."""
    content = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = max(1, len(content))
        at = rng.randrange(size) if rng.random() < 0.5 else rng.randrange(min(size, 200))
        how = rng.randrange(8)
        if how == 0:
            del content[at:]
        elif how == 1:
            for _ in range(rng.choice((1, 3, 30))):
                if content:
                    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        elif how == 2:
            span = rng.choice((1, 4, 64, 500))
            content[at : at + span] = bytes(len(content[at : at + span]))
        elif how == 3:
            content[at:at] = content[at : at + rng.choice((1, 8, 200))]
        elif how == 4:
            del content[at : at + rng.choice((1, 2, 50))]
        elif how == 5:
            number = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**31))
            content[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif how == 6:
            content[at : at + 1] = bytes([rng.choice((0, 0xFF, 0x7F, 0x80, ord("-"), ord("9")))])
        else:
            content[at : at + 2] = struct.pack(rng.choice("<>") + "H", rng.choice((0, 0xFFFF, 0x8000, 1, 3, 6, 99)))
        if not content:
            content = bytearray(b"\0")
    return bytes(content)


def pictures(number: int, seed: int, label: bool = False) -> Iterator[tuple[str, bytes]]:
    """``number`` files by seed: each whole one once, then damaged ones."""
    whole, rng = whole_pictures(label), random.Random(seed)
    names = list(whole)
    for k in range(number):
        name = names[k % len(names)]
        if k < len(names):
            yield f"{k:04d}_{name}", whole[name]
            continue
        data = damaged(whole[name], rng)
        if rng.random() < 0.05:
            stem = name.partition(".")[0]
            name = f"{stem}.{rng.choice(['png', 'tif', 'jpg', 'nii.gz', 'bmp', 'nrrd'])}"
        yield f"{k:04d}_{name}", data


# --------------------------------------------------------------------------------------------------------- annotations
def whole_annotations() -> dict[str, bytes]:
    """Annotation files of the image ``a``, 64 x 80, of all formats; and bombs."""
    from roifile import ImagejRoi

    square = [[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]
    feature = {
        "type": "Feature",
        "id": "1",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {"objectType": "annotation", "classification": {"name": "grain", "color": [255, 0, 0]}},
    }
    line = {**feature, "geometry": {"type": "LineString", "coordinates": square[:3]}, "id": "2"}
    point = {**feature, "geometry": {"type": "Point", "coordinates": [5, 5]}, "id": "3"}
    qupath = {"type": "FeatureCollection", "features": [feature, line, point]}
    image = {"id": 1, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}
    category = {"id": 1, "name": "grain"}

    def coco(segmentation: object, size: tuple[int, int] = SHAPE, **more: object) -> bytes:
        row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "segmentation": segmentation, **more}
        sized = {**image, "height": size[0], "width": size[1]}
        return json.dumps({"images": [sized], "annotations": [row], "categories": [category]}).encode()

    total = SHAPE[0] * SHAPE[1]
    ring = [float(n) for pair in square for n in pair]
    region = {
        "id": "r",
        "type": "polygonlabels",
        "original_width": SHAPE[1],
        "original_height": SHAPE[0],
        "value": {"points": [[10, 10], [40, 10], [40, 40]], "polygonlabels": ["grain"]},
    }
    brush = {
        **region,
        "type": "brushlabels",
        "value": {"format": "rle", "rle": [0, 0, 80, 0, 59, 66, 16, 255], "brushlabels": ["grain"]},
    }

    def studio(*regions: dict) -> bytes:
        return json.dumps([{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": list(regions)}]}]).encode()

    rois = {
        "polygon": ImagejRoi.frompoints(np.array(square[:4])),
        "float": ImagejRoi.frompoints(np.array(square[:4]) + 0.5),
        "line": ImagejRoi.frompoints(np.array(square[:2])),
    }
    packed = _zipped({f"{name}.roi": roi.tobytes() for name, roi in rois.items()})
    deep = b'{"type":"FeatureCollection","features":' + b"[" * 50000 + b"]" * 50000 + b"}"
    csv = "index,shape-type,vertex-index,axis-0,axis-1\n" + "".join(
        f"0,polygon,{k},{y},{x}\n" for k, (x, y) in enumerate(square[:4])
    )
    return {
        "a.geojson": json.dumps(qupath).encode(),
        "gz/a.geojson.gz": gzip.compress(json.dumps(qupath).encode()),
        "zipped/a.zip": _zipped({"a.geojson": json.dumps(qupath).encode()}),
        "roi/a.roi": rois["polygon"].tobytes(),
        "rois/a.zip": packed,
        "coco/a.json": coco([ring]),
        "runs/a.json": coco({"size": SHAPE, "counts": [100, 50, total - 150]}),
        "packed/a.json": coco({"size": SHAPE, "counts": "T3b1Tl4"}),
        "studio/a.json": studio(region),
        "brush/a.json": studio(brush),
        "napari/a.csv": csv.encode(),
        # bombs
        "bomb/a.geojson.gz": gzip.compress(b" " * 2**27 + json.dumps(qupath).encode(), 1),
        "bomb_zip/a.zip": _zipped({"a.geojson": b" " * (2**27)}),
        "bomb_many/a.zip": _zipped({f"{k}.roi": bytes(2**20) for k in range(80)}),
        "deep/a.geojson": deep,
        "deep_coco/a.json": coco([ring]).replace(b"[10, 10, 20, 20]", b"[" * 50000 + b"]" * 50000),
        "wide_coco/a.json": coco([ring], (60000, 60000)),
        "wide_ring/a.json": coco([[0, 0, 60000, 0, 60000, 60000, 0, 60000]], (60000, 60000)),
        "wide_runs/a.json": coco({"size": [60000, 60000], "counts": [0, 3600000000]}, (60000, 60000)),
        "runs_beyond/a.json": coco({"size": SHAPE, "counts": [0, 2**62]}),
        "runs_sum/a.json": coco({"size": SHAPE, "counts": [2**40, 2**40]}),
        "runs_negative/a.json": coco({"size": SHAPE, "counts": [-5, total + 5]}),
        "runs_packed/a.json": coco({"size": SHAPE, "counts": "oooooooooooo0" * 20}),
        "runs_million/a.json": coco({"size": SHAPE, "counts": [0] * 10**6}),
        "no_size/a.json": coco([[0, 0, 60000, 0, 60000, 60000]]).replace(b'"height": 64, "width": 80', b'"x": 1'),
        "big_oval/a.zip": _zipped({"a.roi": _oval(32767)}),
        "brush_wide/a.json": studio({**brush, "original_width": 60000, "original_height": 60000}),
        "poly_wide/a.json": studio({**region, "original_width": 10**9, "original_height": 10**9}),
        "far/a.geojson": json.dumps(qupath).replace("30, 30", "1e300, 1e300").encode(),
        "ids/a.geojson": json.dumps([{**feature, "id": k} for k in range(3)]).encode(),
    }


def _oval(size: int) -> bytes:
    from roifile import ROI_TYPE, ImagejRoi

    return ImagejRoi(roitype=ROI_TYPE.OVAL, left=0, top=0, right=size, bottom=size).tobytes()


def _zipped(members: dict[str, bytes]) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return _saved(write)


_ODD = (
    None,
    True,
    False,
    0,
    -1,
    1e308,
    2**70,
    "",
    "x",
    "\0",
    "$(x)",
    "../..",
    [],
    {},
    [[]],
    [None],
    [[1, 2]],
    {"a": 1},
    0.5,
    -0.5,
)


def odd_json(data: bytes, rng: random.Random) -> bytes:
    """Parsed JSON with a node or two replaced, dropped or doubled."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        nodes: list[tuple[object, object]] = []

        def walk(value: object, nodes: list = nodes) -> None:
            for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
                nodes.append((value, key))
                walk(value[key])

        walk(content)
        if not nodes:
            break
        where, key = rng.choice(nodes)
        how = rng.randrange(4)
        if how == 0:
            del where[key]
        elif how == 1 and isinstance(where, list):
            where.append(copy.deepcopy(where[key]))  # a list in itself would have no end
        else:
            where[key] = copy.deepcopy(rng.choice(_ODD))
    return json.dumps(content).encode()


def annotations(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``number`` annotation files by seed: each whole one and each bomb once, then damaged ones."""
    whole, rng = whole_annotations(), random.Random(seed)
    small = [name for name, data in whole.items() if len(data) < 5000 and not name.startswith("deep")]
    for k in range(number):
        if k < len(whole):
            name = list(whole)[k]
            yield name, whole[name]
            continue
        name = rng.choice(small)
        as_json = whole[name][:1] in (b"{", b"[") and rng.random() < 0.7
        yield name, odd_json(whole[name], rng) if as_json else damaged(whole[name], rng)


# ------------------------------------------------------------------------------------------------------------ datalists
def _items() -> dict[str, dict[str, str]]:
    """Of the good datalist, by the names of its images."""
    return {
        name: {
            "image": f"images/{name}.png",
            "segmentation": f"labels/{name}.png",
            "detection": f"labels/{name}_inner.png",
            "instances": f"labels/{name}_ids.png",
        }
        for name in "abcd"
    }


def whole_datalists() -> dict[str, bytes]:
    """Broken datalists of all kinds beside a good one."""
    items = _items()
    item = items["a"]
    good = {"classes": ["grain"], "training": [item, items["b"]], "validation": [items["c"]], "testing": [items["d"]]}

    def having(**more: object) -> bytes:
        return json.dumps({**good, **more}).encode()

    def with_item(**more: object) -> bytes:
        return having(
            training=[{**item, **more}, items["b"]],
            testing=[{**items["d"], **more}],
            validation=[{**items["c"], **more}],
        )

    return {
        "good": having(),
        "empty": b"",
        "list": b"[]",
        "number": b"3",
        "null": b"null",
        "text": b'"x"',
        "no json": b"{classes: [a]}",
        "cut": having()[:-40],
        "latin": having().replace(b"grain", b"gr\xe4in"),
        "utf16": having().decode().encode("utf-16"),
        "bom": b"\xef\xbb\xbf" + having(),
        "zeros": bytes(400),
        "deep": b'{"classes":["a"],"training":' + b"[" * 100000 + b"]" * 100000 + b"}",
        "deep dict": b'{"a":' * 100000 + b"1" + b"}" * 100000,
        "no classes": json.dumps({"training": [item]}).encode(),
        "classes number": having(classes=3),
        "classes dict": having(classes={"a": 1}),
        "classes numbers": having(classes=[1, 2]),
        "classes empty": having(classes=[]),
        "classes code": having(classes=["$__import__('os')"]),
        "classes null byte": having(classes=["a\0b"]),
        "classes newline": having(classes=["a\nb"]),
        "classes many": having(classes=[f"c{k}" for k in range(400)]),
        "training dict": having(training={"image": "a"}),
        "training text": having(training="images/a.png"),
        "training null": having(training=None),
        "training empty": having(training=[], validation=[], testing=[]),
        "items lists": having(training=[[1]], testing=[[1]]),
        "items null": having(training=[None], testing=[None]),
        "image missing": having(training=[{}], testing=[{}]),
        "image number": with_item(image=3),
        "image list": with_item(image=["images/a.png"]),
        "image empty": with_item(image=""),
        "image null byte": with_item(image="images/a\0.png"),
        "label null byte": with_item(segmentation="labels/a\0.png"),
        "instances null byte": with_item(instances="labels/a\0.png"),
        "image surrogate": with_item(image="images/\ud800.png"),
        "image long": with_item(image="x" * 5000 + ".png"),
        "image folder": with_item(image="images"),
        "image pipe": with_item(image="images/pipe.png"),
        "label pipe": with_item(segmentation="labels/pipe.png"),
        "image device": with_item(image="/dev/zero"),
        "image dangling": with_item(image="images/dangling.png"),
        "image loop": with_item(image="images/loop.png"),
        "image elsewhere": with_item(image="../../../../etc/passwd"),
        "image home": with_item(image="~nobody_at_all/a.png"),
        "image url": with_item(image="https://localhost/a.png"),
        "label of another size": with_item(segmentation="labels/small.png"),
        "negative ids": with_item(instances="labels/negative.tif"),
        "fractional ids": with_item(instances="labels/fraction.tif"),
        "huge ids": with_item(instances="labels/huge.tif"),
        "pixel size": with_item(pixel_size="-3 parsecs"),
        "pixel size list": with_item(pixel_size=[1, 2, {"a": 3}]),
        "digest": with_item(digest=3),
        "empty flag": with_item(empty="yes"),
        "unknown key": with_item(mask="labels/a.png"),
        "infinity": with_item(pixel_size=float("inf")),
        "twice": having(training=[item, item], validation=[item]),
        "keys twice": having().replace(b'"classes"', b'"classes": ["x"], "classes"', 1),
    }


def datalists(number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``number`` datalists by seed."""
    whole, rng = whole_datalists(), random.Random(seed)
    for k in range(number):
        if k < len(whole):
            name = list(whole)[k]
            yield name, whole[name]
        else:
            yield "good", odd_json(whole["good"], rng) if rng.random() < 0.8 else damaged(whole["good"], rng)


# ------------------------------------------------------------------------------------------------------------- running
@dataclass
class Run:
    """What a command did with a file."""

    outcome: str
    said: str = ""
    code: int = 0


@dataclass
class Table:
    """Counts, by kind of file and command, and what went wrong."""

    counts: dict[tuple[str, str], Counter] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    most: int = 40

    def add(self, kind: str, command: str, name: str, run: Run, about: str = "") -> None:
        self.counts.setdefault((kind, command), Counter())[run.outcome] += 1
        if run.outcome not in ("result", "sentence"):
            self.wrong.append(f"{kind} / {command} / {name}: {run.outcome}: {run.said.strip()[-1500:]}{about}")
            if len(self.wrong) <= self.most:
                print(f"- {self.wrong[-1]}\n", flush=True)

    def show(self) -> int:
        print(f"{'files':<12}{'command':<26}" + "".join(f"{name:>11}" for name in OUTCOMES))
        for (kind, command), counts in sorted(self.counts.items()):
            print(f"{kind:<12}{command:<26}" + "".join(f"{counts[name]:>11}" for name in OUTCOMES))
        total = sum((counts for counts in self.counts.values()), Counter())
        print(f"{'all':<38}" + "".join(f"{total[name]:>11}" for name in OUTCOMES))
        return sum(total[name] for name in OUTCOMES[2:])


def run(action: Callable[[], int], folder: Path, seconds: float = SECONDS, gigabytes: float = GIGABYTES) -> Run:
    """Call in a process of its own; what it writes to standard output and error is read."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.setsid()
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + int(gigabytes * 2**30),) * 2)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os.environ["TMPDIR"] = str(folder)
                tempfile.tempdir = str(folder)
                code = action()
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(BaseException):
                    sys.stdout.flush(), sys.stderr.flush()
                os._exit(code)
        last = time.monotonic()
        end = last + seconds
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            now = time.monotonic()
            end += now - last if now - last > 1 else 0  # somebody stopped all of this for a while
            last = now
            if now > end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                said.seek(0)
                return Run("hang", said.read().decode(errors="replace"), -1)
            time.sleep(0.002)
        said.seek(0)
        text = said.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    faulty = "Traceback (most recent call last)" in text or "a fault of this program" in text or code < 0 or code == 70
    return Run("traceback" if faulty else "sentence" if code else "result", text, code)


def command(*arguments: object) -> Callable[[], int]:
    """A command line of ``lazylabels``."""

    def call() -> int:
        from lazylabels_monai import cli

        sys.argv = ["lazylabels", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return call


def bundle(names: Sequence[str], kind: str, run_id: str, **overrides: object) -> Callable[[], int]:
    """``python -m monai.bundle run`` in this process."""

    def call() -> int:
        from monai.bundle import ConfigWorkflow

        from lazylabels_monai.errors import print_error

        files = [str(ROOT / "bundle" / "configs" / name) for name in names]
        try:
            workflow = ConfigWorkflow(
                config_file=files, workflow_type=kind, logging_file=False, run_id=run_id, **{**NETWORK, **overrides}
            )
            workflow.initialize()
            workflow.run()
            workflow.finalize()
        except SystemExit as end:
            return int(end.code or 0)
        except Exception as error:
            print_error(error)
            return 1
        return 0

    return call


NETWORK = {"channels": [4, 8, 8], "num_multitask_blocks": 2, "crop_size": [32, 32], "device": "cpu"}
TRAINING = {"crops_per_epoch": 4, "batch_size": 2, "max_epochs": 1, "val_interval": 1, "num_workers": 0}


def leftovers(folder: Path, before: set[str]) -> list[str]:
    """Hidden and temporary files that were not there before."""
    found = []
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        odd = any(part.startswith((".", "tmp", "lazylabels_")) or ".partial" in part for part in Path(name).parts)
        if odd and name not in before:
            found.append(name)
    return found


class Bench:
    """Sets to put damaged files into, and the commands that meet them."""

    def __init__(self, root: Path, table: Table, only: Sequence[str] = ()) -> None:
        self.root, self.table, self.only = root, table, only
        self.number = 0

    @property
    def models(self) -> Path:
        """Folder of the weights of a tiny training, made when somebody asks."""
        if not (self.root / "models").exists():
            self.train()
        return self.root / "models"

    def train(self) -> None:
        """A tiny network, trained on the good images with the classes that the damaged files are put among."""
        data = self.data_set(self.root / "good")
        values = {
            **TRAINING,
            "dataset_dir": str(data),
            "output_dir": str(self.root / "out"),
            "ckpt_dir": str(self.root / "models"),
        }
        done = run(bundle(["train.yaml"], "train", "training", **values), self.root, 300, 8)
        if done.code:
            raise SystemExit(done.said)

    @property
    def weights(self) -> Path:
        return self.models / "model.pt"

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

    def fresh(self) -> Path:
        """An empty folder, whatever lay in the last one."""
        self.number += 1
        shutil.rmtree(self.root / f"w{self.number - 1}", ignore_errors=True)
        folder = self.root / f"w{self.number}"
        folder.mkdir()
        return folder

    def one(
        self,
        kind: str,
        name: str,
        place: Path,
        action: Callable[[], int],
        file: str,
        named: Sequence[str] = (),
        check: Callable[[], str] | None = None,
        seconds: float = SECONDS,
    ) -> Run:
        """Run a command on a file, and enter what it did; ``named``: what a sentence has to hold one of."""
        before = {str(path.relative_to(place)) for path in place.rglob("*")}
        done = run(action, place, seconds)
        if done.outcome == "sentence" and named and not any(part in done.said for part in named):
            done = Run("unnamed", done.said, done.code)
        if done.outcome in ("result", "sentence") and (left := leftovers(place, before)):
            done = Run("leftovers", f"{left[:5]} {done.said}", done.code)
        if done.outcome in ("result", "sentence") and check is not None and (missing := check()):
            done = Run("leftovers", f"{missing} {done.said}", done.code)
        self.table.add(kind, name, file, done)
        return done

    # ----------------------------------------------------------------------------------------------------- readers
    def read(self, kind: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Many files through the functions that read them, in one process: quick, so that there can be many."""
        if not self.wants("read"):
            return
        place = self.fresh()
        paths = []
        for number, (name, data) in enumerate(files):
            path = place / str(number) / Path(name).name
            path.parent.mkdir()
            path.write_bytes(data)
            paths.append(path)

        def call() -> int:
            from lazylabels_monai.errors import user_error
            from lazylabels_monai.images.files import read_colours, read_image, read_label
            from lazylabels_monai.images.pixel_size import read_pixel_size
            from lazylabels_monai.labels.formats import read_annotations, read_label_picture

            def drawn(path: Path) -> None:
                for annotation in read_annotations(path):
                    for mark in annotation.marks:
                        mark.draw(SHAPE)

            pictures = (read_image, read_label, read_colours, read_pixel_size, read_label_picture)
            for number, path in enumerate(paths):
                outcomes = []
                for reader in (drawn,) if kind == "annotation" else pictures:
                    start = time.process_time()
                    try:
                        reader(path)
                        outcomes.append(("result", ""))
                    except Exception as error:
                        found = user_error(error)
                        said = str(found) if found is not None else "".join(traceback.format_exception(error))[-900:]
                        named = found is not None and path.name in said and "\n" not in said
                        named = named or "the memory is not enough" in said
                        what = "traceback" if found is None else "sentence" if named else "unnamed"
                        outcomes.append((what, said))
                    if time.process_time() - start > 20:
                        outcomes.append(("hang", f"{time.process_time() - start:.0f} s"))
                worst = max(outcomes, key=lambda outcome: OUTCOMES.index(outcome[0]))
                print("\n" + json.dumps([number, *worst]), flush=True)
            return 0

        done = run(call, place, 10 * len(files))
        met = {}
        for line in done.said.splitlines():
            if line.startswith("["):
                with contextlib.suppress(ValueError):
                    number, outcome, said = json.loads(line)
                    met[number] = Run(outcome, said)
        for number, (name, _) in enumerate(files):
            if number in met:
                self.table.add(kind, "read", name, met[number])
            else:  # it ended here, or before
                self.table.add(kind, "read", name, Run("hang" if done.outcome == "hang" else "traceback", done.said[-600:]))
                break

    # ---------------------------------------------------------------------------------------------------- pictures
    def picture_in_a_batch(self, files: Sequence[tuple[str, bytes]], commands: Sequence[str]) -> None:
        """Damaged images beside good ones, through what predicts."""
        gray, _ = _scene(1)
        for name in commands:
            if not self.wants(name):
                continue
            place = self.fresh()
            images, out = place / "images", place / "out"
            images.mkdir()
            for file, data in [*files, ("0000_0_good.png", _pillow(gray, "PNG")), ("zzzz_good.png", _pillow(gray, "PNG"))]:
                (images / file).write_bytes(data)
            given = {"dataset_dir": str(images), "output_dir": str(out), "ckpt_dir": str(self.models)}
            action = {
                "predict": command("predict", images, "--out", out, "--weights", self.weights, "--device", "cpu"),
                "suggest": command("suggest", images, "--weights", self.weights, "--out", out),
                "inferring": bundle(["inference.yaml"], "infer", "inferring", **given),
            }[name]
            before = {str(path.relative_to(place)) for path in place.rglob("*")}
            done = run(action, place, 30 + 4 * len(files))
            lines = done.said.splitlines()
            good = all((out / f"{stem}_pred.png").is_file() for stem in ("0000_0_good", "zzzz_good")) or name == "suggest"
            whole = done.outcome in ("result", "sentence") and good
            for file, data in files:
                stem = file.removesuffix(".nii.gz").rpartition(".")[0] if not file.endswith(".nii.gz") else file[:-7]
                about = [line for line in lines if file in line and ("error" in line or "FAILED" in line or "rror" in line)]
                fault = [line for line in about if "fault of this program" in line or "Error:" in line]
                if fault:
                    self.table.add("picture", name, file, Run("traceback", fault[-1]))
                elif about:
                    self.table.add("picture", name, file, Run("sentence"))
                elif name == "suggest" and whole:
                    self.table.add("picture", name, file, Run("result" if file in done.said else "unnamed", done.said[-300:]))
                elif any(out.glob(f"{stem}_pred.*")):
                    self.table.add("picture", name, file, Run("result"))
                elif len(files) > 1 and not whole:  # the batch stopped: whose fault was it?
                    self.picture_alone(name, file, data)
                else:
                    outcome = done.outcome if done.outcome in ("hang", "traceback") else "unnamed"
                    self.table.add("picture", name, file, Run(outcome, done.said[-1500:]))
            if whole and (left := leftovers(place, before)):
                self.table.add("picture", name, "batch", Run("leftovers", str(left[:5])))

    def picture_alone(self, name: str, file: str, data: bytes) -> None:
        self.picture_in_a_batch([(file, data)], [name])

    def data_set(self, place: Path, section: str = "training", **files: tuple[str, bytes]) -> Path:
        """A data set of two good images and one item with other files: ``image``, ``segmentation``, ``instances``..."""
        data = place / "data"
        for folder in ("images", "labels"):
            (data / folder).mkdir(parents=True)
        ids = _scene(2)[1]
        for name in "abcd":
            (data / "images" / f"{name}.png").write_bytes(_pillow(_scene(ord(name))[0], "PNG"))
            (data / "labels" / f"{name}.png").write_bytes(_pillow((ids > 0).astype(np.uint8), "PNG"))
            inner = ids * ((ids > 0) & (np.roll(ids, 4, 0) == ids) & (np.roll(ids, -4, 0) == ids))
            (data / "labels" / f"{name}_inner.png").write_bytes(_pillow((inner > 0).astype(np.uint8), "PNG"))
            (data / "labels" / f"{name}_ids.png").write_bytes(_pillow(ids, "PNG"))
        good = _items()
        item = dict(good["a"])
        for key, (name, content) in files.items():
            (data / name).write_bytes(content)
            item[key] = name
        sections = {"training": [good["b"]], "validation": [good["c"]], "testing": [good["d"]]}
        sections[section].append(item)
        (data / "datalist.json").write_text(json.dumps({"classes": ["grain"], **sections}))
        return data

    def picture_in_a_data_set(self, file: str, content: bytes, key: str, commands: Sequence[str]) -> None:
        """A damaged image or label, through what works on a data set."""
        for name in commands:
            if not self.wants(name):
                continue
            place = self.fresh()
            section = {"tune": "validation", "evaluating": "testing", "data set inferring": "testing"}.get(name, "training")
            data = self.data_set(place, section, **{key: (f"bad_{file}", content)})
            out = place / "out"
            given = {"dataset_dir": str(data), "output_dir": str(out), "ckpt_dir": str(out / "models")}
            models = {**given, "ckpt_dir": str(self.models)} if name in ("evaluating", "data set inferring") else {}
            action = {
                "check": lambda d=data: command("check", d),
                "measure": lambda d=data, o=out: command("measure", d, o),
                "grabcut": lambda d=data, o=out: command("grabcut", d, o),
                "export": lambda d=data, o=out: command("export", d, o),
                "budget": lambda d=data: command("budget", d),
                "tune": lambda d=data, p=place: command("tune", d, "--weights", self._own_weights(p), "--device", "cpu"),
                "training": lambda g=given: bundle(["train.yaml"], "train", "training", **TRAINING, **g),
                "evaluating": lambda g=models: bundle(["train.yaml", "evaluate.yaml"], "train", "evaluating", **g),
                "data set inferring": lambda g=models: bundle(["inference.yaml"], "infer", "inferring", **g),
            }[name]()
            self.one("image" if key == "image" else "label", name, place, action, file, (f"bad_{file}",))

    def _own_weights(self, place: Path) -> Path:
        """A copy of the weights in ``place``, for what writes beside them."""
        shutil.copytree(self.models, place / "tuned")
        return place / "tuned" / "model.pt"

    def picture_in_a_folder(self, file: str, content: bytes, commands: Sequence[str]) -> None:
        """A damaged file in a folder of images and labels, and among predictions."""
        gray, ids = _scene(3)
        suffix = ".nii.gz" if file.endswith(".nii.gz") else Path(file).suffix
        for name in commands:
            if not self.wants(name):
                continue
            where, what = LAYOUTS[name]
            place = self.fresh()
            source, out = place / "source", place / "out"
            folder = source / "train" if what == "simulate" else source
            if where.startswith("_"):
                source.mkdir()
                for stem in ("a", "b"):
                    (source / f"{stem}_instances.tif").write_bytes(_tiff(ids.astype(np.uint16)))
                    (source / f"{stem}_pred.png").write_bytes(_pillow((ids > 0).astype(np.uint8), "PNG"))
                (source / f"bad{where}{suffix}").write_bytes(content)
            else:
                for sub in ("images", "masks" if what == "simulate" else where if where != "images" else "masks"):
                    (folder / sub).mkdir(parents=True, exist_ok=True)
                    for stem in ("a", "b", "bad"):
                        picture = gray + ord(stem[-1]) % 7 if sub == "images" else ids
                        (folder / sub / f"{stem}.png").write_bytes(_pillow(picture.astype(np.uint8), "PNG"))
                (folder / where / "bad.png").unlink()
                (folder / where / f"bad{suffix}").write_bytes(content)
            action = {
                "datalist": command("datalist", source, out, "--classes", "grain"),
                "simulate": command("simulate", source, out),
                "measure": command("measure", source, out),
                "export": command("export-objects", source, "--format", "geojson", "--to", out),
                "report": command("report", source),
            }[what]
            self.one("picture", name, place, action, file, ("bad",))

    # ------------------------------------------------------------------------------------------------- annotations
    def annotation(self, file: str, content: bytes, commands: Sequence[str]) -> None:
        """An annotation file beside its image, through ``datalist``, and what that makes of it through what comes next."""
        for name in commands:
            if not self.wants(name):
                continue
            place = self.fresh()
            gray, ids = _scene(4)
            for folder in ("images", "annotations", "masks"):
                (place / "source" / folder).mkdir(parents=True)
            for stem in "abcd":
                (place / "source" / "images" / f"{stem}.png").write_bytes(_pillow(gray + ord(stem) % 7, "PNG"))
                if stem != "a":
                    (place / "source" / "masks" / f"{stem}.png").write_bytes(_pillow(ids, "PNG"))
            alone = Path(file).name
            (place / "source" / "annotations" / alone).write_bytes(content)
            options = ("--classes", "grain", "--areas", "exact" if name == "datalist exact" else "rough", "--validation", "1")
            made = command("datalist", place / "source", place / "out", *options)
            named = (alone, "'a'", "a.png")
            if name in ("datalist rough", "datalist exact"):
                self.one("annotation", name, place, made, file, named)
                continue
            if run(made, place).code:
                continue  # counted above
            given = {"dataset_dir": str(place / "out"), "output_dir": str(place / "x"), "ckpt_dir": str(place / "new")}
            action = {
                "check": lambda p=place: command("check", p / "out"),
                "grabcut": lambda p=place: command("grabcut", p / "out", p / "proposed"),
                "export": lambda p=place: command("export", p / "out", p / "exported"),
                "training": lambda g=given: bundle(["train.yaml"], "train", "training", **TRAINING, **g),
            }[name.removeprefix("then ")]()
            self.one("annotation", name, place, action, file, (*named, "a_", "datalist.json"))

    # --------------------------------------------------------------------------------------------------- datalists
    def datalist(self, file: str, content: bytes, commands: Sequence[str]) -> None:
        """A broken ``datalist.json``, through everything that reads one."""
        for name in commands:
            if not self.wants(name):
                continue
            place = self.fresh()
            data, out = self.data_set(place), place / "out"
            (data / "datalist.json").write_bytes(content)
            ids = np.zeros(SHAPE, np.int32)
            ids[4:20, 4:20], ids[30:50, 30:50] = 1, 2
            (data / "labels" / "ids.png").write_bytes(_pillow(ids.astype(np.uint8), "PNG"))
            (data / "labels" / "small.png").write_bytes(_pillow(ids[:9, :9].astype(np.uint8), "PNG"))
            (data / "labels" / "negative.tif").write_bytes(_tiff(-ids))
            (data / "labels" / "fraction.tif").write_bytes(_tiff(ids.astype(np.float32) / 3))
            (data / "labels" / "huge.tif").write_bytes(_tiff(ids.astype(np.int64) * 2**40))
            for pipe in ("images", "labels"):
                os.mkfifo(data / pipe / "pipe.png")
            os.symlink("gone.png", data / "images" / "dangling.png")
            os.symlink("loop.png", data / "images" / "loop.png")
            if name == "report":
                shutil.copytree(self.models, out / "models", ignore=shutil.ignore_patterns("checkpoint*"))
            else:
                out.mkdir()
            given = {"dataset_dir": str(data), "output_dir": str(out)}
            new = {**given, "ckpt_dir": str(place / "new")}
            models = {**given, "ckpt_dir": str(self.models)} if name in ("evaluating", "data set inferring") else {}
            action = {
                "check": lambda d=data: command("check", d),
                "budget": lambda d=data: command("budget", d),
                "export": lambda d=data, p=place: command("export", d, p / "exported"),
                "measure": lambda d=data, p=place: command("measure", d, p / "measured"),
                "grabcut": lambda d=data, p=place: command("grabcut", d, p / "proposed"),
                "report": lambda d=data, o=out: command("report", o, "--dataset", d),
                "picture": lambda d=data, o=out: command("picture", d, o, o / "p.png"),
                "predict": lambda d=data, p=place: command(
                    "predict", d / "datalist.json", "--out", p / "predicted", "--weights", self.weights
                ),
                "tune": lambda d=data, p=place: command("tune", d, "--weights", self._own_weights(p), "--device", "cpu"),
                "suggest": lambda d=data, p=place: command("suggest", d, "--weights", self.weights, "--out", p / "ranked"),
                "training": lambda g=new: bundle(["train.yaml"], "train", "training", **TRAINING, **g),
                "evaluating": lambda g=models: bundle(["train.yaml", "evaluate.yaml"], "train", "evaluating", **g),
                "data set inferring": lambda g=models: bundle(["inference.yaml"], "infer", "inferring", **g),
            }[name]()
            self.one(
                "datalist", name, place, action, file, ("datalist.json", "images", "labels", "data", "out", str(self.root))
            )


#: Of a folder with a damaged file: where that lies, and what is called.
LAYOUTS = {
    "datalist image": ("images", "datalist"),
    "datalist inner": ("inner", "datalist"),
    "datalist masks": ("masks", "datalist"),
    "simulate": ("masks", "simulate"),
    "simulate image": ("images", "simulate"),
    "measure folder": ("_instances", "measure"),
    "measure classes": ("_pred", "measure"),
    "export-objects": ("_instances", "export"),
    "report": ("_instances", "report"),
}
#: The commands that meet each kind of file.
PREDICTING = ("predict", "inferring", "suggest")
ON_SETS = ("check", "measure", "grabcut", "export", "budget", "tune", "training", "evaluating", "data set inferring")
ON_ANNOTATIONS = ("datalist rough", "datalist exact", "then check", "then grabcut", "then export", "then training")
ON_DATALISTS = (*ON_SETS, "report", "picture", "predict", "suggest")
#: These take long, and are what people wait for: they take several files a turn.
SLOW, SLOW_FILES = ("tune", "training", "evaluating", "data set inferring", "then training"), 3
BATCH, READ_AT_ONCE = 25, 100


def jobs(bench: Bench, kinds: Sequence[str], count: int, seed: int) -> list[Iterator[None]]:
    """One for each kind of file and command: each step runs it on its next file, in an order of its own."""
    images, labels = (list(pictures(count, seed + k, label=bool(k))) for k in (0, 1))
    notes, lists = list(annotations(count, seed)), list(datalists(count, seed))

    def stepping(key: str, files: Sequence, call: Callable[..., None], at_once: int = 0) -> Iterator[None]:
        files = random.Random(f"{seed} {key}").sample(files, len(files))
        if at_once:
            files = [(files[at : at + at_once],) for at in range(0, len(files), at_once)]
        for number, file in enumerate(files):
            call(*file, number)
            if key.partition(" ")[2] not in SLOW or number % SLOW_FILES == SLOW_FILES - 1:
                yield

    found: list[Iterator[None]] = []
    if "readers" in kinds:
        for kind, files in (("image", images), ("label", labels), ("annotation", notes)):
            found.append(stepping(f"read {kind}", files, lambda batch, _, k=kind: bench.read(k, batch), READ_AT_ONCE))
    if "pictures" in kinds:
        for name in PREDICTING:
            found.append(stepping(name, images, lambda batch, _, n=name: bench.picture_in_a_batch(batch, [n]), BATCH))
    if "sets" in kinds:
        keys = ("segmentation", "detection", "instances")
        for name in ON_SETS:

            def image(file: str, data: bytes, _: int, name: str = name) -> None:
                bench.picture_in_a_data_set(file, data, "image", [name])

            def label(file: str, data: bytes, number: int, name: str = name) -> None:
                bench.picture_in_a_data_set(file, data, keys[number % 3], [name])

            found += [stepping(f"image {name}", images, image), stepping(f"label {name}", labels, label)]
    if "folders" in kinds:
        for name, (where, _) in LAYOUTS.items():
            files = images if where == "images" else labels
            found.append(stepping(name, files, lambda f, d, _, n=name: bench.picture_in_a_folder(f, d, [n])))
    if "annotations" in kinds:
        for name in ON_ANNOTATIONS:
            found.append(stepping(f"note {name}", notes, lambda f, d, _, n=name: bench.annotation(f, d, [n])))
    if "datalists" in kinds:
        for name in ON_DATALISTS:
            found.append(stepping(f"list {name}", lists, lambda f, d, _, n=name: bench.datalist(f, d, [n])))
    return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="a quarter each: images, labels, annotations, datalists")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="commands, separated by commas")
    parser.add_argument("--kinds", default="readers,pictures,sets,folders,annotations,datalists")
    parser.add_argument("--rounds", type=int, default=10**9, help="turns of each command, at most")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--seconds", type=float, default=10**9, help="begin nothing new after so long")
    parser.add_argument("--wrong", type=int, default=40, help="how many faults to print")
    given = parser.parse_args()
    import lazylabels_monai.data.building
    import lazylabels_monai.evaluation.results
    import lazylabels_monai.measure
    import lazylabels_monai.predicting.folder
    import lazylabels_monai.report
    import lazylabels_monai.suggest
    import lazylabels_monai.workflow  # noqa: F401

    table, start = Table(most=given.wrong), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad_input_") as folder:
        bench = Bench(Path(folder), table, [name for name in given.only.split(",") if name])
        count = max(1, (600 if given.quick else given.files) // 4)
        waiting = jobs(bench, given.kinds.split(","), count, given.seed)
        rounds = 0
        # a file for each command in turn: whenever the time is over, all have met about as many
        while waiting and rounds < (2 if given.quick else given.rounds) and time.monotonic() - start < given.seconds:
            for job in list(waiting):
                if time.monotonic() - start < given.seconds and next(job, job) is job:
                    waiting.remove(job)
            rounds += 1
    faults = table.show()
    runs = sum(counts.total() for counts in table.counts.values())
    took = f"{rounds} rounds, {time.monotonic() - start:.0f} s"
    print(f"{4 * count} files, {runs} runs in {took}, seed {given.seed}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
