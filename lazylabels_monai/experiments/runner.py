"""Carry out runs: make the data, train, pick instance settings, evaluate, keep a record. Each step is a user's command."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from lazylabels_monai.atomic import write_text
from lazylabels_monai.config_text import literal_path
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.experiments.records import images_of, read_record, write_record
from lazylabels_monai.experiments.spec import ExperimentError, Run, Table, arguments
from lazylabels_monai.progress import clock
from lazylabels_monai.provenance import machine, versions
from lazylabels_monai.resuming import is_finished
from lazylabels_monai.stopping import run_child

__all__ = ["Places", "evaluating", "is_done", "run_table", "wanted"]

_TRAIN, _EVALUATE = "bundle/configs/train.yaml", "bundle/configs/evaluate.yaml"
_LOCK = ".lock"
_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Places:
    """Folders of the runs.

    Attributes:
        out: logs and weights, ``<scale>/<set>-<variant>/<method>_s<seed>``; may be lost.
        results: records, tables and figures; to keep.
        data: data sets that the runs make.
        sets: the real sets; None where they are not there, which is enough for the built-in one.
    """

    out: Path
    results: Path
    data: Path
    sets: Path | None = None


def wanted(run: Run, section: str, results: Path) -> bool:
    """True where a run's scores on a section are not known yet."""
    return section not in read_record(results, run)


def is_done(runs: Sequence[Run], section: str, results: Path) -> list[bool]:
    """For each run, whether its scores are known."""
    return [not wanted(run, section, results) for run in runs]


def chosen(table: Table, only: Sequence[str] = ()) -> list[Run]:
    """The runs of a table whose name holds one of these texts, or all of them."""
    return [run for run in table.runs() if not only or any(text in run.name for text in only)]


def tally(table: Table, finished: Sequence[bool]) -> str:
    """One line: how many runs there are, how many of them are done."""
    return f"{table.name}: {len(finished)} runs, {sum(finished)} of them done"


