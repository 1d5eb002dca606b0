"""How fast this machine trains and predicts. Figures for people; nothing is asserted on them."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import torch

from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.tasks import TASKS, num_task_classes, present_key

__all__ = ["format_bench", "run_bench"]

NUM_CLASSES = 3


def _seconds(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median seconds of a call after one warm-up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def run_bench(
    device: str = "cpu",
    steps: int = 5,
    channels: tuple[int, ...] = (16, 32, 64, 128, 256),
    batch_size: int = 8,
    crop: int = 128,
    image: tuple[int, int] = (512, 512),
) -> dict[str, object]:
    """Time a training step and the prediction of one image.

    Args:
        device: torch device.
        steps: timed repeats of each; the median counts.
        channels: widths of the network.
        batch_size: crops in a step.
        crop: size of the crops in pixels; inference windows are twice as large, as in the bundle.
        image: size of the predicted image in pixels.

    Returns:
        sizes, machine and seconds.
    """
    target_device = torch.device(device)
    network = MultiTaskUNet(num_classes=NUM_CLASSES, channels=channels).to(target_device)
    loss = MaskedMultiTaskLoss(NUM_CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)
    inputs = torch.randn(batch_size, 1, crop, crop, device=target_device)
    target = {}
    for task in TASKS:
        classes = num_task_classes(task, NUM_CLASSES)
        target[task] = torch.randint(0, classes, (batch_size, 1, crop, crop), device=target_device)
        target[present_key(task)] = torch.ones(batch_size, device=target_device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network(inputs), target).backward()
        optimizer.step()

    training = _seconds(step, steps, target_device)
    network.eval()
    window = (2 * crop, 2 * crop)
    inferer = MultiTaskSlidingWindowInferer(window, sw_batch_size=2, overlap=0.5, num_classes=NUM_CLASSES)
    picture = torch.randn(1, 1, *image, device=target_device)
    with torch.no_grad():
        prediction = _seconds(lambda: inferer(picture, network), max(1, steps // 2), target_device)
    return {
        "device": torch.cuda.get_device_name(target_device) if target_device.type == "cuda" else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "channels": channels,
        "batch": batch_size,
        "crop": crop,
        "image": image,
        "training step [s]": training,
        "training crops/s": batch_size / training,
        "prediction [s]": prediction,
    }


def format_bench(result: dict[str, object]) -> str:
    """One line a figure."""
    return "\n".join(
        f"{key:<20}{value:.3f}" if isinstance(value, float) else f"{key:<20}{value}" for key, value in result.items()
    )
