"""One model per task, and the separated objects: the same network, another part of its output."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged, SqueezeDimd
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.transform.post import FindContoursd
from monailabel.transform.writer import PolygonWriter

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import instance_classes
from lazylabels_monai.tasks import BACKGROUND, class_names
from lazylabels_monai.trained import bundle_weights, trained_classes
from lazylabels_monai.transforms import SeparateObjectsd

__all__ = ["INSTANCES", "TakeResultd", "TaskInfer"]

#: Name of the model whose result are ids of objects.
INSTANCES = "instances"

#: Formats of polygons; "json": MONAI Label's own.
_POLYGONS = ("asap", "dsa", "json")


class TakeResultd(MapTransform):
    """Put a task's class map, or the ids of the objects, in place of the segmentation's class map.

    Args:
        keys: key of the (1, W, H) class map that :class:`~lazylabels_monai.transforms.SplitTasksd` left.
        result: a task, whose ``<task>_probability`` (classes, W, H) is taken, or :data:`INSTANCES`, (1, W, H).
    """

    def __init__(self, keys: KeysCollection, result: str) -> None:
        super().__init__(keys)
        self.result = result

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data``: class values uint8, ids int32; the classes stay under ``classes``."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample["classes"] = sample[key]
            if self.result == INSTANCES:
                sample[key] = sample[INSTANCES]
            else:
                sample[key] = sample[f"{self.result}_probability"].argmax(0, keepdim=True).to(torch.uint8)
        return sample


class TaskInfer(BundleInferTask):
    """A part of the bundle's output as a model of the server.

    The result has the image's size: class values as uint8, ids as uint16 (uint32, in a TIFF file, above 65535), in a PNG file
    unless ``result_extension`` says otherwise; or polygons, where ``output`` is "asap", "dsa" or "json".

    Args:
        path: the app's bundle.
        conf: of the server.
        result: a task, or :data:`INSTANCES`.
        networks: loaded networks, shared by the models of an app.

    Raises:
        LazyLabelsError: when the bundle's weights are not there.
    """

    def __init__(self, path: str, conf: dict[str, str], result: str, networks: dict[str, Any] | None = None) -> None:
        self.result = result
        unwanted = [SaveImaged] if result == INSTANCES else [SaveImaged, SeparateObjectsd]
        super().__init__(path, conf, type=InferType.SEGMENTATION, post_filter=unwanted, load_strict=True)
        if not self.valid:
            raise LazyLabelsError(f"{path}: a config or models/model.pt is missing; make the app's folder by monai-label.")
        self.classes = trained_classes(bundle_weights(path))
        names = ["background", "object"] if result == INSTANCES else class_names(result, self.classes)
        self.labels = {name: value for value, name in enumerate(names) if value != BACKGROUND}
        self.description = f"{result} by the multi-task U-Net for lazy labels"
        self._config["result_extension"] = ".png"  # an image's own may be that of a JPEG, which alters classes
        if networks is not None:
            self._networks = networks

    def post_transforms(self, data: Any = None) -> Sequence[Callable]:
        """The bundle's, and this model's part of the output taken."""
        transforms = list(super().post_transforms(data))
        place = next(i for i, transform in enumerate(transforms) if isinstance(transform, SqueezeDimd))
        transforms.insert(place, TakeResultd(self.key_pred, self.result))
        return transforms

    def writer(self, data: dict[str, Any], extension: str | None = None, dtype: Any = None) -> tuple[Any, Any]:
        """Write the map, or polygons."""
        if data.get("output") in _POLYGONS:
            return PolygonWriter(label=self.key_pred, json=self.output_json_key)(self._with_polygons(data))
        if self.result == INSTANCES:
            many = int(data[self.key_pred].max()) > np.iinfo(np.uint16).max
            dtype, extension = (np.uint32, ".tif") if many else (np.uint16, extension)
        return super().writer(data, extension, dtype)

    def _with_polygons(self, data: dict[str, Any]) -> dict[str, Any]:
        found = FindContoursd(keys=self.key_pred, result=self.output_json_key, labels=self.labels)
        if self.result != INSTANCES:
            return found(data)
        found.labels = {}  # ids; they are named by their classes below
        data = found(data)
        annotation = data.get(self.output_json_key, {}).get("annotation")
        if annotation is not None:
            ids, classes = (np.asarray(torch.as_tensor(data[key]).cpu()).squeeze() for key in (self.key_pred, "classes"))
            class_of = instance_classes(ids, classes)
            names, colours = ["object", *self.classes], {}
            for element in annotation["elements"]:
                name = names[int(class_of[element["label"]])]
                colours.setdefault(name, annotation["labels"][element["label"]])
                element["label"] = name
            annotation["labels"] = colours
        return data
