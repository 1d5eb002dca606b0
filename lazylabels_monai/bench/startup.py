"""From the start of a command to its first answer: processes of their own, in turns, with what they import."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from lazylabels_monai.bench.timing import Times, describe_machine, spread
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.data.simulating.synthetic import make_dataset

__all__ = ["run_commands", "section"]

_LATE = "from lazylabels_monai.late import import_late; import_late(); "
#: A prediction in a process in which all has been imported and done once; its seconds are printed.
_WARM = """
import sys, time
from lazylabels_monai.late import import_late
import_late()
from lazylabels_monai.predicting.folder import predict
predict(sys.argv[1], sys.argv[2])
wall, cpu = time.perf_counter(), time.process_time()
predict(sys.argv[1], sys.argv[2], overwrite=True)
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
#: From the end of MONAI's own imports to the end of the first step of a training, by the workflow that its command line makes.
_FIRST_STEP = """
import sys, time
import monai.bundle, monai.engines, monai.handlers
from monai.bundle import ConfigWorkflow
wall, cpu = time.perf_counter(), time.process_time()
files, data, out = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
workflow = ConfigWorkflow(config_file=files, workflow_type="train", logging_file=False, dataset_dir=data, output_dir=out,
    ckpt_dir=out + "/models", channels=[8, 16], num_multitask_blocks=1, init_weights="nothing", num_workers=0)
workflow.initialize()
from ignite.engine import Events
trainer = workflow.parser.get_parsed_content("train#trainer")
def end(engine):
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
    import os
    os._exit(0)
trainer.add_event_handler(Events.ITERATION_COMPLETED, end)
workflow.run()
"""


def run_commands(commands: Mapping[str, Sequence[str]], repeats: int, printed: Sequence[str] = ()) -> dict[str, Times]:
    """Time programs in turns, each once before that to warm the disk's cache.

    Args:
        commands: what follows ``python``, by name.
        repeats: at least 1.
        printed: names of those that print their wall and CPU seconds in their last line; of others those of the whole process.

    Returns:
        seconds by name.

    Raises:
        subprocess.CalledProcessError: where one fails.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(repeats + 1):
        for name, command in commands.items():
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if name in printed:
                wall, cpu = map(float, done.stdout.splitlines()[-1].split())
            if turn:
                taken[name].append((wall, cpu))
    return {name: Times(*zip(*pairs, strict=True)) for name, pairs in taken.items()}


def section(repeats: int) -> str:
    """Markdown for docs/performance.md: a table of the commands, and what was aimed at."""
    from lazylabels_monai.bundle_folder import bundle_config, find_overlay

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        image = base / "one.png"
        Image.fromarray(make_image((512, 512), seed=[1, 2])["image"]).save(image)
        sizes = {"num_train": 4, "num_validation": 2, "num_test": 2, "size": (256, 256)}
        make_dataset(base / "data", **sizes, strong=1, detection=3, separation=4, seed=0)
        predict = ["predict", str(image), "--overwrite", "--device", "cpu"]
        files = f"{bundle_config(None, 'train.yaml')},{find_overlay('cpu.yaml')}"
        program = ["-m", "lazylabels_monai"]
        eager = "import monai, sys; sys.argv[0] = 'lazylabels'; from lazylabels_monai.cli import main; main()"
        commands = {
            "`python -c pass`": ["-c", "pass"],
            "`lazylabels --help`": [*program, "--help"],
            "`lazylabels predict --help`": [*program, "predict", "--help"],
            "`import torch`": ["-c", "import torch"],
            "`import monai.bundle`, as MONAI does it": ["-c", "import monai.bundle"],
            "`import monai.bundle`, large packages late": ["-c", _LATE + "import monai.bundle"],
            "`lazylabels predict`, one 512 x 512 picture, the starter": [*program, *predict, "--out", str(base / "late")],
            "the same, MONAI imported as it does it": ["-c", eager, *predict, "--out", str(base / "eager")],
            "the second call of `predict` in one process": ["-c", _WARM, str(image), str(base / "warm")],
            "training, from MONAI's imports to the end of the first step": [
                *("-c", _FIRST_STEP, files, str(base / "data"), str(base / "run"))
            ],
        }
        names = list(commands)
        times = run_commands(commands, repeats, names[-2:])
    aims = {
        names[1]: ("< 0.4 s", 0.4),
        names[2]: ("< 0.4 s", 0.4),
        names[6]: ("<= 6 s", 6.0),
        names[8]: ("<= 1 s", 1.0),
        names[9]: ("<= 5 s", 5.0),
    }
    rows = [
        "| | CPU s | wall s | aim | reached, in CPU s |",
        "|---|---|---|---|---|",
        *(_row(name, taken, *aims.get(name, ("", None))) for name, taken in times.items()),
    ]
    return "\n".join(
        [
            f"`python -m lazylabels_monai bench startup --steps {repeats}`.",
            f"{describe_machine()}.",
            f"Medians of {repeats} processes each, in turns, smallest and largest in brackets. Where the machine does other",
            "work, too, wall seconds are those of the others; CPU seconds grow as well, as they share caches.",
            "",
            *rows,
        ]
    )


def _row(name: str, taken: Times, aim: str, most: float | None) -> str:
    reached = "" if most is None else "yes" if taken.median_cpu <= most else f"no, {taken.median_cpu / most:.1f} times that"
    return f"| {name} | {spread(taken.cpu, 2)} | {spread(taken.wall, 2)} | {aim} | {reached} |"