def run_table(
    table: Table,
    places: Places,
    only: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Do every run of a table that has no scores yet, one after the other.

    Several processes may work on the same tables: a run that another one does is left to it. An interrupted run goes on at its
    last epoch.

    Args:
        table: what to run.
        places: folders.
        only: do only runs whose name holds one of these texts.
        say: is given lines of progress.

    Returns:
        for each run that failed, by name, one sentence. The others are done all the same.

    Raises:
        ExperimentError: before anything is run, when a config file is not there, as in another folder than the repository's.
    """
    runs = chosen(table, only)
    finished = is_done(runs, table.section, places.results)
    todo = [run for run, done in zip(runs, finished, strict=True) if not done]
    say(tally(table, finished))
    _require_configs(todo)
    for run, done in zip(runs, finished, strict=True):
        if done:
            _forget_lock(places.out / run.name / _LOCK)
    failed: dict[str, str] = {}
    spent: list[float] = []
    for number, run in enumerate(todo, 1):
        if not wanted(run, table.section, places.results):  # another process was faster
            continue
        folder = places.out / run.name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(folder / _LOCK, timeout=0):
                if not wanted(run, table.section, places.results):
                    continue
                left = f", ETA {clock(sum(spent) / len(spent) * (len(todo) - number + 1))}" if spent else ""
                say(f"{number}/{len(todo)} {run.name}: log in {folder}{left}")
                start = time.monotonic()
                record = do_run(run, table.section, places)
                spent.append(time.monotonic() - start)
                say(f"{number}/{len(todo)} {run.name}: {spent[-1] / 60:.1f} min, {_headline(record[table.section])}")
        except Timeout:
            say(f"{number}/{len(todo)} {run.name}: another process is at it")
        except ExperimentError as error:
            failed[run.name] = str(error)
            say(f"{number}/{len(todo)} {run.name} FAILED: {error}")
    return failed


@contextlib.contextmanager
def _locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock whose file goes with it; who waited for it looks again whether the work is still to be done."""
    with FileLock(path, timeout=timeout):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _forget_lock(path: Path) -> None:
    """Remove the lock of a process that was killed after its work was done; one that is held stays."""
    if path.is_file():
        with contextlib.suppress(Timeout), _locked(path, timeout=0):
            pass


def _require_configs(runs: Sequence[Run]) -> None:
    """Config files are named from the repository's root."""
    files = [file for run in runs if run.method.command is None for file in (_TRAIN, _EVALUATE, *run.overlays)]
    if missing := next((file for file in files if not Path(file).is_file()), None):
        raise ExperimentError(
            f"config file '{missing}' is not there: a comparison names its files from the root of the repository; go to that "
            f"folder (now: '{Path.cwd()}'), or correct the path in the comparison's files."
        )


def do_run(run: Run, section: str, places: Places) -> dict[str, Any]:
    """Do what is missing of one run and write its record.

    Raises:
        ExperimentError: when a step fails; names its log.
    """
    folder = places.out / run.name
    folder.mkdir(parents=True, exist_ok=True)
    data = make_data(run, run.data, places)
    record = read_record(places.results, run)
    if run.method.command is None:
        steps = _bundle_steps(run, section, folder, data)
    else:
        steps = _external_steps(run, section, folder, data)
    seconds: dict[str, float] = {}
    for step in steps:
        if step.done.is_file():
            continue
        start = time.monotonic()
        if step.is_done():  # a kill came between its end and the note of it
            write_text(step.done, f"{date.today()}\n")
            continue
        call(step.arguments, folder / f"{step.name}.log", step.program)
        seconds[step.name] = time.monotonic() - start
        if step.name == "training":  # model.pt is there before the last epoch, so it says nothing
            write_text(step.done, f"{date.today()}\n")
    if not record:
        record = _about(run, folder)
        record["minutes"] = {}
    if run.method.command is None:
        record |= _about_evaluation(folder, folder if section == "testing" else folder / section)
    record["minutes"] |= {name: round(value / 60, 2) for name, value in seconds.items()}
    record[section] = _scores(folder if section == "testing" else folder / section, run, folder)
    write_record(places.results, run, record)
    return record


@dataclass(frozen=True)
class _Step:
    """A command; ``done`` is the file that says that it has run."""

    name: str
    arguments: list[str]
    done: Path
    program: str | None = None
    is_done: Callable[[], bool] = lambda: False


def _bundle_steps(run: Run, section: str, folder: Path, data: Path) -> list[_Step]:
    """Training, tuning and evaluation by the bundle."""
    models = folder / "models"
    config = resolve_config(run, folder, {**_absolute(data, folder, models), "seed": run.seed})
    evaluated = folder if section == "testing" else folder / section
    return [
        _Step(
            "training",
            _bundle(run, "training", [_TRAIN], _absolute(data, folder, models), seed=run.seed, resume=True),
            folder / "trained",
            is_done=lambda: is_finished(models, _epochs(config)),
        ),
        _Step("tuning", _tuning(data, models, bool(config.get("mirroring"))), models / "instances.json"),
        _Step(section, evaluating(run, section, data, models, evaluated), evaluated / "metrics.json"),
    ]


def evaluating(run: Run, section: str, data: Path, models: Path, out: Path, **values: Any) -> list[str]:
    """Arguments of Python that score a run's weights on a data set.

    Args:
        run: its overlays and values configure the evaluation.
        section: whose images judge.
        data: folder of the data set.
        models: folder of ``model.pt`` and ``instances.json``.
        out: folder to make.
        values: ids of the config and their values, after the run's own.
    """
    return _bundle(run, "evaluating", [_TRAIN, _EVALUATE], _absolute(data, out, models), section=section, **values)


def _absolute(data: Path, out: Path, models: Path) -> dict[str, Path]:
    """Folders by the config's ids; absolute: of a relative one MONAI might run the name."""
    return {name: path.absolute() for name, path in {"dataset_dir": data, "output_dir": out, "ckpt_dir": models}.items()}


def _bundle(run: Run, run_id: str, files: Sequence[str], folders: Mapping[str, Path], **values: Any) -> list[str]:
    named = {**folders, **run.values, **values}
    options = [part for key, value in named.items() for part in (f"--{key}", str(value))]
    return ["-m", "monai.bundle", "run", run_id, "--config_file", str([*files, *run.overlays]), *options]


def _tuning(data: Path, models: Path, mirroring: bool) -> list[str]:
    options = ["--overwrite", *(["--mirroring"] if mirroring else [])]  # settings are picked on maps like those they serve
    return ["-m", "lazylabels_monai", "tune", str(data), "--weights", str(models / "model.pt"), *options]


def _external_steps(run: Run, section: str, folder: Path, data: Path) -> list[_Step]:
    """Another program's class maps, scored like ours."""
    labels = folder / "exported"
    command = run.method.command or ""
    program, *parts = arguments(command, data=data, labels=labels, out=folder, seed=run.seed)
    steps = []
    if "labels" in _FIELD.findall(command):
        export = ["-m", "lazylabels_monai", "export", str(data), str(labels)]
        steps.append(_Step("export", export, labels / "dataset.json"))
    evaluated = folder if section == "testing" else folder / section
    predictions = {"testing": folder / "predictions", "validation": folder / "validation_predictions"}
    score = ["-m", "lazylabels_monai", "score", str(data), str(predictions[section]), "--out", str(evaluated)]
    score += ["--section", section, "--tune", str(predictions["validation"]), "--overwrite"]
    score += ["--interfaces"] if run.method.interfaces else []
    return [*steps, _Step("training", parts, folder / "trained", program), _Step(section, score, evaluated / "metrics.json")]


def make_data(run: Run, variant: str, places: Places, others: tuple[str, ...] = ()) -> Path:
    """Make the data set that a run learns from, and those it is made of, unless they are there.

    Raises:
        ExperimentError: when it cannot be made, and when a variant is made of itself.
    """
    folder = places.data / run.scale.name / f"{run.dataset.name}-{variant}_s{run.seed}"
    lock = folder.with_name(f".{folder.name}{_LOCK}")
    if (folder / FILE_NAME).is_file():
        _forget_lock(lock)
        return folder
    command = run.dataset.variants[variant]
    fields = set(_FIELD.findall(command))
    values: dict[str, Any] = {"out": folder, "seed": run.seed, **run.scale.values}
    if "data" in fields:
        if places.sets is None:
            raise ExperimentError(
                f"set '{run.dataset.name}' is made of real images: name their folder by --data or LAZYLABELS_DATA."
            )
        values["data"] = places.sets
    for other in fields & set(run.dataset.variants):
        if other in (*others, variant):
            raise ExperimentError(f"set '{run.dataset.name}': variant '{variant}' is made of itself.")
        values[other] = make_data(run, other, places, (*others, variant))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(lock):
        if not (folder / FILE_NAME).is_file():
            call(["-m", "lazylabels_monai", *arguments(command, **values)], folder.with_name(f"{folder.name}.log"))
    return folder


def call(parts: Sequence[str], log: Path, program: str | None = None) -> None:
    """Run a program, default this Python; its output goes to the end of ``log``. It ends when this process does.

    Raises:
        ExperimentError: when it fails: its last line, and where the others are.
    """
    program = program or sys.executable
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {shlex.join([Path(program).name, *parts])}\n")
        stream.flush()
        try:
            status = run_child([program, *parts], stdout=stream, stderr=subprocess.STDOUT)
        except OSError as error:
            raise ExperimentError(
                f"{program} cannot be run ({error.strerror}): make its environment as docs/benchmarks.md says."
            ) from error
    if status:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise ExperimentError(f"{log} ends with: {lines[-1]}")


def resolve_config(run: Run, folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write the training's config with all overlays merged, as the run is told to read it, and return it."""
    from monai.bundle import ConfigParser

    config = ConfigParser.load_config_files([_TRAIN, *run.overlays])
    parser = ConfigParser(config)
    for key, value in {**values, **run.values}.items():
        parser[key] = literal_path(value) if isinstance(value, Path) else value
    resolved = dict(parser.get())
    write_text(folder / "config.yaml", yaml.safe_dump(resolved, sort_keys=False))
    return resolved


def _epochs(config: Mapping[str, Any]) -> int | None:
    """The number that the trainer was given, which is that of the id unless it was replaced there."""
    found = config.get("train", {}).get("trainer", {}).get("max_epochs")
    return found if isinstance(found, int) else config.get("max_epochs")


def _about(run: Run, folder: Path) -> dict[str, Any]:
    """What a table says of a run beside its scores."""
    record: dict[str, Any] = {
        "set": run.dataset.name,
        "data": run.data,
        "method": run.method.name,
        "seed": run.seed,
        "scale": run.scale.name,
        "date": str(date.today()),
        "machine": machine(),
        "versions": {name: of for name, of in versions().items() if name in ("lazylabels-monai", "monai", "torch")},
    }
    if run.method.command is not None:
        return record | _external_about(folder, record["versions"])
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    steps = (_epochs(config) or 0) * config["crops_per_epoch"] // config["batch_size"]
    record |= {"steps": steps, "batch_size": config["batch_size"], "crop_size": config["crop_size"]}
    norm = config["norm"]
    record |= {"channels": config["channels"], "norm": norm[0] if isinstance(norm, list) else norm}
    # a processor without bfloat16 instructions stays in float32; the log of the training says so
    wanted = config.get("cpu_bfloat16")
    if wanted == "auto":
        from lazylabels_monai.precision import use_bfloat16

        wanted = use_bfloat16("auto", "cpu")
    record["precision"] = "bfloat16" if wanted else "float32"
    return record | {"curves": _curves(folder)}


def _about_evaluation(folder: Path, evaluated: Path) -> dict[str, Any]:
    """What a table says of the evaluation: known runs are evaluated again when it changes."""
    from monai.bundle import ConfigParser

    scored = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8")).get("scored")
    if scored is not None:
        return {name: scored[name] for name in ("mirroring", "window_size")}
    config = ConfigParser(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    window = config.get_parsed_content("window_size")
    return {"mirroring": bool(config.get("mirroring", False)), "window_size": list(window)}


def _external_about(folder: Path, versions: Mapping[str, str]) -> dict[str, Any]:
    """What another program says of itself in ``about.json``: its versions, beside ours, its settings and its losses."""
    path = folder / "about.json"
    if not path.is_file():
        return {}
    try:
        about = dict(json.loads(path.read_text(encoding="utf-8")))
        about["versions"] = {**versions, **about.get("versions", {})}
    except (ValueError, TypeError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): it must hold JSON, versions by name among it.") from error
    return {key: about[key] for key in ("versions", "settings", "curves") if key in about}


def _curves(folder: Path) -> dict[str, list[list[float]]]:
    """Loss per epoch and validation Dice, as (epoch, value) pairs."""
    from lazylabels_monai.report.reading import read_curves

    curves, _ = read_curves([folder], lambda note: None)
    kept = {tag: points for tag, points in curves.items() if tag.startswith(("loss/", "val_mean_dice", "val_loss"))}
    return {tag: [[step, round(value, 4)] for step, value in points] for tag, points in kept.items()}


def _scores(evaluated: Path, run: Run, folder: Path) -> dict[str, Any]:
    """Scores of a section: the means, and what paired comparisons need per image."""
    metrics = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8"))
    settings = (folder / "models" if run.method.command is None else evaluated) / "instances.json"
    route = json.loads(settings.read_text(encoding="utf-8"))["best"] if settings.is_file() else "components"
    objects = metrics.get("objects", {})
    by_route = {key.removeprefix("f1@0.5 "): _round(value) for key, value in objects.items() if key.startswith("f1@0.5 ")}
    names = ("f1@0.5:0.95", "pq", "aji", "glas_f1", "glas_object_dice", "glas_object_hausdorff")
    return {
        "dice": {name: _round(value) for name, value in metrics["segmentation"]["dice"].items()},
        "way": route,
        "f1": by_route.get(route),
        "f1 by way": by_route,
        "objects": {name: _round(objects[f"{name} {route}"]) for name in names if f"{name} {route}" in objects},
        "separation": {name: _round(value) for name, value in metrics.get("separation", {}).items()},
        "images": images_of(evaluated, route),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _headline(scores: Mapping[str, Any]) -> str:
    parts = {"Dice": scores["dice"]["mean"], f"F1 ({scores['way']})": scores["f1"]}
    return ", ".join(f"{name} {value:.3f}" for name, value in parts.items() if value is not None)
