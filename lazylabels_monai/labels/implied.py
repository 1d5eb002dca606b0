"""What one label says about another task: the labels' own logic, on arrays (H, W) or (H, W, D) of class values.

Ke et al. 2020, Sec. 3, draw inner regions *inside* objects and scribbles *between* them. So an inner region tells the
segmentation's class and excludes an interface, and an exact mask tells where no inner region is. What each rule assumes of how
the person worked stands at :class:`~lazylabels_monai.transforms.ImpliedMarksd` and
:class:`~lazylabels_monai.transforms.ImpliedSegmentationd`. 255 is "nothing is said" throughout.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, is_marked

__all__ = [
    "inner_regions_of_mask",
    "interface_classes",
    "no_interface",
    "require_margin",
    "segmentation_of_inner_regions",
]


def inner_regions_of_mask(mask: np.ndarray, separation: np.ndarray | None = None) -> np.ndarray:
    """A detection label out of an exact mask: 0 in its background, its class deep inside it, 255 between.

    Args:
        mask: class values.
        separation: interface scribbles, which cut the mask into pieces.

    Returns:
        the class where a pixel is deeper than half of the deepest point of its piece; of the mask's type.
    """
    implied = np.where(mask == BACKGROUND, BACKGROUND, IGNORE).astype(mask.dtype)
    for value in np.unique(mask[is_marked(mask)]):
        # an unlabelled pixel is no border of an object
        inside = (mask == value) | (mask == IGNORE)
        if separation is not None:
            inside &= separation != INTERFACE
        if inside.all():
            implied[mask == value] = value
            continue
        depth = np.where(mask == value, ndimage.distance_transform_edt(inside), 0)
        pieces, count = ndimage.label(depth > 0)
        deepest = np.r_[0.0, ndimage.maximum(depth, pieces, np.arange(1, count + 1))]
        implied[(depth > 0) & (depth > 0.5 * deepest[pieces])] = value
    return implied


def no_interface(inner: np.ndarray | None, mask: np.ndarray | None, reach: int) -> np.ndarray:
    """A separation label: 0 where no interface can run, 255 elsewhere.

    Args:
        inner: detection label, inside whose inner regions none runs.
        mask: exact mask, of whose background none runs further than ``reach`` pixels from every object; one of both is given.
        reach: pixels.

    Returns:
        uint8.
    """
    shape = np.shape(mask if inner is None else inner)
    implied = np.full(shape, IGNORE, np.uint8)
    if inner is not None:
        implied[is_marked(inner)] = BACKGROUND
    if mask is not None:
        objects = mask != BACKGROUND  # an unlabelled pixel may be one
        far = ndimage.distance_transform_edt(~objects) > reach if objects.any() else ~objects
        implied[far] = BACKGROUND
    return implied


def interface_classes(inner: np.ndarray, separation: np.ndarray, reach: int) -> np.ndarray:
    """A segmentation label: under a scribble the class of the inner regions on both of its sides, where that is one class.

    Args:
        inner: detection label.
        separation: interface scribbles.
        reach: pixels around a scribble in which its sides are looked for.

    Returns:
        uint8; 255 elsewhere.
    """
    scribbles = separation == INTERFACE
    implied = np.full(inner.shape, IGNORE, np.uint8)
    regions, count = ndimage.label(is_marked(inner))
    if count < 2 or not scribbles.any():
        return implied
    classes = np.r_[0, ndimage.maximum(inner, regions, np.arange(1, count + 1))].astype(np.int64)
    nearest = ndimage.distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
    nearest = regions[tuple(nearest)]
    strokes, number = ndimage.label(scribbles, np.ones((3,) * inner.ndim))
    for index, box in enumerate(ndimage.find_objects(strokes, number), 1):
        box = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        stroke = strokes[box] == index
        around = ndimage.binary_dilation(stroke, iterations=reach) if reach else stroke
        beside = classes[np.unique(nearest[box][around])]
        if len(beside) > 1 and (beside == beside[0]).all():
            implied[box][stroke] = beside[0]
    return implied


def require_margin(background_margin: float | None) -> None:
    """Refuse a margin of :func:`segmentation_of_inner_regions` that is not above 0, by a ValueError."""
    if background_margin is not None and not background_margin > 0:
        raise ValueError(f"background_margin {background_margin} must be above 0, or null to leave the background open.")


def segmentation_of_inner_regions(
    inner: np.ndarray, background_margin: float | None = None, known: np.ndarray | None = None
) -> np.ndarray:
    """A segmentation label out of inner regions: their class inside them and, on request, background far from all of them.

    Args:
        inner: detection label.
        background_margin: a pixel is background from ``background_margin * d + 2`` pixels on, with d the depth of the nearest
            region (the largest distance from its inside to its border); None says nothing about the background.
        known: a segmentation label, whose pixels other than 255 stay outside of the regions.

    Returns:
        of the type of ``inner``; 255 elsewhere.

    Raises:
        ValueError: when ``background_margin`` is not above 0.
    """
    require_margin(background_margin)
    marked = is_marked(inner)
    implied = np.where(marked, inner, IGNORE if known is None else known).astype(inner.dtype)
    if background_margin is None or not marked.any():
        return implied
    regions, count = ndimage.label(marked)
    depth = np.r_[0.0, ndimage.maximum(ndimage.distance_transform_edt(marked), regions, np.arange(1, count + 1))]
    distance, nearest = ndimage.distance_transform_edt(~marked, return_indices=True)
    far = (distance >= background_margin * depth[regions[tuple(nearest)]] + 2) & (inner == BACKGROUND)
    implied[far & (implied == IGNORE)] = BACKGROUND
    return implied
