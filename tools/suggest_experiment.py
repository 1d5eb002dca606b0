#!/usr/bin/env python
"""Does `suggest` reach a Dice with fewer images, or fewer hours, than drawing images at random? See docs/suggest.md.

The labels of all training images are hidden but those of a few. In each round a network is trained from scratch on the images
labelled so far and judged on the test images; then some more images get all of their labels: those that `suggest` ranks highest
by their uncertainty about the segmentation, or random ones. Both start from the same images, and from the same network.

    python tools/suggest_experiment.py data/emps_full --rounds 5 --add 4 --steps 600 --seeds 0 1 2

DATA is a data set whose training images have all labels. A run that has its metrics.json is left alone, and so is a choice that
was made, so that an interrupted experiment goes on where it stopped. Ends with a table, table.md and results.csv in OUT.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.budget import drawn_labels
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import LABEL_KEYS, absolute_path, datalist_file, load_datalist
from lazylabels_monai.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]

#: Options of the command `suggest` for each way to choose; None draws at random.
STRATEGIES = {"suggest": [], "entropy": ["--by", "entropy"], "random": None}

#: Every label costs one second, so that gain per second is gain: where images are counted, a cheap one is no better.
ALIKE = ["strong=0", "inner=0", "scribble=0", "absent=0", "image=1"]

BATCH, STEPS_PER_EPOCH = 8, 20


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set whose training images have all labels")
    parser.add_argument("--out", type=Path, default=Path("outputs/suggest"), help="folder of the runs and the table")
    parser.add_argument("--start", type=int, default=4, help="images that are labelled at first")
    parser.add_argument("--add", type=int, default=4, help="images that each round adds")
    parser.add_argument("--hours", type=float, help="hours of annotation that each round adds, instead of --add")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the first training")
    parser.add_argument("--steps", type=int, default=600, help="training steps of each round")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1], help="each draws the start, the images and the training"
    )
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=["suggest", "random"])
    parser.add_argument("--section", default="testing", help="images that judge: testing or validation")
    parser.add_argument("--overlay", nargs="+", default=["configs/cpu.yaml"], help="configs after train.yaml")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="ID=VALUE", help="ids of the configs, such as cpu_bfloat16=True"
    )
    parser.add_argument("--dropout-samples", type=int, default=0, help="of suggest; needs --set dropout=0.2 or the like")
    given = parser.parse_args()
    if min(given.start, given.add, given.steps) < 1 or given.rounds < 0 or (given.hours is not None and given.hours <= 0):
        parser.error("--start, --add, --steps and --hours must be positive, --rounds 0 or more.")
    return given


class Pool:
    """The fully labelled training images: their items with absolute paths, and what their labels cost."""

    def __init__(self, data: Path) -> None:
        self.content, file = load_datalist(data), datalist_file(data)
        for section in ("training", "validation", "testing"):
            for item in self.content.get(section, []):
                item.update({k: absolute_path(file, item[k]) for k in ("image", *LABEL_KEYS) if item.get(k) is not None})
        self.items = {item["image"]: item for item in self.content["training"] if all(task in item for task in TASKS)}
        left_out = len(self.content["training"]) - len(self.items)
        if left_out:
            print(f"{left_out} training images lack labels and are left out")
        costs, classes = AnnotationCosts(), len(self.content["classes"])
        self.seconds = {
            path: sum(costs.seconds(kind, *counts) for kind, counts in drawn_labels(item, file, classes).items())
            for path, item in self.items.items()
        }

    def write(self, folder: Path, labelled: list[str]) -> None:
        """Data sets of which only these training images have labels: ``data`` to train on, ``pool`` with the others as well."""
        for name, rest in (("data", []), ("pool", [path for path in self.items if path not in labelled])):
            training = [*(self.items[path] for path in labelled), *({"image": path} for path in rest)]
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_text(folder / name / "datalist.json", json.dumps({**self.content, "training": training}, indent=1))

    def take(self, order: list[str], given: argparse.Namespace) -> list[str]:
        """The images of a round, out of those in order of preference: a number of them, or what fits into the hours."""
        if given.hours is None:
            return order[: given.add]
        chosen: list[str] = []
        left = given.hours * 3600
        for path in order:
            if self.seconds[path] <= left:
                chosen.append(path)
                left -= self.seconds[path]
        return chosen or order[:1]


def call(arguments: list[str], log: Path) -> None:
    """Run Python with these arguments in the repository's root; the output goes into a file."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("w") as stream:
        status = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False
        ).returncode
    if status:
        raise SystemExit(f"{' '.join(arguments[:4])} ... failed, see {log}:\n{log.read_text()[-2000:]}")


