"""What is open in the window: the project, the image in view, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QObject, Signal

from lazylabels_monai.apps.napari.seen import Seen
from lazylabels_monai.interactive.image_files import spatial_shape
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.volumes import is_volume

__all__ = ["Current"]


class Current(QObject):
    """The session says what is open; predictions and corrections say what is known of it.

    Args:
        say: takes a sentence, and whether it tells of something that went wrong.
        parent: owns it.

    Attributes:
        project: that is open.
        entry: the image in view.
        picture: (H, W) or (H, W, C) of it, a volume (Z, Y, X).
        seen: what is known of it; None: nothing yet.
        looks: at pictures so far; what was asked at an earlier one is about other pixels, though the name may be the same.
        listed: signal: ticks, splits or seconds of images changed.
    """

    listed = Signal()

    def __init__(self, say: Callable[[str, bool], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._say = say
        self.project: Project | None = None
        self.entry: ImageEntry | None = None
        self.picture: np.ndarray | None = None
        self.seen: Seen | None = None
        self.looks = 0

    @property
    def is_volume(self) -> bool:
        """Whether a volume is in view, slice by slice."""
        return self.entry is not None and is_volume(self.entry.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) of the image in view, (Z, Y, X) of a volume."""
        return spatial_shape(self.entry.path, self.picture)

    def is_open(self) -> bool:
        """Whether there is a project; what to do is said where there is none."""
        if self.project is None:
            self._say("open a project first, or make one of a folder of pictures.", True)
        return self.project is not None

    def known(self) -> Seen:
        """What is known of the image in view; no object where nothing was known."""
        if self.seen is None:
            self.seen = Seen(self.shape)
        return self.seen

    def look_at(self, entry: ImageEntry | None, picture: np.ndarray | None = None) -> None:
        """Have another image in view, of which nothing is known; None: no image."""
        self.entry, self.picture, self.seen = entry, picture, None
        self.looks += 1
