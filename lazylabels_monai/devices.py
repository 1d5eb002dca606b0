"""Which device there is to compute on."""

from __future__ import annotations

import torch

__all__ = ["best_device"]


def best_device() -> torch.device:
    """CUDA where there is a GPU, MPS on a Mac that has it, the CPU otherwise. MPS is not tested by the developers."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
