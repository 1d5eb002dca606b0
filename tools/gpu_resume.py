"""Whether a training that was stopped goes on bit by bit as one that was not, on a GPU, too.

    PYTHONPATH=. python tools/gpu_resume.py [--device cuda] [--jobs 8] [--only amp=True workers=0] [--quick]

For mixed precision on and off, no workers and 2, and with torch's deterministic algorithms off (as the bundle trains) and on,
a tiny training with dropout of 4 epochs is run

- twice with the same seed: whether the machine gives the same answer twice at all;
- for 2 epochs, and then resumed to 4;
- with SIGTERM after the first epoch, and then resumed;
- as the second, with one generator's state taken out of the checkpoint: this must differ, or nothing was looked at.

Compared are weights, optimizer, GradScaler, random states (CUDA's generator among them), scores and curves. Where two runs of
one seed differ already, a resumed one cannot equal them; the random states and what the GradScaler counted must, all the same.
Exit code 1 where something is wrong with resuming. A case's row is printed, and with ``--write FILE.json`` written, as soon as
its trainings have ended.

Trainings are forks of this process, which has imported everything and never touches CUDA: Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # to ask for a GPU shall not be to use it, before a fork
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS has no deterministic algorithms

import interrupting  # beside this script; it puts the repository's root into the path
import torch

#: Of a training: few steps of tiny crops, and what draws from every generator.
TRAINING = {
    "channels": [4, 8, 8],
    "num_multitask_blocks": 2,
    "crop_size": [32, 32],
    "dropout": 0.2,
    "crops_per_epoch": 20,
    "batch_size": 4,
    "val_interval": 1,
    "ema_decay": 0.9,
    "max_epochs": 4,
}
HALF = TRAINING["max_epochs"] // 2
#: Parts of a checkpoint that do not depend on how numbers were rounded.
COUNTED = ("random", "trainer", "lr_scheduler", "scaler")
WAYS = ("whole", "twice", "resumed", "stopped", "blind")


@dataclass
class Child:
    """A training that runs, or has ended; a fork, or a new process with ``Child.fresh``."""

    fresh: ClassVar[bool] = False
    arguments: list[str]
    folder: Path
    deterministic: bool
    signal_when: Callable[[], bool] | None = None
    pid: int = 0
    sent: bool = False
    status: int | None = None
    log: Any = None
    began: float = 0.0

    def start(self) -> None:
        self.log, self.began = tempfile.TemporaryFile(), time.monotonic()  # noqa: SIM115
        sys.stdout.flush()
        if Child.fresh:
            begin = f"import runpy, torch; torch.use_deterministic_algorithms({self.deterministic}, warn_only=True); "
            begin += "runpy.run_module('monai.bundle', run_name='__main__', alter_sys=True)"
            command = [sys.executable, "-c", begin, *self.arguments[1:]]
            told = {"cwd": self.folder, "stdout": self.log, "stderr": self.log, "env": _environment()}
            self.pid = subprocess.Popen(command, **told).pid
            return
        self.pid = os.fork()
        if self.pid == 0:
            torch.use_deterministic_algorithms(self.deterministic, warn_only=True)
            interrupting.become(self.arguments, self.folder, self.log.fileno(), "")

    def ended(self, limit: float) -> bool:
        if self.signal_when is not None and not self.sent and self.signal_when():
            os.kill(self.pid, signal.SIGTERM)
            self.sent = True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        elif time.monotonic() - self.began > limit:
            os.kill(self.pid, signal.SIGKILL)
        return self.status is not None

    @property
    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(interrupting.ROOT), os.environ.get("PYTHONPATH", "")])}


def cuda_was_touched() -> bool:
    """Whether a fork of this process could not use CUDA."""
    child = os.fork()
    if child == 0:
        os._exit(int(torch.cuda._is_in_bad_fork()))
    return os.waitpid(child, 0)[1] != 0


@dataclass
class Case:
    """One setting, trained in all ways."""

    amp: bool
    workers: int
    deterministic: bool
    folder: Path
    device: str
    faults: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"amp={self.amp} workers={self.workers} deterministic={self.deterministic}"

    def command(self, data: Path, out: Path, **more: Any) -> list[str]:
        given = {"dataset_dir": data, "output_dir": out, "ckpt_dir": out / "models", "device": self.device, **TRAINING}
        given |= {"amp": self.amp, "num_workers": self.workers, **more}
        parts = [part for key, value in given.items() for part in (f"--{key}", str(value))]
        return [
            "monai.bundle",
            "run",
            "training",
            "--config_file",
            str(interrupting.ROOT / "bundle/configs/train.yaml"),
            *parts,
        ]

    def chain(self, way: str, data: Path) -> Iterator[Child]:
        """The trainings of a way, one after the other."""
        out = self.folder / way
        out.mkdir(parents=True)

        def child(when: Callable[[], bool] | None = None, **more: Any) -> Child:
            return Child(self.command(data, out / "out", **more), out, self.deterministic, when)

        models = out / "out" / "models"
        expected = 0
        if way in ("whole", "twice"):
            chain = [child()]
        elif way == "stopped":
            chain = [child((models / "checkpoint_epoch=1.pt").exists), child(resume=True)]
            expected = 128 + signal.SIGTERM
        else:
            chain = [child(max_epochs=HALF), child(resume=True)]
        for number, training in enumerate(chain):
            yield training
            wanted = expected if number == 0 else 0
            self.said.append(training.said)
            if training.status != wanted:
                self.faults.append(f"{way}: exit code {training.status}, not {wanted}:\n{training.said[-1500:]}")
                return
            if way == "blind" and number == 0:
                _take_out(models / f"checkpoint_epoch={HALF}.pt", self.device)

    def content(self, way: str) -> dict[str, Any]:
        """All that a training leaves, by name."""
        out = self.folder / way / "out"
        found: dict[str, Any] = {}
        for path in sorted((out / "models").glob("*.pt")):
            found |= {f"{path.name}/{key}": value for key, value in interrupting.load(path).items()}
        for path in sorted((out / "models").glob("*.json")):
            found[path.name] = {key: value for key, value in _items(json.loads(path.read_text())) if key != "made"}
        from tests.helpers import events

        scalars = events(out)
        for tag in scalars.Tags()["scalars"]:
            found[f"curve/{tag}"] = {value.step: value.value for value in scalars.Scalars(tag)}
        return found


def _items(found: Any) -> list[tuple[str, Any]]:
    return list(found.items()) if isinstance(found, dict) else [("", found)]


def _take_out(path: Path, device: str) -> None:
    """Put another state of the device's generator into a checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    (own,) = state["random"]["processes"]
    if device.startswith("cuda"):
        own["cuda"] = []
    else:
        own["torch"] = torch.Generator().manual_seed(1).get_state()
    torch.save(state, path)


