"""Sliding-window inference that blends probabilities, not logits, on request over mirrored windows too."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.utils import fall_back_tuple

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import TASKS, task_slices, total_channels

__all__ = ["AutocastInferer", "MultiTaskSlidingWindowInferer", "plane_flips", "task_softmax"]


def plane_flips(flips: bool = True) -> tuple[tuple[int, ...], ...]:
    """Axes of a batch (B, C, spatial...) that are flipped in each view: none, the first, the second, and both of the plane.

    They are the flips of the training. A volume is flipped in the plane likewise, its third axis never: microscopes resolve
    that one differently. ``flips=False`` is the one view of the image as it is.
    """
    return ((), (2,), (3,), (2, 3)) if flips else ((),)


def task_softmax(logits: torch.Tensor, num_classes: int, tasks: Sequence[str] = TASKS) -> torch.Tensor:
    """Softmax over the channels of each task.

    Args:
        logits: (B, sum of classes, spatial...).
        num_classes: number of classes with background.
        tasks: the tasks in the output, in channel order.

    Returns:
        probabilities in float32, same shape; the channels of each task sum to 1.

    Raises:
        ValueError: when there are more or fewer channels than the tasks have: slices would be those of other tasks.
    """
    if logits.shape[1] != (expected := total_channels(num_classes, tasks)):
        raise ValueError(f"the network gives {logits.shape[1]} channels but tasks {list(tasks)} have {expected}.")
    parts = [logits[:, channels].float().softmax(dim=1) for channels in task_slices(num_classes, tasks).values()]
    return torch.cat(parts, dim=1)


class AutocastInferer(SimpleInferer):
    """MONAI's ``SimpleInferer`` with bfloat16 autocast on the CPU; its engines' ``amp`` knows CUDA only.

    Args:
        enabled: False is plain float32. So is True on a CPU without bfloat16 instructions, with a warning: emulated, a step
            takes many times as long.
    """

    def __init__(self, enabled: bool = False) -> None:
        super().__init__()
        self.enabled = enabled and _has_bfloat16()
        if enabled and not self.enabled:
            message = "This processor has no bfloat16 instructions (AVX512_BF16 or AMX): float32 is used, drop cpu_bfloat16."
            warnings.warn(message, stacklevel=2)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the network's output in float32."""
        if not self.enabled:
            return super().__call__(inputs, network, *args, **kwargs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().__call__(inputs, network, *args, **kwargs).float()


def _has_bfloat16() -> bool:
    # torch.cpu asks the processor under names that are not public yet; without them nothing is known, and the user is trusted
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(ask is None or ask() for ask in asked) or "aarch64" in platform.machine()


class MultiTaskSlidingWindowInferer(SlidingWindowInferer):
    """MONAI's ``SlidingWindowInferer`` over per-task probabilities (Ke et al. 2020, Sec. 4: overlapping windows are
    blended with a Gaussian weight that favours each window's centre).

    MONAI blends whatever the network returns; the softmax per task is therefore put inside the predictor. A window is never
    larger than the image: MONAI would pad the image with zeros, and instance normalization would take them for a part of it.
    An image of one value shows nothing: it is answered as background, whatever the network makes of it.

    Args:
        num_classes: number of classes with background.
        tasks: the tasks in the network's output.
        mirroring: each window is predicted in its mirror images too (:func:`plane_flips`), and the mean of the probabilities is
            taken (as nnU-Net does: Isensee et al. 2021): a little more accurate, and four times slower.
        args, kwargs: those of ``SlidingWindowInferer``; ``mode`` is "gaussian" unless told otherwise.
    """

    def __init__(
        self, *args: Any, num_classes: int, tasks: Sequence[str] = TASKS, mirroring: bool = False, **kwargs: Any
    ) -> None:
        kwargs.setdefault("mode", "gaussian")
        super().__init__(*args, **kwargs)
        self.num_classes = num_classes
        self.tasks = tuple(tasks)
        self.mirroring = mirroring
        task_slices(num_classes, self.tasks)  # a wrong task name is told here, not at the first image

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return blended probabilities (B, sum of classes, spatial...) for ``inputs`` (B, C, spatial...).

        Raises:
            LazyLabelsError: for an image of other axes than the window has.
        """
        _check_axes(inputs, self.roi_size)

        def predictor(window: torch.Tensor, *a: Any, **k: Any) -> torch.Tensor:
            mirrored = plane_flips(self.mirroring)
            total: torch.Tensor | float = 0.0
            for dims in mirrored:
                logits = network(torch.flip(window, dims) if dims else window, *a, **k)
                probabilities = task_softmax(logits, self.num_classes, self.tasks)
                total = total + (torch.flip(probabilities, dims) if dims else probabilities)
            return total / len(mirrored)

        clipped = copy(self)  # not a change of this one, which other threads may be using
        clipped.roi_size = tuple(map(min, fall_back_tuple(self.roi_size, inputs.shape[2:]), inputs.shape[2:]))
        if self.roi_weight_map is not None and tuple(self.roi_weight_map.shape) != clipped.roi_size:
            clipped.roi_weight_map = None  # the one that ``cache_roi_weight_map`` keeps is as large as a whole window
        answer = SlidingWindowInferer.__call__(clipped, inputs, predictor, *args, **kwargs)
        return self._background_where_constant(inputs, answer)

    def _background_where_constant(self, inputs: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        pixels = inputs.flatten(2)
        constant = (pixels.amin(2) == pixels.amax(2)).all(1)
        if constant.any():
            for channels in task_slices(self.num_classes, self.tasks).values():
                answer[constant, channels] = 0
                answer[constant, channels.start] = 1
        return answer


def _check_axes(inputs: torch.Tensor, window: Sequence[int] | int) -> None:
    """Refuse a volume where pictures are predicted, and the other way round."""
    axes, wanted = inputs.ndim - 2, inputs.ndim - 2 if isinstance(window, int) else len(window)
    if axes != wanted:
        named = (getattr(inputs, "meta", None) or {}).get("filename_or_obj", "the image")
        name = named if isinstance(named, str) else next(iter(named), "the image")
        raise LazyLabelsError(
            f"'{name}' has {axes} axes where the network was trained on images of {wanted}: give "
            f"{'pictures, such as the planes of a stack one by one' if wanted == 2 else 'volumes'}, or other weights."
        )
