"""What an exactly labelled image is before lazy labels are made of it, and what can go wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["LazyItem", "MissingInputError", "SimulationError"]


class SimulationError(LazyLabelsError):
    """What a user can mend about a source, its labels or the numbers asked for."""


class MissingInputError(SimulationError, FileNotFoundError):
    """A source folder or a label that is not there."""


@dataclass(frozen=True)
class LazyItem:
    """One image and where its truth comes from.

    Args:
        name: file name in the output without its suffix.
        section: ``training``, ``validation`` or ``testing``.
        load: gives ``(classes, instances)``, two integer arrays of the image's shape.
        image: gives the image as an array, or the path of a file that is copied as it is.
        has_objects: True spares a look whether there is any object.
    """

    name: str
    section: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    image: Callable[[], np.ndarray] | Path
    has_objects: bool | None = None
