"""Objects that somebody erased in the ids alone: the class map still has their pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import ndimage

from lazylabels_monai.images.regions import open_regions
from lazylabels_monai.predicting.large.tiling import Tiling
from lazylabels_monai.stamps import Stamp
from lazylabels_monai.tasks import BACKGROUND, IGNORE

__all__ = ["erased_share", "erased_share_of_files", "largest_speck", "told_erased"]

#: Pixels of a piece that a route to objects may have dropped as noise, where nobody says how many (its default).
SPECK = 16
_SIDE = 2048
_NAMED = 3


def largest_speck(stamp: Stamp | None) -> int | None:
    """Pixels up to which pieces without an id are no sign of erasing; None where the route drops objects of any size."""
    route = {} if stamp is None else stamp.settings.get("instance_settings") or {}
    if route.get("drop_undetected"):
        return None
    return max(SPECK, int(route.get("min_size", 0)))


def erased_share(instances: np.ndarray, classes: np.ndarray, speck: int = SPECK) -> float:
    """Share of the pixels of a class that have no id, of pieces larger than specks and lines.

    Args:
        instances, classes: (H, W) of one image.
        speck: pixels of a piece up to which it does not count.
    """
    return _share([(instances, classes)], speck)


def erased_share_of_files(instances: str, classes: str, speck: int = SPECK) -> float:
    """:func:`erased_share` of files that are read in tiles."""
    return _share(_tiles(instances, classes), speck)


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
    some = [f"'{name}' ({_percent(share)} of its pixels of a class)" for name, share in list(found.items())[:_NAMED]]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"{len(found)} of {images} images have pixels of a class but without an id, {', '.join(some)}{more}, which count for "
        f"the area fraction but for no object: if you erased objects, erase them in the class map, too, such as "
        f"'{files[next(iter(found))]}'."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _share(parts: Sequence[tuple[np.ndarray, np.ndarray]] | Iterator[tuple[np.ndarray, np.ndarray]], speck: int) -> float:
    erased = total = 0
    for instances, classes in parts:
        if instances.shape != classes.shape:  # told by who measures them
            continue
        shown = (classes != BACKGROUND) & (classes != IGNORE)
        total += int(np.count_nonzero(shown))
        erased += _large_pieces(shown & (instances == 0), speck)
    return erased / total if total else 0.0


def _large_pieces(loose: np.ndarray, speck: int) -> int:
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
