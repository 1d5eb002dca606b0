"""Where random crops are taken: at marks, where few of them lie in large images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

__all__ = ["CENTRES", "CropCentresd"]

#: Key of the weights of the crops' centres, for MONAI's ``RandWeightedCropd``.
CENTRES = "crop_centres"


class CropCentresd(MapTransform):
    """How often a crop is centred where, so that nearly every crop holds a mark and each task's marks count alike.

    A few strokes in a large image lie in few of its random crops. For each task that has marks the centres
    of the crops that hold one are drawn equally often, and the tasks equally often; a share of the crops lies anywhere. An
    image without any mark has crops anywhere.

    Use it after :class:`~lazylabels_monai.transforms.EncodeIgnoredd` and the padding, before ``RandWeightedCropd``.

    Args:
        keys: of the (1, spatial...) labels, 0 where nothing is labelled.
        size: of the crops, pixels.
        anywhere: share of the crops that lie anywhere, in [0, 1].

    Raises:
        ValueError: when ``anywhere`` is out of its range.
    """

    def __init__(self, keys: KeysCollection, size: Sequence[int], anywhere: float = 0.1) -> None:
        super().__init__(keys)
        if not 0 <= anywhere <= 1:
            raise ValueError(f"anywhere {anywhere} must be a share from 0 to 1.")
        self.size, self.anywhere = tuple(size), anywhere

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with (1, spatial...) float32 weights under :data:`CENTRES`, the sum of all is 1."""
        sample = dict(data)
        labels = [np.asarray(sample[key][0]) for key in self.key_iterator(sample)]
        marked = [label > 0 for label in labels if label.any()]
        anywhere = self.anywhere if marked else 1.0
        made = np.full(labels[0].shape, anywhere / labels[0].size, np.float32)
        for marks in marked:
            # of those crops [c - size // 2, c - size // 2 + size) that hold a mark
            near = ndimage.maximum_filter(marks, self.size, mode="constant")
            made[near] += (1 - anywhere) / len(marked) / np.count_nonzero(near)
        sample[CENTRES] = torch.as_tensor(made[None])
        return sample
