"""A header's claim against what the file holds, and against the memory."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from lazylabels_monai import memory
from lazylabels_monai.images.claims import check_claims
from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.stored import ReadError, check_decoded_size


def nifti(*shape: int, claimed: tuple[int, ...] | None = None, kind=nibabel.Nifti1Image) -> bytes:
    data = bytearray(kind(np.zeros(shape, np.int16), np.eye(4)).to_bytes())
    if claimed is not None:
        at, code = (40, "8h") if kind is nibabel.Nifti1Image else (16, "8q")
        data[at : at + struct.calcsize(code)] = struct.pack(f"<{code}", len(claimed), *claimed, *[1] * (7 - len(claimed)))
    return bytes(data)


def mha(shape: str, data: bytes, more: str = "") -> bytes:
    head = f"ObjectType = Image\nNDims = 2\nDimSize = {shape}\n{more}ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    return head.encode() + data


def nrrd(sizes: str, data: bytes, encoding: str = "raw") -> bytes:
    return f"NRRD0004\ntype: short\ndimension: 2\nsizes: {sizes}\nencoding: {encoding}\nendian: little\n\n".encode() + data


GOOD = {
    "a.nii": nifti(7, 5),
    "a.nii.gz": gzip.compress(nifti(7, 5)),
    "b.nii.gz": gzip.compress(nifti(7, 5, 3, kind=nibabel.Nifti2Image)),
    "zeros.nii.gz": gzip.compress(nifti(3000, 2000)),  # packs a thousand times
    "a.mha": mha("5 7", bytes(70)),
    "a.nrrd": nrrd("5 7", bytes(70)),
    "packed.nrrd": nrrd("5 7", gzip.compress(bytes(70)), "gzip"),
}
CLAIMS = {
    "a.nii": nifti(4, 4, claimed=(30000, 30000, 30000)),
    "a.nii.gz": gzip.compress(nifti(4, 4, claimed=(30000, 30000))),
    "b.nii": nifti(4, 4, claimed=(2**40, 2**20), kind=nibabel.Nifti2Image),
    "a.mha": mha("100000 100000", bytes(70)),
    "a.nrrd": nrrd("100000 100000", bytes(70)),
    "packed.nrrd": nrrd("1000000 1000000", gzip.compress(bytes(70)), "gzip"),
    "zero.nii": nifti(4, 4, claimed=(0, 4)),
    "negative.nii": nifti(4, 4, claimed=(-3, 4)),
    "negative.mha": mha("-5 4", bytes(70)),
}


FLIPPED = gzip.compress(nifti(7, 5))[:10] + b"\xff" * 90  # zlib.error


@pytest.mark.parametrize("name", GOOD)
def test_what_is_there_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    check_claims(tmp_path / name)
    assert read_image(tmp_path / name).size > 30


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_claimed_and_not_there_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(CLAIMS[name])
    with pytest.raises(ReadError, match=f"{name}.*damaged") as raised:
        read_image(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_real_big_picture_is_not_refused_where_there_is_memory(tmp_path, monkeypatch):
    path = tmp_path / "big.tif"
    path.touch()
    os.truncate(path, 4 * 10**8)  # takes no room
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 16 * 2**30)
    check_decoded_size(path, 20000, 20000, 1)
    check_decoded_size(path, 20000, 20000, 6)  # RGB of 16 bits
    check_decoded_size(path, 300000, 1000, 4)
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 2**29)
    with pytest.raises(ReadError, match=r"20000 x 20000 pixels, which take 0\.7 GiB to read, more than is free"):
        check_decoded_size(path, 20000, 20000, 1)
    check_decoded_size(path, 4000, 4000, 1)


def test_a_volume_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "big.nii"
    path.write_bytes(nifti(4, 4, claimed=(20000, 20000)))
    os.truncate(path, 8 * 10**8 + 4096)
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 2**30)
    with pytest.raises(ReadError, match="20000 x 20000 voxels, which take"):
        check_claims(path)
    monkeypatch.setattr(memory, "memory_at_hand", lambda: None)
    check_claims(path)


def test_what_no_header_is_found_in_is_left_to_the_reader(tmp_path):
    for name, content in {
        "a.nii": b"x",
        "a.nii.gz": b"\x1f\x8b" + bytes(9),
        "b.nii.gz": FLIPPED,
        "a.mha": b"\xff" * 90,
        "a.nrrd": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        check_claims(tmp_path / name)
        with pytest.raises(ReadError, match=name):
            read_image(Path(tmp_path / name))
