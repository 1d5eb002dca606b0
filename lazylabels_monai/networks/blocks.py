"""The blocks of the expanding path: Eq. 4 of Ke et al. 2020."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import ADN, Convolution, UpSample
from torch import Tensor, nn

from lazylabels_monai.networks.quick import convolve_upsampled, is_quick
from lazylabels_monai.tasks import TASKS

__all__ = ["ACT", "NORM", "DepthwiseMerge", "MultiTaskBlock", "UpMerge", "shallow"]

#: The paper's activation, in the form MONAI's factories read.
ACT = ("LEAKYRELU", {"negative_slope": 0.01, "inplace": True})

#: The paper's normalization.
NORM = "BATCH"

#: Pixels each way from which on :func:`~lazylabels_monai.networks.quick.convolve_upsampled` is quicker.
_WORTHWHILE = 32


class UpMerge(nn.Module):
    """Upsample a map, join it with a skip connection and apply two sub-blocks: the paper's F and G.

    The first sub-block's convolution over the concatenation ``(up, skip)`` is kept as two convolutions whose results
    are added: the same function, but several maps that share one skip then pay for the skip's part only once. Each
    map passes the rest by itself, as Eq. 4 has it: batch statistics over all of them would let the segmentation's
    residual R reach detection while training. The paths share every weight but keep running averages of their own in
    batch normalization: one average over both would be that of neither.

    Upsampling is bilinear (trilinear in 3D) with ``align_corners=False``: what a pixel becomes does not depend on how
    large the image or the window around it is.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of a map from below.
        skip_channels: channels of the skip connection.
        out_channels: channels of the result.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.
        paths: how many maps it merges at most.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
        paths: int = 1,
    ) -> None:
        super().__init__()
        self.up = UpSample(
            spatial_dims, in_channels, in_channels, mode="nontrainable", interp_mode="linear", align_corners=False
        )
        self.conv_up = Convolution(spatial_dims, in_channels, out_channels, conv_only=True, bias=False)
        self.conv_skip = Convolution(spatial_dims, skip_channels, out_channels, conv_only=True)
        tail = nn.Sequential(
            ADN("NDA", out_channels, act=act, norm=norm, norm_dim=spatial_dims, dropout=dropout, dropout_dim=1),
            Convolution(spatial_dims, out_channels, out_channels, act=act, norm=norm, dropout=dropout),
        )
        self.tails = nn.ModuleList([tail, *(_twin(tail) for _ in range(paths - 1))])
        # PyTorch's default initialisation of one convolution over the concatenation
        bound = 1 / math.sqrt((in_channels + skip_channels) * 3**spatial_dims)
        for parameter in (*self.conv_up.parameters(), *self.conv_skip.parameters()):
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, maps: list[Tensor], skip: Tensor) -> list[Tensor]:
        """Merge each of ``maps`` with ``skip``.

        Args:
            maps: maps from one level below, each of shape BCHW[D]; at most ``paths``.
            skip: map of shape BCHW[D], twice as large in each spatial dimension.

        Returns:
            a map for each of ``maps``, of the skip's spatial size.
        """
        from_skip = self.conv_skip(skip)
        merged: list[Tensor] = []
        for i, tail in enumerate(self.tails):
            if i < len(maps):
                merged.append(tail(self.raised(maps[i]).add_(from_skip)))
        return merged

    def raised(self, low: Tensor) -> Tensor:
        """The part of the first convolution that sees the upsampled map (B, C, spatial...)."""
        if not torch.jit.is_scripting():  # noqa: SIM102 - in one condition TorchScript would compile the rest, too
            # in a training step it costs on the way back what it saves
            if low.dim() == 4 and min(low.shape[2:]) >= _WORTHWHILE and not torch.is_grad_enabled() and is_quick(low):
                return convolve_upsampled(low, self.conv_up.conv.weight)
        return self.conv_up(self.up(low))


