"""How long a large picture takes and how much memory: ``python -m lazylabels_monai bench large``. Nothing is asserted on it.

The pictures are mosaics of the built-in ones, the network a tiny one (widths 4 and 8) that learns from them for a minute, so
that what the tiles cost shows beside what the network costs; then the starter, as a user would run it.
``python -m lazylabels_monai.bench.large --picture memory.png`` also draws the memory over time of the last, ``--side 4096``
predicts that one alone, ``--starter`` with the starter alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lazylabels_monai.bench.timing import describe_machine

__all__ = ["Run", "draw_memory", "make_mosaic", "predict_watched", "section", "tiny_weights"]

#: Sides of the pictures of the table, in pixels; LAZYLABELS_BENCH_SIDES names others.
_SIDES = (1024, 4096, 16384, 20000)
_TINY, _STARTER = "widths 4 and 8", "the starter"
#: Windows of the tiny network: 512 pixels, side by side. The starter's are its own.
_CONFIG = "window_size: [512, 512]\noverlap: 0.0\n"


@dataclass(frozen=True)
class Run:
    """What one prediction took.

    Attributes:
        wall, cpu: seconds.
        samples: seconds since the start and MiB resident, of the process.
        objects: that were found.
    """

    wall: float
    cpu: float
    samples: tuple[tuple[float, float], ...]
    objects: int

    @property
    def peak(self) -> float:
        """MiB resident at most."""
        return max(memory for _, memory in self.samples)


def tiny_weights(folder: Path, steps: int = 80) -> Path:
    """``model.pt`` of a network of widths 4 and 8 that learnt from the built-in pictures; made once in a folder."""
    weights = folder / "trained" / "model.pt"
    if not weights.is_file():
        import torch

        from lazylabels_monai.data.datalist import datalist_file
        from lazylabels_monai.data.simulating.synthetic import make_dataset
        from lazylabels_monai.images.files import read_image, read_label
        from lazylabels_monai.losses import MaskedMultiTaskLoss
        from lazylabels_monai.networks import MultiTaskUNet
        from lazylabels_monai.tasks import TASKS, present_key
        from lazylabels_monai.trained import write_classes, write_network

        data = folder / "data"
        if not datalist_file(data).is_file():
            make_dataset(data, num_train=8, num_validation=1, num_test=1, size=(256, 256), strong=8, detection=8, separation=8)
        torch.manual_seed(0)
        shape = {"channels": (4, 8), "num_multitask_blocks": 1, "norm": ("INSTANCE", {"affine": True})}
        network = MultiTaskUNet(num_classes=3, **shape)
        loss, optimizer = MaskedMultiTaskLoss(3), torch.optim.Adam(network.parameters(), lr=0.01)
        names = [path.name for path in sorted((data / "images").glob("*_train_*"))]
        pictures = torch.stack([torch.from_numpy(read_image(data / "images" / name)).float()[None] for name in names])
        pictures = (pictures - pictures.mean((2, 3), keepdim=True)) / pictures.std((2, 3), keepdim=True)
        labels = {
            task: torch.stack([torch.from_numpy(read_label(data / task / name)).long()[None] for name in names])
            for task in TASKS
        }
        for step in range(steps):
            chosen, (top, left) = [step % len(names), (step * 3 + 1) % len(names)], (step * 37 % 128, step * 53 % 128)
            cut = (chosen, slice(None), slice(top, top + 128), slice(left, left + 128))
            target = {task: label[cut] for task, label in labels.items()}
            target |= {present_key(task): torch.ones(2) for task in TASKS}
            optimizer.zero_grad()
            loss(network(pictures[cut]), target).backward()
            optimizer.step()
        weights.parent.mkdir(parents=True, exist_ok=True)
        write_classes(weights.parent, ["air bubble", "ice crystal"])
        given = {"spatial_dims": 2, "in_channels": 1, "tasks": list(TASKS), "dropout": 0.0, "crop_size": [128, 128]}
        shape = {**shape, "channels": list(shape["channels"]), "norm": list(shape["norm"])}
        write_network(weights.parent, network, **given, **shape)
        torch.save(network.state_dict(), weights)
    return weights


def make_mosaic(path: Path, side: int, sources: Sequence[np.ndarray], seed: int = 0) -> None:
    """Write a square picture of flipped copies of ``sources`` (H, W), as a tiled BigTIFF, never held whole.

    Args:
        path: of the file.
        side: in pixels.
        sources: uint8 pictures of one size whose sides are multiples of 16.
        seed: of the order and the flips.
    """
    import tifffile

    rng = np.random.default_rng(seed)
    height, width = sources[0].shape

    def tiles() -> Iterator[np.ndarray]:
        for _ in range(-(-side // height) * -(-side // width)):
            picture = sources[rng.integers(len(sources))]
            yield np.ascontiguousarray(picture[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])])

    options = {"tile": (height, width), "bigtiff": True, "compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(path, tiles(), shape=(side, side), dtype=np.uint8, maxworkers=1, **options)


def predict_watched(picture: Path, out: Path, weights: Path, config: Path | None = None, every: float = 0.5) -> Run:
    """``predict --large`` in a process of its own, whose memory is looked at ``every`` so many seconds."""
    options = ["--weights", str(weights), "--device", "cpu", "--large", "--out", str(out)]
    options += [] if config is None else ["--config", str(config)]
    start, samples = time.perf_counter(), []
    process = subprocess.Popen([*_COMMAND, "predict", str(picture), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with tempfile.TemporaryFile() as said:
        from threading import Thread

        reader = Thread(target=lambda: [said.write(line) for line in process.stdout])
        reader.start()
        while process.poll() is None:
            if (memory := _resident(process.pid)) is not None:
                samples.append((time.perf_counter() - start, memory))
            time.sleep(every)
        wall = time.perf_counter() - start
        reader.join()
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-2000:])
    with open(out / f"{picture.stem}_objects.csv", encoding="utf-8", newline="") as file:
        objects = sum(1 for _ in csv.reader(file)) - 1
    return Run(wall, _children_seconds(), tuple(samples), objects)


_COMMAND = (sys.executable, "-m", "lazylabels_monai")
_spent = 0.0


def _children_seconds() -> float:
    """CPU seconds of the children that ended since the last call."""
    global _spent
    times = os.times()
    now = times.children_user + times.children_system
    spent, _spent = now - _spent, now
    return spent


def _resident(process: int) -> float | None:
    """MiB, on Linux."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def draw_memory(run: Run, file: Path, title: str) -> None:
    """Resident memory over time, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    seconds, memory = np.array(run.samples).T
    figure, axes = pyplot.subplots(figsize=(6, 2.6), layout="constrained")
    axes.plot(seconds / 60, memory / 1024, lw=1, color="#0072b2")
    axes.axhline(2, lw=0.8, ls="--", color="#555555")
    axes.set(xlabel="minutes", ylabel="GiB resident", ylim=(0, 2.2), title=title)
    axes.title.set_fontsize(9)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


def _sources(folder: Path) -> list[np.ndarray]:
    from lazylabels_monai.images.files import read_image

    return [read_image(path) for path in sorted((folder / "data" / "images").iterdir())]


def _one(folder: Path, side: int, network: str) -> Run:
    from lazylabels_monai.bundle_folder import find_starter

    tiny = tiny_weights(folder)
    picture, config = folder / f"mosaic{side}.tif", folder / "large.yaml"
    config.write_text(_CONFIG, encoding="utf-8")
    if not picture.is_file():
        make_mosaic(picture, side, _sources(folder))
    _children_seconds()
    if network == _STARTER:
        return predict_watched(picture, folder / f"starter{side}", find_starter())
    return predict_watched(picture, folder / f"out{side}", tiny, config)


def section(repeats: int) -> str:
    """Time and memory by the side of the picture, one run each, in Markdown.

    Args:
        repeats: not used: the largest picture takes long enough for one.
    """
    sides = tuple(int(side) for side in os.environ.get("LAZYLABELS_BENCH_SIDES", "").split(",") if side) or _SIDES
    with tempfile.TemporaryDirectory() as folder:
        return table({(name, side): _one(Path(folder), side, name) for name in (_TINY, _STARTER) for side in sides})


def table(runs: dict[tuple[str, int], Run]) -> str:
    """The runs by network and side, in Markdown."""
    lines = [
        "`predict --large` on mosaics of the built-in pictures, with a network of widths 4 and 8 (windows of 512 pixels side",
        "by side) and with the starter, without any option; one run each, the process's start (imports, model) included.",
        f"{describe_machine()}.",
        "",
        "| network | picture | objects | CPU s | CPU s per Mpixel | seconds | peak resident |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, side), run in runs.items():
        row = [name, f"{side} x {side}", run.objects, f"{run.cpu:.0f}", f"{run.cpu / (side * side / 1e6):.2f}"]
        row += [f"{run.wall:.0f}", f"{run.peak / 1024:.2f} GiB"]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predict large mosaics and draw the memory over time of the last.")
    parser.add_argument("--side", type=int, nargs="+", default=list(_SIDES), help="of the pictures in pixels")
    parser.add_argument("--folder", type=Path, help="where the network, the picture and the results go; default: a new one")
    parser.add_argument("--starter", action="store_true", help="with the starter; default: the tiny network")
    parser.add_argument("--picture", type=Path, help="PNG of the memory over time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = given.folder or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        runs, name = {}, _STARTER if given.starter else _TINY
        for side in given.side:
            runs[name, side] = _one(place, side, name)
            print(table(runs), flush=True)
    if given.picture is not None:
        title = f"predict --large, {side} x {side} pixels, {name}, {os.cpu_count()} cores, no GPU"
        draw_memory(runs[name, side], given.picture, title)
