"""Holoscan's libraries need CUDA's runtime, on machines without a GPU, too."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

__all__ = ["preload_cuda_runtime"]


def preload_cuda_runtime() -> None:
    """Load the CUDA runtime of the wheel ``nvidia-cuda-runtime`` before anything imports MONAI.

    With monai-deploy-app-sdk installed, ``import monai`` imports Holoscan, which looks for the runtime where the linker
    looks: the wheel's folder is not among those unless ``LD_LIBRARY_PATH`` names it. A library that is loaded already
    serves as well. Without the wheel nothing happens: the machine's own CUDA is taken then.
    """
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec is not None else ():
        for library in sorted(Path(root).glob("cu13/lib/libcudart.so.*")):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
