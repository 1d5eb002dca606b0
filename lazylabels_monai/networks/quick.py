"""The networks' costly layers computed another way on CPUs: the same function to rounding, with the same weights and names.

Where a network is scripted, traced or exported, and on other devices, PyTorch's own layers run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "InstanceNorm2d",
    "InstanceNorm3d",
    "convolve_upsampled",
    "in_predicting_order",
    "is_quick",
    "plainly",
    "quicken_norms",
]

_switched_off = False


@contextmanager
def plainly() -> Iterator[None]:
    """Compute everything by PyTorch's own layers meanwhile, for comparisons; in this whole process."""
    global _switched_off
    before, _switched_off = _switched_off, True
    try:
        yield
    finally:
        _switched_off = before


def is_quick(values: Tensor) -> bool:
    """Whether the other ways apply to a map (B, C, spatial...)."""
    elsewhere = values.device.type != "cpu" or torch.jit.is_tracing() or torch.compiler.is_compiling()
    return not (_switched_off or elsewhere or torch.compiler.is_exporting())


@contextmanager
def in_predicting_order(network: nn.Module) -> Iterator[None]:
    """Keep the weights of a network for pictures in channels-last order meanwhile, in which CPUs predict faster.

    Their training steps are faster in the other order (docs/performance.md). Elsewhere than on a CPU nothing happens.
    """
    turned = [
        weight
        for weight in network.parameters()
        if weight.dim() == 4 and weight.device.type == "cpu" and not weight.is_contiguous(memory_format=torch.channels_last)
    ]
    for weight in turned:
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for weight in turned:
            weight.data = weight.data.contiguous()


class _InstanceNorm:
    """Instance normalization that leaves maps in the order of memory they have.

    PyTorch's own copies channels-last maps to the other order and back, which takes as long as the convolution before it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, spatial...) over its pixels."""
        if not torch.jit.is_scripting():
            known = input.dim() == self._get_no_batch_dim() + 1 and input.shape[1] == self.num_features
            if known and input[0, 0].numel() > 1 and not self.track_running_stats and is_quick(input):
                if input.dim() == 4 and self.affine and input.is_contiguous(memory_format=torch.channels_last):
                    return _ChannelsLast.apply(input, self.weight, self.bias, self.eps)
                return F.group_norm(input, self.num_features, self.weight, self.bias, self.eps)  # a group for each channel
            return super().forward(input)
        return self._apply_instance_norm(input)


class _ChannelsLast(torch.autograd.Function):
    """Batch normalization of one sample at a time: PyTorch's has kernels for channels-last maps both ways."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        out = torch.empty_like(values)
        means, inverse_stds = (weight.new_empty(len(values), len(weight)) for _ in range(2))
        for i in range(len(values)):
            one = slice(i, i + 1)
            into = (out[one], means[i], inverse_stds[i])
            torch.native_batch_norm(values[one], weight, bias, None, None, True, 0.0, eps, out=into)
        ctx.save_for_backward(values, weight, means, inverse_stds)
        ctx.eps = eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, means, inverse_stds = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        parts = [
            torch.ops.aten.native_batch_norm_backward(
                grad[i : i + 1],
                values[i : i + 1],
                weight,
                None,
                None,
                means[i],
                inverse_stds[i],
                True,
                ctx.eps,
                ctx.needs_input_grad[:3],
            )
            for i in range(len(values))
        ]
        to_values, to_weight, to_bias = zip(*parts, strict=True)
        return (
            torch.cat(to_values) if ctx.needs_input_grad[0] else None,
            torch.stack(to_weight).sum(0) if ctx.needs_input_grad[1] else None,
            torch.stack(to_bias).sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d):
    """``torch.nn.InstanceNorm2d``, quicker on CPUs."""


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d):
    """``torch.nn.InstanceNorm3d``, quicker on CPUs."""


_QUICKER = {nn.InstanceNorm2d: InstanceNorm2d, nn.InstanceNorm3d: InstanceNorm3d}


def quicken_norms(network: nn.Module) -> None:
    """Put the quicker instance normalization in place of PyTorch's, with the same parameters."""
    for parent in network.modules():
        for name, child in parent.named_children():
            if (quicker := _QUICKER.get(type(child))) is not None:
                norm = quicker(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
                norm.weight, norm.bias = child.weight, child.bias  # the parameters themselves: paths share them
                setattr(parent, name, norm.train(child.training))


def convolve_upsampled(low: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution, padded with zeros, of a map that is bilinearly upsampled by 2 first (``align_corners=False``).

    Bilinear upsampling by 2 is repeating each pixel twice each way and then smoothing by (1, 2, 1) / 4 each way, and a
    convolution may go before the smoothing. Of repeated pixels it sees no more than 2x2 different ones: four 2x2
    convolutions of the small map, one for each pixel of a quad, take 16/36 of the multiplications, and what is smoothed are the
    convolution's channels, mostly half as many as the map's. What smoothing makes of the pixels outside the image, where the
    convolution shall see zeros, is taken off its outermost rows and columns.

    Args:
        low: (B, C, H, W), 2 pixels or more each way.
        weight: (K, C, 3, 3).

    Returns:
        (B, K, 2H, 2W), to rounding ``conv2d(interpolate(low, scale_factor=2, mode="bilinear"), weight, padding=1)``.
    """
    quads = F.conv2d(F.pad(low, (1, 1, 1, 1), mode="replicate"), _quad_weight(weight))
    channels = weight.shape[0]
    raised = _put_together(quads)  # from one pixel outside the image to one outside its other end
    smoothed = F.conv2d(raised, _smoothing(raised).expand(channels, 1, 3, 3), groups=channels)
    turned, turned_weight = low.transpose(2, 3), weight.transpose(2, 3)
    for end, side in ((0, 0), (-1, 2)):
        # the corners are taken off with the rows, and the columns see zeros there
        row = _beyond(low[:, :, end].unsqueeze(2), weight[:, :, side].unsqueeze(2), "replicate")
        column = _beyond(turned[:, :, end].unsqueeze(2), turned_weight[:, :, side].unsqueeze(2), "constant")
        smoothed[:, :, end].sub_(row.squeeze(2))
        smoothed[:, :, :, end].sub_(column.squeeze(2))
    return smoothed


def _quad_weight(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) -> (4 K, C, 2, 2): a 3x3 convolution of repeated pixels, for each pixel of a quad, odd ones first."""
    for dim in (3, 2):  # columns, rows
        first, middle, last = weight.unbind(dim)
        odd, even = torch.stack([first + middle, last], dim), torch.stack([first, middle + last], dim)
        weight = torch.cat([odd, even])
    return weight.contiguous(memory_format=torch.channels_last)


def _put_together(quads: Tensor) -> Tensor:
    """(B, 4 K, H, W), quads' pixels before channels, -> (B, K, 2H, 2W) in channels-last order."""
    batch, channels, height, width = quads.shape
    pixels = quads.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, channels // 4)
    return pixels.transpose(2, 3).reshape(batch, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


def _smoothing(like: Tensor) -> Tensor:
    once = like.new_tensor([0.25, 0.5, 0.25])
    return once[:, None] * once


def _beyond(line: Tensor, weight: Tensor, corners: str) -> Tensor:
    """What a convolution (K, C, 1, 3) sees in the line of pixels (B, C, 1, W) beyond an image's end: (B, K, 1, 2W)."""
    upsampled = F.interpolate(line, size=(1, 2 * line.shape[3]), mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(upsampled, (1, 1, 0, 0), mode=corners), weight)
