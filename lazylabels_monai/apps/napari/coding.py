"""Labels as they are stored and as napari shows them: values, names and colours. Plain arrays, no Qt.

In a stored label 255 is "nobody labelled this pixel" and 0 is background. In a napari layer 0 is "nothing here": it is what the
eraser leaves, and it is transparent. So the two values change places, and all others stay as they are.
"""

from __future__ import annotations

import numpy as np

from lazylabels_monai.images.pictures import INTERFACE_COLOUR, class_colour
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, LABELS, class_names

__all__ = [
    "BACKGROUND_SHOWN",
    "NOTHING_SHOWN",
    "brush_size",
    "layer_colours",
    "layer_name",
    "to_shown",
    "to_stored",
    "values_to_draw",
]

#: What napari shows where nobody labelled a pixel.
NOTHING_SHOWN = 0
#: What napari shows where a person said that a pixel is background, or no interface.
BACKGROUND_SHOWN = IGNORE

#: Width of an interface stroke, in pixels of the image.
INTERFACE_WIDTH = 3


def to_shown(stored: np.ndarray) -> np.ndarray:
    """A stored label (spatial; 255 = not labelled, 0 = background) as a napari layer shows it, uint8."""
    table = np.arange(256, dtype=np.uint8)
    table[[BACKGROUND, IGNORE]] = BACKGROUND_SHOWN, NOTHING_SHOWN
    return table[np.asarray(stored).astype(np.uint8)]


def to_stored(shown: np.ndarray) -> np.ndarray:
    """The way back: :func:`to_shown` is its own inverse."""
    return to_shown(shown)


def layer_name(task: str) -> str:
    """What the layer of a task's marks is called: ``Inner regions``, ``Interface scribbles``, ``Exact masks``."""
    return LABELS[task].name.capitalize()


def values_to_draw(task: str, classes: list[str]) -> list[tuple[int, str]]:
    """The values (as shown) and names that a person can draw for a task, classes first and the background last."""
    background, *objects = class_names(task, classes)
    return [*enumerate(objects, 1), (BACKGROUND_SHOWN, "no interface" if task == "separation" else background)]


def layer_colours(task: str, classes: list[str]) -> dict[int | None, tuple[float, float, float, float]]:
    """Colours (red, green, blue, alpha; 0 to 1) of the values as shown; ``None`` is every value that should not be there.

    The colours are those of the report and of the overlays. Background is
    faint: where everything is marked it lies over most of the picture.
    """
    alpha = {BACKGROUND_SHOWN: 0.3}
    colours = {
        value: (*(np.array(_colour(task, value)) / 255).tolist(), alpha.get(value, 1.0))
        for value, _ in values_to_draw(task, classes)
    }
    return {**colours, NOTHING_SHOWN: (0.0, 0.0, 0.0, 0.0), None: (1.0, 0.0, 1.0, 1.0)}


def _colour(task: str, value: int) -> tuple[int, int, int]:
    if value == BACKGROUND_SHOWN:
        return (120, 120, 130)
    return INTERFACE_COLOUR if task == "separation" and value == INTERFACE else class_colour(value)


def brush_size(task: str, shape: tuple[int, ...], objects: np.ndarray | None = None) -> int:
    """Width of the brush in pixels of the image, from 2 to 60.

    A third of the objects' usual diameter for inner regions and a sixth for exact masks, which are drawn along the border; a
    line of fixed width for interfaces. Without objects to go by they are taken to be a tenth of the picture's shorter side.

    Args:
        task: the task that is drawn for.
        shape: (H, W) of the picture; (Z, Y, X) of a volume, of which slices are drawn on.
        objects: ids (H, W), 0 outside objects.
    """
    if task == "separation":
        return INTERFACE_WIDTH
    areas = np.bincount(np.asarray(objects).ravel())[1:] if objects is not None else np.zeros(0, int)
    areas = areas[areas > 0]
    diameter = np.sqrt(4 * np.median(areas) / np.pi) if len(areas) else min(shape[-2:]) / 10
    share = 3 if task == "detection" else 6
    return int(np.clip(round(float(diameter) / share), 2, 60))
