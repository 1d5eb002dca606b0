"""Many images, many checkpoints, one long strip, one picture of many objects: what they take, and that nothing grows.

python tools/load.py                  # 10000 images; a quarter of an hour or more
python tools/load.py --quick          # 60 images, 20 checkpoints: half a minute
python tools/load.py --only objects   # images, mixed, checkpoints, strip or objects
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.memory import picture, weights

#: Images, checkpoints, columns of the strip, objects.
FULL, QUICK = (10_000, 1000, 300_000, 30_000), (60, 20, 6_000, 400)


def state() -> tuple[float, int]:
    """Resident memory in MB, and open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20, len(os.listdir("/proc/self/fd"))


def images(place: Path, count: int, mixed: bool = False) -> None:
    """Predict many pictures in one call; memory and open files by the number of them."""
    from lazylabels_monai.predicting.folder import predict

    folder = place / ("mixed" if mixed else "many")
    folder.mkdir()
    random = np.random.default_rng(0)
    sides = (
        [(40, 48)] * 8 if not mixed else [(16, 600), (600, 16), (40, 48), (300, 200), (33, 65), (512, 512), (1, 1), (128, 9)]
    )
    made = [
        picture(*side, seed=n) if min(side) > 30 else random.integers(0, 255, side, np.uint8) for n, side in enumerate(sides)
    ]
    for number in range(count):
        Image.fromarray(made[number % len(made)]).save(folder / f"{number:05d}.png")
    seen: list[tuple[int, float, int]] = []

    def watch(line: str) -> None:
        number = line.split("/")[0]
        if number.isdigit() and int(number) % max(1, count // 10) == 0:
            seen.append((int(number), *state()))

    start = time.perf_counter()
    report = predict(folder, place / f"out_{folder.name}", weights=weights(place), overrides={"device": "cpu"}, progress=watch)
    seconds = time.perf_counter() - start
    for number, memory, files in seen:
        print(f"  {number} images: {memory:.0f} MB, {files} open files")
    half = seen[len(seen) // 2]
    print(
        f"{'mixed sizes' if mixed else 'images'}: {len(report.done)} of {count} done, {len(report.failed)} refused, "
        f"{1000 * seconds / count:.0f} ms each; from the {half[0]}th on {seen[-1][1] - half[1]:+.1f} MB and "
        f"{seen[-1][2] - half[2]:+d} open files"
    )


def checkpoints(place: Path, count: int) -> None:
    """As many epochs; what lies on the disk after them."""
    import torch
    from ignite.engine import Engine

    from lazylabels_monai.checkpoints import CheckpointSaver

    network = torch.nn.Conv2d(1, 64, 9)
    folder = place / "checkpoints"
    saver = CheckpointSaver(str(folder), {"model": network}, save_interval=1, n_saved=2)
    trainer = Engine(lambda engine, batch: None)
    saver.attach(trainer)
    trainer.run([0], max_epochs=count)
    left = sorted(file.name for file in folder.iterdir())
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"checkpoints: {count} written, {len(left)} left ({', '.join(left)}), {size / 2**20:.2f} MB")


def strip(place: Path, columns: int) -> None:
    """One picture of 64 rows through predict, measure and report."""
    from lazylabels_monai.predicting.folder import predict

    folder = place / "strip"
    folder.mkdir()
    Image.fromarray(picture(64, columns)).save(folder / "strip.png")
    start = time.perf_counter()
    report = predict(folder, place / "out_strip", weights=weights(place), overrides={"device": "cpu"})
    if report.failed:
        print(f"strip: {report.failed}")
        return
    print(f"strip of 64 x {columns}: predicted in {time.perf_counter() - start:.0f} s")
    _measured(place / "out_strip", folder, f"strip of 64 x {columns}")


def objects(place: Path, count: int) -> None:
    """One picture of as many objects through measure and report."""
    side = 12
    per_row = int(np.ceil(np.sqrt(count)))
    ids = np.zeros((per_row * side, per_row * side), np.uint32)
    for number in range(count):
        y, x = divmod(number, per_row)
        ids[y * side + 2 : y * side + 10, x * side + 2 : x * side + 9 + number % 3] = number + 1
    out, folder = place / "out_objects", place / "objects"
    out.mkdir()
    folder.mkdir()
    Image.fromarray(picture(*ids.shape)).save(folder / "a.png")
    Image.fromarray((ids > 0).astype(np.uint8)).save(out / "a_pred.png")
    tifffile.imwrite(out / "a_instances.tif", ids, compression="zlib")
    _measured(out, folder, f"{count} objects")


def _measured(out: Path, folder: Path, what: str) -> None:
    from lazylabels_monai.measure.folder import measure_folder
    from lazylabels_monai.report import make_report

    start = time.perf_counter()
    measure_folder(out, out / "measured", images=folder, pixel_size="1um")
    between = time.perf_counter()
    page = make_report(out, images=folder)
    end = time.perf_counter()
    rows = (out / "measured" / "objects.csv").read_text(encoding="utf-8").count("\n") - 1
    print(
        f"{what}: {rows} objects measured in {between - start:.1f} s, report in {end - between:.1f} s, "
        f"{page.stat().st_size / 2**20:.1f} MB"
    )


def main() -> None:
    """Print what each takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--images", type=int, help="so many images")
    parser.add_argument("--only", choices=("images", "mixed", "checkpoints", "strip", "objects"))
    arguments = parser.parse_args()
    many, epochs, columns, count = QUICK if arguments.quick else FULL
    many = arguments.images or many
    tasks = {
        "images": lambda place: images(place, many),
        "mixed": lambda place: images(place, max(many // 50, 24), mixed=True),
        "checkpoints": lambda place: checkpoints(place, epochs),
        "strip": lambda place: strip(place, columns),
        "objects": lambda place: objects(place, count),
    }
    for name, task in tasks.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                task(Path(folder))
            sys.stdout.flush()
    print(f"highest memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
