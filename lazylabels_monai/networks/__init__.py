"""The multi-task U-Net, and the networks that it is compared with."""

from __future__ import annotations

from lazylabels_monai.networks.blocks import MultiTaskBlock
from lazylabels_monai.networks.dmunet import DMUNet
from lazylabels_monai.networks.nets import MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet

__all__ = ["DMUNet", "MultiTaskBlock", "MultiTaskUNet", "SeparateDecodersUNet", "SingleTaskUNet"]
