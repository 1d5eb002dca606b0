"""Kill what is running at random moments, run it again, and count what was lost.

    .venv/bin/python tools/interrupting.py [--kills 50] [--seed 0] [--only training predict ...] [--quick]

Each task is run once undisturbed. Then it is run ``--kills`` times with SIGKILL and as often with SIGTERM, at a moment drawn
between its start and its usual end, and run again as a user would. After each pair is counted what went wrong:

- torn: a file that lies there after the end is not whole (a checkpoint that does not load, a picture that is cut short, ...);
- lost: what was whole before is gone (an earlier training, an earlier data set, a finished picture);
- differs: what the second run ends with is not what the undisturbed run made, bit by bit;
- leftover: a hidden or temporary file survives the second run;
- late, silent: after SIGTERM the end took more than 10 s, or came without its sentence and exit code 143;
- orphan: a child still works after its parent was killed.

Command lines are run as forks of this process, which has imported everything: Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402
from PIL import Image  # noqa: E402

FAULTS = ("torn", "lost", "differs", "leftover", "late", "silent", "orphan", "failed")
#: Seconds that an end by SIGTERM may take.
PATIENCE = 10.0
#: Parts of names of what is not finished.
UNFINISHED = (".partial_", ".tmp", ".old", ".claims", ".lock", "tmp")


#: What a second run says where the first was done when the signal came.
FINISHED = ("pass --overwrite", "nothing is left to do")


@dataclass
class Run:
    """How a command line ended."""

    status: int
    said: str
    seconds: float
    late: float = 0.0


def run(
    arguments: Sequence[str],
    folder: Path,
    number: int | None = None,
    after: float | Callable[[], bool] = 0.0,
    python: str = "",
) -> Run:
    """Run ``python -m ...`` in a fork, and send it a signal after so many seconds, or when something is the case."""
    with tempfile.TemporaryFile() as log:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            become(arguments, folder, log.fileno(), python)
        sent = None
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            now = time.monotonic()
            if ended:
                break
            if number is not None and sent is None and (after() if callable(after) else now - start >= after):
                os.kill(child, number)
                sent = now
            if sent is not None and now - sent > 6 * PATIENCE:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        log.seek(0)
        said = log.read().decode(errors="replace")
    return Run(os.waitstatus_to_exitcode(status), said, now - start, 0.0 if sent is None else now - sent)


def become(arguments: Sequence[str], folder: Path, log: int, python: str) -> None:
    """What ``python -m module ...`` does after its start."""
    status = 1
    try:
        os.setpgid(0, 0)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        sys.path[0] = str(folder)
        sys.argv = list(arguments)
        sys.executable = python or sys.executable
        try:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


@dataclass
class Task:
    """What is killed.

    Attributes:
        name: for the table.
        command: arguments for a folder.
        again: those of the second run, given the folder and whether the first left something to go on from.
        content: what is compared, by name.
        whole: names of what is torn in a folder.
        before: prepares a folder; what must not be lost.
        kept: whether that is still there.
    """

    name: str
    command: Callable[[Path], list[str]]
    content: Callable[[Path], dict[str, object]]
    again: Callable[[Path], list[str]] | None = None
    torn: Callable[[Path], list[str]] = lambda out: []
    before: Callable[[Path], None] = lambda out: None
    kept: Callable[[Path], bool] = lambda out: True
    orphan: Callable[[Path], bool] = lambda out: False
    python: str = ""
    where: Path | None = None
    seconds: float = 0.0
    reference: dict[str, object] = field(default_factory=dict)


def interrupt(task: Task, scratch: Path, kills: int, seed: int) -> dict[str, Counter]:
    """Counts by signal; a line is printed for each fault."""
    reference = scratch / f"{task.name}_whole"
    reference.mkdir(parents=True)
    task.before(reference)
    done = run(task.command(reference / "out"), task.where or reference, python=task.python)
    if done.status:
        raise SystemExit(f"{task.name}: the undisturbed run failed:\n{done.said}")
    task.reference, task.seconds = task.content(reference / "out"), done.seconds
    counts: dict[str, Counter] = {}
    for name in ("SIGKILL", "SIGTERM"):
        number, drawn = getattr(signal, name), random.Random(f"{seed} {task.name} {name}")
        counts[name] = Counter()
        for turn in range(kills):
            folder = scratch / f"{task.name}_{name}_{turn}"
            folder.mkdir()
            faults, in_time, details = once(task, folder, number, drawn.uniform(0, 1.05 * task.seconds))
            counts[name]["runs"] += 1
            counts[name]["in time"] += in_time
            counts[name].update(faults)
            for fault in faults:
                print(f"  {task.name} {name} {turn}: {fault}: {details[fault]}", flush=True)
            if not faults:
                shutil.rmtree(folder)
    return counts


def once(task: Task, folder: Path, number: int, after: float) -> tuple[list[str], bool, dict[str, str]]:
    """Kill, look, run again, compare: the faults, whether the signal came before the end, and what is to be said of faults."""
    out, details = folder / "out", {}
    task.before(folder)
    first = run(task.command(out), task.where or folder, number, after, task.python)
    in_time = first.status != 0
    if in_time and number == signal.SIGTERM:
        if first.late > PATIENCE:
            details["late"] = f"{first.late:.1f} s"
        # before a program has begun to listen, the system's own way to end it holds
        listening = first.status != -signal.SIGTERM
        lines = [line for line in first.said.splitlines() if line.startswith("stopped by SIGTERM: ")]
        if listening and (first.status != 143 or len(lines) != 1 or "Traceback" in first.said):
            details["silent"] = f"exit code {first.status}: {first.said[-1500:]}"
    if task.orphan(out):
        details["orphan"] = "still at work"
    if torn := task.torn(out):
        details["torn"] = ", ".join(torn)
    if not task.kept(out):
        details["lost"] = str(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")))
    second = run((task.again or task.command)(out), task.where or folder, python=task.python)
    if second.status and not any(text in second.said for text in FINISHED):
        details["failed"] = second.said[-1500:]
    elif (content := task.content(out)) != task.reference:
        names = sorted(name for name in {*content, *task.reference} if content.get(name) != task.reference.get(name))
        details["differs"] = ", ".join(names)
    if not task.kept(out):
        details.setdefault("lost", "by the second run")
    if left := leftovers(folder):
        details["leftover"] = ", ".join(left)
    return list(details), in_time, details


def leftovers(folder: Path) -> list[str]:
    """Files and folders of names that only unfinished things have."""
    names = []
    for path in folder.rglob("*"):
        if (path.name.startswith(".") and any(part in path.name for part in UNFINISHED)) or path.name.startswith("tmp"):
            names.append(path.relative_to(folder).as_posix())
    return names


def digest(value: object) -> object:
    """A state as something that compares equal only bit by bit."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: digest(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [digest(part) for part in value]
    return repr(value)


