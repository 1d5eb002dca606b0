"""The folder in which a large prediction is made: arrays in chunks, and what each finished part of the work gave.

A part is done when its ``.npz`` is there, which appears in one step after all that it wrote: a kill at any time leaves parts
that are done, and parts that are done again with the same result.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.atomic import remove_tree, write_bytes, write_text
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.pixel_size import PIXEL_SIZE_KEY

__all__ = [
    "REMEDY",
    "Store",
    "chunk_side",
    "missing_packages",
    "ome_levels",
    "ome_metadata",
    "require_packages",
    "write_tiff",
    "zarr_array",
]

#: What a user types to have the packages.
REMEDY = 'pip install "lazylabels-monai[large]"'
#: Side of a chunk of the arrays at most, and of a tile of the TIFF files.
_CHUNK, _TIFF_TILE = 1024, 512
#: A pyramid ends where it has no side above this.
_SMALLEST = 1024
_PLAN = "plan.json"


def missing_packages() -> list[str]:
    """Packages of the extra ``large`` that are not installed."""
    from importlib.util import find_spec

    return [name for name in ("zarr", "dask") if find_spec(name) is None]


def chunk_side(side: int) -> int:
    """Side of the chunks of arrays that are written in tiles of ``side`` pixels: each tile has chunks of its own."""
    parts = 1
    while side % parts or side // parts > _CHUNK:
        parts += 1
    return side // parts


class Store:
    """One picture's unfinished work.

    Args:
        folder: made by :meth:`begin`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def begin(self, plan: Mapping[str, Mapping[str, Any]]) -> bool:
        """Go on with what is there, or begin anew.

        Args:
            plan: by group of stages what its results depend on; stages of groups whose plan is another one are removed, and
                those of all later groups with them.

        Returns:
            whether anything is there to go on with.
        """
        file = self.folder / _PLAN
        try:
            before = dict(json.loads(file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):  # not where it cannot be read just now: the work is still of use
            before = {}
        plan = json.loads(json.dumps(plan))
        stale, kept = False, False
        for group in plan:
            stale = stale or before.get(group) != plan[group]
            if stale:
                remove_tree(self.folder / group)
            kept = kept or (self.folder / group).is_dir()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(plan, indent=1) + "\n")
        return kept

    def part(self, stage: str, index: int | str) -> Path:
        """The file that says that a part is done."""
        return self.folder / stage / "parts" / f"{index}.npz"

    def is_done(self, stage: str, index: int | str) -> bool:
        """Whether a part is done."""
        return self.part(stage, index).is_file()

    def finish(self, stage: str, index: int | str, arrays: Mapping[str, Any]) -> None:
        """Say that a part is done, and keep what it gave."""
        path = self.part(stage, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_bytes(path, content.getvalue())

    def given(self, stage: str, index: int | str) -> dict[str, np.ndarray]:
        """What a part gave."""
        with np.load(self.part(stage, index), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def array(self, name: str, shape: tuple[int, ...] | None = None, dtype: Any = None, chunk: int = _CHUNK) -> Any:
        """A Zarr array of the work, made where it is not there yet and ``shape`` is given.

        Args:
            name: with the group of its stage: ``"maps/classes"``.
            shape: (H, W), perhaps with channels before.
            dtype: of the numbers.
            chunk: side of its chunks.
        """
        return zarr_array(self.folder / name, shape, dtype, chunk)


def zarr_array(path: Path, shape: tuple[int, ...] | None = None, dtype: Any = None, chunk: int = _CHUNK) -> Any:
    """A Zarr array (format 2, which all programs read), opened, or made where it is not there and ``shape`` is given."""
    import zarr

    if shape is None or (path / ".zarray").is_file():
        return zarr.open_array(store=str(path), mode="r+")
    return zarr.create_array(
        store=str(path),
        shape=shape,
        chunks=(1,) * (len(shape) - 2) + tuple(min(chunk, side) for side in shape[-2:]),
        dtype=dtype,
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        compressors=_compressor(),
        fill_value=0,
        overwrite=True,
    )


def _compressor() -> Any:
    from numcodecs import Blosc

    return Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE)


def ome_levels(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """(H, W) of each level of a pyramid, the finest first; each takes every second pixel of the one before."""
    levels = [shape]
    while max(levels[-1]) > _SMALLEST:
        levels.append(tuple(-(-side // 2) for side in levels[-1]))
    return levels


def ome_metadata(folder: Path, name: str, levels: int, pixel_size: float | None) -> None:
    """Write the group of an OME-Zarr 0.4 label image, whose levels are the arrays ``0``, ``1``, ...

    Args:
        folder: of the group.
        name: for people.
        levels: how many.
        pixel_size: micrometres; None: unknown.
    """
    axes = [{"name": axis, "type": "space", **({} if pixel_size is None else {"unit": "micrometer"})} for axis in "yx"]
    size = 1.0 if pixel_size is None else pixel_size
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [size * 2**k] * 2}]} for k in range(levels)
    ]
    scale = {"version": "0.4", "name": name, "axes": axes, "datasets": datasets, "type": "nearest"}
    content = {"multiscales": [scale], "image-label": {"version": "0.4"}}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ".zgroup", json.dumps({"zarr_format": 2}) + "\n")
    write_text(folder / ".zattrs", json.dumps(content, indent=1) + "\n")


def write_tiff(path: Path, array: Any, dtype: Any, pixel_size: float | None = None) -> None:
    """Write a label map as a tiled BigTIFF, band by band.

    Args:
        path: of the file.
        array: (H, W), numpy's or Zarr's.
        dtype: of the file.
        pixel_size: micrometres, written as the resolution, and in the description, as a resolution below 1200 dpi may be a
            printer's; None: unknown.
    """
    import tifffile

    height, width = array.shape

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, height, _TIFF_TILE):
            band = np.asarray(array[top : top + _TIFF_TILE, 0:width])
            for left in range(0, width, _TIFF_TILE):
                yield np.ascontiguousarray(band[:, left : left + _TIFF_TILE]).astype(dtype)

    resolution = {} if pixel_size is None else {"resolution": (1e4 / pixel_size,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        tiles(),
        shape=(height, width),
        dtype=dtype,
        tile=(_TIFF_TILE, _TIFF_TILE),
        bigtiff=True,
        compression="zlib",
        photometric="minisblack",
        metadata={"axes": "YX", **({} if pixel_size is None else {PIXEL_SIZE_KEY: pixel_size})},
        maxworkers=1,
        **resolution,
    )


def require_packages() -> None:
    """Refuse where the extra is missing.

    Raises:
        LazyLabelsError: naming the packages and how to get them.
    """
    if missing := missing_packages():
        raise LazyLabelsError(f"predicting in tiles needs {' and '.join(missing)}: {REMEDY}.")
