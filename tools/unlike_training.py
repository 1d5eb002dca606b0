"""How often images are called unlike those of a training: false alarms on other images of a set, and hits on altered ones.

LAZYLABELS_DATA=FOLDER python tools/unlike_training.py [--most 40]

Each set's training images are summed up as a training does; then images that were not among them are compared, as they are and
altered. FOLDER holds the sets as docs/public-sets.md names them. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from lazylabels_monai.images.appearance import appearance, sum_up, unlike
from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.judging import data_bar

#: Splits that were not trained on, by set.
OTHERS = {"superalloy": ("val", "test"), "nuclei_fluo": ("test",), "glas": ("testA",), "emps": ("val",)}


def altered(image: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """The image as it is and in five forms that a network did not see."""
    height, width = image.shape[:2]
    yield "as they are", image
    yield "inverted", 255 - image
    yield "3x zoomed (bicubic)", cv2.resize(image, (3 * width, 3 * height), interpolation=cv2.INTER_CUBIC)
    yield "shrunk to a third", cv2.resize(image, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
    yield "blurred (sigma 3)", cv2.GaussianBlur(image, (0, 0), 3)
    noisy = image + rng.normal(0, float(image.std()), image.shape)
    yield "noise as strong as the contrast", noisy.clip(0, 255).astype(np.uint8)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=1000, help="images of each set that are compared, evenly spread")
    most = parser.parse_args().most
    root = Path(os.environ["LAZYLABELS_DATA"])
    print("| set | training images | compared | form | any | inverted | detail |\n|---|---|---|---|---|---|---|")
    for name, splits in OTHERS.items():
        looks = (appearance(read_image(file), 2) for file in sorted((root / name / "train" / "images").glob("*.png")))
        seen = sum_up([look for look in looks if look is not None])
        files = [file for split in splits for file in sorted((root / name / split / "images").glob("*.png"))]
        files = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int))]
        rng, counts = np.random.default_rng(0), {}
        for file in files:
            for form, image in altered(read_image(file), rng):
                codes = {fault.code for fault in unlike(appearance(image, 2), seen)}
                counts.setdefault(form, []).append(codes)
        for form, found in counts.items():
            row = (
                sum(map(bool, found)),
                *(sum(code in codes for codes in found) for code in ("image-inverted", "image-detail")),
            )
            print(f"| {name} | {seen.images} | {len(files)} | {form} | " + " | ".join(map(str, row)) + " |", flush=True)
    print("\n| set | images | data bars |\n|---|---|---|")
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*/images/*.png"))
        print(f"| {folder.name} | {len(files)} | {sum(data_bar(read_image(file)) is not None for file in files)} |", flush=True)


if __name__ == "__main__":
    main()
