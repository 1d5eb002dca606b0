"""Where ids and class map of an image disagree: objects that somebody erased in the ids alone, so that the class map still has
their pixels, or made smaller in the class map alone, so that the ids have theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lazylabels_monai.errors import some_of
from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.predicting.large.tiling import Tiling
from lazylabels_monai.stamps import Stamp
from lazylabels_monai.tasks import BACKGROUND, is_marked

__all__ = ["Shares", "largest_hole", "largest_speck", "shares", "shares_of_files", "told_bare", "told_erased"]

#: Pixels of a piece that a route to objects may have dropped as noise, where nobody says how many (its default).
SPECK = 16
_SIDE = 2048


def largest_speck(stamp: Stamp | None) -> int | None:
    """Pixels up to which pieces without an id are no sign of erasing; None where the route drops objects of any size."""
    route = {} if stamp is None else stamp.settings.get("instance_settings") or {}
    if route.get("drop_undetected"):
        return None
    return max(SPECK, int(route.get("min_size", 0)))


def largest_hole(stamp: Stamp | None) -> int:
    """Pixels up to which ids on background are no sign of a correction: a route fills holes of its objects."""
    route = {} if stamp is None else stamp.settings.get("instance_settings") or {}
    return max(SPECK, int(route.get("max_hole", 0)))


class Shares(NamedTuple):
    """How much of an image's maps disagrees.

    Args:
        erased: share of the pixels of a class that have no id, of pieces larger than specks and lines.
        bare: share of the pixels with an id that are background in the class map, of pieces larger than holes.
    """

    erased: float
    bare: float


def shares(instances: np.ndarray, classes: np.ndarray, speck: int | None = SPECK, hole: int = SPECK) -> Shares:
    """Where the maps of an image disagree.

    Args:
        instances, classes: (H, W) of one image.
        speck: pixels of a piece without an id up to which it does not count; None: none counts.
        hole: pixels of a piece with an id on background up to which it does not count.
    """
    return _shares([(instances, classes)], speck, hole)


def shares_of_files(instances: str, classes: str, speck: int | None = SPECK, hole: int = SPECK) -> Shares:
    """:func:`shares` of files that are read in tiles."""
    return _shares(_tiles(instances, classes), speck, hole)


def told_erased(shares: Mapping[str, float], files: Mapping[str, str | None], images: int) -> str | None:
    """The sentence about images with such pixels; None without any.

    Args:
        shares: by name.
        files: class map by name.
        images: how many there are.
    """
    found = {name: share for name, share in shares.items() if share > 0}
    if not found:
        return None
    return (
        f"{len(found)} of {images} images have pixels of a class but without an id, {_some(found, 'its pixels of a class')}, "
        "which count for the area fraction but for no object: if you erased objects, erase them in the class map, too, such as "
        f"'{files[next(iter(found))]}'."
    )


def told_bare(shares: Mapping[str, float], files: Mapping[str, str | None], images: int) -> str | None:
    """The sentence about images with ids on background; None without any.

    Args:
        shares: by name.
        files: id map by name.
        images: how many there are.
    """
    found = {name: share for name, share in shares.items() if share > 0}
    if not found:
        return None
    return (
        f"{len(found)} of {images} images have ids on background of the class map, {_some(found, 'the pixels with an id')}, "
        "which count for the objects but not for the area fraction: if you corrected outlines in the class map, correct the "
        f"ids, too, such as '{files[next(iter(found))]}'."
    )


def _some(found: Mapping[str, float], of: str) -> str:
    return some_of([f"'{name}' ({_percent(share)} of {of})" for name, share in found.items()])


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _shares(parts: Iterable[tuple[np.ndarray, np.ndarray]], speck: int | None, hole: int) -> Shares:
    erased = bare = of_a_class = with_id = 0
    for instances, classes in parts:
        if instances.shape != classes.shape:  # told by who measures them
            continue
        shown = is_marked(classes)
        numbered = instances > 0
        of_a_class += int(np.count_nonzero(shown))
        with_id += int(np.count_nonzero(numbered))
        erased += 0 if speck is None else _wide_pieces(shown & ~numbered, speck)
        bare += _pieces(numbered & (classes == BACKGROUND), hole)
    return Shares(erased / of_a_class if of_a_class else 0.0, bare / with_id if with_id else 0.0)


def _pieces(loose: np.ndarray, hole: int) -> int:
    """Pixels of the pieces that are larger than holes: an outline that was moved by a pixel is one."""
    if np.count_nonzero(loose) <= hole:
        return 0
    sizes = np.bincount(ndimage.label(loose)[0].ravel())[1:]
    return int(sizes[sizes > hole].sum())


def _wide_pieces(loose: np.ndarray, speck: int) -> int:
    """Pixels of the pieces that are larger than specks and wider than the lines at which a route cuts objects apart."""
    thick = ndimage.binary_erosion(loose, np.ones((3, 3), bool)) if loose.any() else loose
    if not thick.any():
        return 0
    pieces, count = ndimage.label(loose)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    kept = np.zeros(count + 1, bool)
    kept[np.unique(pieces[thick])] = True
    return int(sizes[kept & (sizes > speck)].sum())


def _tiles(instances: str, classes: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    ids, shown = open_regions(instances, label=True), open_regions(classes, label=True)
    try:
        if shown.shape != ids.shape:
            return
        tiling = Tiling(ids.shape, _SIDE)
        for index in range(len(tiling)):
            place = tiling.tile(index)
            yield ids[place], shown[place]
    finally:
        ids.close()
        shown.close()
