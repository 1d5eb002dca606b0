"""Warnings about images before they are predicted, and about what was found in them afterwards."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from lazylabels_monai.data.checking.marks import mark_diameter
from lazylabels_monai.images.appearance import Seen, appearance, object_size_fault, unlike
from lazylabels_monai.images.axes import swap_plane, to_channels_last
from lazylabels_monai.images.faults import Fault, image_sentence
from lazylabels_monai.images.judging import image_faults
from lazylabels_monai.images.pixel_size import PixelSizeError, read_pixel_size
from lazylabels_monai.images.span import unusable_values
from lazylabels_monai.transforms.channels import file_name

__all__ = ["JudgeImaged", "JudgeObjectsd"]

logger = logging.getLogger(__name__)


class JudgeImaged(MapTransform):
    """Log a sentence for whatever is wrong with an image, and for each way in which it is unlike those of the training.

    It is the judgement of `check` and of a training (:mod:`lazylabels_monai.images.judging`), here for all that predicts: it
    stands in the bundle's pre-processing, before intensities are normalised. Nothing is changed.

    Args:
        keys: keys of (C, spatial...) images, as loaded.
        seen: what lies beside the weights as ``images.json``; None compares with nothing.
    """

    def __init__(self, keys: KeysCollection, seen: Mapping[str, Any] | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.seen = None if seen is None else Seen.from_dict(seen)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` as it is."""
        for key in self.key_iterator(dict(data)):
            for fault in self.faults(data[key]):
                logger.warning(image_sentence(fault, _shown(data[key])))
        return dict(data)

    def faults(self, image: torch.Tensor) -> list[Fault]:
        """What is wrong with an image (C, spatial...)."""
        values = torch.as_tensor(image).cpu()
        dims = values.ndim - 1
        # (H, W[, C]), or (X, Y, Z[, C]): the order of the checks
        array = to_channels_last(values) if dims == 2 else values.movedim(0, -1).numpy()
        if dims == 3 and array.shape[-1] == 1:
            array = array[..., 0]
        if unusable_values(array) is not None:
            return []  # the next transform refuses it
        found = image_faults(array, dims)
        if self.seen is None or any(fault.code == "image-constant" for fault in found):
            return found
        return found + unlike(appearance(array, dims), self.seen, _pixel_size(image))


class JudgeObjectsd(MapTransform):
    """Log a sentence where the objects that were found are of another size than those of the training.

    Args:
        keys: keys of (1, spatial...) ids.
        seen: as for :class:`JudgeImaged`.
        image_key: key of the image, whose file is named.
    """

    def __init__(
        self,
        keys: KeysCollection,
        seen: Mapping[str, Any] | None = None,
        image_key: str = "image",
        allow_missing_keys: bool = True,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.seen = None if seen is None else Seen.from_dict(seen)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` as it is."""
        for key in self.key_iterator(dict(data)) if self.seen is not None else ():
            ids = torch.as_tensor(data[key])[0].cpu().numpy()
            fault = object_size_fault(mark_diameter({"instances": swap_plane(ids)}), self.seen)
            if fault is not None:
                logger.warning(image_sentence(fault, _shown(data.get(self.image_key))))
        return dict(data)


def _shown(image: Any) -> str:
    return Path(file_name(image)).name


def _pixel_size(image: Any) -> float | None:
    """Of the file that an image came from, where that states one."""
    name = file_name(image)
    try:
        return read_pixel_size(name) if Path(name).is_file() else None
    except (PixelSizeError, OSError):
        return None
