"""Intensity normalization with and without clipping, on validation images as they are and with two hot pixels.

LAZYLABELS_DATA=FOLDER python tools/hot_pixels.py OUT [--seeds 0,1]

Small trainings (a few minutes each) on superalloy, where 3 images have an exact mask, and on the built-in data. Test images are
not touched. Prints a table in Markdown: mean Dice of the validation images, by set and seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.images.files import read_image

SMALL = {
    "channels": [8, 16, 32, 64],
    "num_multitask_blocks": 3,
    "crop_size": [96, 96],
    "crops_per_epoch": 160,
    "batch_size": 4,
    "max_epochs": 12,
    "val_interval": 12,
    "learning_rate": 0.002,
    "num_workers": 0,
}
CONFIGS = Path(__file__).resolve().parents[1] / "bundle" / "configs"


def run(what: str, files: Iterable[str], **given: object) -> None:
    """``monai.bundle run``."""
    arguments = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    configs = str([str(CONFIGS / name) for name in files])
    command = [sys.executable, "-m", "monai.bundle", "run", what, "--config_file", configs, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lazy_labels(name: str, out: Path) -> Path:
    """A data set with lazy labels."""
    if not out.exists():
        source = [] if name == "builtin" else [str(Path(os.environ["LAZYLABELS_DATA"]) / name)]
        command = ["simulate", *source, str(out), "--strong", "3", "--seed", "0"] if source else ["synthetic", str(out)]
        subprocess.run([sys.executable, "-m", "lazylabels_monai", *command], check=True, stdout=subprocess.DEVNULL)
    return out


def with_hot_pixels(data: Path, out: Path) -> Path:
    """The same data set, two pixels of each validation image at the largest 16-bit value."""
    out.mkdir(exist_ok=True)
    content = json.loads((data / FILE_NAME).read_text(encoding="utf-8"))
    for number, item in enumerate(content["validation"]):
        image = read_image(data / item["image"]).astype(np.uint16)
        pixels = np.random.default_rng(number).choice(image.shape[0] * image.shape[1], 2, replace=False)
        image.reshape(-1, *image.shape[2:])[pixels] = 65535
        tifffile.imwrite(out / f"hot{number}.tif", image)
        labels = {key: os.path.relpath(data / value, out) for key, value in item.items() if key in ("segmentation",)}
        content["validation"][number] = {"image": f"hot{number}.tif", **labels}
    content["training"] = content["testing"] = []
    (out / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--sets", default="superalloy,builtin")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| set | seed | normalization | as they are | with two hot pixels |\n|---|---|---|---|---|")
    for name in given.sets.split(","):
        data = lazy_labels(name, given.out / name)
        hot = with_hot_pixels(data, given.out / f"{name}_hot")
        for seed in given.seeds.split(","):
            for normalization in ("mean_std", "percentiles"):
                folder = given.out / f"{name}_{seed}_{normalization}"
                own = {"bundle_root": CONFIGS.parent, "ckpt_dir": folder / "models", "device": "cpu", **SMALL}
                own["normalization"] = normalization
                run("training", ["train.yaml"], dataset_dir=data, output_dir=folder, seed=seed, **own)
                scores = []
                for images in (data, hot):
                    out = folder / images.name
                    own["section"] = "validation"
                    run("evaluating", ["train.yaml", "evaluate.yaml"], dataset_dir=images, output_dir=out, **own)
                    scores.append(json.loads((out / "metrics.json").read_text())["segmentation"]["dice"]["mean"])
                row = [name, seed, normalization, *(f"{score:.3f}" for score in scores)]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