def difference(one: Any, other: Any) -> float | None:
    """The largest difference of numbers, infinite where something else differs, None where all is the same bit by bit."""
    if interrupting.digest(one) == interrupting.digest(other):
        return None
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        parts = [difference(one[key], other[key]) for key in one]
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        parts = [difference(*pair) for pair in zip(one, other, strict=True)]
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and one.shape == other.shape:
        return float((one.double() - other.double()).abs().max())
    elif isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    else:
        return float("inf")
    return max((part for part in parts if part is not None), default=float("inf"))


def compared(one: dict[str, Any], other: dict[str, Any]) -> tuple[float | None, list[str], list[str]]:
    """The largest difference, names of what differs, and those of them that only count."""
    names = sorted({*one, *other})
    found = {name: difference(one[name], other[name]) if name in one and name in other else float("inf") for name in names}
    differs = {name: value for name, value in found.items() if value is not None}
    counted = [name for name in differs if name.rpartition("/")[2] in COUNTED]
    return max(differs.values(), default=None), list(differs), counted


def judge(case: Case) -> dict[str, str]:
    """A word for each way, and the case's faults."""
    if case.faults:
        return dict.fromkeys(WAYS[1:], "failed")
    found = {way: case.content(way) for way in WAYS}
    verdicts, same_twice = {}, True
    for way in WAYS[1:]:
        largest, names, counted = compared(found["whole"], found[way])
        shown = "the same" if largest is None else f"differs ({largest:.1e})"
        if way == "twice":
            same_twice = largest is None
            verdicts[way] = "PASS" if same_twice else shown
            if counted:
                case.faults.append(f"twice: random states or counts differ: {counted}")
        elif way == "blind":
            verdicts[way] = "PASS" if largest is not None else "FAULT"
            if largest is None:
                case.faults.append("blind: a state was taken out, and nothing differs")
        elif largest is None:
            verdicts[way] = "PASS"
        elif not same_twice and not counted:
            verdicts[way] = f"states PASS, {shown}"
        else:
            verdicts[way] = f"FAULT {shown}"
            case.faults.append(f"{way}: {names}")
    newest = f"checkpoint_epoch={TRAINING['max_epochs']}.pt"
    if case.device.startswith("cuda"):
        states = found["whole"][f"{newest}/random"]["processes"][0]["cuda"]
        if not states:
            case.faults.append("no state of CUDA's generator in the checkpoint")
        scaler = found["whole"].get(f"{newest}/scaler")
        if case.amp != bool(scaler):
            case.faults.append(f"amp is {case.amp}, and the GradScaler's state is {scaler}")
    return verdicts


