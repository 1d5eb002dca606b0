"""What the network says about the picture in view, as layers: one a task, objects, uncertainty, where to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.colormaps import Colormap, DirectLabelColormap

from lazylabels_monai.apps.napari.coding import layer_colours
from lazylabels_monai.images.pictures import INTERFACE_COLOUR

__all__ = [
    "CHOSEN",
    "DETECTION",
    "DRAW_HERE",
    "INTERFACES",
    "OBJECTS",
    "PREDICTED",
    "SEGMENTATION",
    "UNCERTAINTY",
    "PredictionLayers",
    "is_prediction",
]

#: What the network predicts, by task: it does so, and loses, without a mark of the task's own kind.
PREDICTED = {"segmentation": "classes", "detection": "inner regions", "separation": "interfaces"}
#: Names of the layers.
SEGMENTATION, DETECTION, INTERFACES = (f"Predicted: {name}" for name in PREDICTED.values())
OBJECTS = "Predicted: objects"
UNCERTAINTY = "Uncertainty"
DRAW_HERE = "Draw here"
CHOSEN = "Chosen object"

#: From below; all lie under the layers that a person draws in.
_ORDER = (SEGMENTATION, DETECTION, UNCERTAINTY, INTERFACES, OBJECTS, DRAW_HERE, CHOSEN)


def is_prediction(name: str) -> bool:
    """Whether a layer of this name is one of the prediction's."""
    return name in _ORDER


class PredictionLayers:
    """The layers of one image at a time; what is switched off stays so when the prediction changes.

    Args:
        viewer: napari's.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.layers: dict[str, Layer] = {}
        self._hidden: dict[str, bool] = {UNCERTAINTY: True, DETECTION: True}

    @property
    def objects(self) -> np.ndarray | None:
        """Ids (H, W) as shown."""
        layer = self.layers.get(OBJECTS)
        return None if layer is None else layer.data

    @property
    def objects_layer(self) -> Labels | None:
        """The layer of the ids; None where somebody threw it away, until there is something to show again."""
        layer = self.layers.get(OBJECTS)
        return layer if layer in self.viewer.layers else None

    def clear(self) -> None:
        """Take all of them out of the viewer."""
        for name, layer in self.layers.items():
            self._hidden[name] = not layer.visible
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.layers = {}

    def show(
        self,
        segmentation: np.ndarray,
        detection: np.ndarray | None,
        interface: np.ndarray | None,
        objects: np.ndarray,
        uncertainty: np.ndarray | None,
        classes: list[str],
        threshold: float,
    ) -> None:
        """Show a prediction.

        Args:
            segmentation: class values (H, W).
            detection: class values of the inner regions (H, W).
            interface: probability of an interface (H, W).
            objects: ids (H, W).
            uncertainty: (H, W), any range from 0.
            classes: names of the object classes.
            threshold: interfaces of a lower probability are not shown.
        """
        colours = layer_colours("segmentation", classes)
        self._put(SEGMENTATION, segmentation.astype(np.uint8), Labels, opacity=0.35, colormap=_direct(colours))
        if detection is not None:
            self._put(DETECTION, detection.astype(np.uint8), Labels, opacity=0.5, colormap=_direct(colours))
        self._put(OBJECTS, objects.astype(np.int32), Labels, opacity=0.9)
        self.layers[OBJECTS].contour = 2
        if interface is not None:
            violet = Colormap([[0, 0, 0, 0], [*(np.array(INTERFACE_COLOUR) / 255), 1]], name="interfaces")
            self._put(INTERFACES, interface.astype(np.float32), Image, opacity=0.9, colormap=violet, blending="translucent")
            self.set_threshold(threshold)
        if uncertainty is not None:
            values = uncertainty.astype(np.float32)
            self._put(UNCERTAINTY, values, Image, opacity=0.6, colormap="viridis", blending="translucent")
            self.layers[UNCERTAINTY].contrast_limits = (0.0, max(float(values.max(initial=0)), 1e-6))

    def set_threshold(self, threshold: float) -> None:
        """Show interfaces of at least this probability."""
        if INTERFACES in self.layers:
            self.layers[INTERFACES].contrast_limits = (min(threshold, 0.99), 1.0)

    def set_visible(self, name: str, visible: bool) -> None:
        """Show a layer or not, those that come later, too."""
        self._hidden[name] = not visible
        if name in self.layers:
            self.layers[name].visible = visible

    def point_at(self, mask: np.ndarray) -> None:
        """Put a box around one object (bool, (H, W))."""
        rows, columns = np.nonzero(mask)
        boxes = [] if not len(rows) else [(rows.min() - 1, rows.max() + 1, columns.min() - 1, columns.max() + 1)]
        self._boxes(CHOSEN, boxes, "white")

    def draw_here(self, boxes: Sequence[tuple[int, int, int, int]]) -> None:
        """Outline parts of the picture (rows from, to, columns from, to)."""
        self._boxes(DRAW_HERE, boxes, "yellow")

    def _boxes(self, name: str, boxes: Sequence[tuple[int, int, int, int]], colour: str) -> None:
        """In the layer that is there, if there is one: another one would take the brush out of the person's hand."""
        corners = [np.array([[a, c], [a, d], [b, d], [b, c]], float) for a, b, c, d in boxes]
        settings = {"edge_color": colour, "face_color": "transparent", "edge_width": 2}
        layer = self.layers.get(name)
        if layer is None or layer not in self.viewer.layers:
            if corners:
                self._add(name, Shapes(corners, shape_type="rectangle", name=name, **settings))
            return
        layer.selected_data = set(range(layer.nshapes))
        layer.remove_selected()
        if corners:
            layer.add_rectangles(corners, **settings)

    def _put(self, name: str, data: np.ndarray, kind: type[Layer], **settings: object) -> None:
        layer = self.layers.get(name)
        if layer is not None and layer in self.viewer.layers and layer.data.shape == data.shape:
            layer.data = data
        else:
            layer = kind(data, name=name, **settings)
            self._add(name, layer)
        if kind is Labels:
            layer.editable = False  # what one would paint here is saved nowhere; napari resets it with the data

    def _add(self, name: str, layer: Layer) -> None:
        """Below the marks, and without taking the brush out of the person's hand."""
        layer.visible = not self._hidden.get(name, False)
        active = self.viewer.layers.selection.active
        ours = [self.layers[other] for other in _ORDER if other in self.layers and _ORDER.index(other) < _ORDER.index(name)]
        places = [self.viewer.layers.index(other) for other in ours if other in self.viewer.layers]
        self.viewer.layers.insert(max(places, default=0) + 1, layer)  # the picture lies at 0
        self.layers[name] = layer
        if active is not None and active in self.viewer.layers:
            self.viewer.layers.selection.active = active


def _direct(colours: dict) -> DirectLabelColormap:
    return DirectLabelColormap(color_dict=colours)
