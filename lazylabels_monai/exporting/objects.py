"""The objects of one image as they are exported: whichever format it is, these are the pixels, classes and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.objects import checked_instances, instances_from_classes, object_classes
from lazylabels_monai.labels.outlines import Outline, outlines
from lazylabels_monai.tasks import BACKGROUND

__all__ = ["ExportError", "ImageObjects", "objects_of"]


class ExportError(LazyLabelsError):
    """What cannot be exported; the message names it and the remedy."""


@dataclass(frozen=True)
class ImageObjects:
    """Objects of an image.

    Args:
        name: of the image, without suffix.
        file_name: of the image's file.
        ids: (H, W) int32, 0 = no object; exactly the objects of ``classes``.
        classes: value of the class (1, 2, ...) of each object by its id, ids ascending.
        class_names: of the classes 1, 2, ...
        classless: ids that were left out, as no pixel of theirs has a class.
        measurements: name and value for each object by its id; empty where nothing was measured.
    """

    name: str
    file_name: str
    ids: np.ndarray
    classes: Mapping[int, int]
    class_names: Sequence[str]
    classless: Sequence[int] = ()
    measurements: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.ids.shape

    @cached_property
    def outlines(self) -> dict[int, Outline]:
        """Polygons of each object; see :func:`~lazylabels_monai.labels.outlines.outlines`."""
        return outlines(self.ids)

    def class_name(self, id: int) -> str:
        """Name of the class of an object."""
        return self.class_names[self.classes[id] - 1]


def objects_of(
    name: str,
    file_name: str,
    ids: np.ndarray | None,
    classes: np.ndarray | None,
    class_names: Sequence[str],
) -> ImageObjects:
    """The objects of an image's label maps.

    Args:
        name, file_name, class_names: see :class:`ImageObjects`.
        ids: (H, W) ids; None takes the connected components of each class.
        classes: (H, W) class map; an object's class is that of most of its pixels. None gives every object class 1.

    Raises:
        ExportError: for maps of different shapes, values that are no ids or classes, and classes without a name.
    """
    where = f"image '{name}'"
    try:
        checked = {key: checked_instances(label) for key, label in (("ids", ids), ("classes", classes)) if label is not None}
    except LazyLabelsError as error:
        raise ExportError(f"{where}: {error}") from error
    if (volume := next((label for label in checked.values() if label.ndim != 2), None)) is not None:
        raise ExportError(f"{where} has labels of shape {volume.shape}: export slices of a volume one by one.")
    if len(checked) == 2 and checked["ids"].shape != checked["classes"].shape:
        height, width = checked["classes"].shape
        raise ExportError(
            f"{where}: its class map has {width} x {height} pixels and its ids {checked['ids'].shape[1]} x "
            f"{checked['ids'].shape[0]}: use maps of one image."
        )
    if "classes" in checked and checked["classes"].max(initial=0) > 255:
        raise ExportError(
            f"{where}: its class map has the value {checked['classes'].max()}, which is no class: if these are object ids, put "
            "them into masks/ or say --values ids."
        )
    instances = checked["ids"] if ids is not None else instances_from_classes(checked["classes"])
    found = object_classes(instances, checked.get("classes"))
    classless = [id for id, value in found.items() if value == BACKGROUND]
    if classless:
        instances = np.where(np.isin(instances, classless), 0, instances)
    kept = {id: value for id, value in found.items() if value != BACKGROUND}
    if (top := max(kept.values(), default=0)) > len(class_names):
        raise ExportError(
            f"{where} has class {top}, but the classes are {', '.join(class_names)}: name as many with --classes as there are."
        )
    return ImageObjects(name, file_name, instances, kept, class_names, classless)
