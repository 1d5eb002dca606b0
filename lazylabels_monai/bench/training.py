"""Part ``training`` of ``lazylabels bench``: how long a step waits for its crops, and what validation takes of a training."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow
from monai.transforms import Compose

from lazylabels_monai.bench.timing import Times, describe_machine, interleaved
from lazylabels_monai.bundle_folder import bundle_config, find_overlay
from lazylabels_monai.data.sampling import SeededCacheDataset
from lazylabels_monai.data.simulating.simulate import simulate
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.networks.quick import in_predicting_order

__all__ = ["measure", "section", "shares"]

#: Crops of one timed call: one alone is too short to time.
_CROPS = 8


def measure(data: Path, repeats: int = 5, **overrides: Any) -> dict[str, Any]:
    """Time crops, training steps and validation windows of ``configs/cpu.yaml`` on a data set.

    Args:
        data: folder with ``datalist.json``.
        repeats: timed calls of each, in turns, after one that is not counted.
        overrides: ids of the configs.

    Returns:
        ``times`` (per call: ``crops before``, ``crops``, ``step``, ``window``), ``batch``, ``steps`` of an epoch, ``epochs``,
        ``validations``, ``count`` of windows, and in pixels ``crop``, ``window``, ``whole`` (a validation of whole images),
        ``windows`` (one of chosen windows) and ``final`` (the choice at the end).
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [str(bundle_config(None, "train.yaml")), str(find_overlay("cpu.yaml"))]
        out = {"dataset_dir": str(data), "output_dir": folder, "ckpt_dir": f"{folder}/models", "init_weights": "nothing"}
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, init_id="nothing", **{**out, **overrides})
        workflow.initialize()
        get = workflow.parser.get_parsed_content
        network, loss, optimizer, prepare = map(get, ("network", "loss", "optimizer", "train#prepare_batch"))
        device, images, inferer = torch.device(get("device")), get("validate#dataset"), get("validate#inferer")
        crops, items = get("train#dataset"), get("train#items")
        before = SeededCacheDataset(items, Compose(copy.deepcopy(crops.transform.transforms)), progress=False)
        batch, target = prepare(next(iter(get("train#dataloader"))), device)
        sample = images[0]["image"].as_tensor()[None].to(device)
        sample = sample[:, :, : images.window[0], : images.window[1]]

        def step() -> None:
            network.train()
            optimizer.zero_grad(set_to_none=True)
            loss(get("train#inferer")(batch, network), target).backward()
            optimizer.step()

        def window() -> None:
            network.eval()
            with torch.no_grad(), in_predicting_order(network):
                inferer(sample, network)

        def draw(dataset: Any) -> Callable[[], None]:
            return lambda: [dataset[number % len(items)] for number in range(_CROPS)] and None

        calls = {"crops before": draw(before), "crops": draw(crops), "step": step, "window": window}
        times = interleaved(calls, repeats)
        epochs = get("max_epochs")
        validations = sum(images.due(epoch) for epoch in range(get("val_interval"), epochs + 1, get("val_interval")))
        return {
            "times": times,
            "batch": get("batch_size"),
            "steps": get("crops_per_epoch") // get("batch_size"),
            "epochs": epochs,
            "validations": validations,
            "crop": batch[0, 0].numel(),
            "window": sample[0, 0].numel(),
            "whole": images.whole_pixels or images.pixels,
            "windows": images.pixels,
            "count": images.count,
            "final": get("train#final_choice").pixels(epochs),
        }


def shares(found: dict[str, Any], clock: str = "median_cpu") -> dict[str, float]:
    """What the figures of :func:`measure` mean: milliseconds, and shares of the time of a whole training.

    Args:
        found: what :func:`measure` gave.
        clock: which of the seconds of :class:`~lazylabels_monai.bench.timing.Times` count.
    """

    def seconds(name: str) -> float:
        times: Times = found["times"][name]
        return float(getattr(times, clock))

    step, pixel = seconds("step"), seconds("window") / found["window"]
    crop = {name: seconds(name) / _CROPS for name in ("crops before", "crops")}
    steps = found["steps"] * found["epochs"] * (step + found["batch"] * crop["crops"])
    spent = {name: found["validations"] * found[name] * pixel for name in ("whole", "windows")}
    spent["windows"] += found["final"] * pixel
    return {
        "crop before [ms]": 1e3 * crop["crops before"],
        "crop [ms]": 1e3 * crop["crops"],
        "step [ms]": 1e3 * step,
        "waiting before": found["batch"] * crop["crops before"] / (step + found["batch"] * crop["crops before"]),
        "waiting": found["batch"] * crop["crops"] / (step + found["batch"] * crop["crops"]),
        "window [ms]": 1e3 * seconds("window"),
        "step cost": step / found["crop"] / found["batch"] / pixel,
        "validation whole": spent["whole"] / (spent["whole"] + steps),
        "validation": spent["windows"] / (spent["windows"] + steps),
    }


def section(repeats: int = 5) -> str:
    """Markdown for docs/performance.md; emps is measured where ``LAZYLABELS_DATA`` names its folder."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sets = {"built-in, 20 + 6 images": Path(folder, "synthetic")}
        make_dataset(sets["built-in, 20 + 6 images"])
        emps = Path(os.environ.get("LAZYLABELS_DATA", "nowhere"), "emps")
        if emps.is_dir():
            sets["emps, 60 + 40 images"] = Path(folder, "emps")
            simulate(emps, sets["emps, 60 + 40 images"], subset={"train": 60, "val": 40, "test": 1}, validation=40)
        for name, data in sets.items():
            found = measure(data, repeats)
            said = shares(found)
            of = f"{found['count']} windows" if found["count"] else "whole images"
            rows.append(
                f"| {name} | {said['crop before [ms]']:.1f} | {said['crop [ms]']:.1f} | {said['step [ms]']:.0f} | "
                f"{said['waiting before']:.1%} | {said['waiting']:.1%} | {said['validation whole']:.0%} | "
                f"{said['validation']:.0%} ({of}) |"
            )
    return "\n".join(
        [
            f"{describe_machine()}.",
            "`python -m lazylabels_monai bench training`: `configs/cpu.yaml`, no loader workers, so that a step",
            "waits as long as its two crops take. CPU time, medians of calls in turns; *before*: tensors with metadata, and",
            "whole images in each of the validations. Shares are of a training of 30 epochs, steps and validations together.",
            "",
            "| data | crop before [ms] | crop [ms] | step [ms] | waiting before | waiting | validation before | validation |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