def run_all(chains: list[Iterator[Child]], jobs: int, limit: float) -> Iterator[int]:
    """Run chains of trainings, so many at a time, in one thread (forks of several would hang); yields each one's number."""
    waiting, running = list(reversed(list(enumerate(chains)))), []
    while waiting or running:
        while waiting and len(running) < jobs:
            number, chain = waiting.pop()
            child = next(chain)
            child.start()
            running.append((number, chain, child))
        for entry in list(running):
            number, chain, child = entry
            if not child.ended(limit):
                continue
            running.remove(entry)
            following = next(chain, None)
            if following is not None:
                following.start()
                running.append((number, chain, following))
            else:
                yield number
        time.sleep(0.005)


def _write(file: Path, rows: dict[str, Any], planned: int, device: str = "") -> None:
    """For ``lazylabels bench gpu``; whose device it is can be asked only when the last training has ended."""
    record = {"date": time.strftime("%Y-%m-%d"), "device": device, "planned": planned, "cases": rows}
    file.write_text(json.dumps(record | {"whole": bool(device)}, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where something is wrong with resuming."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trainings at a time")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds that a training may take")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of cases, such as amp=True workers=0")
    parser.add_argument("--quick", action="store_true", help="one case: amp=False workers=0 deterministic=False")
    parser.add_argument("--fresh", action="store_true", help="each training is a new process instead of a fork: slower")
    parser.add_argument("--write", type=Path, help="a JSON file for the verdicts so far")
    given = parser.parse_args(arguments)
    only = ["amp=False", "workers=0", "deterministic=False"] if given.quick else given.only
    began = time.monotonic()
    import importlib

    for module in (*interrupting.IMPORTS, "torch._dynamo", "torch._inductor.config"):
        importlib.import_module(module)
    from lazylabels_monai.data.simulating.synthetic import make_dataset

    torch.set_num_threads(1)
    Child.fresh = given.fresh or cuda_was_touched()
    if Child.fresh:
        print("each training is a new process")
    print(f"imported after {time.monotonic() - began:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = scratch / "data"
        make_dataset(
            data, num_train=4, num_validation=2, num_test=1, size=(64, 80), strong=1, detection=3, separation=4, seed=0
        )
        cases = [
            Case(amp, workers, exact, scratch / f"{amp}_{workers}_{exact}", given.device)
            for exact, amp, workers in product((False, True), (False, True), (0, 2))
        ]
        cases = [case for case in cases if all(part in case.name.split() for part in only)]
        titles = ("same seed twice", f"{HALF} epochs, resumed", "SIGTERM, resumed", "blind on purpose")
        print(f"{'case':<44}" + "".join(f"{title:>32}" for title in titles), flush=True)
        faults, inexact, rows, left = 0, set(), {}, [len(WAYS)] * len(cases)
        for number in run_all([case.chain(way, data) for case in cases for way in WAYS], given.jobs, given.limit):
            index = number // len(WAYS)
            left[index] -= 1
            if left[index]:
                continue
            case = cases[index]
            verdicts = judge(case)
            print(f"{case.name:<44}" + "".join(f"{verdicts[way]:>32}" for way in WAYS[1:]), flush=True)
            for fault in case.faults:
                print(f"  {fault}", flush=True)
            faults += len(case.faults)
            inexact.update(re.findall(r"(\w+) does not have a deterministic implementation", "\n".join(case.said)))
            shutil.rmtree(case.folder)
            rows[case.name] = {
                "verdicts": {title: verdicts[way] for title, way in zip(titles, WAYS[1:], strict=True)},
                "faults": case.faults,
            }
            if given.write is not None:
                _write(given.write, rows, len(cases))
        print(f"trained after {time.monotonic() - began:.0f} s", flush=True)
    if inexact:
        print(f"without a deterministic implementation: {', '.join(sorted(inexact))}")
    # only now: a process that has asked CUDA could not be forked
    device = torch.cuda.get_device_name() if given.device.startswith("cuda") and torch.cuda.is_available() else "no GPU"
    if given.write is not None:
        _write(given.write, rows, len(cases), device)
    print(f"torch {torch.__version__}, {device}: {len(cases)} cases, {faults} faults, {time.monotonic() - began:.0f} s")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
