"""How much of a U-Net's time the network takes: in training, in prediction, and for fewer tasks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from lazylabels_monai.bench.timing import Times, describe_machine, interleaved
from lazylabels_monai.networks import MultiTaskUNet, SingleTaskUNet
from lazylabels_monai.networks.quick import plainly
from lazylabels_monai.precision import has_bfloat16, use_bfloat16

__all__ = ["section"]

#: Of configs/cpu.yaml.
CHANNELS, CROP, BATCH = (16, 32, 64, 128, 256), 128, 2
NORM = ("INSTANCE", {"affine": True})
CLASSES = 3
#: Operators in the table.
_ROWS = 8

#: Rows, of the other parts, too.
WHOLE, PART = "three tasks", "segmentation alone"
PLAIN = f"{WHOLE}, PyTorch's own layers"
#: Beside them where the bundle takes bfloat16 by itself.
REDUCED, REDUCED_UNET = f"{WHOLE}, bfloat16", "one U-Net (SingleTaskUNet), bfloat16"
UNET, PLAIN_UNET, BASIC = "one U-Net (SingleTaskUNet)", "one U-Net, PyTorch's own layers", "one U-Net (MONAI's BasicUNet)"

#: Settings of lighter networks (:class:`~lazylabels_monai.networks.MultiTaskUNet`).
HALF, NARROW, DEPTHWISE = {"detection_stride": 2}, {"finest_width": 0.5}, {"separation_conv": "depthwise"}
LIGHTER = {
    "detection at half resolution": HALF,
    "R and G at half width at the finest resolution": NARROW,
    "depthwise G": DEPTHWISE,
    "detection at half resolution, depthwise G": {**HALF, **DEPTHWISE},
    "all three": {**HALF, **NARROW, **DEPTHWISE},
    "all three, detection at quarter resolution": {**NARROW, **DEPTHWISE, "detection_stride": 4},
}


def section(repeats: int = 5, channels: tuple[int, int, int, int, int] = CHANNELS, crop: int = CROP) -> str:
    """Time training steps and predictions of one window and write the section.

    Args:
        repeats: of each, in turns.
        channels: widths of all networks, five, as MONAI's has so many.
        crop: side of the training's crops in pixels; the window predicted is twice as large, as in the bundle.
    """
    torch.manual_seed(0)
    shape = {"num_classes": CLASSES, "channels": channels, "norm": NORM, "num_multitask_blocks": len(channels) - 1}
    whole = _ready(MultiTaskUNet(**shape))
    single = _ready(SingleTaskUNet(num_classes=CLASSES, channels=channels, norm=NORM))
    basic = _ready(
        BasicUNet(2, 1, CLASSES, features=(*channels, *[channels[-1]] * (5 - len(channels)), channels[0]), norm=NORM)
    )
    window, crops = (_ready(torch.randn(*shape)) for shape in ((1, 1, 2 * crop, 2 * crop), (BATCH, 1, crop, crop)))
    parts: dict[str, nn.Module] = {WHOLE: whole, PART: whole.part(["segmentation"])}
    parts |= {f"segmentation and {task}": whole.part(["segmentation", task]) for task in ("detection", "separation")}
    lighter = {name: _ready(MultiTaskUNet(**shape, **settings)) for name, settings in LIGHTER.items()}
    networks = {PLAIN: whole, **parts, PLAIN_UNET: single, UNET: single, BASIC: basic, **lighter}
    bfloat16 = use_bfloat16("auto", "cpu")
    if bfloat16:
        networks |= {REDUCED: whole, REDUCED_UNET: single}

    def predicting(name: str) -> Callable[[], object]:
        def call() -> None:
            networks[name].eval()
            with torch.inference_mode(), _way(name):
                networks[name](window)

        return call

    # as the bundle trains on a CPU, and before
    steps = {name: (networks[name], crops) for name in (PLAIN, PLAIN_UNET)}
    steps |= {name: _in_order(networks[name], crops, torch.channels_last) for name in (REDUCED, REDUCED_UNET) if bfloat16}
    plain_order = (WHOLE, UNET, BASIC, *lighter)
    steps |= {name: _in_order(networks[name], crops, torch.contiguous_format) for name in plain_order}

    def training(name: str) -> Callable[[], object]:
        def call() -> None:
            with _way(name):
                _step(*steps[name])

        return call

    predicted = interleaved({name: predicting(name) for name in networks}, repeats)
    trained = interleaved({name: training(name) for name in steps}, repeats)
    flops = _flops(whole.eval(), window)
    products = {name: _flops(networks[name].eval(), window) / _flops(single.eval(), window) for name in (WHOLE, *lighter)}
    peak = 2 * 1024**3 / min(interleaved({"": _product()}, max(3, repeats))[""].cpu) / 1e9
    reached = flops / predicted[WHOLE].median_cpu / 1e9
    lines = [
        f"One window of {2 * crop} x {2 * crop} pixels, and a training step (forward and backward) of {BATCH} crops of",
        f"{crop} x {crop}, in plain order of memory but for PyTorch's own layers and in bfloat16; widths",
        f"{', '.join(map(str, channels))},",
        f"instance normalization. CPU seconds of all threads, medians of {repeats} in turns, in brackets the smallest and",
        "largest ratio.",
        "",
        "| network | prediction [CPU s] | ratio to the U-Net | training step [CPU s] | ratio to the U-Net |",
        "|---|---|---|---|---|",
    ]
    for name in [name for name in networks if name not in lighter]:
        step = _cells(trained[name], trained[UNET]) if name in trained else " | "
        lines.append(f"| {name} | {_cells(predicted[name], predicted[UNET])} | {step} |")
    fastest = REDUCED if bfloat16 else WHOLE
    gain, gained = (times[PLAIN].ratio_to(times[fastest])[0] for times in (predicted, trained))
    over, over_step = (times[WHOLE].ratio_to(times[UNET])[0] for times in (predicted, trained))
    basic_over, basic_step = (times[WHOLE].ratio_to(times[BASIC])[0] for times in (predicted, trained))
    alone, lightest = predicted[PART], "all three"
    lines += [
        "",
        f"The convolutions in prediction are {flops / 1e9:.1f} GFLOP as the plain layers count; {reached:.0f} GFLOP/s of",
        f"them are reached, {100 * reached / peak:.0f} % of the {peak:.0f} GFLOP/s that a product of two 1024 x 1024 matrices "
        "reaches in the same run.",
        "",
        "| target | reached | what holds it back |",
        "|---|---|---|",
        f"| segmentation alone at most 1.3 x one U-Net | {alone.ratio_to(predicted[UNET])[0]:.2f} x ours, "
        f"{alone.ratio_to(predicted[BASIC])[0]:.2f} x MONAI's | the residual R alone is a third of a U-Net's products |",
        f"| prediction at most 1.6 x one U-Net | {over:.2f} x ours, {basic_over:.2f} x MONAI's | ours has the same "
        "faster layers; Eq. 4 is 2.4 x its products |",
        f"| training step at most 1.6 x one U-Net | {over_step:.2f} x ours, {basic_step:.2f} x MONAI's | the same |",
        f"| a lighter network at most 1.6 x one U-Net | {products[lightest]:.2f} x its products; prediction "
        f"{predicted[lightest].ratio_to(predicted[UNET])[0]:.2f} x, training step "
        f"{trained[lightest].ratio_to(trained[UNET])[0]:.2f} x | F and R at three resolutions, and norms and activations, "
        "which are no products |",
        f"| prediction twice as fast as in PyTorch's own layers in float32 | {gain:.2f} x{_which(bfloat16)} | convolutions "
        "are what is left |",
        f"| training step twice as fast | {gained:.2f} x{_which(bfloat16)} | the convolutions' way back |",
        f"| bfloat16 where it is faster | {_precision()} | |",
        "",
        "Lighter networks ([settings](reference.md#a-lighter-network)), in turns with those above:",
        "",
        "| network | products, ratio to the U-Net | prediction [CPU s] | ratio | training step [CPU s] | ratio |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {ratio:.2f} | {_cells(predicted[name], predicted[UNET])} | {_cells(trained[name], trained[UNET])} |"
            for name, ratio in products.items()
        ),
        "",
        "A training step in both orders of memory. On a CPU the bundle trains in channels-last order where it takes bfloat16,",
        "in the plain one in float32 (`channels_last` of `train.yaml`), and predicts in channels-last order:",
        "",
        *_orders(whole, crop, repeats),
        "",
        "Operators of a prediction of one window, share of its CPU time:",
        "",
        *_operators(lambda plain: predicting(PLAIN if plain else WHOLE)),
        "",
        "Operators of a training step:",
        "",
        *_operators(lambda plain: training(PLAIN if plain else WHOLE)),
        "",
        describe_machine(),
    ]
    return "\n".join(lines)


def _way(name: str) -> AbstractContextManager:
    """How what has this name in the tables is computed."""
    if name in (PLAIN, PLAIN_UNET):
        return plainly()
    return torch.autocast("cpu", torch.bfloat16, enabled=name in (REDUCED, REDUCED_UNET))


def _which(bfloat16: bool) -> str:
    return ", in bfloat16" if bfloat16 else ""


def _step(network: nn.Module, crops: Tensor) -> None:
    network.train().zero_grad(set_to_none=True)
    network(crops).square().mean().backward()


def _in_order(network: nn.Module, crops: Tensor, order: torch.memory_format) -> tuple[nn.Module, Tensor]:
    return copy.deepcopy(network).to(memory_format=order), crops.contiguous(memory_format=order)


def _orders(network: nn.Module, crop: int, repeats: int) -> list[str]:
    """Markdown: a training step in channels-last and in plain order of memory, for batches and crops of several sizes."""
    lines = ["| crops | channels-last [CPU s] | plain order [CPU s] | ratio |", "|---|---|---|---|"]
    sizes = ((BATCH, crop), (2 * BATCH, crop), (BATCH, 2 * crop), (2 * BATCH, 2 * crop))
    for bfloat16 in (False, True) if use_bfloat16("auto", "cpu") else (False,):

        def step(way: tuple[nn.Module, Tensor], bfloat16: bool = bfloat16) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                _step(*way)

        for batch, side in sizes:
            crops = torch.randn(batch, 1, side, side)
            ways = {order: _in_order(network, crops, order) for order in (torch.channels_last, torch.contiguous_format)}
            last, plain = interleaved({str(order): partial(step, way) for order, way in ways.items()}, repeats).values()
            what = f"{batch} of {side} x {side}{_which(bfloat16)}"
            lines.append(f"| {what} | {last.median_cpu:.3f} | {_cells(plain, last)} |")
    return lines


def _ready(values: Tensor | nn.Module) -> Tensor | nn.Module:
    return values.to(memory_format=torch.channels_last)


def _cells(times: Times, unet: Times) -> str:
    middle, least, most = times.ratio_to(unet)
    return f"{times.median_cpu:.3f} | {middle:.2f} ({least:.2f} to {most:.2f})"


def _product() -> Callable[[], object]:
    matrix = torch.randn(1024, 1024)
    return lambda: matrix @ matrix


def _flops(network: nn.Module, image: Tensor) -> int:
    with plainly(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()


def _precision() -> str:
    if not has_bfloat16():
        return "float32 is chosen: the processor has no bfloat16 instructions"
    return f"{'bfloat16' if use_bfloat16('auto', 'cpu') else 'float32'} is chosen"


def _operators(call: Callable[[bool], Callable[[], object]]) -> list[str]:
    """Markdown: shares of the operators of PyTorch's own layers, and of the others."""
    shares = []
    for plain in (True, False):
        call(plain)()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            call(plain)()
        times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
        shares.append({name: 100 * time / sum(times.values()) for name, time in times.items()})
    first = sorted(shares[0] | shares[1], key=lambda name: -max(share.get(name, 0.0) for share in shares))[:_ROWS]
    lines = ["| operator | PyTorch's own layers | now |", "|---|---|---|"]
    return lines + [f"| `{name}` | {shares[0].get(name, 0):.1f} % | {shares[1].get(name, 0):.1f} % |" for name in first]
