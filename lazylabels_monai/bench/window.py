"""How fast a picture is predicted in windows, against MONAI's inferer around the plain network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.inferers import SlidingWindowInferer

from lazylabels_monai.bench.tasks import CHANNELS, CLASSES, NORM, PART, REDUCED, WHOLE
from lazylabels_monai.bench.timing import describe_machine, interleaved
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.networks.quick import plainly
from lazylabels_monai.precision import use_bfloat16

__all__ = ["section"]

WINDOW = 256  # of configs/cpu.yaml
MONAI = "MONAI's inferer, PyTorch's own layers"
#: Beside the others where the bundle takes bfloat16 by itself.
REDUCED_PART = f"{PART}, bfloat16"


def section(
    repeats: int = 5,
    channels: tuple[int, ...] = CHANNELS,
    window: int = WINDOW,
    image: tuple[int, int] = (384, 512),
) -> str:
    """Time the prediction of one picture and write the section.

    Args:
        repeats: of each, in turns.
        channels: widths of the network.
        window: side of the windows in pixels.
        image: size of the picture in pixels.
    """
    torch.manual_seed(0)
    network = MultiTaskUNet(num_classes=CLASSES, channels=channels, norm=NORM, num_multitask_blocks=len(channels) - 1)
    network = network.eval().to(memory_format=torch.channels_last)
    picture = torch.randn(1, 1, *image)
    seen: list[int] = []  # by several threads
    handle = network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))

    def monais() -> None:
        with plainly():
            SlidingWindowInferer((window, window), 2, 0.5, mode="gaussian")(picture, network)

    def ours(overlap: float = 0.5, batch: int = 2, **given: object) -> Callable[[], object]:
        inferer = MultiTaskSlidingWindowInferer((window, window), batch, overlap, num_classes=CLASSES, **given)
        return lambda: inferer(picture, network)

    calls: dict[str, Callable[[], object]] = {
        MONAI: monais,
        WHOLE: ours(),
        f"{WHOLE}, 1 window at a time": ours(batch=1),
        f"{WHOLE}, 4 windows at a time": ours(batch=4),
        PART: ours(answered=["segmentation"]),
        f"{WHOLE}, overlap 0.25": ours(0.25),
    }
    bfloat16 = use_bfloat16("auto", "cpu")
    if bfloat16:
        calls |= {REDUCED: ours(bfloat16=True), REDUCED_PART: ours(answered=["segmentation"], bfloat16=True)}
    windows = {}
    with torch.inference_mode():
        for name, call in calls.items():
            if name not in (PART, REDUCED_PART):  # a part has no hooks of the whole
                seen.clear()
                call()
                windows[name] = sum(seen)
        handle.remove()
        taken = interleaved({name: _without_gradients(call) for name, call in calls.items()}, repeats)
    pixels = image[0] * image[1] / 1e6
    lines = [
        f"A picture of {image[0]} x {image[1]} pixels in windows of {window}, overlap 0.5 unless said, 2 windows at a time,",
        f"three tasks; widths {', '.join(map(str, channels))}. Medians of {repeats} in turns, in brackets the ratios' spread.",
        "",
        "| way | windows | Mpixel / CPU s | times as fast as MONAI's | Mpixel / s on the clock | times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for name, times in taken.items():
        middle, least, most = taken[MONAI].ratio_to(times)
        speed, count = pixels / times.median_cpu, windows.get(name, windows[WHOLE])
        clock = f"{pixels / times.median_wall:.3f} | {taken[MONAI].median_wall / times.median_wall:.2f}"
        lines.append(f"| {name} | {count} | {speed:.3f} | {middle:.2f} ({least:.2f} to {most:.2f}) | {clock} |")
    # in seconds on the clock, which are those that a person waits, threads' waiting for each other included
    gains = {name: taken[MONAI].median_wall / taken[name].median_wall for name in taken}
    reduced = f"; in bfloat16 {gains[REDUCED]:.2f} x and {gains[REDUCED_PART]:.2f} x" if bfloat16 else ""
    lines += [
        "",
        "| target | reached | what holds it back |",
        "|---|---|---|",
        f"| twice MONAI's inferer around the plain network in float32 | {gains[WHOLE]:.2f} x on the clock for three tasks, "
        f"{gains[PART]:.2f} x for segmentation alone{reduced} | the convolutions: softmax and blending are what MONAI's class "
        "does, a few per cent |",
        "",
        describe_machine(),
    ]
    return "\n".join(lines)


def _without_gradients(call: Callable[[], object]) -> Callable[[], object]:
    return torch.inference_mode()(call)
