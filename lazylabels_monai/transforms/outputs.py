"""Dictionary transforms for samples that carry labels for any subset of the three tasks.

A *sample* holds ``image`` (C, spatial..., float32), one (1, spatial...) integer class map per task and one presence flag
per task (see :mod:`lazylabels_monai.tasks`). Pixels that nobody labelled are 255.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple
from PIL import Image

from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.result_files import INSTANCES_ENDING, OVERLAY_ENDING, image_stem, probability_ending
from lazylabels_monai.tasks import IGNORE, TASKS, present_key, task_slices, validate_tasks

__all__ = [
    "DecodeIgnoredd",
    "EncodeIgnoredd",
    "FillMissingLabelsd",
    "MatchChannelsd",
    "SaveInstancesd",
    "SaveOverlayd",
    "SaveProbabilitiesd",
    "SeparateObjectsd",
    "SplitTasksd",
]


class FillMissingLabelsd(MapTransform):
    """Give every sample a label and a presence flag for every task, so that samples can be collated.

    An absent label becomes a (1, spatial...) map of 255 with the image's geometry and its flag becomes 0; a label that is
    there keeps its values and its flag becomes 1. Use it right after loading, before any random transform.

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
            ValueError: when a label's spatial shape differs from the image's.
        """
        sample = dict(data)
        image = sample[self.image_key]
        for task in self.keys:
            present = sample.get(task) is not None
            sample[present_key(task)] = int(present)
            if not present:
                sample[task] = self._filled(image, IGNORE, torch.uint8)
            elif tuple(sample[task].shape[1:]) != tuple(image.shape[1:]):
                raise ValueError(
                    f"{_file_name(sample[task])}: key '{task}' has the size {tuple(sample[task].shape[1:])} where its image "
                    f"{_file_name(image)} has {tuple(image.shape[1:])}; save the label at the image's size."
                )
        if self.instances_key is not None and sample.get(self.instances_key) is None:
            sample[self.instances_key] = self._filled(image, -1, torch.int32)
        return sample

    @staticmethod
    def _filled(image: torch.Tensor, value: int, dtype: torch.dtype) -> torch.Tensor:
        filled = torch.full((1, *image.shape[1:]), value, dtype=dtype)
        # the image's geometry, so that spatial transforms treat the placeholder like a loaded label
        return MetaTensor(filled, meta=dict(image.meta)) if isinstance(image, MetaTensor) else filled


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


class MatchChannelsd(MapTransform):
    """Bring images to the network's number of channels.

    Gray becomes ``channels`` equal channels, RGB becomes gray by the luminance weights of ITU-R BT.601 (those of PIL's
    ``convert("L")``), and anything that already fits stays.

    Args:
        keys: keys of (C, spatial...) images.
        channels: the number of channels wanted.
    """

    LUMINANCE = (0.299, 0.587, 0.114)

    def __init__(self, keys: KeysCollection, channels: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with ``channels`` channels under each key.

        Raises:
            ValueError: when the number of channels can neither be repeated nor be averaged.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            image = sample[key]
            have = image.shape[0]
            if have == self.channels:
                continue
            if have == 1:
                sample[key] = image.repeat(self.channels, *[1] * (image.ndim - 1))
            elif have == 3 and self.channels == 1:
                weights = torch.as_tensor(self.LUMINANCE, dtype=image.dtype).view(3, *[1] * (image.ndim - 1))
                sample[key] = (image * weights).sum(0, keepdim=True)
            else:
                raise ValueError(
                    f"{_file_name(image)}: key '{key}' has {have} channels where the network takes {self.channels}; "
                    f"set --in_channels {have} or convert the image."
                )
        return sample


class SplitTasksd(MapTransform):
    """Turn the network's probabilities into one map per task.

    ``pred`` (sum of classes, spatial...) becomes ``pred`` = the segmentation's class map (1, spatial...), uint8, and the
    probabilities of each task under ``<task>_probability`` (classes, spatial...), float32.

    Args:
        keys: key of the network's output.
        num_classes: number of classes with background.
        tasks: the tasks in the output.
    """

    def __init__(self, keys: KeysCollection, num_classes: int, tasks: Sequence[str] = TASKS) -> None:
        super().__init__(keys)
        self.slices = task_slices(num_classes, tasks)
        if "segmentation" not in self.slices:
            raise ValueError(f"tasks {list(tasks)} must hold 'segmentation': the label map is made from it.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the maps."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            output = sample[key]
            for task, channels in self.slices.items():
                sample[f"{task}_probability"] = output[channels].float()
            sample[key] = output[self.slices["segmentation"]].argmax(0, keepdim=True).to(torch.uint8)
        return sample


class SaveOverlayd(MapTransform):
    """Write ``<output_dir>/<image name>_overlay.png``: the image with contours in class colours.

    Of a volume the middle slice along the last axis is drawn. Arrays are MONAI's (C, W, H) and turned to (H, W).

    Args:
        keys: key of the (1, spatial...) class map.
        image_key: key of the (C, spatial...) image; its file name names the picture.
        output_dir: folder, made when missing.
        instances_key: key of (1, spatial...) ids whose contours are drawn; None draws those of the classes.
    """

    def __init__(
        self, keys: KeysCollection, output_dir: str, image_key: str = "image", instances_key: str | None = None
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.output_dir = Path(output_dir)
        self.instances_key = instances_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the picture; ``data`` is returned as it is."""
        image = data[self.image_key]
        self.output_dir.mkdir(parents=True, exist_ok=True)
        ids = None if self.instances_key is None else to_rows_columns(data[self.instances_key])[..., 0]
        for key in self.key_iterator(dict(data)):
            picture = overlay_contours(to_rows_columns(image), to_rows_columns(data[key])[..., 0], ids)
            Image.fromarray(picture).save(self.output_dir / f"{image_stem(_file_name(image))}{OVERLAY_ENDING}.png")
        return dict(data)


