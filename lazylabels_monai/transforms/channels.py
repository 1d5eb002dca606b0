"""The image's channels, as the network takes them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.span import unusable_values

__all__ = ["MatchChannelsd", "file_name"]


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
            LazyLabelsError: when the number of channels can neither be repeated nor be averaged, when a picture is but a line
                of pixels, and when it has values that cannot be normalised: MONAI's readers of volumes let them pass.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            image = sample[key]
            have = image.shape[0]
            if image.ndim == 3 and min(image.shape[1:]) < 2:
                width, height = image.shape[1:]
                raise LazyLabelsError(
                    f"'{file_name(image)}' is {width} x {height} pixels, in which no object can be seen: save the whole "
                    "picture, or leave it out."
                )
            if (fault := unusable_values(torch.as_tensor(image).cpu().numpy())) is not None:
                raise LazyLabelsError(f"image '{file_name(image)}' has {fault}.")
            if have == self.channels:
                continue
            if have == 1:
                sample[key] = image.repeat(self.channels, *[1] * (image.ndim - 1))
            elif have == 3 and self.channels == 1:
                weights = torch.as_tensor(self.LUMINANCE, dtype=image.dtype).view(3, *[1] * (image.ndim - 1))
                sample[key] = (image * weights).sum(0, keepdim=True)
            else:
                takes = "gray or RGB" if self.channels == 1 else f"gray or with {self.channels} channels"
                raise LazyLabelsError(
                    f"'{file_name(image)}' has {have} channels where the network takes {self.channels}: save it {takes}, "
                    f"such as the channel that shows the objects (a network for {have} is trained with --in_channels {have})."
                )
        return sample


def file_name(value: Any) -> str:
    """The file that a loaded array came from, for messages and names; ``"this image"`` where nobody knows."""
    meta = getattr(value, "meta", None) or {}
    name = meta.get("filename_or_obj", "this image")
    return str(ensure_tuple(name)[0])
