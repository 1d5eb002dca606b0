"""The multi-task U-Net of Ke et al. 2020, and the single-task U-Net that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Pool
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn

from lazylabels_monai.networks.blocks import ACT, NORM, MultiTaskBlock, UpMerge
from lazylabels_monai.tasks import IGNORE, TASKS, num_task_classes

__all__ = ["MultiTaskUNet", "SingleTaskUNet"]

#: Channels at each resolution, the finest first: six resolutions, as in the paper.
CHANNELS = (32, 64, 128, 256, 512, 512)


class _UNet(nn.Module):
    """What both networks share: the contracting path, the up-steps of a single path, and the padding of the image.

    A subclass turns the remaining features into logits in ``decode``.

    Args:
        single_steps: how many up-steps, the deepest first, carry a single path.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int],
        act: str | tuple,
        norm: str | tuple | None,
        dropout: float | tuple,
        single_steps: int,
    ) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims {spatial_dims} must be 2 or 3.")
        if in_channels < 1:
            raise ValueError(f"in_channels {in_channels} must be at least 1, the number of the image's channels.")
        if not 2 <= num_classes <= IGNORE:
            raise ValueError(f"num_classes {num_classes} must count the background too and be from 2 to {IGNORE}.")
        if len(channels) < 2 or min(channels) < 1:
            raise ValueError(f"channels {list(channels)} must hold two or more positive numbers, one per resolution.")
        super().__init__()
        self.spatial_dims = spatial_dims
        self.multiple = 2 ** (len(channels) - 1)
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)
        self.down = nn.ModuleList(
            TwoConv(spatial_dims, below, width, act=act, norm=norm, bias=True, dropout=dropout)
            for below, width in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.single = nn.ModuleList(
            UpMerge(spatial_dims, channels[-i], channels[-i - 1], channels[-i - 1], act, norm, dropout)
            for i in range(1, single_steps + 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape BKHW[D] for an image of shape BCHW[D] and of any size."""
        size = image.shape[2:]
        padding: list[int] = []
        for i in range(self.spatial_dims):  # F.pad starts from the last dimension
            padding += [0, -size[self.spatial_dims - 1 - i] % self.multiple]
        features = [self.down[0](F.pad(image, padding, mode="replicate"))]
        for i, block in enumerate(self.down):
            if i > 0:
                features.append(block(self.pool(features[-1])))

        feature = features.pop()
        for merge in self.single:
            feature = merge([feature], features.pop())[0]
        logits = self.decode(feature, features)
        for i in range(self.spatial_dims):
            logits = logits.narrow(2 + i, 0, size[i])
        return logits

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits from the single path's last map and the skip connections that it did not use, the finest first."""
        raise NotImplementedError


class MultiTaskUNet(_UNet):
    """U-Net that learns segmentation, detection and separation at once: Ke et al. 2020, Figure 2 and Eq. 4.

    Resolutions are halved by 2x2 max pooling. On each of them the contracting path has two sub-blocks (3x3
    convolution, normalization, activation); on the expanding path each has a
    :py:class:`~lazylabels_monai.networks.MultiTaskBlock`, which carries one map per task. A 1x1 convolution per task
    ends the network.

    Images of any size pass: the image is padded at the end of each spatial dimension, by repeating its last pixel, to
    a multiple of ``2 ** (len(channels) - 1)``, and the result is cropped to the image's size.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of the image.
        num_classes: classes of segmentation and detection, with the background; separation always has two.
        channels: channels at each resolution, the finest first; as many as there shall be resolutions.
        num_multitask_blocks: how many of the ``len(channels) - 1`` up-steps, the finest, are multi-task blocks.
            The deeper ones run F alone, and the paths part after them.
        residual: whether segmentation has its residual sub-block R; False only for an ablation.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.

    Raises:
        ValueError: when an argument is out of its range.

    Examples:
        >>> network = MultiTaskUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2)
        >>> network(torch.rand(2, 1, 30, 50)).shape  # segmentation 3, detection 3, separation 2: see tasks.task_slices
        torch.Size([2, 8, 30, 50])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 3,
        channels: Sequence[int] = CHANNELS,
        num_multitask_blocks: int = 4,
        residual: bool = True,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
    ) -> None:
        steps = len(channels) - 1
        super().__init__(spatial_dims, in_channels, num_classes, channels, act, norm, dropout, steps - num_multitask_blocks)
        if not 1 <= num_multitask_blocks <= steps:
            raise ValueError(
                f"num_multitask_blocks {num_multitask_blocks} must be from 1 to {steps}, one less than the resolutions."
            )
        self.multitask = nn.ModuleList(
            MultiTaskBlock(spatial_dims, channels[i + 1], channels[i], channels[i], residual, act, norm, dropout)
            for i in reversed(range(num_multitask_blocks))
        )
        self.heads = nn.ModuleDict(
            {
                task: Convolution(spatial_dims, channels[0], num_task_classes(task, num_classes), kernel_size=1, conv_only=True)
                for task in TASKS
            }
        )

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits of all tasks, in the channel order of :py:mod:`lazylabels_monai.tasks`."""
        x = z = y = feature
        for block in self.multitask:
            x, z, y = block(x, z, y, skips.pop())
        maps = {"segmentation": z, "detection": x, "separation": y}
        logits: list[Tensor] = []
        for task, head in self.heads.items():
            logits.append(head(maps[task]))
        return torch.cat(logits, dim=1)


class SingleTaskUNet(_UNet):
    """U-Net with one path and one head, of the same sub-blocks: the paper's baseline.

    Images of any size pass, by the same padding as in :py:class:`MultiTaskUNet`.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of the image.
        num_classes: classes with the background.
        channels: channels at each resolution, the finest first; as many as there shall be resolutions.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.

    Raises:
        ValueError: when an argument is out of its range.

    Examples:
        >>> network = SingleTaskUNet(num_classes=3, channels=(4, 8, 8))
        >>> network(torch.rand(2, 1, 30, 50)).shape
        torch.Size([2, 3, 30, 50])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 3,
        channels: Sequence[int] = CHANNELS,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
    ) -> None:
        super().__init__(spatial_dims, in_channels, num_classes, channels, act, norm, dropout, len(channels) - 1)
        self.head = Convolution(spatial_dims, channels[0], num_classes, kernel_size=1, conv_only=True)

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits of the one task."""
        return self.head(feature)
