"""Memory that `predict` takes: bytes a pixel at its highest, of a network that is small, and of each step.

    python tools/memory.py            # 1000x1000 to 4000x4000, a minute or two
    python tools/memory.py --quick

Each size is predicted by a process of its own, whose highest resident memory is read at its end; the slope between the
smallest and the largest picture is what a pixel costs. Reading, network and the separation of objects are all in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZES, QUICK = ((1000, 1000), (2000, 2000), (4000, 4000)), ((300, 400), (600, 800))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W) uint8 with round objects on noise, some of which touch."""
    random = np.random.default_rng(seed)
    image = random.integers(60, 100, (height, width), np.uint8)
    y, x = np.mgrid[-12:13, -12:13]
    disc = (y**2 + x**2 <= 144).astype(np.uint8) * 100
    for top, left in zip(*(random.integers(0, n - 25, height * width // 1500) for n in (height, width)), strict=True):
        image[top : top + 25, left : left + 25] = np.maximum(image[top : top + 25, left : left + 25], disc)
    return image


def weights(folder: Path) -> Path:
    """A small network that has learnt nothing, as a training leaves it."""
    import torch

    from lazylabels_monai.networks import MultiTaskUNet
    from lazylabels_monai.trained import write_classes, write_network

    torch.manual_seed(0)
    norm = ["INSTANCE", {"affine": True}]
    network = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, norm=norm)
    settings = {
        "spatial_dims": 2,
        "in_channels": 1,
        "channels": [4, 8],
        "num_multitask_blocks": 1,
        "norm": norm,
        "dropout": 0.0,
    }
    more = {"tasks": ["segmentation", "detection", "separation"], "crop_size": [128, 128], "window_size": [256, 256]}
    torch.save(network.state_dict(), folder / "model.pt")
    write_network(folder, network, **settings, **more, normalization="percentiles")
    write_classes(folder, ["dark", "bright"])
    return folder / "model.pt"


def predicted(image: Path, model: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Highest resident memory in MB and seconds of a process that predicts a picture."""
    code = "import sys, tools.memory; tools.memory.child(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(image), str(model), str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[1])
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["peak"], found["seconds"]


def child(image: str, model: str, out: str, *options: str) -> None:
    """Predict, and print what it took."""
    from lazylabels_monai.predicting.folder import predict

    start = time.perf_counter()
    report = predict(image, out, weights=model, overrides={"device": "cpu"}, uncertainty="--uncertainty" in options)
    if report.failed:
        raise SystemExit(str(report.failed))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "seconds": time.perf_counter() - start}))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--uncertainty", action="store_true", help="predict with --uncertainty")
    arguments = parser.parse_args()
    options = ["--uncertainty"] if arguments.uncertainty else []
    found = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = weights(place)
        for height, width in QUICK if arguments.quick else SIZES:
            Image.fromarray(picture(height, width)).save(place / f"{height}x{width}.png")
            peak, seconds = predicted(place / f"{height}x{width}.png", model, place / f"out{height}", options)
            found.append((height * width, peak))
            print(f"{height} x {width}: {peak:.0f} MB at the highest, {seconds:.1f} s", flush=True)
    (few, low), (many, high) = found[0], found[-1]
    print(f"{(high - low) * 2**20 / (many - few):.0f} bytes a pixel")


if __name__ == "__main__":
    main()
