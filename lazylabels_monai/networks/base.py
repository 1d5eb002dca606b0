"""What all networks share: their arguments' ranges, and images of any size."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch.nn.functional as F
from monai.networks.layers.factories import Pool, split_args
from torch import Tensor, nn

from lazylabels_monai.tasks import require_num_classes

__all__ = ["CHANNELS", "AnySizeNet"]

#: Channels at each resolution, the finest first: six resolutions, as in the paper.
CHANNELS = (32, 64, 128, 256, 512, 512)


class AnySizeNet(nn.Module):
    """A network whose resolutions are halved by 2x2 max pooling, for images of any size.

    The image is padded at the end of each spatial dimension, by repeating its last pixel, to a multiple of
    ``2 ** (len(channels) - 1)``, and the result is cropped to the image's size. A subclass maps the padded image to logits
    of the same size in ``logits``. With instance normalization, which a single pixel cannot have, it is padded to at least
    two such multiples.

    What a network was built with is its attribute ``built_with``: all arguments by their names, the defaults among them.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of the image.
        num_classes: classes with the background.
        channels: channels at each resolution, the finest first; as many as there shall be resolutions.
        norm: normalization, in the form MONAI's factories read.

    Raises:
        ValueError: when an argument is out of its range.
    """

    __jit_ignored_attributes__ = ("built_with",)
    built_with: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _noting_arguments(cls.__init__)

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int],
        norm: str | Sequence | None = None,
    ) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims {spatial_dims} must be 2 or 3.")
        if in_channels < 1:
            raise ValueError(f"in_channels {in_channels} must be at least 1, the number of the image's channels.")
        require_num_classes(num_classes)
        if len(channels) < 2 or min(channels) < 1:
            raise ValueError(f"channels {list(channels)} must hold two or more positive numbers, one per resolution.")
        super().__init__()
        self.spatial_dims = spatial_dims
        self.multiple = 2 ** (len(channels) - 1)
        self.takes_one_pixel = norm is None or not str(split_args(norm)[0]).upper().startswith("INSTANCE")
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape BKHW[D] for an image of shape BCHW[D] and of any size."""
        size = image.shape[2:]
        padding: list[int] = []
        for i in range(self.spatial_dims):  # F.pad starts from the last dimension
            length = size[self.spatial_dims - 1 - i]
            more = -length % self.multiple
            if not self.takes_one_pixel and length <= self.multiple:
                more += self.multiple
            padding += [0, more]
        logits = self.logits(F.pad(image, padding, mode="replicate"))
        for i in range(self.spatial_dims):
            logits = logits.narrow(2 + i, 0, size[i])
        return logits

    def logits(self, image: Tensor) -> Tensor:
        """Logits of an image whose size needs no padding, of that size."""
        raise NotImplementedError


def _noting_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that notes its arguments; of a class and those that it derives from, the outermost does."""
    signature = inspect.signature(init)

    @wraps(init)
    def noting(self: AnySizeNet, *args: Any, **kwargs: Any) -> None:
        if "built_with" not in vars(self):
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            vars(self)["built_with"] = dict(list(bound.arguments.items())[1:])
        init(self, *args, **kwargs)

    return noting
