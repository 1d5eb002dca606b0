"""The multi-task U-Net of Ke et al. 2020, and the single-task U-Net that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from monai.networks.blocks import Convolution, UpSample
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn

from lazylabels_monai.networks.base import CHANNELS, AnySizeNet
from lazylabels_monai.networks.blocks import ACT, NORM, MultiTaskBlock, UpMerge, shallow
from lazylabels_monai.networks.quick import quicken_norms
from lazylabels_monai.tasks import TASKS, num_task_classes, validate_tasks

__all__ = ["SEPARATION_CONVS", "MultiTaskUNet", "SeparateDecodersUNet", "SingleTaskUNet", "narrow_width"]


#: Kinds of convolutions of :py:class:`MultiTaskUNet`'s G.
SEPARATION_CONVS = ("full", "depthwise")


class _UNet(AnySizeNet):
    """What U-Nets share: the contracting path and the up-steps of a single path.

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
        super().__init__(spatial_dims, in_channels, num_classes, channels, norm)
        self.down = nn.ModuleList(
            TwoConv(spatial_dims, below, width, act=act, norm=norm, bias=True, dropout=dropout)
            for below, width in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.single = nn.ModuleList(
            UpMerge(spatial_dims, channels[-i], channels[-i - 1], channels[-i - 1], act, norm, dropout)
            for i in range(1, single_steps + 1)
        )

    def logits(self, image: Tensor) -> Tensor:
        """Logits of an image whose size needs no padding."""
        features = [self.down[0](image)]
        for i, block in enumerate(self.down):
            if i > 0:
                features.append(block(self.pool(features[-1])))

        feature = features.pop()
        for merge in self.single:
            feature = merge([feature], features.pop())[0]
        return self.decode(feature, features)

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits from the single path's last map and the skip connections that it did not use, the finest first."""
        raise NotImplementedError


class _TasksUNet(_UNet):
    """What the networks with several tasks share: where their paths part, and a 1x1 convolution per task at their end."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int],
        num_multitask_blocks: int,
        act: str | tuple,
        norm: str | tuple | None,
        dropout: float | tuple,
        tasks: Sequence[str],
    ) -> None:
        steps = len(channels) - 1
        super().__init__(spatial_dims, in_channels, num_classes, channels, act, norm, dropout, steps - num_multitask_blocks)
        if not 1 <= num_multitask_blocks <= steps:
            raise ValueError(
                f"num_multitask_blocks {num_multitask_blocks} must be from 1 to {steps}, one less than the resolutions."
            )
        self.tasks = validate_tasks(tasks)
        if "segmentation" not in self.tasks:
            raise ValueError(f"tasks {list(tasks)} must hold 'segmentation', on whose path this network is built.")

    def make_heads(self, width: int, num_classes: int, **others: int) -> nn.ModuleDict:
        """A 1x1 convolution for each task. A subclass makes them last: the order decides what a seed's weights are.

        Args:
            width: channels of the maps that they see.
            num_classes: classes with the background.
            others: channels of the maps of tasks where they are other ones.
        """
        return nn.ModuleDict(
            {
                task: Convolution(
                    self.spatial_dims,
                    others.get(task, width),
                    num_task_classes(task, num_classes),
                    kernel_size=1,
                    conv_only=True,
                )
                for task in self.tasks
            }
        )

    def part(self, tasks: Sequence[str]) -> Self:
        """A network that answers for some of the tasks and computes nothing for the others alone, to predict with.

        Its output has the channels of these tasks, as that of a network which learned no others. Weights and modules are
        this network's own: what loads, moves or switches one of the two does it to both.

        Args:
            tasks: some of ``tasks``, segmentation among them.

        Raises:
            ValueError: for a task that this network did not learn, and without segmentation.
        """
        wanted = validate_tasks(tasks)
        if unlearned := [task for task in wanted if task not in self.tasks]:
            raise ValueError(f"tasks {list(tasks)}: this network did not learn {unlearned[0]}, only {list(self.tasks)}.")
        if "segmentation" not in wanted:
            raise ValueError(f"tasks {list(tasks)} must hold 'segmentation', on whose path this network is built.")
        part = shallow(self)
        part.tasks = wanted
        part.heads = nn.ModuleDict({task: self.heads[task] for task in wanted})
        return part


class MultiTaskUNet(_TasksUNet):
    """U-Net that learns segmentation, detection and separation at once: Ke et al. 2020, Figure 2 and Eq. 4.

    Resolutions are halved by 2x2 max pooling. On each of them the contracting path has two sub-blocks (3x3
    convolution, normalization, activation); on the expanding path each has a
    :py:class:`~lazylabels_monai.networks.MultiTaskBlock`, which carries one map per task. A 1x1 convolution per task
    ends the network.

    Images of any size pass: the image is padded at the end of each spatial dimension, by repeating its last pixel, to
    a multiple of ``2 ** (len(channels) - 1)``, and the result is cropped to the image's size.

    Three settings make it lighter than Eq. 4, each by itself (what they save: docs/performance.md); with their defaults it
    is that of the paper.

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
        tasks: the tasks that it learns, segmentation among them; the output's channels are those of these tasks, in the
            order of :py:data:`lazylabels_monai.tasks.TASKS`. What a task left out would need is not there.
        zero_init_residual: let R begin as zero, as in :py:class:`~lazylabels_monai.networks.MultiTaskBlock` (what it is
            worth: docs/history/residual-initialisation.md).
        detection_stride: pixels of the image to one of the detection's map, each way: 1, or a power of two up to
            ``2 ** (num_multitask_blocks - 1)``, at which its path ends. Its logits are upsampled to the image's size, so that
            losses and results stay as they are.
        finest_width: above 0 up to 1: at the finest resolution R and G have this share of the channels between them.
        separation_conv: convolutions of G, "full" or "depthwise"
            (:py:class:`~lazylabels_monai.networks.blocks.DepthwiseMerge`).

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
        tasks: Sequence[str] = TASKS,
        zero_init_residual: bool = False,
        detection_stride: int = 1,
        finest_width: float = 1.0,
        separation_conv: str = "full",
    ) -> None:
        super().__init__(spatial_dims, in_channels, num_classes, channels, num_multitask_blocks, act, norm, dropout, tasks)
        level = _level_of(detection_stride, num_multitask_blocks)
        if not 0 < finest_width <= 1:
            raise ValueError(f"finest_width {finest_width} must be above 0 and at most 1, a share of the finest channels.")
        if separation_conv not in SEPARATION_CONVS:
            raise ValueError(f"separation_conv '{separation_conv}' must be one of {list(SEPARATION_CONVS)}.")
        narrow = narrow_width(channels[0], finest_width)
        others = [task for task in self.tasks if task != "detection"]
        self.multitask = nn.ModuleList(
            MultiTaskBlock(
                spatial_dims,
                channels[i + 1],
                channels[i],
                channels[i],
                residual,
                act,
                norm,
                dropout,
                self.tasks if i >= level else others,
                zero_init_residual,
                refining_channels=channels[i] if i > 0 else narrow,
                separation_conv=separation_conv,
            )
            for i in reversed(range(num_multitask_blocks))
        )
        self.heads = self.make_heads(channels[0], num_classes, detection=channels[level], separation=narrow)
        self.enlarge_detection = (
            UpSample(
                spatial_dims, scale_factor=detection_stride, mode="nontrainable", interp_mode="linear", align_corners=False
            )
            if level > 0
            else None
        )
        quicken_norms(self)

    def part(self, tasks: Sequence[str]) -> MultiTaskUNet:
        """This network without what only other tasks need: see :py:meth:`_TasksUNet.part`."""
        part = super().part(tasks)
        parted = [i > 0 and block.residual is not None for i, block in enumerate(self.multitask)]  # R tells x and z apart
        part.multitask = nn.ModuleList(
            block.part(part.tasks, path=int(apart)) for block, apart in zip(self.multitask, parted, strict=True)
        )
        return part

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits of all tasks, in the channel order of :py:mod:`lazylabels_monai.tasks`."""
        x = z = y = feature
        for block in self.multitask:
            x, z, y = block(x, z, y, skips.pop())
        maps = {"segmentation": z, "detection": x, "separation": y}
        logits: list[Tensor] = []
        for task, head in self.heads.items():
            of_task = head(maps[task])
            if self.enlarge_detection is not None:  # noqa: SIM102 - in one condition TorchScript would compile the rest, too
                if task == "detection":
                    of_task = self.enlarge_detection(of_task)
            logits.append(of_task)
        return torch.cat(logits, dim=1)


def narrow_width(finest: int, finest_width: float) -> int:
    """Channels of R and G at the finest resolution, which has ``finest``: the share ``finest_width`` of them, at least 1."""
    return max(1, round(finest_width * finest))


def _level_of(detection_stride: int, num_multitask_blocks: int) -> int:
    """The resolution, 0 the finest, at which the detection's path ends."""
    coarsest = 2 ** (num_multitask_blocks - 1)
    if detection_stride < 1 or detection_stride & (detection_stride - 1) or detection_stride > coarsest:
        raise ValueError(
            f"detection_stride {detection_stride} must be a power of two from 1 to {coarsest}, 2 ** (num_multitask_blocks - 1)."
        )
    return detection_stride.bit_length() - 1


