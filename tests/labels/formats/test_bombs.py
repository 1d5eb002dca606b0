"""Annotation files that claim or unpack to far more than anybody drew: little memory, a sentence or what can be used."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from roifile import ROI_TYPE, ImagejRoi

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import read_annotations

SHAPE = (64, 80)
HUGE = (60000, 60000)
QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9], [1, 1]]]},
            "properties": {"classification": {"name": "a"}},
        }
    ],
}


def coco(segmentation: object, size: tuple[int, int] | None) -> bytes:
    image = {"id": 1, "file_name": "a.png", **({"height": size[0], "width": size[1]} if size else {})}
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}
    return json.dumps({"images": [image], "annotations": [row], "categories": [{"id": 1, "name": "a"}]}).encode()


def studio(size: tuple[int, int], rle: list[int]) -> bytes:
    region = {
        "id": "r",
        "type": "brushlabels",
        "original_height": size[0],
        "original_width": size[1],
        "value": {"format": "rle", "rle": rle, "brushlabels": ["a"]},
    }
    return json.dumps([{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [region]}]}]).encode()


def brush(size: tuple[int, int]) -> list[int]:
    """A picture that is covered everywhere, packed by runs of 65536 values."""
    total = 4 * size[0] * size[1]
    bits = f"{total:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    while total:
        count = min(total, 2**16)
        bits += f"1{3:02b}{count - 1:016b}{255:08b}"
        total -= count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def spaces(size: int) -> bytes:
    """JSON behind so many spaces, packed without ever being whole."""
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    parts = [packer.compress(b" " * 2**20) for _ in range(size // 2**20)]
    return b"".join([*parts, packer.compress(json.dumps(QUPATH).encode()), packer.flush()])


ROI = ImagejRoi(roitype=ROI_TYPE.OVAL, left=0, top=0, right=32767, bottom=32767).tobytes()
RING = [0, 0, 60000, 0, 60000, 60000, 0, 60000]
TOTAL = SHAPE[0] * SHAPE[1]

#: Each file, and whether it holds a mark that covers all of the picture; None: a sentence.
BOMBS = {
    "spaces.geojson.gz": (lambda: spaces(2**27), None),
    "spaces.zip": (lambda: zipped(a__geojson=b" " * 2**27), None),
    "many.zip": (lambda: zipped(**{f"{k}__roi": bytes(2**20) for k in range(80)}), None),
    "deep.geojson": (lambda: b'{"type":"FeatureCollection","features":' + b"[" * 10**5 + b"]" * 10**5 + b"}", None),
    "deep.json": (lambda: b"[" * 10**6, None),
    "digits.json": (lambda: b"[" + b"1" * 10**5 + b"]", None),
    "beyond.json": (lambda: coco({"size": SHAPE, "counts": [0, 2**62]}, SHAPE), None),
    "round.json": (lambda: coco({"size": SHAPE, "counts": [2**63 - 1, 2**63 - 1, TOTAL + 2]}, SHAPE), None),
    "larger.json": (lambda: coco({"size": SHAPE, "counts": [0, 2**70]}, SHAPE), None),
    "negative.json": (lambda: coco({"size": SHAPE, "counts": [-5, TOTAL + 5]}, SHAPE), None),
    "packed.json": (lambda: coco({"size": SHAPE, "counts": "o" * 10**5}, SHAPE), None),
    "strip.json": (lambda: coco([RING], (1, 2**31)), None),
    "zigzag.json": (lambda: coco([[0, 0, 59999, 59999] * 2000], HUGE), None),
    "runs.json": (lambda: coco({"size": HUGE, "counts": [0, HUGE[0] * HUGE[1]]}, HUGE), True),
    "runs_packed.json": (lambda: coco({"size": HUGE, "counts": _packed(0, HUGE[0] * HUGE[1])}, HUGE), True),
    "stated.json": (lambda: coco({"size": HUGE, "counts": [0, HUGE[0] * HUGE[1]]}, None), True),
    "ring.json": (lambda: coco([RING], HUGE), True),
    "sizeless.json": (lambda: coco([RING], None), True),
    "brush.json": (lambda: studio((9000, 9000), brush((9000, 9000))), True),
    "oval.zip": (lambda: zipped(a__roi=ROI), False),
    "oval.roi": (lambda: ROI, False),
}


def _packed(*runs: int) -> str:
    text = ""
    for value in runs:
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | (32 if more else 0)) + 48)
            if not more:
                break
    return text


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_memory(tmp_path, name):
    make, covers = BOMBS[name]
    path = tmp_path / name
    path.write_bytes(make())
    tracemalloc.start()
    try:
        if covers is None:
            with pytest.raises(LazyLabelsError) as raised:
                read_annotations(path)
            assert name in str(raised.value)
            assert "\n" not in str(raised.value)
        else:
            (annotation,) = read_annotations(path)
            (mark,) = annotation.marks
            part, mask = mark.draw(SHAPE)
            drawn = np.zeros(SHAPE, bool)
            drawn[part] = mask
            assert drawn[1:, 1:].all() == covers
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 3 * 2**28, f"{most / 2**20:.0f} MiB"


def test_damaged_members_of_a_roi_set_are_named_and_the_others_used(tmp_path):
    """Offsets that lie before the file, beyond it, or in the middle: zipfile raises IndexError, ValueError, struct.error."""
    rois = {f"{k}__roi": ImagejRoi.frompoints(np.array([[1, 1], [9, 1], [9, 9 + k]])).tobytes() for k in range(4)}
    whole, rng, kept = zipped(**rois), random.Random(0), 0
    at = whole.index(b"PK\x01\x02")
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            data[rng.randrange(at if rng.random() < 0.7 else 0, len(data))] = rng.randrange(256)
        (tmp_path / "a.zip").write_bytes(data)
        with suppress(AnnotationError):
            (annotation,) = read_annotations(tmp_path / "a.zip")
            kept += bool(annotation.left_out and annotation.marks)
    assert kept > 20


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 15), st.integers(1, 15)),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.booleans(),
)
def test_runs_are_pycocotools_mask_wherever_the_picture_ends(tmp_path_factory, seed, size, shape, share, packed):
    mask = np.asfortranarray(np.random.default_rng(seed).random(size) < share)
    runs = coco_mask.encode(mask.astype(np.uint8))
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    counts = [0, *counts] if flat[0] else counts
    path = Path(tmp_path_factory.mktemp("runs")) / "a.json"
    path.write_bytes(coco({"size": size, "counts": runs["counts"].decode() if packed else counts}, size))
    (annotation,) = read_annotations(path)
    (mark,) = annotation.marks
    part, found = mark.draw(shape)
    drawn, expected = np.zeros(shape, bool), np.zeros(shape, bool)
    drawn[part] = found
    height, width = np.minimum(shape, size)
    expected[:height, :width] = mask[:height, :width]
    np.testing.assert_array_equal(drawn, expected)
    whole, origin = mark.raster
    assert whole.sum() == mask.sum()
    assert len(origin) == 2


def test_gzip_of_several_parts_is_read(tmp_path):
    text = json.dumps(QUPATH).encode()
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(text[:50]) + gzip.compress(text[50:]))
    assert len(read_annotations(tmp_path / "a.geojson.gz")[0].marks) == 1


def test_the_union_of_outlines_takes_no_room_for_the_image(tmp_path, monkeypatch):
    """pycocotools' own ends the process where there is none: it asks for four bytes a pixel of the claimed size."""

    def refused(*_, **__):
        raise AssertionError("14 GB")

    monkeypatch.setattr(coco_mask, "merge", refused)
    (tmp_path / "a.json").write_bytes(coco([RING, RING, [2.0, 2, 9, 2, 9, 9]], HUGE))
    (annotation,) = read_annotations(tmp_path / "a.json")
    _, mask = annotation.marks[0].draw(SHAPE)
    assert mask.all()
    assert mask.shape == SHAPE