def train_and_judge(folder: Path, given: argparse.Namespace, seed: int) -> None:
    """Write ``models/model.pt`` and ``metrics.json`` for ``folder/data``, unless they are there."""
    if (folder / "metrics.json").is_file():
        return
    overlays = [str(Path(path)) for path in given.overlay]
    steps = min(given.steps, STEPS_PER_EPOCH)
    epochs = -(-given.steps // steps)
    places = {"dataset_dir": folder / "data", "output_dir": folder, "ckpt_dir": folder / "models"}
    named = {**places, **dict(text.split("=", 1) for text in given.set)}
    training = {"seed": seed, "batch_size": BATCH, "crops_per_epoch": BATCH * steps, "max_epochs": epochs}
    training["val_interval"] = min(10, epochs)
    judging = {"section": given.section, **({"overlap": named["val_overlap"]} if "val_overlap" in named else {})}
    for run_id, files, more in (
        ("training", ["bundle/configs/train.yaml", *overlays], training),
        ("evaluating", ["bundle/configs/train.yaml", "bundle/configs/evaluate.yaml", *overlays], judging),
    ):
        values = [part for key, value in {**more, **named}.items() for part in (f"--{key}", str(value))]
        call(["-m", "monai.bundle", "run", run_id, "--config_file", str(files), *values], folder / f"{run_id}.log")


def preferred(pool: Pool, folder: Path, labelled: list[str], strategy: str, given: argparse.Namespace, seed: int) -> list[str]:
    """All images without labels, those to annotate next first."""
    if STRATEGIES[strategy] is None:
        others = [path for path in pool.items if path not in labelled]
        return [others[i] for i in np.random.default_rng([seed, len(labelled)]).permutation(len(others))]
    ranking = folder / f"ranking_{strategy}.csv"
    if not ranking.is_file():
        costs = [part for cost in (ALIKE if given.hours is None else []) for part in ("--cost", cost)]
        samples = ["--dropout-samples", str(given.dropout_samples)]
        command = ["-m", "lazylabels_monai", "suggest", str(folder / "pool"), "--weights", str(folder / "models" / "model.pt")]
        command += ["--tasks", "segmentation", "--out", str(ranking), *samples, *costs, *STRATEGIES[strategy]]
        call(command, folder / f"ranking_{strategy}.log")
    with ranking.open(encoding="utf-8") as stream:
        return [row["image"] for row in csv.DictReader(stream)]


def experiment(pool: Pool, given: argparse.Namespace) -> list[dict]:
    """All runs; a row for each."""
    rows = []
    for seed in given.seeds:
        names = list(pool.items)
        start = [names[i] for i in np.random.default_rng(seed).permutation(len(names))[: given.start]]
        for strategy in given.strategies:
            labelled, folder = start, given.out / f"start_s{seed}"
            for number in range(given.rounds + 1):
                if number > 0:
                    into = given.out / f"{strategy}_s{seed}" / f"round{number}"
                    choice = into / "labelled.json"
                    if not choice.is_file():
                        order = preferred(pool, folder, labelled, strategy, given, seed)
                        into.mkdir(parents=True, exist_ok=True)
                        write_text(choice, json.dumps(labelled + pool.take(order, given), indent=1))
                    labelled, folder = json.loads(choice.read_text(encoding="utf-8")), into
                pool.write(folder, labelled)
                train_and_judge(folder, given, seed)
                metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
                hours = sum(pool.seconds[path] for path in labelled) / 3600
                row = {"strategy": strategy, "seed": seed, "round": number, "images": len(labelled), "hours": round(hours, 3)}
                row["dice"] = metrics["segmentation"]["dice"]["mean"]
                row["f1@0.5"] = metrics.get("objects", {}).get("f1@0.5")
                rows.append(row)
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                if len(labelled) == len(pool.items):
                    break
    return rows


def table(rows: list[dict], given: argparse.Namespace) -> str:
    """Markdown: the mean over seeds of each round, its lowest and highest value, and when the Dice of random was reached."""
    lines = [f"{len(given.seeds)} seeds, {given.steps} steps, {given.section} images; mean (lowest to highest).", ""]
    lines += ["| chosen by | round | images | hours | Dice | F1@0.5 |", "|---|---|---|---|---|---|"]
    for strategy in given.strategies:
        for number in range(given.rounds + 1):
            found = [row for row in rows if (row["strategy"], row["round"]) == (strategy, number)]
            if found:
                cells = [_spread([row[key] for row in found], "{:.3f}") for key in ("dice", "f1@0.5")]
                images, hours = (_mean([row[key] for row in found]) for key in ("images", "hours"))
                lines.append(f"| {strategy} | {number} | {images:g} | {hours:.2f} | {' | '.join(cells)} |")
    means = {
        strategy: [
            tuple(_mean([row[key] for row in rows if (row["strategy"], row["round"]) == (strategy, number)]) for key in keys)
            for number in sorted({row["round"] for row in rows if row["strategy"] == strategy})
        ]
        for strategy in given.strategies
        for keys in [("dice", "images", "hours")]
    }
    if "random" in means:
        goal = means["random"][-1][0]
        lines += ["", f"The Dice of random in its last round, {goal:.3f}, is first reached"]
        for strategy, curve in means.items():
            reached = next(((images, hours) for dice, images, hours in curve if dice >= goal), None)
            where = "not at all" if reached is None else f"with {reached[0]:g} images, {reached[1]:.2f} hours"
            lines.append(f"- {strategy}: {where}")
    return "\n".join(lines)


def _mean(values: list) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _spread(values: list, form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    ends = f" ({form.format(min(known))} to {form.format(max(known))})" if len(known) > 1 else ""
    return form.format(np.mean(known)) + ends


def main() -> None:
    """Run what is missing and print the table."""
    given = arguments()
    given.out = given.out.resolve()
    pool = Pool(given.data)
    if len(pool.items) <= given.start:
        raise SystemExit(f"{given.data}: {len(pool.items)} training images have all labels, more than --start are needed.")
    settings = {k: str(v) for k, v in vars(given).items() if k not in ("seeds", "rounds", "strategies", "out")}
    given.out.mkdir(parents=True, exist_ok=True)
    record = given.out / "settings.json"
    if record.is_file() and (before := json.loads(record.read_text(encoding="utf-8"))) != settings:
        changed = sorted(key for key in {**before, **settings} if before.get(key) != settings.get(key))
        raise SystemExit(f"{given.out} holds runs of another {', '.join(changed)}: name another folder by --out.")
    write_text(record, json.dumps(settings, indent=1))
    rows = experiment(pool, given)
    with (given.out / "results.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = table(rows, given)
    write_text(given.out / "table.md", text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
