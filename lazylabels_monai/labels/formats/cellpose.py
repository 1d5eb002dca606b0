"""Cellpose's ``_seg.npy``: a dictionary, packed by pickle, whose ``masks`` are object ids.

Loading a stranger's pickle runs whatever code it names. This reader admits numpy's arrays and plain containers alone;
everything else that a file names is replaced by something that does nothing.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lazylabels_monai.labels.annotations import AnnotationError

__all__ = ["is_packed", "read_masks"]

#: What arrays are made of in a pickle, under the names of numpy 1 and 2.
_ADMITTED = {
    (f"{package}.{module}", name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _Inert:
    """Stands for anything that is not needed, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def __setstate__(self, state: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...
    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return self

    def append(self, item: Any) -> None: ...
    def extend(self, items: Any) -> None: ...
    def add(self, item: Any) -> None: ...


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in _ADMITTED else _Inert

    def persistent_load(self, pid: Any) -> Any:
        return _Inert()


def is_packed(path: Path) -> bool:
    """Whether a ``.npy`` file holds objects of Python rather than numbers."""
    try:
        with open(path, "rb") as file:
            return _dtype(file).hasobject
    except Exception:  # a damaged header raises what Python's parser raises
        return False


def read_masks(path: Path) -> np.ndarray:
    """Object ids (H, W) of a ``_seg.npy`` file: 0 where there is none.

    Raises:
        AnnotationError: when the file is no dictionary with ``masks`` of two axes.
    """
    try:
        with open(path, "rb") as file:
            _dtype(file)
            content = _Unpickler(file).load()
        content = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
        masks = content["masks"]
    except Exception as e:  # a pickle may raise anything
        raise AnnotationError(
            f"label '{path}' cannot be read as Cellpose's ({type(e).__name__}): save the masks in Cellpose by File > Save "
            "masks as PNG/tif, any other label as an array of integers."
        ) from e
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "iu" or masks.ndim != 2:
        what = f"an array of shape {masks.shape}" if isinstance(masks, np.ndarray) else "no array"
        raise AnnotationError(f"label '{path}': its masks are {what}, where (height, width) of one image is expected.")
    return masks.astype(masks.dtype.newbyteorder("="))


def _dtype(file: BinaryIO) -> np.dtype:
    """Type of a ``.npy`` file's content; its header is read."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)[2]
