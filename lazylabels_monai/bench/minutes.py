"""Equal minutes: what this project and other programs learn from the same lazy labels in the same minutes of one core.

Minutes are CPU minutes of the training's process, from its start, so that other work on the machine takes nothing away. Ours
train first, a fixed number of steps; the others get as many minutes as ours took (docs/benchmarks.md). Everything is a command
that a user could type. ``python -m lazylabels_monai.bench.minutes FOLDER --only NAME`` does one row and keeps what it made.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazylabels_monai.bench.others import KEPT, ROOT, Program
from lazylabels_monai.bench.timing import describe_machine
from lazylabels_monai.data.datalist import datalist_file
from lazylabels_monai.errors import LazyLabelsError

__all__ = ["CONTENDERS", "Contender", "do_row", "section", "table"]

#: Steps of two crops that a core does in two to three minutes in bfloat16, start and validations included: 400.
EPOCHS, CROPS = 10, 80
#: Name of the variable with the folder of the real sets.
DATA = "LAZYLABELS_DATA"
#: The set that stands in the table: emps at half size, 60 images to learn from, 16 to choose by, 40 to judge.
SETS: Mapping[str, Sequence[str]] = {
    name: [
        *("--scale", "0.5", "--classes", "particle", "--subset", "train=60", "--subset", "test=40", "--validation", "16"),
        *("--strong", strong, "--detection", "0.75", "--separation", "all", "--seed", "0"),
    ]
    for name, strong in (("lazy", "0.1"), ("full", "all"))
}
#: A starter that learnt nothing of this set (docs/starter.md), where it was made; else the one of the package, which did.
STARTER = "outputs/starter/without_emps.pt"


@dataclass(frozen=True)
class Contender:
    """A row.

    Attributes:
        name: of its folder.
        title: in the table.
        labels: variant of the set that it learns from.
        note: what it is given.
        begin: of ours, ``init_weights``.
        program: another program; None: ours.
        options: that it is given (docs/benchmarks.md).
    """

    name: str
    title: str
    labels: str
    note: str
    begin: str = ""
    program: Program | None = None
    options: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether its environment is there."""
        return self.program is None or self.program.python is not None


def _other(module: str, target: str) -> Program:
    return Program("", module, "", "", target)


_LAZY, _EXACT = "all labels of the 60 images", "the exact masks alone"
_EVERY = "exact masks of all 60 images, which the lazy labels do not have"
#: Of Cellpose: with its batch of eight it predicts nothing after minutes (docs/benchmarks.md).
_SHORT = ("--batch", "1")
CONTENDERS: tuple[Contender, ...] = (
    Contender("starter", "**Lazy Labels**, from the starter", "lazy", _LAZY, "starter"),
    Contender("nothing", "**Lazy Labels**, from nothing", "lazy", _LAZY, "nothing"),
    Contender(
        "nnunet",
        "nnU-Net 2.8.1, ignore label",
        "lazy",
        f"{_LAZY}; widths 16 to 256, 128-pixel patches",
        program=_other("benchmarks.nnunet_ignore", "benchmark-nnunet"),
        options=("--no-mirroring",),  # as ours: one view
    ),
    Contender(
        "forest", "random forest", "lazy", _LAZY, program=_other("benchmarks.random_forest.__main__", "benchmark-random-forest")
    ),
    Contender(
        "stardist",
        "StarDist 0.9.2",
        "lazy",
        f"{_EXACT}, 6 images",
        program=_other("benchmarks.stardist.__main__", "benchmark-stardist"),
    ),
    Contender(
        "stardist_full",
        "StarDist 0.9.2, more labels",
        "full",
        _EVERY,
        program=_other("benchmarks.stardist.__main__", "benchmark-stardist"),
    ),
    Contender(
        "cellpose",
        "Cellpose 3.1, from random weights",
        "lazy",
        f"{_EXACT}, 6 images",
        program=_other("benchmarks.cellpose3.__main__", "benchmark-cellpose3"),
        options=_SHORT,
    ),
    Contender(
        "cellpose_full",
        "Cellpose 3.1, from random weights, more labels",
        "full",
        _EVERY,
        program=_other("benchmarks.cellpose3.__main__", "benchmark-cellpose3"),
        options=_SHORT,
    ),
)