class SaveProbabilitiesd(MapTransform):
    """Write ``<output_dir>/<image name>_<task>_probability.tif``: float32, one plane per class, for Fiji or napari.

    Args:
        tasks: the tasks whose ``<task>_probability`` (classes, spatial...) is written.
        image_key: key of the image; its file name names the files.
        output_dir: folder, made when missing.
    """

    def __init__(self, tasks: Sequence[str], output_dir: str, image_key: str = "image") -> None:
        super().__init__(validate_tasks(tasks))
        self.image_key = image_key
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files in the order (classes, [D,] H, W); ``data`` is returned as it is."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        stem = image_stem(_file_name(data[self.image_key]))
        for task in self.keys:
            planes = torch.as_tensor(data[f"{task}_probability"]).cpu().float().numpy()
            planes = np.ascontiguousarray(np.transpose(planes, (0, *range(planes.ndim - 1, 0, -1))))
            path = self.output_dir / f"{stem}{probability_ending(task)}.tif"
            axes = "CYX" if planes.ndim == 3 else "CZYX"
            tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": axes})
        return dict(data)


class SeparateObjectsd(MapTransform):
    """Separate the objects of a prediction: ``instances`` (1, spatial...), int32 ids, beside the class map.

    Args:
        keys: key of the (1, spatial...) class map that :class:`SplitTasksd` left.
        settings: how; default :class:`InstanceSettings`.
        instances_key: key of the result.
    """

    def __init__(
        self, keys: KeysCollection, settings: InstanceSettings | None = None, instances_key: str = "instances"
    ) -> None:
        super().__init__(keys)
        self.settings = settings or InstanceSettings()
        self.instances_key = instances_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the ids."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            maps = [sample.get(f"{task}_probability") for task in ("detection", "separation")]
            maps = [None if values is None else torch.as_tensor(values).cpu().float().numpy() for values in maps]
            ids = separate_objects(torch.as_tensor(sample[key]).cpu().numpy()[0], *maps, self.settings)
            made = torch.as_tensor(ids)[None]
            meta = getattr(sample[key], "meta", None)
            sample[self.instances_key] = made if meta is None else MetaTensor(made, meta=dict(meta))
        return sample


class SaveInstancesd(MapTransform):
    """Write ``<output_dir>/<image name>_instances.tif``: ids as uint16, or uint32 where there are more than 65535 objects.

    Args:
        keys: key of the (1, spatial...) ids in MONAI's order (1, W, H[, D]); the file holds ([D,] H, W).
        image_key: key of the image; its file name names the files.
        output_dir: folder, made when missing.
    """

    def __init__(self, keys: KeysCollection, output_dir: str, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files; ``data`` is returned as it is."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for key in self.key_iterator(dict(data)):
            ids = np.asarray(torch.as_tensor(data[key]).cpu()[0]).T
            ids = np.ascontiguousarray(ids.astype(np.uint16 if ids.max(initial=0) <= 65535 else np.uint32))
            path = self.output_dir / f"{image_stem(_file_name(data[self.image_key]))}{INSTANCES_ENDING}.tif"
            # a volume of 3 or 4 slices would otherwise be taken for a colour picture
            tifffile.imwrite(
                path, ids, photometric="minisblack", compression="zlib", metadata={"axes": "YX" if ids.ndim == 2 else "ZYX"}
            )
        return dict(data)


def to_rows_columns(array: torch.Tensor | np.ndarray) -> np.ndarray:
    """Turn MONAI's (C, W, H[, D]) into (H, W, C); of a volume the middle slice along the last axis is taken."""
    values = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    if values.ndim == 4:
        values = values[..., values.shape[-1] // 2]
    return np.transpose(values, (2, 1, 0))


def _file_name(value: Any) -> str:
    meta = getattr(value, "meta", None) or {}
    name = meta.get("filename_or_obj", "this image")
    return str(ensure_tuple(name)[0])
