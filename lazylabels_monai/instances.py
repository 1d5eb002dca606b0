"""From the three maps to separated objects. All arrays are single images (H, W) or volumes (H, W, D)."""

from __future__ import annotations

import numpy as np
from skimage.measure import label
from skimage.segmentation import watershed

from lazylabels_monai.tasks import BACKGROUND, INTERFACE

__all__ = ["component_instances", "three_map_instances"]


def component_instances(segmentation: np.ndarray, min_size: int = 0) -> np.ndarray:
    """Connected components of each class: what a single-task network offers as objects.

    Args:
        segmentation: class values.
        min_size: objects of at most this many pixels are dropped.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    # neighbouring pixels belong together when their class is the same, so one pass does for all classes
    return _drop_specks(label(segmentation, background=BACKGROUND, connectivity=1), min_size).astype(np.int32)


def three_map_instances(
    segmentation: np.ndarray,
    detection_probability: np.ndarray,
    separation_probability: np.ndarray,
    min_marker: int = 16,
    min_size: int = 0,
) -> np.ndarray:
    """Objects from detection (where they are), separation (where they part) and segmentation (where they end).

    Markers are the connected components of "detected as an object and not an interface"; a watershed grows them inside
    the segmentation over a landscape that rises where separation sees an interface and falls where detection sees an
    object. A component of the segmentation without any marker stays one object, so that nothing segmented is lost.

    Args:
        segmentation: class values (spatial).
        detection_probability: probabilities of the detection task (classes, spatial).
        separation_probability: probabilities of the separation task (2, spatial).
        min_marker: a marker of fewer pixels is noise; a small object whose only marker goes stays as a component.
        min_size: objects of at most this many pixels are dropped.

    Returns:
        ids 1..n, int32, 0 outside objects.
    """
    foreground = segmentation != BACKGROUND
    detected = detection_probability.argmax(0) != BACKGROUND
    interface = separation_probability.argmax(0) == INTERFACE
    markers = label(detected & foreground & ~interface, connectivity=1)
    markers = _drop_specks(markers, max(min_marker - 1, 0))

    components = label(foreground, connectivity=1)
    marked = np.zeros(components.max() + 1, dtype=bool)
    marked[np.unique(components[markers > 0])] = True
    orphan = foreground & ~marked[components]
    markers = np.where(orphan, components + markers.max(), markers)

    landscape = separation_probability[INTERFACE] + detection_probability[BACKGROUND]
    grown = watershed(landscape, markers=markers, mask=foreground)
    return _drop_specks(grown, min_size).astype(np.int32)


def _drop_specks(instances: np.ndarray, max_size: int) -> np.ndarray:
    """Drop objects of at most ``max_size`` pixels and number the others 1..n."""
    keep = np.bincount(instances.ravel()) > max_size
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0)[instances]
