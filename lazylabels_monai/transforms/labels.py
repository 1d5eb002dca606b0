"""Labels for any subset of the three tasks: filled in where absent, and coded so that padding makes up no class.

A *sample* holds ``image`` (C, spatial..., float32), one (1, spatial...) integer class map per task and one presence flag
per task (see :mod:`lazylabels_monai.tasks`). Pixels that nobody labelled are 255.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ImageMetaKey, MetaKeys

from lazylabels_monai.images.axes import in_voxel_order
from lazylabels_monai.tasks import IGNORE, TASKS, present_key, validate_tasks
from lazylabels_monai.transforms.channels import file_name

__all__ = ["DecodeIgnoredd", "EncodeIgnoredd", "FillMissingLabelsd"]


class FillMissingLabelsd(MapTransform):
    """Give every sample a label and a presence flag for every task, so that samples can be collated.

    An absent label becomes a (1, spatial...) map of 255 with the image's geometry and its flag becomes 0; a label that is
    there keeps its values and its flag becomes 1. A volume's label that its file stores in another order of voxels than its
    image is brought into the image's order (:func:`~lazylabels_monai.images.axes.in_voxel_order`). Use it right after loading,
    before any random transform.

    Args:
        tasks: the tasks to train, a subset of :data:`~lazylabels_monai.tasks.TASKS`.
        image_key: key of the (C, spatial...) image that gives the shape.
        instances_key: where given, a missing map of instance ids is filled with -1 (unknown).
    """

    def __init__(self, tasks: Sequence[str] = TASKS, image_key: str = "image", instances_key: str | None = None) -> None:
        super().__init__(validate_tasks(tasks), allow_missing_keys=True)
        self.image_key = image_key
        self.instances_key = instances_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with all labels and flags.

        Raises:
            ElsewhereError: when a label and its image state two places in space.
            ValueError: when a label's spatial shape differs from the image's.
        """
        sample = dict(data)
        image = sample[self.image_key]
        for task in self.keys:
            present = sample.get(task) is not None
            sample[present_key(task)] = int(present)
            if not present:
                sample[task] = self._filled(image, IGNORE, torch.uint8)
                continue
            sample[task] = _as_its_image_lies(sample[task], image)
            if tuple(sample[task].shape[1:]) != tuple(image.shape[1:]):
                raise ValueError(
                    f"{file_name(sample[task])}: key '{task}' has the size {tuple(sample[task].shape[1:])} where its image "
                    f"{file_name(image)} has {tuple(image.shape[1:])}; save the label at the image's size."
                )
        if self.instances_key is not None:
            ids = sample.get(self.instances_key)
            filled = self._filled(image, -1, torch.int32) if ids is None else _as_its_image_lies(ids, image)
            sample[self.instances_key] = filled
        return sample

    @staticmethod
    def _filled(image: torch.Tensor, value: int, dtype: torch.dtype) -> torch.Tensor:
        filled = torch.full((1, *image.shape[1:]), value, dtype=dtype)
        # the image's geometry, so that spatial transforms treat the placeholder like a loaded label
        return MetaTensor(filled, meta=dict(image.meta)) if isinstance(image, MetaTensor) else filled


def _as_its_image_lies(label: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """A label (1, spatial...) as it was loaded, in the order of voxels of its image; in its place, too."""
    if not isinstance(label, MetaTensor) or not isinstance(image, MetaTensor):
        return label
    files = [loaded.meta.get(ImageMetaKey.FILENAME_OR_OBJ) for loaded in (label, image)]
    if not all(isinstance(file, str) for file in files):
        return label
    stored = label[0].numpy()
    turned = in_voxel_order(stored, *files)
    if turned is stored:
        return label
    return MetaTensor(torch.from_numpy(turned)[None], meta={**label.meta, MetaKeys.AFFINE: image.affine.clone()})


class EncodeIgnoredd(MapTransform):
    """Shift labels so that 255 (not labelled) becomes 0 and class k becomes k + 1.

    Padding, rotation and zooming fill with zeros; in this coding a zero from outside the image means "not labelled"
    instead of a made-up background. :class:`DecodeIgnoredd` restores the class values.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shift the (1, spatial...) maps; values 0..254 and 255."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            label = sample[key]
            sample[key] = torch.where(label == IGNORE, torch.zeros_like(label), label + 1)
        return sample


class DecodeIgnoredd(MapTransform):
    """Undo :class:`EncodeIgnoredd`: 0 becomes 255, k + 1 becomes class k."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shift the (1, spatial...) maps back; returns uint8."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            label = sample[key]
            sample[key] = torch.where(label == 0, torch.full_like(label, IGNORE), label - 1).to(torch.uint8)
        return sample