class DepthwiseMerge(nn.Module):
    """:py:class:`UpMerge` for one map with depthwise convolutions: a fraction of its products.

    Each 3x3 convolution is a 1x1 convolution and then a 3x3 convolution of every channel by itself (Haase & Amthor 2020:
    blueprint separable convolutions): an :py:class:`UpMerge` in whose filters the kernels of one output channel differ by
    a factor only. Without a bias between the two, the 1x1 convolution gives the same before as after upsampling, and there
    it sees a quarter of the pixels.

    Args:
        spatial_dims, in_channels, skip_channels, out_channels, act, norm, dropout: those of :py:class:`UpMerge`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
    ) -> None:
        super().__init__()
        pointwise = {"kernel_size": 1, "conv_only": True, "bias": False}
        of_each = {"kernel_size": 3, "groups": out_channels}
        self.up = UpSample(
            spatial_dims, out_channels, out_channels, mode="nontrainable", interp_mode="linear", align_corners=False
        )
        self.conv_up = Convolution(spatial_dims, in_channels, out_channels, **pointwise)
        self.conv_skip = Convolution(spatial_dims, skip_channels, out_channels, **pointwise)
        self.tail = nn.Sequential(
            Convolution(spatial_dims, out_channels, out_channels, act=act, norm=norm, dropout=dropout, **of_each),
            Convolution(spatial_dims, out_channels, out_channels, **pointwise),
            Convolution(spatial_dims, out_channels, out_channels, act=act, norm=norm, dropout=dropout, **of_each),
        )
        bound = 1 / math.sqrt(in_channels + skip_channels)  # of one convolution over the concatenation
        for convolution in (self.conv_up, self.conv_skip):
            nn.init.uniform_(convolution.conv.weight, -bound, bound)

    def forward(self, maps: list[Tensor], skip: Tensor) -> list[Tensor]:
        """Merge the one map of ``maps`` with ``skip``: see :py:meth:`UpMerge.forward`."""
        return [self.tail(self.up(self.conv_up(maps[0])) + self.conv_skip(skip))]


def shallow(module: nn.Module) -> Any:
    """A copy that holds the parts of ``module`` themselves, and may hold others in their place."""
    made = copy.copy(module)
    for name in ("_parameters", "_buffers", "_modules"):  # dictionaries that a copy would share
        made.__dict__[name] = dict(getattr(module, name))
    return made


def _twin(module: nn.Module) -> nn.Module:
    """A copy with buffers of its own whose parameters are those of ``module`` themselves."""
    twin = copy.deepcopy(module)
    for name, parameter in module.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(twin.get_submodule(owner), leaf, parameter)
    return twin


def _begin_as_zero(block: Convolution, norm: str | tuple | None) -> None:
    """Let a sub-block without activation give zero until it has learnt something."""
    last = block.conv if norm is None else block.adn.N
    if last.weight is None:
        raise ValueError(f"zero_init_residual needs a norm with weights, as [INSTANCE, {{affine: true}}] has; {norm} has none.")
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)


class MultiTaskBlock(nn.Module):
    """One resolution of the expanding path with a map for each task: Eq. 4 of Ke et al. 2020.

    With ``c`` the skip connection and ``up`` the upsampling::

        x' = F(up(x), c)        detection
        h  = F(up(z), c)        the same F: the same weights
        z' = h + R(h)           segmentation
        y' = G(up(y), z')       separation: its skip is the segmentation's map

    F and G are :py:class:`UpMerge`. R is a sub-block and then a second one without activation: a leaky ReLU at its
    end would leave R(h) hardly negative, and what it learns, the difference between a rough region and the object's
    outline, has to take away as well as to add.

    A task that is left out has no weights here: without separation there is no G, without detection F serves z alone.

    Cheaper than Eq. 4 it is where detection ends below this resolution (``tasks`` without it: x passes as it came), with
    fewer ``refining_channels`` than ``out_channels``, and with a depthwise G.

    Args:
        spatial_dims: number of spatial dimensions, 2 or 3.
        in_channels: channels of each map from below.
        skip_channels: channels of the skip connection.
        out_channels: channels of each result.
        residual: whether there is an R; without it z' = h.
        zero_init_residual: let R begin as zero, so that z' = h at first, as Goyal et al. 2017 (Sec. 5.1) begin the residual
            blocks of a ResNet: R's last normalization (without one its last convolution) gets the weight 0. The paper does
            not say how it begins.
        act: activation, in the form MONAI's factories read.
        norm: normalization, likewise.
        dropout: dropout ratio after each normalization; 0 is none.
        tasks: the tasks whose maps it carries; segmentation's always is.
        refining_channels: channels between R's two sub-blocks, and of G and its result; default ``out_channels``.
        separation_conv: "full" for G as :py:class:`UpMerge`, "depthwise" as :py:class:`DepthwiseMerge`.

    Raises:
        ValueError: when R shall begin as zero and ``norm`` has no weight that could.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        residual: bool = True,
        act: str | tuple = ACT,
        norm: str | tuple | None = NORM,
        dropout: float | tuple = 0.0,
        tasks: Sequence[str] = TASKS,
        zero_init_residual: bool = False,
        refining_channels: int | None = None,
        separation_conv: str = "full",
    ) -> None:
        super().__init__()
        self.detects = "detection" in tasks
        paths = 2 if self.detects else 1
        narrow = out_channels if refining_channels is None else refining_channels
        self.shared = UpMerge(spatial_dims, in_channels, skip_channels, out_channels, act, norm, dropout, paths)
        self.residual = (
            nn.Sequential(
                Convolution(spatial_dims, out_channels, narrow, act=act, norm=norm, dropout=dropout),
                Convolution(spatial_dims, narrow, out_channels, act=None, norm=norm, dropout=dropout),
            )
            if residual
            else None
        )
        if self.residual is not None and zero_init_residual:
            _begin_as_zero(self.residual[-1], norm)
        merge = DepthwiseMerge if separation_conv == "depthwise" else UpMerge
        self.separation = (
            merge(spatial_dims, in_channels, out_channels, narrow, act, norm, dropout) if "separation" in tasks else None
        )

    def part(self, tasks: Sequence[str], path: int) -> MultiTaskBlock:
        """This block without what only other tasks need, with its own weights.

        Args:
            tasks: those whose maps it shall carry, segmentation among them.
            path: of F that segmentation's map goes where detection has none: 0 where the paths part, where one map is that of
                both, 1 after R has told the two apart.
        """
        part = shallow(self)
        if self.detects and "detection" not in tasks:
            part.detects = False
            part.shared = shallow(self.shared)
            part.shared.tails = nn.ModuleList([self.shared.tails[min(path, len(self.shared.tails) - 1)]])
        if "separation" not in tasks:
            part.separation = None
        return part

    def forward(self, x: Tensor, z: Tensor, y: Tensor, skip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Carry the three maps one level up.

        Where ``x`` and ``z`` are one and the same tensor, as where the paths part, F runs once.

        Args:
            x: detection map of shape BCHW[D]; without detection here of any shape.
            z: segmentation map of the same shape.
            y: separation map of the same shape.
            skip: map of the contracting path, twice as large in each spatial dimension.

        Returns:
            the new x, z and y, of the skip's spatial size. The map of a task that is left out is returned as it came.
        """
        if not self.detects:
            z = self.shared([z], skip)[0]
        else:
            merged = self.shared([x] if x is z else [x, z], skip)
            x, z = merged[0], merged[-1]
        if self.residual is not None:
            z = self.residual(z).add_(z)
        if self.separation is not None:
            y = self.separation([y], z)[0]
        return x, z, y
