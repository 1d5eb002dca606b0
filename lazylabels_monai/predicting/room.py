"""Whether there is memory for a prediction, told before the system ends the process half way."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.headers import extent
from lazylabels_monai.memory import memory_at_hand
from lazylabels_monai.tasks import total_channels

__all__ = ["Room"]

#: Bytes that a prediction takes at its highest: for a pixel, each channel of the image and each probability of a pixel
#: (tools/memory.py measures them).
_PIXEL, _CHANNEL, _MAP = 50, 12, 4
#: With the uncertainty so many more for a pixel (an entropy a task) and each probability (several answers are held at once);
#: `tools/memory.py --uncertainty` sees 363 bytes a pixel in all, where these add up to 374.
_UNSURE_PIXEL, _UNSURE_MAP = 24, 44


class Room:
    """Refuses images that are too large for the memory at hand.

    Args:
        channels: of the image, as the network takes it.
        num_classes: with background.
        tasks: of the network.
    """

    def __init__(self, channels: int, num_classes: int, tasks: Sequence[str]) -> None:
        self.maps = total_channels(num_classes, tasks)
        self.plain = _PIXEL + _CHANNEL * channels + _MAP * self.maps
        self.unsure = self.plain + _UNSURE_PIXEL + _UNSURE_MAP * self.maps

    def __call__(self, path: str | os.PathLike, uncertainty: bool = False) -> None:
        """Refuse an image before it is read.

        Args:
            path: picture or volume; one whose header tells no size is not refused.
            uncertainty: that of each task is computed, too.

        Raises:
            LazyLabelsError: naming the image, what it takes and what is free.
        """
        sides = extent(path)
        if sides is None or (at_hand := memory_at_hand()) is None:
            return
        size = math.prod(sides) * (self.unsure if uncertainty else self.plain)
        if size > at_hand:
            without = "leave out --uncertainty, " if uncertainty and math.prod(sides) * self.plain <= at_hand else ""
            raise LazyLabelsError(
                f"'{path}' has {' x '.join(map(str, sides))} pixels, whose prediction takes about {_amount(size)}, and "
                f"{_amount(at_hand)} are free: {without}cut it into smaller images, close other programs, or take a machine "
                "with more memory."
            )


def _amount(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
