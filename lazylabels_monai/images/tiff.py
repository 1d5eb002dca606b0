"""TIFF files as tifffile reads them: which of their pages is the picture, and what its tags say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from lazylabels_monai.images.lossy import LOSSLESS_TIFF, lossy_tiff_segment
from lazylabels_monai.images.stored import ReadError, Stored, check_decoded_size, check_pages, native

__all__ = [
    "label_in_parts",
    "largest_page",
    "lossy_name",
    "page_orientation",
    "picture_page",
    "read_planes",
    "region_page",
    "region_stored",
    "stored_tiff",
]

_ORIENTATION, _OLD_SUBFILE, _NEW_SUBFILE, _LERC, _INK_SET = 274, 255, 254, 50674, 332
# Bits of NewSubfileType: a smaller copy of another page, a transparency mask for one
_REDUCED, _MASK = 1, 4
# Values of ExtraSamples; 0 says "unspecified", which is how further channels are written
_ASSOCIATED, _UNASSOCIATED = 1, 2
#: PhotometricInterpretation, and how many samples carry the colour
_COLOURS = {
    0: ("gray", 1),  # min is white: a matter of the screen, the numbers are those stored
    1: ("gray", 1),
    2: ("rgb", 3),
    3: ("palette", 1),
    4: ("gray", 1),
    5: ("cmyk", 4),
    6: ("ycbcr", 3),
    8: ("lab", 3),
    34892: ("rgb", 3),  # linear raw
    51177: ("gray", 1),  # depth map
}
# How tifffile's names of compressions are written elsewhere
_NAMES = {"JPEG2000": "JPEG 2000", "JPEGXL": "JPEG XL", "JPEGXR": "JPEG XR", "WEBP": "WebP", "APERIO": "JPEG 2000"}
# Correlation from which a smaller page that does not say so is a copy of the picture
_ALIKE = 0.8


def stored_tiff(path: Path, label: bool = False) -> Stored:
    """Read the one picture of a TIFF.

    Args:
        path: the file.
        label: whether to find out how exact the compression is.

    Raises:
        ReadError: when the file holds several pictures, one too large, or one of colours that have no meaning here.
        Exception: whatever tifffile and imagecodecs raise on a damaged file.
    """
    with tifffile.TiffFile(path) as tif:
        page = picture_page(tif, path)
        _check_size(page, path)
        array, axes = page.asarray(), page.axes
        stored = _with_tags(page, array, axes, path)
        stored.orientation = page_orientation(page)
        stored.format, stored.mode = "TIFF", "tifffile"
        if label:
            stored.lossy = lossy_name(page)
    stored.values = native(stored.values)
    return stored


def read_planes(path: Path | str) -> np.ndarray:
    """Planes (P, H, W) or (H, W) of a TIFF that this package wrote: probabilities, uncertainties.

    Unlike ``tifffile.imread`` it takes a name as it is: ``a*b[1].tif`` is a file, no pattern.

    Raises:
        ReadError: when the file cannot be read.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            for page in tif.pages:
                _check_size(page, Path(path))
            return tif.asarray()
    except ReadError:
        raise
    except Exception as error:  # tifffile and imagecodecs raise all sorts
        raise ReadError(f"file '{path}' cannot be read ({error}): make it anew.") from error


def picture_page(tif: tifffile.TiffFile, path: Path | None = None) -> tifffile.TiffPage:
    """The page that is the picture; pyramids, thumbnails and masks beside it are none.

    Args:
        tif: the open file.
        path: its name for messages; None: that of ``tif``.

    Raises:
        ReadError: when there are several.
    """
    path = Path(tif.filehandle.path) if path is None else path
    full = _full_pages(tif)
    if len(full) > 1:
        largest = max(full, key=_area)
        others = [page for page in full if page is not largest]
        if all(_smaller(page, largest) for page in others):
            _check_size(largest, path)
            if all(_alike(page, largest) for page in others):
                full = [largest]
    check_pages(len(full), path)
    _check_planes(tif, full[0], path)
    return full[0]


def largest_page(tif: tifffile.TiffFile) -> tifffile.TiffPage:
    """The page that :func:`picture_page` and :func:`region_page` give where they refuse nothing, found without its pixels."""
    return max(_full_pages(tif), key=_area)