def load(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


# ------------------------------------------------------------------------------------------------- the tasks


def weights_of(out: Path) -> dict[str, object]:
    """Every weight, optimizer's state and random state that a training leaves, and the metrics of each epoch."""
    from tests.helpers import events

    models = out / "models"
    found: dict[str, object] = {path.name: digest(load(path)) for path in models.glob("*.pt")}
    found |= {path.name: path.read_text() for path in models.glob("*.json")}
    scalars = events(out)
    for tag in scalars.Tags()["scalars"]:
        found[tag] = {value.step: value.value for value in scalars.Scalars(tag)}
    return found


def torn_weights(out: Path) -> list[str]:
    torn = []
    for path in (out / "models").rglob("*.pt"):
        try:
            load(path)
        except Exception:
            torn.append(path.name)
    return torn


def training(data: Path, earlier: Path | None, epochs: int, **more: object) -> Task:
    """A training in a fresh folder, or in one that holds an earlier training."""
    from tests.conftest import BundleRunner

    bundle = BundleRunner()

    def command(out: Path, resume: bool = False) -> list[str]:
        given = {**bundle.overrides(data, out), **bundle.training, "max_epochs": epochs, **more, "resume": resume}
        return bundle.arguments("training", bundle.files("train.yaml"), **given)[1:]

    own = None if earlier is None else (earlier / "models" / "model.pt").read_bytes()

    def untouched(out: Path) -> bool:
        return own is not None and (out / "models" / "model.pt").is_file() and (out / "models" / "model.pt").read_bytes() == own

    def again(out: Path) -> list[str]:
        began = any((out / "models").glob("checkpoint_epoch=*.pt")) and not untouched(out)
        return command(out, resume=began)

    def before(folder: Path) -> None:
        if earlier is not None:
            shutil.copytree(earlier, folder / "out")

    def kept(out: Path) -> bool:
        return own is None or any(path.read_bytes() == own for path in (out / "models").rglob("model.pt"))

    name = "training" if earlier is None else "training over another"
    return Task(name, command, weights_of, again, torn_weights, before, kept)


def files_of(out: Path) -> dict[str, object]:
    """Content of all files, save what counts runs or tells the time."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in ("predicted.jsonl", "report.html")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def torn_pictures(out: Path) -> list[str]:
    torn = []
    for path in out.glob("*.png"):
        try:
            with Image.open(path) as picture:
                picture.load()
        except Exception:
            torn.append(path.name)
    return torn


def predict(images: Path, weights: Path) -> Task:
    def command(out: Path) -> list[str]:
        return ["lazylabels_monai", "predict", str(images), "--out", str(out), "--weights", str(weights)]

    return Task("predict", command, files_of, torn=torn_pictures)


#: Marks an earlier folder: a file of an operating system, as --overwrite refuses a folder with files of somebody's.
_MARK = "Thumbs.db"


def made_folder(name: str, command: Callable[[Path], list[str]], over: bool) -> Task:
    """A command that makes a folder; with ``over`` one that replaces an earlier one, of which a file is marked."""

    def before(folder: Path) -> None:
        if over:
            done = run(command(folder / "out"), folder)
            if done.status:
                raise SystemExit(done.said)
            (folder / "out" / _MARK).touch()

    def torn(out: Path) -> list[str]:
        if not (out / "datalist.json").is_file():
            return [out.name] if out.exists() else []
        listed = json.loads((out / "datalist.json").read_text())
        items = [item for section in ("training", "validation", "testing") for item in listed.get(section, [])]
        return [i["image"] for i in items if not (out / i["image"]).is_file()]

    def kept(out: Path) -> bool:  # whole, the old one or the new; hidden for a moment between two renames
        hidden = [path for path in out.parent.glob(".out.*.old") if (path / _MARK).is_file()]
        return not over or out.is_dir() or bool(hidden)

    def final(out: Path) -> list[str]:
        return [*command(out), *(["--overwrite"] if out.is_dir() or over else [])]

    return Task(f"{name} --overwrite" if over else name, final if over else command, files_of, final, torn, before, kept)


def report(predicted: Path) -> Task:
    def command(out: Path) -> list[str]:
        return ["lazylabels_monai", "report", str(out), "--overwrite"]

    def torn(out: Path) -> list[str]:
        page = out / "report.html"
        return ["report.html"] if page.is_file() and not page.read_text().rstrip().endswith("</html>") else []

    return Task("report", command, files_of, torn=torn, before=lambda folder: shutil.copytree(predicted, folder / "out"))


def experiment(scratch: Path, python: str) -> Task:
    """A comparison of one run; its training, tuning and evaluation are children."""
    import yaml

    from tests.experiments.places import FOLDER, OWN, write_spec

    specs = scratch / "specs"
    specs.mkdir()
    for name in OWN:
        shutil.copy(FOLDER / name, specs)
    tiny = {"channels": [4, 8], "num_multitask_blocks": 1, "crop_size": [32, 32], "batch_size": 2, "crops_per_epoch": 8}
    tiny |= {"max_epochs": 4, "val_interval": 2, "val_overlap": 0.0}
    (specs / "tiny_run.yaml").write_text(yaml.safe_dump(tiny))
    scales = yaml.safe_load((specs / "scales.yaml").read_text())
    scales["tiny"] = {"overlays": [str(specs / "tiny_run.yaml")], "values": {"height": 64, "width": 64, "half": 0.5}}
    (specs / "scales.yaml").write_text(yaml.safe_dump(scales))
    table = write_spec(specs, methods=["multitask"])
    made = scratch / "experiment_data"

    def command(out: Path) -> list[str]:
        places = ["--out", str(out), "--results", str(out.parent / "results"), "--made", str(made)]
        return ["lazylabels_monai", "experiment", str(table), "--scale", "tiny", *places]

    def content(out: Path) -> dict[str, object]:
        (run_folder,) = (path.parent for path in out.rglob("trained"))
        (record,) = (out.parent / "results").rglob("runs/**/*.json")
        scores = json.loads(record.read_text())["testing"]
        return {**weights_of(run_folder), "scores": scores}

    def orphan(out: Path) -> bool:
        from lazylabels_monai.locks import FolderLock, InUseError

        def held(lock: Path) -> bool:
            try:
                FolderLock(lock.parent, "training", "", ".training.lock").release()
            except InUseError:
                return True
            return False

        for _ in range(10):  # on a busy machine even an end takes its time
            time.sleep(0.5)
            if not any(held(lock) for lock in out.rglob(".training.lock")):
                return False
        return True

    def torn(out: Path) -> list[str]:
        return [name for models in out.rglob("models") for name in torn_weights(models.parent)]

    return Task("experiment", command, content, torn=torn, orphan=orphan, python=python, where=ROOT)


def tasks(scratch: Path, only: Sequence[str], epochs: int) -> list[Task]:
    """The chosen tasks, with what they work on."""
    from lazylabels_monai.data.simulating.synthetic import make_dataset
    from tests.conftest import BundleRunner
    from tests.warm import WarmPython

    data, bundle = scratch / "data", BundleRunner()
    make_dataset(data, num_train=4, num_validation=2, num_test=6, size=(64, 80), strong=1, detection=3, separation=4, seed=0)
    listed = json.loads((data / "datalist.json").read_text())
    earlier, images, source = scratch / "earlier", scratch / "images", scratch / "source" / "train"
    given = {**bundle.overrides(data, earlier), **bundle.training, "max_epochs": 1, "seed": 5}
    done = run(bundle.arguments("training", bundle.files("train.yaml"), **given)[1:], scratch)
    if done.status:
        raise SystemExit(done.said)
    for folder in (images, source / "images", source / "masks"):
        folder.mkdir(parents=True)
    for item in listed["testing"]:
        name = Path(item["image"]).name
        shutil.copy(data / item["image"], images / name)
        shutil.copy(data / item["image"], source / "images" / name)
        shutil.copy(data / item["instances"], source / "masks" / name)
    weights = earlier / "models" / "model.pt"
    found = {
        "training": lambda: [training(data, None, epochs), training(data, earlier, epochs, ema_decay=0.9)],
        "predict": lambda: [predict(images, weights)],
        "simulate": lambda: [
            made_folder("simulate", lambda out: ["lazylabels_monai", "simulate", str(source.parent), str(out)], over)
            for over in (False, True)
        ],
        "datalist": lambda: [
            made_folder("datalist", lambda out: ["lazylabels_monai", "datalist", str(source), str(out)], over)
            for over in (False, True)
        ],
        "report": lambda: [_report(scratch, images, weights)],
        "experiment": lambda: [_experiment(scratch, WarmPython)],
    }
    return [task for name in only or found for task in found[name]()]


def _report(scratch: Path, images: Path, weights: Path) -> Task:
    predicted = scratch / "predicted"
    done = run(["lazylabels_monai", "predict", str(images), "--out", str(predicted), "--weights", str(weights)], scratch)
    if done.status:
        raise SystemExit(done.said)
    return report(predicted)


def _experiment(scratch: Path, server: type) -> Task:
    from tests.conftest import BundleRunner

    folder = scratch / "warm"
    folder.mkdir()
    server(folder, IMPORTS, BundleRunner().environment, os.getpid())
    return experiment(scratch, str(folder / "python"))


IMPORTS = (
    "monai.bundle",
    "monai.engines",
    "monai.handlers",
    "torch.utils.tensorboard",
    "ignite.handlers",
    "lazylabels_monai.workflow",
    "lazylabels_monai.random_states",
    "lazylabels_monai.data.sampling",
    "lazylabels_monai.evaluation.results",
    "lazylabels_monai.predicting.folder",
    "lazylabels_monai.report",
    "lazylabels_monai.data.building",
    "lazylabels_monai.data.simulating.simulate",
    "lazylabels_monai.experiments.runner",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each task by each signal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="training predict simulate datalist report experiment")
    parser.add_argument("--quick", action="store_true", help="one kill each of predict, simulate and datalist")
    given = parser.parse_args(arguments)
    kills, only = (1, given.only or ["predict", "simulate", "datalist"]) if given.quick else (given.kills, given.only)
    import importlib

    for module in IMPORTS:
        importlib.import_module(module)
    torch.set_num_threads(1)
    total: Counter = Counter()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        print(f"{'task':<22}{'signal':<9}{'runs':>5}{'in time':>9}" + "".join(f"{fault:>10}" for fault in FAULTS), flush=True)
        for task in tasks(scratch, only, 3 if given.quick else 6):
            for number, counts in interrupt(task, scratch, kills, given.seed).items():
                row = [counts[fault] for fault in FAULTS]
                print(
                    f"{task.name:<22}{number:<9}{counts['runs']:>5}{counts['in time']:>9}" + "".join(f"{n:>10}" for n in row),
                    flush=True,
                )
                total.update(counts)
    faults = sum(total[fault] for fault in FAULTS)
    print(f"{total['runs']} runs, {total['in time']} of them ended by the signal, {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