class SeparateDecodersUNet(_TasksUNet):
    """Ablation of :py:class:`MultiTaskUNet`: the tasks share the contracting path, and nothing on the way up.

    Each task has an expanding path of its own, that of :py:class:`SingleTaskUNet`: at each resolution F over its map and
    the contracting path's skip connection ``c``. Against Eq. 4, detection and segmentation share no weights, separation
    is not given the segmentation's map, and there is no residual R, whose part is to tell two maps of the same F apart.
    The paths part where those of :py:class:`MultiTaskUNet` do.

    Images of any size pass, by the same padding as in :py:class:`MultiTaskUNet`.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of the image.
        num_classes: classes of segmentation and detection, with the background; separation always has two.
        channels: channels at each resolution, the finest first; as many as there shall be resolutions.
        num_multitask_blocks: how many of the ``len(channels) - 1`` up-steps, the finest, each task has for itself.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.
        tasks: as in :py:class:`MultiTaskUNet`.

    Raises:
        ValueError: when an argument is out of its range.

    Examples:
        >>> network = SeparateDecodersUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2)
        >>> network(torch.rand(2, 1, 30, 50)).shape
        torch.Size([2, 8, 30, 50])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 3,
        channels: Sequence[int] = CHANNELS,
        num_multitask_blocks: int = 4,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
        tasks: Sequence[str] = TASKS,
    ) -> None:
        super().__init__(spatial_dims, in_channels, num_classes, channels, num_multitask_blocks, act, norm, dropout, tasks)
        self.decoders = nn.ModuleDict(
            {
                task: nn.ModuleList(
                    UpMerge(spatial_dims, channels[i + 1], channels[i], channels[i], act, norm, dropout)
                    for i in reversed(range(num_multitask_blocks))
                )
                for task in self.tasks
            }
        )
        self.heads = self.make_heads(channels[0], num_classes)
        quicken_norms(self)

    def part(self, tasks: Sequence[str]) -> SeparateDecodersUNet:
        """This network without the decoders of other tasks: see :py:meth:`_TasksUNet.part`."""
        part = super().part(tasks)
        part.decoders = nn.ModuleDict({task: self.decoders[task] for task in part.tasks})
        return part

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits of all tasks, in the channel order of :py:mod:`lazylabels_monai.tasks`."""
        logits: list[Tensor] = []
        for decoder, head in zip(self.decoders.values(), self.heads.values()):  # noqa: B905 - TorchScript knows no strict
            map_ = feature
            for i, merge in enumerate(decoder):
                map_ = merge([map_], skips[len(skips) - 1 - i])[0]
            logits.append(head(map_))
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
        quicken_norms(self)

    def decode(self, feature: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits of the one task."""
        return self.head(feature)
