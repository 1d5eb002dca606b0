"""Whether bfloat16 pays on this computer's CPU: asked of the processor, and then measured, once for a process."""

from __future__ import annotations

import logging
import os
import platform
import time
import warnings
from functools import cache

import torch
import torch.distributed as dist
import torch.nn.functional as F

from lazylabels_monai.training_file import training_facts

__all__ = ["has_bfloat16", "measured_gain", "trains_channels_last", "use_bfloat16"]

logger = logging.getLogger(__name__)

#: So many times as fast as float32 it must be: what is lost in precision shall be worth something, and a machine's choice
#: shall not change with its load.
_WORTH = 1.25


def use_bfloat16(setting: bool | str, device: str | torch.device, resumed: str | os.PathLike | None = None) -> bool:
    """What ``cpu_bfloat16`` of the configs means here.

    Of several processes that train together the first one measures for all.

    Args:
        setting: True: bfloat16, on a processor without its instructions with a warning and in float32; False: float32; "auto":
            what is faster here.
        device: on which the network computes; elsewhere than on a CPU this is False.
        resumed: folder of the training that goes on, which "auto" computes as before: a measurement may come out otherwise.
    """
    if torch.device(device).type != "cpu" or setting in (False, "false"):
        return False
    if setting == "auto":
        before = None if resumed is None else training_facts(resumed).get("settings", {}).get("bfloat16")
        return _is_faster() if before is None else before and has_bfloat16()
    if has_bfloat16():
        return True
    message = "This processor has no bfloat16 instructions (AVX512_BF16 or AMX): float32 is used, drop cpu_bfloat16."
    warnings.warn(message, stacklevel=2)
    return False


def trains_channels_last(spatial_dims: int, device: str | torch.device, cpu_bfloat16: bool | str) -> bool:
    """Whether training steps are faster in channels-last order of memory than in the plain one (docs/performance.md).

    On GPUs they are, and in bfloat16 on CPUs; in float32 on CPUs it is the processor that decides.

    Args:
        spatial_dims: of the network; there is no such order for volumes.
        device: on which it trains.
        cpu_bfloat16: as for :func:`use_bfloat16`.
    """
    return spatial_dims == 2 and (torch.device(device).type != "cpu" or use_bfloat16(cpu_bfloat16, device))


def has_bfloat16() -> bool:
    """Whether the processor has instructions for it; where nobody can say, the user is trusted."""
    # torch.cpu asks the processor under names that are not public yet
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(ask is None or ask() for ask in asked) or "aarch64" in platform.machine()


@cache
def _is_faster() -> bool:
    able = has_bfloat16()  # emulated, a step takes many times as long
    gain = measured_gain() if able else 0.0
    if dist.is_available() and dist.is_initialized():
        found = [gain]
        dist.broadcast_object_list(found)
        gain = found[0]
    if not able:
        return False
    logger.info(f"bfloat16 is {gain:.2f} times as fast as float32 here: {'bfloat16' if gain >= _WORTH else 'float32'} is used.")
    return gain >= _WORTH


def measured_gain(seconds: float = 0.4) -> float:
    """How many times as fast as in float32 a convolution with normalization and activation is in bfloat16 autocast.

    No random number is drawn. Both ways in turns, the fastest of each counts.

    Args:
        seconds: about how long to measure at most.
    """
    values = torch.linspace(-1, 1, 32 * 96 * 96).reshape(1, 32, 96, 96).contiguous(memory_format=torch.channels_last)
    weight = torch.linspace(-0.1, 0.1, 32 * 32 * 9).reshape(32, 32, 3, 3).contiguous(memory_format=torch.channels_last)
    fastest = {False: float("inf"), True: float("inf")}
    end = time.perf_counter() + seconds
    with torch.inference_mode():
        for turn in range(9):
            for reduced in fastest:
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                    made = values
                    for _ in range(2):
                        made = F.leaky_relu(F.group_norm(F.conv2d(made, weight, padding=1), 8), 0.01)
                if turn > 0:  # the first one prepares
                    fastest[reduced] = min(fastest[reduced], time.perf_counter() - start)
            if turn > 0 and time.perf_counter() > end:
                break
    return fastest[False] / fastest[True]
