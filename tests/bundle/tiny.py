"""What the tiny trainings of the tests are made of."""

from __future__ import annotations

import numpy as np
import torch

from lazylabels_monai.networks import MultiTaskUNet

CLASSES = ["air bubble", "ice crystal"]


STEPS = 2  # of an epoch: crops_per_epoch / batch_size in the tiny runs


def network() -> MultiTaskUNet:
    norm = ["INSTANCE", {"affine": True}]  # the bundle's default
    return MultiTaskUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2, norm=norm).eval()


def adam_steps(checkpoint: dict) -> set[int]:
    return {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}


def normalised(image: np.ndarray) -> torch.Tensor:
    """(H, W) gray levels -> (1, 1, W, H), as MONAI orders the axes."""
    image = image.astype(np.float32).T
    image = np.clip(image, *np.percentile(image, (0.1, 99.9)).astype(np.float32))  # the bundle's default
    return torch.from_numpy((image - image.mean()) / image.std())[None, None]
