"""What the predictor has answered for the picture in view so far, put together from its regions. Plain arrays, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lazylabels_monai.interactive.answering import Prediction

__all__ = ["Seen"]


class Seen:
    """Starts empty: background everywhere, no object, nothing known.

    Args:
        shape: (H, W) of the picture; (Z, Y, X) of a volume, here and below.

    Attributes:
        segmentation: class values (H, W) uint8.
        interface: probability (H, W) float32.
        objects: ids (H, W) int32.
        classes: class by id (highest id + 1,).
        uncertainty: (H, W) float32.
        whole: whether every pixel was answered for.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.segmentation = np.zeros(shape, np.uint8)
        self.interface = np.zeros(shape, np.float32)
        self.uncertainty = np.zeros(shape, np.float32)
        self.objects = np.zeros(shape, np.int32)
        self.classes = np.zeros(1, np.int64)
        self.whole = False
        self._token: Any = None

    def take(self, found: Prediction) -> None:
        """Put an answer in. What an earlier request gave stays around it, but for objects, whose ids begin anew."""
        new = found.token != self._token or found.segmentation is None or found.region == self._everything()
        if new:
            self._token = found.token
            self.objects = np.zeros_like(self.objects)
            self.classes = np.zeros(1, np.int64)
        if found.segmentation is not None:
            self.segmentation[found.region] = found.segmentation.argmax(0)
        if found.separation is not None:
            self.interface[found.region] = found.separation
        if found.uncertainty is not None:
            self.uncertainty[found.region] = found.uncertainty
        if found.objects is not None:
            self.objects[found.region] = found.objects
            classes = np.zeros(max(len(found.classes), len(self.classes)), np.int64)
            classes[: len(self.classes)] = self.classes
            classes[: len(found.classes)] = np.maximum(classes[: len(found.classes)], found.classes)
            self.classes = classes
        self.whole = found.last

    def change(self, objects: np.ndarray, classes: Mapping[int, int] | None = None) -> None:
        """A person corrected the objects.

        Args:
            objects: ids (H, W).
            classes: of ids that are new or have another one.
        """
        self.objects = np.array(objects, np.int32)
        known = np.zeros(max(int(self.objects.max(initial=0)) + 1, len(self.classes)), np.int64)
        known[: len(self.classes)] = self.classes
        for number, value in (classes or {}).items():
            known[number] = value
        self.classes = known

    def _everything(self) -> tuple[slice, ...]:
        return tuple(slice(0, side) for side in self.objects.shape)
