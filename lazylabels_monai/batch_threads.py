"""The samples of a batch side by side, each computed by threads of its own.

torch splits every operation over all threads, which wait for each other at its end. Where another program has one of the
cores, all wait each time for the thread that shares that core, hundreds of times in a step. Samples do not depend on each
other: when each has threads of its own, these wait for each other once in a forward pass and once in a backward pass. The
answer is the same but for rounding. Measured in docs/performance.md, "Threads on a busy machine".
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import torch
from monai.data import MetaTensor
from monai.networks.layers import DropPath
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from lazylabels_monai.threads import compute_with

__all__ = ["answer_batch"]

T, R = TypeVar("T"), TypeVar("R")
_lock = threading.Lock()


def answer_batch(network: Callable[..., Tensor], inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``network(inputs, *args, **kwargs)``, on a CPU with its samples side by side where they do not depend on each other.

    They do in batch normalization that looks at the batch and where chance is asked (dropout); such networks, those of other
    devices and wrapped ones are called as they are. As many parts are made as divide both the samples and torch's threads, at
    most, and each has its share of the threads. Autocast and the grad mode of the caller hold in all of them.

    Args:
        network: gives one tensor whose first axis is that of ``inputs``; what it learns are its own parameters.
        inputs: (B, C, spatial...).
        args, kwargs: of the network; the same for all samples.

    Returns:
        (B, ...), of the type of ``inputs`` (its metadata included where it has some), with the graph for one backward pass
        where gradients are recorded.
    """
    count = math.gcd(inputs.shape[0], torch.get_num_threads()) if inputs.device.type == "cpu" else 1
    if count < 2 or not _independent(network) or inputs.requires_grad:
        return network(inputs, *args, **kwargs)
    answer = _in_this_state(lambda part: network(part, *args, **kwargs))
    outputs = _spread(answer, inputs.as_subclass(Tensor).chunk(count))
    if not all(isinstance(output, Tensor) for output in outputs):
        return network(inputs, *args, **kwargs)  # such as deep supervision: not ours to put together
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    learns = torch.is_grad_enabled() and all(output.requires_grad for output in outputs)
    together = _Together.apply(outputs, *weights) if learns else torch.cat(outputs)
    return MetaTensor(together).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else together


class _Together(torch.autograd.Function):
    """The outputs of all parts as one tensor; backwards, each part's graph by its own threads, and the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, outputs: Sequence[Tensor], *weights: Tensor) -> Tensor:
        ctx.outputs, ctx.weights = outputs, weights
        return torch.cat([output.detach() for output in outputs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        outputs, weights = ctx.outputs, ctx.weights
        if outputs is None:
            raise RuntimeError("samples side by side have one backward pass: call the network itself where there are more.")
        ctx.outputs = None  # and their graphs
        parts = gradient.split([len(output) for output in outputs])

        def back(pair: tuple[Tensor, Tensor]) -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(pair[0], weights, pair[1], allow_unused=True)

        found = _spread(back, list(zip(outputs, parts, strict=True)))
        return None, *(_sum(of_weight) for of_weight in zip(*found, strict=True))


def _sum(gradients: Sequence[Tensor | None]) -> Tensor | None:
    """In the order of the samples, so that it is the same each time."""
    first, *others = [gradient for gradient in gradients if gradient is not None] or [None]
    for other in others:
        first = first + other
    return first


def _independent(network: Callable[..., Tensor]) -> bool:
    """Whether no sample's answer, nor what the network keeps, depends on another sample or on chance."""
    if not isinstance(network, nn.Module) or isinstance(network, nn.parallel.DistributedDataParallel):
        return False
    if isinstance(network, torch.jit.ScriptModule) and network.training:  # its modules do not say what they are
        return False
    for module in network.modules():
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            return False
        if isinstance(module, _NormBase) and module.training and module.track_running_stats:
            return False
        # asked of each module, as dropout alone may be on (predicting.uncertainty)
        if isinstance(module, _DropoutNd) and module.training and module.p > 0:
            return False
        if isinstance(module, DropPath) and module.training and module.drop_prob > 0:
            return False
    return not any(weight._backward_hooks for weight in network.parameters())  # would be called for each part


def _in_this_state(function: Callable[[T], R]) -> Callable[[T], R]:
    """A function that runs in any thread as it would here: torch keeps grad mode and autocast for each thread.

    But all threads share the weights that autocast has cast, and the first to end empties them; how often a weight is cast, and
    in which precision its gradients are added up, would be chance. So they are not kept.
    """
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    reduced, kind = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def call(argument: T) -> R:
        autocast = torch.autocast("cpu", kind, enabled=reduced, cache_enabled=False)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients), autocast:
            return function(argument)

    return call


def _spread(function: Callable[[T], R], arguments: Sequence[T]) -> list[R]:
    """What a function makes of each argument, all at once; where one fails the others end first, as they hold memory."""
    with _lock:
        pool = _pool(os.getpid(), len(arguments), torch.get_num_threads())
    begun = [pool.submit(function, argument) for argument in arguments]
    wait(begun)
    return [one.result() for one in begun]


@cache
def _pool(process: int, count: int, threads: int) -> ThreadPoolExecutor:
    """``count`` threads among which torch's ``threads`` are shared out; a forked process has none of its parent's."""
    return ThreadPoolExecutor(count, "lazylabels-batch", initializer=lambda: compute_with(threads // count, threads))
