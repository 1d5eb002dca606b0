"""Do the runs of a comparison side by side, as many at a time as a GPU and the cores beside it can take.

    python tools/side_by_side.py configs/experiments/starter.yaml --jobs 16 --seconds 540 [--seeds 0,1] [--only emps]

What ``lazylabels experiment`` does, and its tables come from that; here every command is a fork of one process that has
imported everything, since sixteen programs that import MONAI at once take longer than a short training. After ``--seconds``
what runs is stopped: its next start goes on at the last epoch. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from lazylabels_monai.experiments import runner  # noqa: E402
from lazylabels_monai.experiments.spec import ExperimentError, Run, read_table  # noqa: E402
from tools.interrupting import become  # noqa: E402

#: What commands import, so that no fork has to.
_IMPORTED = (
    "monai.bundle",
    "monai.engines",
    "monai.handlers",
    "monai.inferers",
    "monai.losses",
    "monai.transforms",
    "torch.utils.tensorboard",
    "lazylabels_monai.workflow",
    "lazylabels_monai.transforms",
    "lazylabels_monai.networks",
    "lazylabels_monai.engines",
    "lazylabels_monai.evaluation.tune",
    "lazylabels_monai.evaluation.results",
    "lazylabels_monai.report.reading",
    "lazylabels_monai.data.simulating.simulate",
)


def forked_call(parts: Sequence[str], log: Path, program: str | None = None) -> None:
    """:func:`runner.call`, for this project's own commands as a fork."""
    if program is not None:
        raise ExperimentError(f"{program}: only this project's own methods are run side by side.")
    module, *rest = parts[1:]
    with log.open("ab") as stream:
        child = os.fork()
        if child == 0:
            become([module, *rest], Path.cwd(), stream.fileno(), "")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise ExperimentError(f"{log} ends with: {lines[-1] if lines else status}")


def carry_out(run: Run, section: str, places: runner.Places) -> int:
    """One run, in a process of its own; its exit code."""
    start = time.monotonic()
    try:
        record = runner.do_run(run, section, places)
    except ExperimentError as error:
        print(f"{run.name} FAILED: {error}", flush=True)
        return 1
    print(f"{run.name}: {time.monotonic() - start:.0f} s, {runner._headline(record[section])}", flush=True)
    return 0


def side_by_side(runs: Sequence[tuple[Run, str]], places: runner.Places, jobs: int, seconds: float) -> None:
    """Start a run wherever there is room, in their order, until all are done or the time is over."""
    end = time.monotonic() + seconds
    waiting, busy = list(runs), set()
    while waiting or busy:
        while waiting and len(busy) < jobs and time.monotonic() < end:
            run, section = waiting.pop(0)
            child = os.fork()
            if child == 0:
                os.setpgid(0, 0)
                os._exit(carry_out(run, section, places))
            busy.add(child)
        done, _ = os.waitpid(-1, os.WNOHANG)
        busy.discard(done)
        if time.monotonic() > end:
            for child in busy:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
            print(f"stopped: {len(busy)} runs were at it, {len(waiting)} had not begun", flush=True)
            return
        if not done:
            time.sleep(0.1)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seeds", help="other seeds than the tables', separated by commas")
    parser.add_argument("--only", nargs="*", default=[], help="only runs whose name holds one of these texts")
    parser.add_argument("--out", type=Path, default=Path("outputs/experiments"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--made", type=Path, default=Path("data/experiments"))
    parser.add_argument("--data", type=Path, default=os.environ.get("LAZYLABELS_DATA"))
    parser.add_argument("--scale", help="another size of the runs than the tables' own")
    given = parser.parse_args()
    places = runner.Places(given.out, given.results, given.made, given.data)
    begun = time.monotonic()
    for name in _IMPORTED:
        importlib.import_module(name)
    print(f"imported in {time.monotonic() - begun:.0f} s", flush=True)
    runner.call = forked_call
    runs = []
    for path in given.tables:
        table = read_table(path, given.scale)
        if given.seeds:
            table = table.with_seeds([int(seed) for seed in given.seeds.split(",")])
        runs += [(run, table.section) for run in runner.chosen(table, given.only)]
    runs = [(run, section) for run, section in runs if runner.wanted(run, section, places.results)]
    side_by_side(runs, places, given.jobs, given.seconds - (time.monotonic() - begun))


if __name__ == "__main__":
    main()
