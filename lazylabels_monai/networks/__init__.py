"""The multi-task U-Net and the single-task U-Net that it is compared with."""

from __future__ import annotations

from .blocks import MultiTaskBlock
from .nets import MultiTaskUNet, SingleTaskUNet

__all__ = ["MultiTaskBlock", "MultiTaskUNet", "SingleTaskUNet"]
