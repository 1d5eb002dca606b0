"""What is known of the picture in view: what the predictor has answered so far, put together from its regions, and the objects
that the person corrected. Plain arrays, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lazylabels_monai.interactive.answering import Prediction
from lazylabels_monai.interactive.kept import Kept, accepted, kept_after, nothing_kept, over
from lazylabels_monai.interactive.sizes import class_map

__all__ = ["Seen"]


class Seen:
    """Starts with what is kept; else background everywhere, no object, nothing known.

    Args:
        shape: (H, W) of the picture; (Z, Y, X) of a volume, here and below.
        kept: objects that the person corrected or accepted; they stay in the place of what the network answers there.

    Attributes:
        segmentation: class values (H, W) uint8.
        detection: class values (H, W) uint8 of the inner regions; None as long as the network has said nothing of them.
        interface: probability (H, W) float32.
        objects: ids (H, W) int32, as shown: whole ones as soon as they are known (:attr:`whole`).
        classes: class by id (highest id + 1,).
        kept: which of the objects are the person's, by the same ids.
        answered: ids (H, W) int32 of the network alone. Those of the newest answer of all the picture; before the first, those
            of its regions so far, which are cut along the regions.
        answered_classes: their classes.
        uncertainty: (H, W) float32.
    """

    def __init__(self, shape: tuple[int, ...], kept: Kept | None = None) -> None:
        self.segmentation = np.zeros(shape, np.uint8)
        self.detection: np.ndarray | None = None
        self.interface = np.zeros(shape, np.float32)
        self.uncertainty = np.zeros(shape, np.float32)
        self.answered = np.zeros(shape, np.int32)
        self.answered_classes = np.zeros(1, np.int64)
        self._is_answered = False
        self.keep(kept or nothing_kept(shape))
        if self.whole:  # all that is known as long as the network has not answered
            self.segmentation = class_map(self.objects, self.classes)
        self._token: Any = None

    def take(self, found: Prediction) -> None:
        """Put an answer in. Around it stays what an earlier request gave; of objects, those of an answer of all the picture."""
        everything = found.region == self._everything()
        if found.segmentation is not None:
            self.segmentation[found.region] = found.segmentation.argmax(0)
        if found.detection is not None:
            if self.detection is None:
                self.detection = np.zeros_like(self.segmentation)
            self.detection[found.region] = found.detection.argmax(0)
        if found.separation is not None:
            self.interface[found.region] = found.separation
        if found.uncertainty is not None:
            self.uncertainty[found.region] = found.uncertainty
        if everything and found.last:
            self._is_answered = True
        elif self._is_answered:
            return  # whole objects are not given up for pieces, nor for those of a quick answer
        self._take_objects(found, found.token != self._token or found.segmentation is None or everything)
        if not self.kept.everything:
            self.keep(self.kept)

    def _take_objects(self, found: Prediction, anew: bool) -> None:
        if anew:
            self._token = found.token
            self.answered = np.zeros_like(self.answered)
            self.answered_classes = np.zeros(1, np.int64)
        if found.objects is not None:
            self.answered[found.region] = found.objects
            classes = np.zeros(max(len(found.classes), len(self.answered_classes)), np.int64)
            classes[: len(self.answered_classes)] = self.answered_classes
            classes[: len(found.classes)] = np.maximum(classes[: len(found.classes)], found.classes)
            self.answered_classes = classes

    @property
    def whole(self) -> bool:
        """Whether the objects are those of the whole picture: answered in one piece as ``lazylabels predict`` does, or accepted
        by the person. No others are finished or measured."""
        return self._is_answered or self.kept.everything

    @property
    def in_pieces(self) -> bool:
        """Whether objects are shown that may be cut along the regions which were answered so far."""
        return not self.whole and bool(self.answered.any())

    def change(self, objects: np.ndarray, classes: Mapping[int, int] | None = None) -> None:
        """A person corrected the objects.

        Args:
            objects: ids (H, W).
            classes: of the ids that are as the person said: they are kept.
        """
        before, self.objects = self.objects, np.array(objects, np.int32)
        known = np.zeros(max(int(self.objects.max(initial=0)) + 1, len(self.classes)), np.int64)
        known[: len(self.classes)] = self.classes
        for number, value in (classes or {}).items():
            known[number] = value
        self.classes = known
        self.kept = kept_after(self.kept, before, self.objects, known, classes or ())

    def accept(self) -> None:
        """All objects are as they should be: none changes any more."""
        self.kept = accepted(self.objects, self.classes)

    def keep(self, kept: Kept, shown: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Let the network decide but for what is kept.

        Args:
            kept: of the picture.
            shown: objects and classes that go with it, where they are known.
        """
        if shown is None:
            self.kept, self.objects, self.classes = over(kept, self.answered, self.answered_classes)
        else:
            self.kept, (self.objects, self.classes) = kept, shown

    def _everything(self) -> tuple[slice, ...]:
        return tuple(slice(0, side) for side in self.objects.shape)
