"""Rectangles of pictures that are too large for the memory: tiled and striped TIFF, BigTIFF, pyramids, OME-Zarr.

A region is what :func:`~lazylabels_monai.images.files.read_image`, or :func:`~lazylabels_monai.images.files.read_label` of a
label, would give, cut out of it. What can only be unpacked whole (PNG, JPEG, a TIFF in one compressed strip) or understood
whole (a label with alpha, or to be turned) is read whole, under the guard of
:func:`~lazylabels_monai.images.stored.check_decoded_size`.
"""

from __future__ import annotations

import errno
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from lazylabels_monai.images.files import PathLike, file_suffix, is_zarr, label_values, read_image, read_label, require_readable
from lazylabels_monai.images.meaning import as_image
from lazylabels_monai.images.stored import ReadError, Stored, check_room
from lazylabels_monai.images.tiff import label_in_parts, largest_page, lossy_name, region_page, region_stored

__all__ = ["Regions", "open_regions", "read_whole"]

#: Bytes of unpacked tiles and strips that are kept for the next region.
_KEPT = 192 * 2**20
#: A tile or strip of more bytes than this is as good as the whole picture.
_PIECE = 256 * 2**20
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Regions:
    """A picture that is read in rectangles.

    Args:
        path: for messages.
        shape: (H, W).
        channels: 0 where the picture has no axis for them.
        dtype: of the numbers.
        read: gives (h, w[, C]) of the rows and columns of two slices within the picture.
        whole: the picture lies in memory.
        close: called by :meth:`close`.
    """

    def __init__(
        self,
        path: PathLike,
        shape: tuple[int, int],
        channels: int,
        dtype: np.dtype,
        read: Callable[[slice, slice], np.ndarray],
        whole: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.path, self.shape, self.channels, self.dtype, self.whole = path, shape, channels, np.dtype(dtype), whole
        self._read, self.close = read, close

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        """(h, w[, C]) of rows and columns, clipped to the picture.

        Raises:
            ReadError: when the file is damaged there.
        """
        rows, columns = (slice(*part.indices(side)[:2]) for part, side in zip(place, self.shape, strict=True))
        try:
            return self._read(rows, columns)
        except ReadError:
            raise
        except Exception as error:  # tifffile, imagecodecs and zarr raise all sorts
            raise ReadError(
                f"file '{self.path}' cannot be read in rows {rows.start} to {rows.stop} ({error}): {_remedy(error)}."
            ) from error

    def every(self, step: int) -> np.ndarray:
        """Each ``step``-th row and column, read band by band."""
        height, width = self.shape
        band = max(step, 1024 // step * step)
        # copies, as a view of a few pixels would keep its whole band in memory
        parts = [self[top : top + band, 0:width][::step, ::step].copy() for top in range(0, height, band)]
        return np.concatenate(parts)


def _remedy(error: Exception) -> str:
    """What to do about it: a file that the system does not give need not be damaged."""
    if isinstance(error, OSError) and error.errno:  # those of decoders have no number
        return "see that its disk is connected, and give the same command again"
    return "export it again"


def open_regions(path: PathLike, label: bool = False) -> Regions:
    """A picture, to be read in rectangles.

    Args:
        path: a picture's file, or the folder of an OME-Zarr image (0.4, 0.5).
        label: classes or ids rather than an image.

    Raises:
        ReadError: when it is none, holds several pictures, or is of a kind that cannot be read in parts and is too large whole.
    """
    if is_zarr(path):
        return _zarr_regions(Path(path))
    require_readable(path)
    with open(path, "rb") as file:
        head = file.read(4)
    if head in _TIFF:
        try:
            found = _tiff_regions(Path(path), label)
        except ReadError:
            raise
        except Exception as error:
            raise ReadError(f"file '{path}' cannot be read as an image ({error}): {_remedy(error)}.") from error
        if found is not None:
            return found
    array = read_label(path) if label else read_image(path)
    if array.ndim not in (2, 3) or file_suffix(path).startswith((".nii", ".nrrd", ".mh")):
        raise ReadError(f"file '{path}' is no picture of rows and columns: only those are read in parts.")
    return Regions(
        path, array.shape[:2], array.shape[2] if array.ndim == 3 else 0, array.dtype, lambda r, c: array[r, c], whole=True
    )


def read_whole(path: PathLike) -> np.ndarray:
    """What :func:`~lazylabels_monai.images.files.read_image` gives, of an OME-Zarr image, too.

    Raises:
        ReadError: when it cannot be read as one image, or there is no memory for it.
    """
    if not is_zarr(path):
        return read_image(path)
    regions = open_regions(path)
    sides = f"{regions.shape[0]} x {regions.shape[1]} pixels"
    check_room(Path(path), math.prod(regions.shape) * max(1, regions.channels) * regions.dtype.itemsize, sides)
    return regions[0 : regions.shape[0], 0 : regions.shape[1]]


def _tiff_regions(path: Path, label: bool) -> Regions | None:
    """None where the file must be unpacked whole."""
    tif = tifffile.TiffFile(path)
    try:
        if label and not label_in_parts(largest_page(tif)):
            tif.close()
            return None
        page = region_page(tif, path, label)
        height, width = page.imagelength, page.imagewidth
        samples = page.samplesperpixel
        contiguous = page.is_final and page.imagedepth == 1 and (samples == 1 or int(page.planarconfig) == 1)
        piece = int(np.prod(page.chunks)) * page.dtype.itemsize
        if not contiguous and piece > _PIECE:
            tif.close()
            return None
        page.init_decode() if hasattr(page, "init_decode") else page.decode
        raw = _Plain(page) if contiguous else _Pieces(page)
        lossy = lossy_name(page) if label else None

        def read(rows: slice, columns: slice) -> np.ndarray:
            stored = region_stored(page, raw(rows, columns), path)
            stored.lossy = lossy
            return label_values(stored, path) if label else as_image(stored)

        sample = read(slice(0, 1), slice(0, 1))
    except BaseException:
        tif.close()
        raise
    return Regions(path, (height, width), sample.shape[2] if sample.ndim == 3 else 0, sample.dtype, read, close=tif.close)


class _Plain:
    """Numbers that lie in the file one after the other."""

    def __init__(self, page: tifffile.TiffPage) -> None:
        self.page, self.lock = page, threading.Lock()
        self.type = page.dtype.newbyteorder(page.parent.byteorder)

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        page, count, samples = self.page, rows.stop - rows.start, self.page.samplesperpixel
        row = page.imagewidth * samples * self.type.itemsize
        with self.lock:
            page.parent.filehandle.seek(page.dataoffsets[0] + rows.start * row)
            content = page.parent.filehandle.read(count * row)
        values = np.frombuffer(content, self.type).reshape(count, page.imagewidth, samples)[:, columns]
        return (values[..., 0] if samples == 1 else values).astype(page.dtype)


class _Pieces:
    """Tiles or strips, of which those that were unpacked last are kept."""

    def __init__(self, page: tifffile.TiffPage) -> None:
        self.page, self.lock = page, threading.Lock()
        self.kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self.size = 0
        self.separate = int(page.planarconfig) == 2 and page.samplesperpixel > 1
        self.options: dict[str, Any] = {"_fullsize": page.is_tiled}
        if int(page.compression) in (6, 7, 34892, 33007):
            self.options.update(jpegtables=page.jpegtables, jpegheader=page.jpegheader)
        if page.is_tiled:
            self.length, self.width = page.tilelength, page.tilewidth
        else:
            self.length, self.width = min(page.rowsperstrip, page.imagelength), page.imagewidth

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        page = self.page
        down, across = -(-page.imagelength // self.length), -(-page.imagewidth // self.width)
        planes = page.samplesperpixel if self.separate else 1
        samples = 1 if self.separate else page.samplesperpixel
        out = np.zeros((planes, rows.stop - rows.start, columns.stop - columns.start, samples), page.dtype)
        for plane in range(planes):
            for row in range(rows.start // self.length, -(-rows.stop // self.length)):
                for column in range(columns.start // self.width, -(-columns.stop // self.width)):
                    piece = self._piece((plane * down + row) * across + column)
                    if piece is None:  # nothing is written there: zeros
                        continue
                    top, left = row * self.length, column * self.width
                    r0, r1 = max(rows.start, top), min(rows.stop, top + piece.shape[0])
                    c0, c1 = max(columns.start, left), min(columns.stop, left + piece.shape[1])
                    if r1 > r0 and c1 > c0:
                        out[plane, r0 - rows.start : r1 - rows.start, c0 - columns.start : c1 - columns.start] = piece[
                            r0 - top : r1 - top, c0 - left : c1 - left
                        ]
        if page.samplesperpixel == 1:
            return out[0, ..., 0]
        return np.moveaxis(out[..., 0], 0, -1) if self.separate else out[0]

    def _piece(self, index: int) -> np.ndarray | None:
        with self.lock:
            if index in self.kept:
                self.kept.move_to_end(index)
                return self.kept[index]
            count = self.page.databytecounts[index]
            if not count:
                return None
            self.page.parent.filehandle.seek(self.page.dataoffsets[index])
            content = self.page.parent.filehandle.read(count)
        found = self.page.decode(content, index, **self.options)[0]
        if found is None:
            return None
        found = found[0]  # of the depth
        with self.lock:
            self.kept[index] = found
            self.size += found.nbytes
            while self.size > _KEPT and len(self.kept) > 1:
                self.size -= self.kept.popitem(last=False)[1].nbytes
        return found


def _zarr_regions(path: Path) -> Regions:
    """The finest level of the first image of an OME-Zarr group, or a plain Zarr array of two axes."""
    try:
        import zarr
    except ImportError as error:
        raise ReadError(
            f"'{path}' is a Zarr folder, for which packages are missing: pip install \"lazylabels-monai[large]\"."
        ) from error
    try:
        found = zarr.open(str(path), mode="r")
    except Exception as error:
        raise ReadError(f"'{path}' cannot be read as Zarr ({error}): {_remedy(error)}.") from error
    axes = None
    if isinstance(found, zarr.Group):
        found, axes = _finest(found, path)
    axes = axes or {2: ["y", "x"], 3: ["c", "y", "x"]}.get(found.ndim)
    if axes is None or len(axes) != found.ndim or axes[-2:] != ["y", "x"]:
        raise ReadError(f"'{path}' has the axes {axes or found.ndim}, which are not those of a picture: save y, x, or c, y, x.")
    sides = dict(zip(axes, found.shape, strict=True))
    more = {name: side for name, side in sides.items() if name not in "cyx" and side > 1}
    if more:
        name, side = next(iter(more.items()))
        raise ReadError(f"'{path}' has {side} planes along its axis {name}: save each plane as a picture of its own.")
    if found.dtype.kind not in "biuf":
        raise ReadError(f"'{path}' holds {found.dtype}, no real numbers: export it again.")
    channels = sides.get("c", 1)

    def read(rows: slice, columns: slice) -> np.ndarray:
        place = tuple(slice(None) if name == "c" else {"y": rows, "x": columns}.get(name, 0) for name in axes)
        try:
            values = np.asarray(found[place])
            if not is_zarr(path):  # zarr takes chunks that are gone for zeros
                raise FileNotFoundError(errno.ENOENT, "it is not there any more")
        except Exception as error:  # of the file system, and of every codec another one
            raise ReadError(f"'{path}' has a chunk that cannot be read ({error}): {_remedy(error)}.") from error
        if "c" in axes:
            values = values[0] if channels == 1 else np.moveaxis(values, 0, -1)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        return as_image(Stored(values.astype(np.uint8), "bilevel")) if values.dtype == bool else values

    kind = np.dtype(np.uint8) if found.dtype == bool else found.dtype
    return Regions(path, (sides["y"], sides["x"]), channels if channels > 1 else 0, kind, read)


def _finest(group: Any, path: Path) -> tuple[Any, list[str]]:
    """The array of the finest level of an OME-Zarr group, and the names of its axes."""
    import zarr

    attributes = dict(group.attrs)
    try:
        scales = attributes.get("ome", attributes).get("multiscales")
    except AttributeError:
        scales = None
    if not scales:
        raise ReadError(f"'{path}' is a Zarr group without an OME-Zarr image (multiscales): name the folder of the image.")
    try:
        named = scales[0].get("axes", ["t", "c", "z", "y", "x"])  # 0.1 and 0.2 name none
        axes = [axis["name"] if isinstance(axis, dict) else str(axis) for axis in named]
        array = group[scales[0]["datasets"][0]["path"]]
    except Exception as error:  # zarr reads the array's own metadata, and raises all sorts
        raise ReadError(f"'{path}' has damaged metadata of OME-Zarr ({error!r}): export it again.") from error
    if not isinstance(array, zarr.Array):
        raise ReadError(f"'{path}' has damaged metadata of OME-Zarr (the finest level is no array): export it again.")
    return array, axes
