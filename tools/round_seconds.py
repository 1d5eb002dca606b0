"""How long a person waits who draws, trains, sees and corrects: seconds of a round, with and without a busy neighbour.

    python tools/round_seconds.py [--size 512] [--repeats 3] [--images FOLDER]

Three images with marks (of the built-in data, or of a folder that ``lazylabels simulate`` made), the starter, the processes of
a window. For each figure: the median and the range of the repeats on the clock, and the seconds of CPU that the process took,
which tell what an idle machine would need.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from lazylabels_monai.bench.threads import busy_neighbours
from lazylabels_monai.bundle_folder import find_starter
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.interactive.correcting import apply, line_of, split
from lazylabels_monai.interactive.image_files import read_picture
from lazylabels_monai.interactive.predictor import WarmPredictor
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.proposals import outline_of
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.tasks import BACKGROUND, IGNORE


def cpu(process: int) -> float:
    """Seconds that a process has computed so far."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(poll: Callable[[], list], wanted: Callable[[Any], bool], seconds: float = 600) -> Any:
    """What is wanted of what a poll gives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for found in poll():
            if getattr(found, "error", False) or getattr(found, "sentence", ""):
                print("   ", found.sentence)
            if wanted(found):
                return found
        time.sleep(0.01)
    raise TimeoutError


def one_round(data: Path, prepared: bool, note: Callable[[str, float, float], None]) -> None:
    """A round of a person, on a copy of the data."""
    folder = Path(tempfile.mkdtemp()) / "project"
    shutil.copytree(data, folder)
    predictor = WarmPredictor()
    with Project.open(folder) as project:
        trainer = Trainer(project, weights="starter", max_epochs=1000)
        try:
            train(project, trainer, predictor, prepared, note)
        finally:
            trainer.close()
            predictor.close()
    shutil.rmtree(folder.parent)


def train(
    project: Project,
    trainer: Trainer,
    predictor: WarmPredictor,
    prepared: bool,
    note: Callable[[str, float, float], None],
) -> None:
    entry = next(entry for entry in project.images if entry.section == "training")
    picture = read_picture(entry.path)
    predictor.load(find_starter())
    predictor.request(entry.name, picture, token=0)
    before = wait(predictor.poll, lambda found: found.token == 0 and found.last)
    for token in range(1, 4):
        spent, started = cpu(predictor._process.pid), time.monotonic()
        predictor.request(entry.name, picture, token=token)
        wait(predictor.poll, lambda found, token=token: found.token == token)
        note("warm prediction", time.monotonic() - started, cpu(predictor._process.pid) - spent)
    if prepared:
        trainer.prepare()
        pid = trainer._process.pid
        while True:  # until its imports are done
            spent = cpu(pid)
            time.sleep(2.0)
            if cpu(pid) - spent < 0.05 and spent > 1.0:
                break
    started = time.monotonic()
    trainer.start()
    note("start() returns", time.monotonic() - started, 0.0)
    pid = trainer._process.pid
    spent = cpu(pid) if prepared else 0.0
    event = wait(trainer.poll, lambda event: event.kind == "weights")
    name = "Train to first weights" + (", process ready" if prepared else "")
    note(name, time.monotonic() - started, cpu(pid) - spent)
    predictor.load(event.weights)
    predictor.request(entry.name, picture, token="first")
    after = wait(predictor.poll, lambda found: found.token == "first" and found.last)
    changed = float(np.abs(after.segmentation[0] - before.segmentation[0]).mean())
    note("Train to first changed prediction" + (", process ready" if prepared else ""), time.monotonic() - started, 0.0)
    print(f"    the background's probability changed by {changed:.3f} on average")
    # the steady state
    last, since = time.monotonic(), cpu(pid)
    for number in range(4):
        wait(trainer.poll, lambda event: event.kind == "weights")
        note("weights to weights (an epoch, and what validates)", time.monotonic() - last, cpu(pid) - since)
        last, since = time.monotonic(), cpu(pid)
        predictor.load(trainer.current_weights)
        predictor.request(entry.name, picture, token=f"u{number}")
        wait(predictor.poll, lambda found, number=number: found.token == f"u{number}")
        note("new weights to picture", time.monotonic() - last, 0.0)
        last = time.monotonic() if number == 0 else last
    marks = project.labels.read(entry, "detection")
    regions, _ = ndimage.label((marks != BACKGROUND) & (marks != IGNORE))
    for number in np.bincount(regions.ravel())[1:].argsort()[::-1][:5] + 1:  # the largest take longest
        started, spent = time.monotonic(), time.process_time()
        outline_of(picture, regions == number, (regions > 0) & (regions != number))
        note("a click to GrabCut's outline", time.monotonic() - started, time.process_time() - spent)
    for number in range(10):
        marks[number : number + 8, :20] = 1
        started, spent = time.monotonic(), time.process_time()
        project.labels.save(entry, "detection", marks)
        note("one stroke to saved", time.monotonic() - started, time.process_time() - spent)
    objects = after.objects
    largest = int(np.bincount(objects.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(objects)[largest - 1]
    middle = (columns.start + columns.stop) // 2
    line = line_of([(rows.start - 3, middle), (rows.stop + 3, middle)], objects.shape)
    started, spent = time.monotonic(), time.process_time()
    apply(project, entry, split(objects, line, after.classes))
    note("split to relabelled (label saved)", time.monotonic() - started, time.process_time() - spent)
    # the epoch that is running has its marks already; the weights of the next one have seen the split
    for _ in range(2):
        wait(trainer.poll, lambda event: event.kind == "weights")
    predictor.load(trainer.current_weights)
    predictor.request(entry.name, picture, token="split")
    wait(predictor.poll, lambda found: found.token == "split")
    note("split to the first prediction that learnt from it", time.monotonic() - started, 0.0)
    started = time.monotonic()
    trainer.stop()
    wait(trainer.poll, lambda event: event.kind == "ended")
    note("stop to ended", time.monotonic() - started, 0.0)


def noted(figures: dict[str, list[tuple[float, float]]], name: str, clock: float, computed: float) -> None:
    """Keep a figure, and show it at once."""
    figures[name].append((clock, computed))
    print(f"    {name}: {clock:.3f} s, CPU {computed:.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=Path, default=None, help="a data set instead of the built-in one")
    parser.add_argument("--prepared", action="store_true", help="only with a process that is ready")
    parser.add_argument("--neighbours", type=int, nargs="*", default=[0, 1])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.images or Path(temporary) / "data"
        if options.images is None:
            sizes = {"num_train": 3, "num_validation": 1, "num_test": 1, "size": (options.size, options.size)}
            make_dataset(data, **sizes, strong=1, detection=3, separation=3, seed=0)
        figures: dict[int, dict[str, list[tuple[float, float]]]] = {n: defaultdict(list) for n in options.neighbours}
        for number in range(options.repeats):
            for count in options.neighbours:  # in turn: other programs bother both alike
                with busy_neighbours(count):
                    for prepared in (True,) if options.prepared else (False, True):
                        print(f"repeat {number + 1}, {count} busy neighbours, load {os.getloadavg()[0]:.1f}", flush=True)
                        one_round(data, prepared, partial(noted, figures[count]))
    print(f"\n{len(os.sched_getaffinity(0))} cores, load now {os.getloadavg()[0]:.1f}; seconds: median (range); CPU")
    for name in figures[options.neighbours[0]]:
        cells = []
        for count in options.neighbours:
            clock, computed = zip(*figures[count][name], strict=True)
            text = f"{statistics.median(clock):.2f} ({min(clock):.2f} to {max(clock):.2f})"
            cells.append(f"{count} neighbours: {text}" + (f"; {statistics.median(computed):.2f}" if any(computed) else ""))
        print(f"{name:<55} {'   '.join(cells)}")


if __name__ == "__main__":
    main()