def _full_pages(tif: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Pages that do not say that they are smaller copies of another one, or masks for it."""
    pages = list(tif.pages)
    full = [page for page in pages if not _kind(page) & (_REDUCED | _MASK)]
    if not full:  # a camera's raw file: a thumbnail that keeps the picture in a directory below
        full = [sub for page in pages for sub in (page.pages or ()) if not _kind(sub) & (_REDUCED | _MASK)]
    return full or [max(pages, key=_area)]


def label_in_parts(page: tifffile.TiffPage) -> bool:
    """Whether what a label's pixel means follows from its own numbers: the label is upright, and no channel may be alpha."""
    return page_orientation(page) == 1 and page.samplesperpixel in (1, 3) and not page.extrasamples


def region_page(tif: tifffile.TiffFile, path: Path, label: bool = False) -> tifffile.TiffPage:
    """:func:`picture_page` for a picture that is not to be read whole; smaller pages of its proportions are its pyramid.

    Args:
        tif: the open file.
        path: its name, for messages.
        label: whether it is a label, whose palette says nothing about its values.

    Raises:
        ReadError: when there are several pictures, or one of a kind whose numbers mean nothing without all the others.
    """
    pages = [page for page in tif.pages if not _kind(page) & (_REDUCED | _MASK)] or list(tif.pages)
    page = max(pages, key=_area)
    check_pages(sum(other is page or not _smaller(other, page) for other in pages), path)
    _check_planes(tif, page, path)
    coloured = int(page.photometric) == 3 and not label
    if page_orientation(page) != 1 or coloured:
        what = "a palette" if coloured else "an orientation to be turned by"
        raise ReadError(f"file '{path}' has {what}, which cannot be followed part by part: save it upright as gray or RGB.")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ReadError(
            f"file '{path}' has the axes {page.axes} where one image is expected: save it as one plane (YX or RGB)."
        )
    return page


def region_stored(page: tifffile.TiffPage, values: np.ndarray, path: Path) -> Stored:
    """What a part of a page holds: (h, w[, C]) with the channels last, as the whole page's :func:`stored_tiff`.

    Raises:
        ReadError: for transparent pixels, which would take the median of the whole picture, and colours without a meaning.
    """
    stored = _with_tags(page, values, "YX" if values.ndim == 2 else "YXS", path)
    if stored.alpha is not None and not stored.alpha.all():
        raise ReadError(f"file '{path}' has transparent pixels: fill them, and save it without transparency.")
    stored.alpha = None
    stored.values = native(stored.values)
    return stored


def _check_size(page: tifffile.TiffPage, path: Path) -> None:
    bits = int(np.max(page.bitspersample))  # one number, or one for each sample
    check_decoded_size(path, page.imagewidth, page.imagelength, page.samplesperpixel * max(1.0, bits / 8))


def page_orientation(page: tifffile.TiffPage) -> int:
    """What a page's tag 274 says; 1 where it has none."""
    return _number(page, _ORIENTATION, 1)


def _number(page: tifffile.TiffPage, code: int, default: int) -> int:
    tag = page.tags.get(code)
    value = default if tag is None else tag.value
    value = value[0] if isinstance(value, tuple) and value else value
    return int(value) if isinstance(value, int) else default


def _kind(page: tifffile.TiffPage) -> int:
    """NewSubfileType, or the older SubfileType in its terms."""
    kind = _number(page, _NEW_SUBFILE, 0)
    return kind | (_REDUCED if _number(page, _OLD_SUBFILE, 1) == 2 else 0)


def _area(page: tifffile.TiffPage) -> int:
    return page.imagelength * page.imagewidth


def _smaller(page: tifffile.TiffPage, largest: tifffile.TiffPage) -> bool:
    """Whether a page has the sides of the largest one, both divided by one number, but for rounding."""
    rows, columns = largest.imagelength / page.imagelength, largest.imagewidth / page.imagewidth
    room = 1.5 / min(page.imagelength, page.imagewidth)
    return min(rows, columns) > 1.2 and abs(rows - columns) < room * max(rows, columns)


def _alike(page: tifffile.TiffPage, largest: tifffile.TiffPage) -> bool:
    """Whether two pages show the same: writers of pyramids and previews often do not mark them."""
    small, large = _gray(page), _gray(largest)
    rows = (np.arange(small.shape[0]) + 0.5) * large.shape[0] / small.shape[0]
    columns = (np.arange(small.shape[1]) + 0.5) * large.shape[1] / small.shape[1]
    found = large[rows.astype(int)][:, columns.astype(int)]
    if not (small.std() and found.std()):
        return bool(small.std() == found.std())
    return float(np.corrcoef(small.ravel(), found.ravel())[0, 1]) > _ALIKE


def _gray(page: tifffile.TiffPage) -> np.ndarray:
    array = page.asarray().astype(np.float32)
    return array if array.ndim == 2 else array.mean(axis=page.axes.index("S"))


def _check_planes(tif: tifffile.TiffFile, page: tifffile.TiffPage, path: Path) -> None:
    """ImageJ, STK and others write stacks with one page header only: the series know."""
    if tif.is_ome:  # its stacks have a header each, and its series count other files, too
        return
    for series in tif.series:
        if series.keyframe.offset == page.offset and series.size > page.size:
            check_pages(series.size // page.size, path)


def _with_tags(page: tifffile.TiffPage, array: np.ndarray, axes: str, path: Path) -> Stored:
    """The array with channels last, and its alpha and palette."""
    if axes == "SYX":
        array, axes = np.moveaxis(array, 0, -1), "YXS"
    if axes not in ("YX", "YXS"):
        raise ReadError(
            f"file '{path}' has the axes {axes} where one image is expected: save it as one plane (YX or RGB), "
            "or a stack as a volume (.nii.gz, .nrrd, .mha)."
        )
    if int(page.photometric) not in _COLOURS:
        raise ReadError(
            f"file '{path}' has the colours {getattr(page.photometric, 'name', page.photometric)}, which are those of a camera "
            "or a light meter: save it as gray or RGB."
        )
    if array.dtype.kind == "c":
        raise ReadError(f"file '{path}' holds complex numbers: save their magnitude or phase.")
    colour, samples = _COLOURS[int(page.photometric)]
    if colour == "ycbcr" and int(page.compression) in (6, 7, 34892, 33007, 33003, 34712, 50001, 34927):
        colour = "rgb"  # these decoders give RGB
    if colour == "cmyk" and (_number(page, _INK_SET, 1) != 1 or page.samplesperpixel < 4):
        colour = "gray"  # inks of other colours: channels
    stored = Stored(array, colour)
    if axes == "YXS":
        extra = [int(kind) for kind in page.extrasamples]
        alphas = [i for i, kind in enumerate(extra, array.shape[-1] - len(extra)) if kind in (_ASSOCIATED, _UNASSOCIATED)]
        if alphas:
            stored.alpha = native(array[..., alphas[0]])
            stored.premultiplied = extra[alphas[0] - array.shape[-1]] == _ASSOCIATED
        kept = [i for i in range(array.shape[-1]) if i not in alphas]
        if not extra and colour == "rgb" and len(kept) == 4:  # OpenCV's alpha, or a filler, which does not vary
            kept = kept[:3]
            stored.alpha = native(array[..., 3]) if np.ptp(array[..., 3]) else None
        stored.values = array[..., kept]
        if len(kept) == 1:
            stored.values = stored.values[..., 0]
        elif len(kept) != samples:
            stored.colour = "gray"
    elif colour not in ("palette", "gray"):
        stored.colour = "gray"
    if stored.values.dtype.kind == "b":
        stored.values = stored.values.astype(np.uint8)
    if page.bitspersample == 1 and stored.colour == "gray":
        stored.colour = "bilevel"
    if stored.colour == "palette":
        stored.palette = _palette(page)
        stored.colour = "gray" if stored.palette is None else "palette"
    return stored


def _palette(page: tifffile.TiffPage) -> np.ndarray | None:
    """(N, 3) colours: of 8 bits, or of 16 for 16-bit indices."""
    if page.colormap is None:
        return None
    colours = np.asarray(page.colormap).T
    if page.bitspersample > 8 or colours.max() < 256:  # some writers put 8-bit colours there
        return colours if page.bitspersample > 8 else colours.astype(np.uint8)
    return (colours >> 8).astype(np.uint8)


def lossy_name(page: tifffile.TiffPage) -> str | None:
    """What a page of lossy compression is, with its article; None where every value is kept."""
    if int(page.compression) in LOSSLESS_TIFF:
        return None
    name = getattr(page.compression, "name", str(page.compression)).partition("_")[0]
    lerc = page.tags.get(_LERC)
    packing = int(lerc.value[1]) if lerc is not None else 0
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count:
            file.seek(offset)
            if lossy_tiff_segment(int(page.compression), file.read(count), packing):
                return f"a TIFF of lossy {_NAMES.get(name, name)} compression"
    return None
