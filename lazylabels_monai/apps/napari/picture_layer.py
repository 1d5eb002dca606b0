"""The layer of the picture in view, below all others."""

from __future__ import annotations

import numpy as np
from napari import Viewer
from napari.layers import Image

__all__ = ["PICTURE", "PictureLayer"]

#: Name of the layer.
PICTURE = "Picture"


class PictureLayer:
    """One picture at a time. The layer that is active stays so.

    Args:
        viewer: napari's.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._layer: Image | None = None

    def show(self, picture: np.ndarray, volume: bool) -> None:
        """Show a picture (H, W) or (H, W, C), or a volume (Z, Y, X) at its middle, in the place of the one before."""
        layers = self.viewer.layers
        active = layers.selection.active
        self._take_out()
        colour = not volume and picture.ndim == 3 and picture.shape[-1] in (3, 4)
        shown = picture if volume or colour or picture.ndim == 2 else picture[..., 0]
        self._layer = Image(shown, name=PICTURE, rgb=colour)
        layers.insert(0, self._layer)
        layers.selection.active = active
        self.viewer.reset_view()
        if volume:
            self.viewer.dims.set_current_step(0, len(picture) // 2)

    def put_back(self) -> None:
        """Show the layer again where somebody threw it away."""
        if self._layer is not None and self._layer not in self.viewer.layers:
            self.viewer.layers.insert(0, self._layer)

    def remove(self) -> None:
        """Show no picture."""
        self._take_out()
        self._layer = None

    def part_in_view(self) -> tuple[slice, slice] | None:
        """Rows and columns of the picture that are on the screen; None where it is there as a whole, or not at all."""
        if self._layer is None:
            return None
        (top, left), (bottom, right) = self._layer.corner_pixels[:, :2].astype(int).tolist()
        height, width = self._layer.data.shape[:2]
        if bottom <= top or right <= left or (bottom - top + 1 >= height and right - left + 1 >= width):
            return None
        return slice(max(top, 0), min(bottom + 1, height)), slice(max(left, 0), min(right + 1, width))

    def _take_out(self) -> None:
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