def do_row(contender: Contender, folder: Path, minutes: float | None = None) -> dict[str, Any]:
    """Train, choose how objects are made on the validation images, predict and score the test images; done before: read.

    Args:
        contender: the row.
        folder: of all rows.
        minutes: CPU minutes that another program may train; None: as long as it takes.

    Returns:
        ``minutes`` of training, ``scores`` (metrics.json), the ``route`` to objects that validation chose, and settings.
    """
    out, record = folder / contender.name, folder / f"{contender.name}.json"
    if record.is_file():
        return json.loads(record.read_text(encoding="utf-8"))
    data = _data(folder, contender.labels)
    if contender.program is None:
        spent = _ours(contender, data, out)
        about = {"minutes": spent, "steps": EPOCHS * CROPS // 2, "starter without the set": (ROOT / STARTER).is_file()}
    else:
        _external(contender, data, out, minutes)
        settings = json.loads((out / "about.json").read_text(encoding="utf-8"))["settings"]
        about = {"minutes": settings["minutes of training"], "settings": settings}
    about["scores"] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    settings = out / "models" / "instances.json" if contender.program is None else out / "instances.json"
    about["route"] = json.loads(settings.read_text(encoding="utf-8"))["best"]  # on the validation images
    record.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about


def _data(folder: Path, variant: str) -> Path:
    data = folder / f"data_{variant}"
    if not datalist_file(data).is_file():
        source = Path(os.environ.get(DATA, "")) / "emps"
        if not os.environ.get(DATA) or not source.is_dir():
            raise LazyLabelsError(f"bench minutes: {DATA} must name the folder of the real sets with emps in it; set it.")
        _lazylabels("simulate", source, data, *SETS[variant])
    return data


def _ours(contender: Contender, data: Path, out: Path) -> float:
    """CPU minutes of the training."""
    begin = contender.begin
    if begin == "starter" and (ROOT / STARTER).is_file():
        begin = str(ROOT / STARTER)
    steps = ["--crops_per_epoch", str(CROPS), "--max_epochs", str(EPOCHS), "--val_interval", str(EPOCHS // 3)]
    spent = _lazylabels("train", data, "--preset", "cpu", "--output", out, "--init_weights", begin, *steps)
    _lazylabels("tune", data, "--weights", out / "models" / "model.pt", "--overwrite")
    _lazylabels("evaluate", data, "--preset", "cpu", "--output", out)
    return spent


def _external(contender: Contender, data: Path, out: Path, minutes: float | None) -> None:
    labels, program = data.with_name(f"{data.name}_exported"), contender.program
    if not labels.is_dir():
        _lazylabels("export", data, labels)
    limit = [] if minutes is None or contender.name == "forest" else ["--minutes", f"{minutes:.2f}"]
    _call([program.python, "-m", program.module, labels, out, "--overwrite", *limit, *contender.options])
    predicted, chosen = out / "predictions", out / "validation_predictions"
    _lazylabels("score", data, predicted, "--out", out, "--tune", chosen, "--interfaces", "--overwrite")


def _lazylabels(*arguments: object) -> float:
    return _call([sys.executable, "-m", "lazylabels_monai", *arguments])


def _call(command: Sequence[object]) -> float:
    """Run a command in the repository's root; its CPU minutes, those of its children too.

    Raises:
        LazyLabelsError: with its last line, where it fails.
    """
    before = os.times()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    parts = [str(part) for part in command]
    done = subprocess.run(parts, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise LazyLabelsError(f"bench minutes: '{' '.join(parts[1:5])} ...' failed: {lines[-1]}")
    return (after.children_user + after.children_system - before.children_user - before.children_system) / 60


def section(repeats: int = 1) -> str:
    """Markdown for docs/performance.md.

    Args:
        repeats: not used: one seed takes an hour of a core.
    """
    with tempfile.TemporaryDirectory() as new:
        folder = Path(os.environ.get(KEPT) or new)
        found: dict[str, dict[str, Any]] = {}
        for contender in CONTENDERS:
            if contender.installed or (folder / f"{contender.name}.json").is_file():
                found[contender.name] = do_row(contender, folder, _minutes_of_ours(found))
    return table(found)


def _minutes_of_ours(found: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The longer one of our trainings."""
    return max((found[name]["minutes"] for name in ("starter", "nothing") if name in found), default=None)


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows in Markdown.

    Args:
        found: :func:`do_row` by the contender's name; those that are not named were not installed.
    """
    lines = [
        f"`{DATA}=... python -m lazylabels_monai bench minutes`, one seed.",
        f"{describe_machine()}.",
        "emps at half size: 60 images with lazy labels (6 with exact masks, 45 with inner regions, 60 with interface",
        "scribbles), 16 to choose by, 40 test images; one view of each. Minutes of one core from the start of a training's",
        "process to its end; choosing how objects are made, on the 16, and predicting come after that, for all alike.",
        "",
        "| program | is given | minutes | Dice | object F1 | interfaces: precision, recall | route to objects |",
        "|---|---|---|---|---|---|---|",
    ]
    for contender in CONTENDERS:
        if contender.name not in found:
            lines.append(f"| {contender.title} | - | - | - | - | - | not installed: `make {contender.program.target}` |")
            continue
        record = found[contender.name]
        scores, route = record["scores"], record["route"]
        interfaces = scores["separation"]
        knows = contender.name == "starter" and not record.get("starter without the set")
        cells = [
            f"{contender.note}; **it begins from weights that have learnt from emps**" if knows else contender.note,
            f"{record['minutes']:.1f}",
            f"{scores['segmentation']['dice']['mean']:.3f}",
            _number(scores["objects"][f"f1@0.5 {route}"]),
            f"{_number(interfaces['precision'])}, {_number(interfaces['recall'])}",
            route,
        ]
        lines.append(f"| {contender.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """One row at a time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what is made is kept here")
    parser.add_argument("--only", choices=[contender.name for contender in CONTENDERS], help="one row; default all")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    done = {
        contender.name: do_row(contender, options.folder)
        for contender in CONTENDERS[:2]
        if options.only is None or options.only == contender.name or (options.folder / f"{contender.name}.json").is_file()
    }
    for contender in CONTENDERS[2:]:
        if options.only in (None, contender.name):
            do_row(contender, options.folder, _minutes_of_ours(done))


if __name__ == "__main__":
    main()
