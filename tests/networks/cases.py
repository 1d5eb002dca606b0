"""Small networks of each kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lazylabels_monai.networks import DMUNet, MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet
from lazylabels_monai.tasks import TASKS, task_slices

CHANNELS = (4, 6, 8, 5)


# class, arguments
NETWORKS = {
    "multi-2d": (MultiTaskUNet, {"num_multitask_blocks": 3}),
    "multi-2d-two-blocks": (MultiTaskUNet, {"num_multitask_blocks": 2, "in_channels": 3, "num_classes": 2}),
    "multi-2d-one-block": (MultiTaskUNet, {"num_multitask_blocks": 1}),
    "multi-2d-no-residual": (MultiTaskUNet, {"num_multitask_blocks": 3, "residual": False}),
    "multi-2d-no-detection": (MultiTaskUNet, {"num_multitask_blocks": 2, "tasks": ["separation", "segmentation"]}),
    "multi-2d-no-separation": (MultiTaskUNet, {"num_multitask_blocks": 2, "tasks": ["segmentation", "detection"]}),
    "multi-2d-half-detection": (MultiTaskUNet, {"num_multitask_blocks": 3, "detection_stride": 2}),
    "multi-2d-narrow": (MultiTaskUNet, {"num_multitask_blocks": 2, "finest_width": 0.5}),
    "multi-2d-light": (
        MultiTaskUNet,
        {"num_multitask_blocks": 3, "detection_stride": 4, "finest_width": 0.5, "separation_conv": "depthwise"},
    ),
    "multi-3d-light": (
        MultiTaskUNet,
        {"spatial_dims": 3, "num_multitask_blocks": 2, "detection_stride": 2, "separation_conv": "depthwise"},
    ),
    "multi-3d": (MultiTaskUNet, {"spatial_dims": 3, "num_multitask_blocks": 2}),
    "separate-2d": (SeparateDecodersUNet, {"num_multitask_blocks": 2}),
    "separate-3d-no-detection": (
        SeparateDecodersUNet,
        {"spatial_dims": 3, "num_multitask_blocks": 3, "tasks": ["segmentation", "separation"]},
    ),
    "single-2d": (SingleTaskUNet, {"num_classes": 4}),
    "single-3d": (SingleTaskUNet, {"spatial_dims": 3, "in_channels": 2}),
    "dense-2d": (DMUNet, {"in_channels": 3, "num_classes": 2}),
    "dense-3d": (DMUNet, {"spatial_dims": 3}),
}


SEVERAL_TASKS = [name for name in NETWORKS if name.startswith(("multi", "separate"))]


every_network = pytest.mark.parametrize("name", NETWORKS)


def build(name, **overrides):
    """A network in evaluation mode whose normalizations are not the identity."""
    cls, arguments = NETWORKS[name]
    torch.manual_seed(0)
    network = cls(**{"channels": CHANNELS, **arguments, **overrides}).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network


def slices_of(name):
    """Channels of the tasks of a network."""
    arguments = NETWORKS[name][1]
    return task_slices(arguments.get("num_classes", 3), arguments.get("tasks", TASKS))


def images(network, *sizes, batch=2):
    """A random image for each size; in 3D the sizes are followed by a third extent."""
    torch.manual_seed(1)
    in_channels = network.down[0].conv_0.conv.in_channels
    return [torch.rand(batch, in_channels, *size, *[10] * (network.spatial_dims - 2)) for size in sizes]
