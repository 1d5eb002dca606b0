"""From the network's output to class maps, objects and the files that people open."""

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
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import to_picture, to_tiff_order
from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.result_files import INSTANCES_ENDING, OVERLAY_ENDING, image_stem, probability_ending
from lazylabels_monai.tasks import TASKS, task_slices, validate_tasks
from lazylabels_monai.transforms.channels import file_name

__all__ = ["SaveInstancesd", "SaveOverlayd", "SaveProbabilitiesd", "SeparateObjectsd", "SplitTasksd"]


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
            expected = max(channels.stop for channels in self.slices.values())
            if len(output) != expected:
                raise ValueError(f"{key} has {len(output)} channels but tasks {list(self.slices)} have {expected}.")
            for task, channels in self.slices.items():
                sample[f"{task}_probability"] = output[channels].float()
            sample[key] = output[self.slices["segmentation"]].argmax(0, keepdim=True).to(torch.uint8)
        return sample


class SaveOverlayd(MapTransform):
    """Write ``<output_dir>/<image name>_overlay.png``: the image with contours in class colours.

    The image is that of its file, whose colours the network does not see: each channel is normalised on its own, or all are
    one gray. Where there is no such file it is what the network sees. Of a volume the middle slice along the last axis is
    drawn. Arrays are MONAI's (C, W, H) and turned to (H, W).

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
        ids = None if self.instances_key is None else to_picture(data[self.instances_key])[..., 0]
        for key in self.key_iterator(dict(data)):
            picture = overlay_contours(_as_stored(image), to_picture(data[key])[..., 0], ids)
            Image.fromarray(picture).save(self.output_dir / f"{image_stem(file_name(image))}{OVERLAY_ENDING}.png")
        return dict(data)


def _as_stored(image: torch.Tensor) -> np.ndarray:
    """(H, W[, C]) of the file of an image (C, W, H), or the image itself where no file of that name has its size."""
    seen = to_picture(image)
    if image.ndim != 3:
        return seen
    try:
        stored = read_image(file_name(image))
    except LazyLabelsError:
        return seen
    return stored if stored.shape[:2] == seen.shape[:2] else seen


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
        stem = image_stem(file_name(data[self.image_key]))
        for task in self.keys:
            planes = torch.as_tensor(data[f"{task}_probability"]).cpu().float().numpy()
            planes, axes = to_tiff_order(planes, channels=True)
            path = self.output_dir / f"{stem}{probability_ending(task)}.tif"
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
            ids, axes = to_tiff_order(torch.as_tensor(data[key]).cpu()[0].numpy(), channels=False)
            ids = ids.astype(np.uint16 if ids.max(initial=0) <= 65535 else np.uint32)
            path = self.output_dir / f"{image_stem(file_name(data[self.image_key]))}{INSTANCES_ENDING}.tif"
            # a volume of 3 or 4 slices would otherwise be taken for a colour picture
            tifffile.imwrite(path, ids, photometric="minisblack", compression="zlib", metadata={"axes": axes})
        return dict(data)
