"""Sliding-window inference that blends probabilities, not logits, on request over mirrored windows too."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.utils import fall_back_tuple

from lazylabels_monai.batch_threads import answer_batch
from lazylabels_monai.errors import LazyLabelsError, is_out_of_memory
from lazylabels_monai.precision import use_bfloat16
from lazylabels_monai.tasks import TASKS, task_slices, total_channels, validate_tasks
from lazylabels_monai.transforms.channels import file_name

__all__ = ["AutocastInferer", "MultiTaskSlidingWindowInferer", "even_overlap", "plane_flips", "task_softmax"]

logger = logging.getLogger(__name__)


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

    On a CPU the samples of a batch are computed side by side (:func:`~lazylabels_monai.batch_threads.answer_batch`).

    Args:
        enabled: False is plain float32. So is True on a CPU without bfloat16 instructions, with a warning: emulated, a step
            takes many times as long.
    """

    def __init__(self, enabled: bool = False) -> None:
        super().__init__()
        self.enabled = use_bfloat16(bool(enabled), "cpu")

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the network's output in float32."""
        spread = partial(answer_batch, network)
        if not self.enabled:
            return super().__call__(inputs, spread, *args, **kwargs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().__call__(inputs, spread, *args, **kwargs).float()


class MultiTaskSlidingWindowInferer(SlidingWindowInferer):
    """MONAI's ``SlidingWindowInferer`` over per-task probabilities (Ke et al. 2020, Sec. 4: overlapping windows are
    blended with a Gaussian weight that favours each window's centre).

    MONAI blends whatever the network returns; the softmax per task is therefore put inside the predictor. A window is never
    larger than the image: MONAI would pad the image with zeros, and instance normalization would take them for a part of it.
    An image of one value shows nothing: it is answered as background, whatever the network makes of it.

    Windows lie evenly: as many as ``overlap`` asks for, each two of an axis overlapping alike. MONAI moves the last one back to
    the image's end, so that it overlaps much and the others no more than they must.

    Where the memory is not enough, fewer windows at a time are tried, down to one, and on a GPU the whole image is put together
    in the computer's own memory; what was enough is kept for the images to come. Windows stay as large as they are, as another
    size would give another answer.

    Args:
        num_classes: number of classes with background.
        tasks: the tasks in the network's output.
        answered: those of them in the answer, whose channels are those of a network that learned no others; default all. What
            only other tasks need is not computed where the network can leave it out (its method ``part``).
        bfloat16: whether the network computes in bfloat16 on a CPU; probabilities are float32.
        mirroring: each window is predicted in its mirror images too (:func:`plane_flips`), and the mean of the probabilities is
            taken (as nnU-Net does: Isensee et al. 2021): a little more accurate, and four times slower.
        args, kwargs: those of ``SlidingWindowInferer``; ``mode`` is "gaussian" unless told otherwise.
    """

    def __init__(
        self,
        *args: Any,
        num_classes: int,
        tasks: Sequence[str] = TASKS,
        answered: Sequence[str] | None = None,
        mirroring: bool = False,
        bfloat16: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("mode", "gaussian")
        super().__init__(*args, **kwargs)
        self.num_classes = num_classes
        self.tasks = tuple(tasks)
        self.mirroring = mirroring
        # not public: how much of an answer is computed, and how, is no part of what the answer is (stamps.described)
        self._answered, self._bfloat16 = validate_tasks(answered or tasks), bfloat16
        self._tried = 0  # ways to save memory that were not enough
        slices = task_slices(num_classes, self.tasks)  # a wrong task name is told here, not at the first image
        if unlearned := [task for task in self._answered if task not in slices]:
            raise ValueError(f"answered {list(self._answered)}: the network gives no {unlearned[0]}, only {list(self.tasks)}.")

    @property
    def answered(self) -> tuple[str, ...]:
        """The tasks in the answer, in channel order."""
        return self._answered

    def answering(self, tasks: Sequence[str]) -> MultiTaskSlidingWindowInferer:
        """This inferer for others of the network's tasks."""
        other = copy(self)
        other._answered = validate_tasks(tasks)
        return other

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, windows: int = 1, **kwargs: Any
    ) -> torch.Tensor:
        """Return blended probabilities (B, sum of classes of ``answered``, spatial...) for ``inputs`` (B, C, spatial...).

        With ``windows`` above 1 the input is that many pictures side by side along its first spatial axis, and each is answered
        on its own.

        Raises:
            LazyLabelsError: for an image of other axes than the window has, when the memory is not enough for a single window,
                and when the network's answer is not finite, which would read as background.
        """
        _check_axes(inputs, self.roi_size)
        if windows > 1:
            answers = self(torch.cat(inputs.chunk(windows, dim=2)), network, *args, **kwargs)
            return torch.cat(answers.chunk(windows), dim=2)

        clipped = copy(self)  # not a change of this one, which other threads may be using
        clipped.roi_size = tuple(map(min, fall_back_tuple(self.roi_size, inputs.shape[2:]), inputs.shape[2:]))
        clipped.overlap = even_overlap(inputs.shape[2:], clipped.roi_size, self.overlap)
        if self.roi_weight_map is not None and tuple(self.roi_weight_map.shape) != clipped.roi_size:
            clipped.roi_weight_map = None  # the one that ``cache_roi_weight_map`` keeps is as large as a whole window
        answer = self._within_memory(clipped, inputs, self.predictor(network), *args, **kwargs)
        answer = self._background_where_constant(inputs, answer)
        if not torch.isfinite(answer).all():
            raise LazyLabelsError(
                f"image '{file_name(inputs)}': the network's answer is not finite, so that its training or its precision is at "
                "fault: take the weights of another training, or set amp to false where that is on."
            )
        return answer

    def predictor(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """What gives the probabilities (B, sum of classes of ``answered``, spatial...) of windows (B, C, spatial...)."""
        part, channels = self._part(network)

        def predictor(window: torch.Tensor, *a: Any, **k: Any) -> torch.Tensor:
            mirrored = plane_flips(self.mirroring)
            total: torch.Tensor | float = 0.0
            for dims in mirrored:
                with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16 and window.device.type == "cpu"):
                    logits = answer_batch(part, torch.flip(window, dims) if dims else window, *a, **k)
                if channels is not None:
                    self._require_channels(logits)
                    logits = logits[:, channels]
                probabilities = task_softmax(logits, self.num_classes, self._answered)
                total = total + (torch.flip(probabilities, dims) if dims else probabilities)
            return total / len(mirrored)

        return predictor

    def _part(self, network: Callable[..., torch.Tensor]) -> tuple[Callable[..., torch.Tensor], list[int] | None]:
        """What answers, and the channels to take of its answer; None: all."""
        if self._answered == validate_tasks(self.tasks):
            return network, None
        if hasattr(network, "part"):
            return network.part(self._answered), None
        slices = task_slices(self.num_classes, self.tasks)
        return network, [channel for task in self._answered for channel in range(slices[task].start, slices[task].stop)]

    def _require_channels(self, logits: torch.Tensor) -> None:
        if logits.shape[1] != (expected := total_channels(self.num_classes, self.tasks)):
            raise ValueError(f"the network gives {logits.shape[1]} channels but tasks {list(self.tasks)} have {expected}.")

    def _within_memory(self, clipped: SlidingWindowInferer, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        ways = list(self._ways(inputs.device))
        for number in range(min(self._tried, len(ways) - 1), len(ways)):
            clipped.sw_batch_size, clipped.device = ways[number]
            try:
                answer = SlidingWindowInferer.__call__(clipped, inputs, *args, **kwargs)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if number == len(ways) - 1:
                    half = [max(1, size // 2) for size in clipped.roi_size]
                    raise LazyLabelsError(
                        f"image '{file_name(inputs)}': the memory is not enough for a single window of "
                        f"{' x '.join(map(str, clipped.roi_size))} pixels: write window_size: {half} into a config file of "
                        "yours and name that by --config (--config_file of monai.bundle), or close other programs."
                    ) from error
            else:
                self._tried = number
                return answer
            # outside of the except block, which would keep all that the attempt had allocated
            if inputs.device.type == "cuda":
                torch.cuda.empty_cache()
            size, device = ways[number + 1]
            where = f"{size} window{'s' * (size > 1)} at a time" if device is None else "the image put together outside the GPU"
            logger.warning(f"the memory was not enough for {ways[number][0]} windows at a time; it goes on with {where}.")
        raise AssertionError("unreachable")

    def _ways(self, device: torch.device) -> Iterator[tuple[int, Any]]:
        """Windows at a time, and where the image is put together, each way with less memory than the one before."""
        size = int(self.sw_batch_size)
        while size > 1:
            yield size, self.device
            size //= 2
        yield 1, self.device
        if device.type != "cpu" and self.device is None:
            yield 1, "cpu"

    def _background_where_constant(self, inputs: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        pixels = inputs.flatten(2)
        constant = (pixels.amin(2) == pixels.amax(2)).all(1).to(answer.device)
        if constant.any():
            for channels in task_slices(self.num_classes, self._answered).values():
                answer[constant, channels] = 0
                answer[constant, channels.start] = 1
        return answer


def even_overlap(size: Sequence[int], window: Sequence[int], overlap: float | Sequence[float]) -> tuple[float, ...]:
    """The overlap with which MONAI lays as many windows as with the given one, and lays them evenly.

    Args:
        size, window: pixels of each axis; a window is at most the image.
        overlap: from 0 and below 1, of all axes or of each.
    """
    asked = overlap if isinstance(overlap, Sequence) else [overlap] * len(size)
    even = []
    for length, side, share in zip(size, window, asked, strict=True):
        if length <= side:
            even.append(share)
            continue
        most = max(1, int(side * (1 - share)))  # as MONAI has it
        step = math.ceil((length - side) / math.ceil((length - side) / most))
        even.append(max(0.0, 1 - (step + 0.5) / side))  # half a pixel more: MONAI rounds down
    return tuple(even)


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
