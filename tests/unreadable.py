"""Files that are taken for weights and are none, by what they are."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.helpers import load

__all__ = ["RAN", "UNREADABLE"]

#: A file that the code in a pickle would write.
RAN = "the_code_ran"


class _Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def _zip(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)


def _bomb(path: Path, good: Path) -> None:
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in source.infolist():
            archive.writestr(member.filename, source.read(member) if "/data/" not in member.filename else bytes(2**18))


def _flipped(path: Path, good: Path) -> None:
    content = bytearray(good.read_bytes())
    for at in range(len(content) // 2, len(content), 7):  # the directory of the archive among them
        content[at] ^= 0x55
    path.write_bytes(content)


def _legacy_code(path: Path, good: Path) -> None:
    torch.save({"a": _Code(path.with_name(RAN))}, path, _use_new_zipfile_serialization=False)


def _saved(change: Callable[[dict], object]) -> Callable[[Path, Path], None]:
    return lambda path, good: torch.save(change(load(good)), path)


#: Each writes something at a path, given good weights.
UNREADABLE: dict[str, Callable[[Path, Path], object]] = {
    "nothing there": lambda path, good: None,
    "empty": lambda path, good: path.write_bytes(b""),
    "truncated": lambda path, good: path.write_bytes(good.read_bytes()[:-900]),
    "a head": lambda path, good: path.write_bytes(good.read_bytes()[:64]),
    "a byte": lambda path, good: path.write_bytes(b"\x80"),
    "flipped": _flipped,
    "zeros": lambda path, good: path.write_bytes(bytes(5000)),
    "git lfs": lambda path, good: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
    ),
    "torchscript": lambda path, good: torch.jit.script(nn.Linear(2, 2)).save(str(path)),
    "a pickle": lambda path, good: path.write_bytes(pickle.dumps({"a": 1})),
    "a pickle with code": lambda path, good: path.write_bytes(pickle.dumps(_Code(path.with_name(RAN)))),
    "a whole network": lambda path, good: torch.save(nn.Linear(2, 2), path),
    "code among tensors": lambda path, good: torch.save({**load(good), "x": _Code(path.with_name(RAN))}, path),
    "code, old format": _legacy_code,
    "a zip": lambda path, good: _zip(path, notes=b"mine"),
    "a zip bomb": _bomb,
    "an empty zip": lambda path, good: _zip(path),
    "numpy": lambda path, good: np.save(path.open("wb"), np.zeros(3)),
    "numpy's archive": lambda path, good: np.savez(path.open("wb"), a=np.zeros(3)),
    "a folder": lambda path, good: path.mkdir(),
    "a text": lambda path, good: path.write_text("my notes on the weights\n"),
    "a text in utf-16": lambda path, good: path.write_text("my notes\n", encoding="utf-16"),
    "json": lambda path, good: path.write_text(json.dumps({"weights": [1, 2, 3]})),
    "html": lambda path, good: path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>"),
    "safetensors": lambda path, good: path.write_bytes((24).to_bytes(8, "little") + b'{"__metadata__": {}}    ' + bytes(64)),
    "onnx": lambda path, good: path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(range(200))),
    "hdf5": lambda path, good: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600)),
    "a picture": lambda path, good: Image.new("L", (8, 8)).save(path, "png"),
    "a dangling link": lambda path, good: path.symlink_to(path.with_name("gone.pt")),
    "a link to itself": lambda path, good: path.symlink_to(path),
    "a pipe": lambda path, good: os.mkfifo(path),
    "another network": lambda path, good: torch.save(nn.Linear(2, 2).state_dict(), path),
    "an empty state": lambda path, good: torch.save({}, path),
    "a tensor": lambda path, good: torch.save(torch.zeros(3), path),
    "a list": lambda path, good: torch.save([torch.zeros(3)], path),
    "a number": lambda path, good: torch.save(3, path),
    "numbers as keys": lambda path, good: torch.save({1: torch.zeros(3), (2, 3): torch.zeros(1)}, path),
    "no tensors": _saved(dict.fromkeys),
    "whole numbers": _saved(lambda state: {name: value.long() for name, value in state.items()}),
    "complex": _saved(lambda state: {name: value.to(torch.complex64) for name, value in state.items()}),
    "sparse": _saved(lambda state: {name: value.to_sparse() for name, value in state.items()}),
    "bool": _saved(lambda state: {name: value.bool() for name, value in state.items()}),
    "transposed": _saved(
        lambda state: {name: value.transpose(0, 1) if value.ndim > 1 else value for name, value in state.items()}
    ),
    "half of it": _saved(lambda state: dict(list(state.items())[: len(state) // 3])),
    "checkpoint": _saved(lambda state: {"model": state, "optimizer": {}, "epoch": 3}),
}
