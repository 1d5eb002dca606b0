"""What a user would pick instead: seconds to a first result, speed and memory of other programs and of this one, in turns.

Each program runs in a process and an environment of its own (``benchmarks/``, docs/benchmarks.md), so that this part needs a
clone of the repository. Programs whose environment is not there are named in the table, and how to make it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lazylabels_monai.bench.timing import describe_machine, spread
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.data.single_label import export_single_labels
from lazylabels_monai.errors import LazyLabelsError

__all__ = ["PROGRAMS", "Program", "Taken", "make_folder", "measure", "section", "table"]

ROOT = Path(__file__).resolve().parents[2]
#: Side of the pictures in pixels, and how many of them are predicted in turn.
SIDE, PICTURES = 512, 3
#: Names a folder that is filled once and kept, so that a second run only measures; LAZYLABELS_BENCH_FOLDER.
KEPT = "LAZYLABELS_BENCH_FOLDER"
#: Starts of each program, and seconds after which a program is neither started again nor asked again.
STARTS, PATIENCE = 2, 30.0


@dataclass(frozen=True)
class Program:
    """A row of the table.

    Attributes:
        title: in the table.
        module: run by ``python -m`` in the repository's root, with ``benchmarks/serving.py``'s command line.
        variant: of it.
        note: what the row includes.
        target: of the Makefile that makes its environment; empty: this one.
    """

    title: str
    module: str
    variant: str
    note: str
    target: str = ""

    @property
    def place(self) -> str:
        """Folder of the program below ``benchmarks``."""
        return self.module.split(".")[1]

    @property
    def python(self) -> Path | None:
        """Its interpreter; None where its environment is not there."""
        if not self.target:
            return Path(sys.executable)
        made = ROOT / "benchmarks" / self.place / ".venv"
        return made / "bin" / "python" if (made / ".made").is_file() else None


_CLASSES = "class map; objects are left to other programs"
PROGRAMS: tuple[Program, ...] = (
    Program("**Lazy Labels**, the starter", "benchmarks.ours", "objects", "as `predict`: three tasks, objects by three maps"),
    Program("**Lazy Labels**, segmentation alone", "benchmarks.ours", "segmentation", _CLASSES),
    Program(
        "nnU-Net 2.8.1, as it plans",
        *("benchmarks.nnunet_ignore.speed", "planned", f"four mirrored views; {_CLASSES}", "benchmark-nnunet"),
    ),
    Program(
        "nnU-Net 2.8.1, as it plans, one view",
        *("benchmarks.nnunet_ignore.speed", "planned, one view", _CLASSES, "benchmark-nnunet"),
    ),
    Program(
        "nnU-Net 2.8.1, widths 16 to 256, one view",
        *("benchmarks.nnunet_ignore.speed", "small, one view", _CLASSES, "benchmark-nnunet"),
    ),
    Program(
        "StarDist 0.9.2, as `2D_versatile_fluo`",
        *("benchmarks.stardist.speed", "2D_versatile_fluo", "objects by non-maximum suppression", "benchmark-stardist"),
    ),
    Program(
        "Cellpose 3.1, as `cyto3`",
        *("benchmarks.cellpose3.speed", "cyto3", "objects by following flows; no size estimate", "benchmark-cellpose3"),
    ),
    Program(
        "Cellpose 4.2 (Cellpose-SAM)",
        *("benchmarks.cellpose.speed", "float32", "objects by following flows; 32 bits", "benchmark-cellpose"),
    ),
    Program(
        "random forest, scikit-learn 1.9.1",
        *("benchmarks.random_forest.speed", "forest", f"filters and forest; {_CLASSES}", "benchmark-random-forest"),
    ),
)


@dataclass
class Taken:
    """What a program took.

    Attributes:
        first: seconds from the start of the process to the first picture's result, one entry a start.
        stages: (wall, CPU) seconds by stage of each later picture.
        peak: MiB resident at most.
        failed: what went wrong, instead of all that.
    """

    first: list[float] = field(default_factory=list)
    stages: list[Mapping[str, tuple[float, float]]] = field(default_factory=list)
    peak: float = 0.0
    failed: str = ""

    def seconds(self, *stages: str) -> tuple[list[float], list[float]]:
        """Wall and CPU seconds of each picture, of these stages together; without any, of all."""
        kept = [[pair for name, pair in one.items() if not stages or name in stages] for one in self.stages]
        return [sum(wall for wall, _ in one) for one in kept], [sum(cpu for _, cpu in one) for one in kept]

    @property
    def spent(self) -> float:
        """Seconds of all that was asked after the first picture."""
        return sum(self.seconds()[0])


def make_folder(folder: Path, training: int = 12, side: int = SIDE, pictures: int = PICTURES) -> list[Path]:
    """Built-in pictures with their exact masks, and others with lazy labels for those that plan or learn.

    Args:
        folder: to fill as ``benchmarks/serving.py`` says.
        training: pictures with lazy labels.
        side: of the pictures in pixels.
        pictures: to predict.

    Returns:
        the pictures to predict.
    """
    import tifffile

    counts = {"num_train": training, "num_validation": 2, "num_test": pictures}
    make_dataset(folder / "data", **counts, size=(side, side), strong=2, detection=training, separation=training)
    export_single_labels(folder / "data", folder / "exported")
    (folder / "pictures").mkdir()
    (folder / "masks").mkdir()
    made = []
    for path in sorted((folder / "exported" / "testing" / "images").glob("*.tif")):
        made.append(folder / "pictures" / path.name)
        tifffile.imwrite(made[-1], tifffile.imread(path))
        ids = np.asarray(Image.open(folder / "data" / "instances" / f"{path.stem}.png"))
        tifffile.imwrite(folder / "masks" / path.name, ids.astype(np.uint16))
    return made


def measure(
    programs: Sequence[Program], folder: Path, pictures: Sequence[Path], repeats: int, say: Any = None
) -> dict[str, Taken]:
    """Start each program in turn, then ask each in turn for a picture after the other; none waits for another one meanwhile.

    Args:
        programs: those that are installed.
        folder: of :func:`make_folder`.
        pictures: to predict.
        repeats: pictures that each predicts, after the first; fewer where it takes more than :data:`PATIENCE` seconds in all.
        say: is told of each program.

    Returns:
        by title.
    """
    say, found = say or (lambda line: None), {program.title: Taken() for program in programs}
    for module, python in dict.fromkeys((program.module, program.python) for program in programs):
        done_before = folder / f"{module}.prepared"
        if done_before.is_file():
            continue
        say(f"preparing {module}")
        done = subprocess.run(
            [str(python), "-m", module, str(folder), "--prepare"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            for program in programs:
                if program.module == module:
                    found[program.title].failed = _last_line(done.stderr)
        else:
            done_before.touch()
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for turn in range(STARTS):
            for program in programs:
                taken = found[program.title]
                if taken.failed or (taken.first and max(taken.first) > PATIENCE):
                    continue
                if turn:
                    _end(running.pop(program.title))
                say(f"start {turn + 1} of {program.title}")
                with _noted(taken):
                    started = time.perf_counter()
                    running[program.title] = _start(program, folder)
                    _ask(running[program.title], pictures[0])
                    taken.first.append(time.perf_counter() - started)
        for turn in range(repeats):
            for program in programs:
                taken = found[program.title]
                if taken.failed or taken.spent > PATIENCE:
                    continue
                say(f"picture {turn + 1} of {program.title}")
                with _noted(taken):
                    answer = _ask(running[program.title], pictures[turn % len(pictures)])
                    taken.stages.append({name: tuple(pair) for name, pair in answer["stages"].items()})
                    taken.peak = max(taken.peak, answer["peak"])
    finally:
        for process in running.values():
            _end(process)
    return found


@contextmanager
def _noted(taken: Taken) -> Iterator[None]:
    """A program that ends before its time loses its row, not the table."""
    try:
        yield
    except _EndedError as error:
        taken.failed = str(error)


class _EndedError(Exception):
    """A program ended; its last words."""


def _start(program: Program, folder: Path) -> subprocess.Popen[str]:
    command = [str(program.python), "-m", program.module, str(folder), "--variant", program.variant]
    errors = open(folder / f"{program.place}.log", "w+", encoding="utf-8")  # noqa: SIM115 closed with the process
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    process.errors = errors  # type: ignore[attr-defined]
    return process


def _ask(process: subprocess.Popen[str], picture: Path) -> dict[str, Any]:
    try:
        process.stdin.write(f"{picture}\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        process.wait()
        process.errors.seek(0)
        raise _EndedError(_last_line(process.errors.read()))
    return json.loads(line)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(BrokenPipeError):
        process.stdin.close()  # by which it ends
    process.wait()
    process.stdout.close()
    process.errors.close()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"


def section(repeats: int = 5) -> str:
    """Markdown for docs/performance.md.

    Args:
        repeats: pictures that each program predicts after its first one.

    Raises:
        LazyLabelsError: without the repository's ``benchmarks``.
    """
    if not (ROOT / "benchmarks" / "serving.py").is_file():
        raise LazyLabelsError("bench others: the other programs are run from a clone of the repository; start it from there.")
    there = [program for program in PROGRAMS if program.python is not None]
    with tempfile.TemporaryDirectory() as new:
        folder = Path(os.environ.get(KEPT) or new)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = sorted((folder / "pictures").glob("*.tif")) or make_folder(folder)
        found = measure(there, folder, pictures, repeats, lambda line: print(line, file=sys.stderr, flush=True))
    return table(found, repeats)


def table(found: Mapping[str, Taken], repeats: int) -> str:
    """What each program took, and how this one compares, in Markdown.

    Args:
        found: by title; programs that are not named were not installed.
        repeats: that were asked for.
    """
    lines = [
        f"`python -m lazylabels_monai bench others --steps {repeats}`.",
        f"{describe_machine()}.",
        f"Built-in pictures of {SIDE} x {SIDE} pixels from files, results in memory. First result: seconds from the start of",
        f"the process, imports and weights included, medians of {STARTS} starts in turns (programs that take more than",
        f"{PATIENCE:.0f} s are started once). Then each program stays loaded and predicts {repeats} pictures in turn with the",
        "others (as many of them as begin within that time): medians, smallest and largest in brackets.",
        "",
        "| program | first result [s] | network [Mpixel/s] | with objects [Mpixel/s] | CPU s a picture | peak memory |"
        " pictures | what is in it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for program in PROGRAMS:
        taken = found.get(program.title)
        if taken is None or taken.failed:
            why = f"not installed: `make {program.target}`" if taken is None else f"failed: {taken.failed}"
            lines.append(f"| {program.title} | - | - | - | - | - | - | {why} |")
            continue
        network, objects = taken.seconds("network"), "objects" in taken.stages[0]
        cells = [
            spread(taken.first),
            _speed(network[0]),
            _speed(taken.seconds()[0]) if objects else "-",
            f"{np.median(taken.seconds()[1]):.2f}",
            f"{taken.peak / 1024:.1f} GiB",
            str(len(taken.stages)),
            program.note,
        ]
        lines.append(f"| {program.title} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_fairness(found)])


#: What the table compares, and what it does not.
_NOTES = (
    "What is timed, for all alike: reading the file, normalization, the network over its windows or tiles (column",
    "*network*), and making objects. Each program runs with its defaults and with the threads that it takes by itself.",
    "",
    "- Speed alone: nnU-Net, StarDist and Cellpose have random weights, which take as long as trained ones, and say nothing",
    "  about how good any of them is. The starter and the forest are trained.",
    "- In favour of StarDist and Cellpose: objects are made by their own code, but of the maps that the exact masks have, as",
    "  random weights' maps would cost anything; a real network's errors cost more. Ours are made of real maps. Cellpose 3",
    "  runs without its estimate of sizes, a second run of the network; Cellpose 4 with 32 bits, where its default of 16 is",
    "  slower on processors without such instructions.",
    "- What ours does more: three tasks, and classes beside objects. Such a picture is one window for ours, and whole for",
    "  StarDist at half its resolution; nnU-Net's windows overlap by half, Cellpose's tiles by a tenth.",
    "- nnU-Net and the forest answer with a class map; making objects of it is left out. nnU-Net planned for",
    "  built-in pictures of this size; the forest learnt from twelve of them, with the settings of",
    "  [benchmarks](benchmarks.md).",
)


def _fairness(found: Mapping[str, Taken]) -> list[str]:
    ours = found.get(PROGRAMS[0].title)
    lines = ["", *_NOTES]
    if ours is not None and ours.stages:
        lines += ["", "| against | ours with objects is so many times as fast | so many times as soon |", "|---|---|---|"]
        mine, first = float(np.median(ours.seconds()[0])), float(np.median(ours.first))
        for program in PROGRAMS[2:]:
            taken = found.get(program.title)
            if taken is not None and taken.stages:
                times, start = np.median(taken.seconds()[0]) / mine, np.median(taken.first) / first
                lines.append(f"| {program.title} | {times:.2f} x | {start:.2f} x |")
    return lines


def _speed(walls: Sequence[float]) -> str:
    return spread([SIDE * SIDE / 1e6 / wall for wall in walls], 3)
