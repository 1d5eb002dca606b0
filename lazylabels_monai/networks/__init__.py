"""The multi-task U-Net, and the networks that it is compared with."""

from __future__ import annotations

from .blocks import MultiTaskBlock
from .dmunet import DMUNet
from .nets import MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet

__all__ = ["DMUNet", "MultiTaskBlock", "MultiTaskUNet", "SeparateDecodersUNet", "SingleTaskUNet"]
