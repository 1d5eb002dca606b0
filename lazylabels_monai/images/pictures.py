"""Pictures of images with their labels: contours in class colours, panels side by side. Arrays are (H, W[, C])."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE

__all__ = [
    "CLASS_COLOURS",
    "INTERFACE_COLOUR",
    "class_colour",
    "colour_map",
    "has_label_palette",
    "label_palette",
    "lazy_label_panel",
    "overlay_contours",
    "side_by_side",
    "to_uint8_rgb",
]

#: Colours of classes 1, 2, ... (Okabe & Ito 2008, told apart by colour-blind readers); repeated when there are more.
CLASS_COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
_IGNORE_COLOUR = (90, 90, 90)
#: Colour of interfaces, everywhere. A red, seen without red or green cones, is the orange of class 1 where it lies half
#: transparent; this violet stays apart from all classes and from gray pictures, as ``tests/images/test_pictures.py`` measures.
INTERFACE_COLOUR = (140, 60, 255)


def to_uint8_rgb(image: np.ndarray) -> np.ndarray:
    """Stretch an image (H, W) or (H, W, C) of any range to (H, W, 3) uint8 between its 0.5 and 99.5 percentiles."""
    values = np.asarray(image, dtype=np.float32)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[-1] not in (1, 3):
        values = values[..., :1]
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(scaled, 3, axis=-1) if scaled.shape[-1] == 1 else scaled


def class_colour(value: int) -> tuple[int, int, int]:
    """Colour of an object class (1, 2, ...)."""
    return CLASS_COLOURS[(int(value) - 1) % len(CLASS_COLOURS)]


def label_palette() -> np.ndarray:
    """Colour of each of the 256 values of a class map: background black, unlabelled pixels gray; (256, 3) uint8."""
    return colour_map(np.arange(256).reshape(1, -1))[0]


def has_label_palette(path: str | PathLike) -> bool:
    """Whether a picture has the colour table of :func:`label_palette`, so that its indices are class values."""
    try:
        with Image.open(path) as picture:
            return picture.mode == "P" and picture.getpalette("RGB") == label_palette().ravel().tolist()
    except Exception:  # Pillow raises all sorts; whoever reads it says what is wrong
        return False


def overlay_contours(image: np.ndarray, classes: np.ndarray, instances: np.ndarray | None = None) -> np.ndarray:
    """Draw the contours of a class map over an image.

    Args:
        image: (H, W) or (H, W, C), any range.
        classes: (H, W) class values; 0 and 255 are not drawn.
        instances: (H, W) ids; where given, the contours are those of the single objects.

    Returns:
        (H, W, 3) uint8.
    """
    picture = to_uint8_rgb(image)
    for value in np.unique(classes):
        if value in (BACKGROUND, IGNORE):
            continue
        mask = classes == value
        region = np.where(mask, instances, 0) if instances is not None else mask.astype(np.uint8)
        picture[find_boundaries(region, mode="inner")] = class_colour(value)
    return picture


def colour_map(classes: np.ndarray) -> np.ndarray:
    """Colour a class map (H, W) as (H, W, 3) uint8: background black, unlabelled pixels gray."""
    picture = np.zeros((*classes.shape, 3), dtype=np.uint8)
    for value in np.unique(classes):
        if value != BACKGROUND:
            picture[classes == value] = _IGNORE_COLOUR if value == IGNORE else class_colour(value)
    return picture


def lazy_label_panel(image: np.ndarray, detection: np.ndarray, separation: np.ndarray) -> np.ndarray:
    """Inner regions in class colours and interfaces in violet, half transparent over the image; (H, W, 3) uint8."""
    picture = to_uint8_rgb(image).astype(np.float32)
    for value in np.unique(detection):
        if value not in (BACKGROUND, IGNORE):
            picture[detection == value] = 0.45 * picture[detection == value] + 0.55 * np.array(class_colour(value))
    picture[separation == INTERFACE] = INTERFACE_COLOUR
    return picture.round().astype(np.uint8)


def side_by_side(panels: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """Put (H, W, 3) uint8 panels of one height next to each other with a white gap in pixels."""
    space = np.full((panels[0].shape[0], gap, 3), 255, dtype=np.uint8)
    row = [panels[0]]
    for panel in panels[1:]:
        row += [space, panel]
    return np.concatenate(row, axis=1)
