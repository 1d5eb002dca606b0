#!/usr/bin/env python
"""A session of drawing, training and correcting, as a person would do it, played on pictures whose truth is known.

Each round the simulated person (tools/simulated_person.py) takes the image that the project suggests, looks at the prediction
of the weights so far, corrects it and marks more objects for as long as a round lasts, and waits while the training takes its
epochs. The training is that of the window (configs/interactive.yaml), one that goes on and takes the new marks up; it, the
prediction and the corrections run in this process, so that a seed repeats a session. After some rounds the weights are judged
on pictures that were never shown. Beside it: the starter without training, the same marks trained in one go (as many steps,
from the starter), and a random forest on the same marks.

    make benchmark-random-forest
    python -m tools.session_experiment play PICTURES outputs/session/0 --weights STARTER --seed 0
    python -m tools.session_experiment table outputs/session docs/results/session

PICTURES holds images/ and masks/ (ids), or classes/ (each connected region of a class is an object). STARTER is a model.pt
that has not learnt from such pictures. A session that has its session.json is left alone.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import label as connected_regions

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.datalist import FILE_NAME, load_datalist
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.instances import ROUTES, InstanceSettings, separate_objects
from lazylabels_monai.interactive.answering import Answerer, Request
from lazylabels_monai.interactive.image_files import read_picture
from lazylabels_monai.interactive.next_images import next_images
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.trainer import training_arguments
from lazylabels_monai.metrics.matching import Matching, count_matches, object_overlaps, ratio
from lazylabels_monai.threads import wait_asleep
from tools.simulated_person import Person

ROOT = Path(__file__).resolve().parents[1]
RESULT = "session.json"
FOREST = ROOT / "benchmarks" / "random_forest" / ".venv" / "bin" / "python"
#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = {"session": "#0072B2", "in one go": "#D55E00", "random forest": "#009E73", "starter alone": "#666666"}


# ------------------------------------------------------------------------------------------------- scores


class Score:
    """Dice and object F1 of pictures, one after the other."""

    def __init__(self) -> None:
        self.dice: list[float] = []
        self.matching: Matching | None = None

    def add(self, inside: np.ndarray, objects: np.ndarray, truth: np.ndarray) -> None:
        """Take a picture: (H, W) bool what is no background, predicted ids, true ids."""
        both = np.count_nonzero(inside & (truth > 0))
        self.dice.append(ratio(2 * both, np.count_nonzero(inside) + np.count_nonzero(truth)))
        found = count_matches(object_overlaps(objects, truth), 0.5)
        self.matching = found if self.matching is None else self.matching + found

    def result(self) -> dict[str, float]:
        """The mean Dice of a picture; F1 of all objects at an IoU of 0.5."""
        return {"dice": round(float(np.nanmean(self.dice)), 4), "f1": round(float(self.matching.f1), 4)}


def true_ids(pictures: Path, name: str) -> np.ndarray:
    """Ids (H, W) int32 of the objects of a picture."""
    if (pictures / "masks").is_dir():
        return read_label(pictures / "masks" / name).astype(np.int32)
    return connected_regions(read_label(pictures / "classes" / name), connectivity=1).astype(np.int32)


def whole(answerer: Answerer, name: str, picture: np.ndarray) -> Any:
    """The answer that a window shows."""
    return list(answerer.answers(Request(name, picture, None, None)))[-1]


def score_weights(weights: Path, held: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Of the predictions that a window shows of pictures (image and true ids by name)."""
    answerer, score = Answerer(), Score()
    answerer.load(weights)
    for name, (picture, truth) in held.items():
        found = whole(answerer, name, picture)
        score.add(found.segmentation.argmax(0) > 0, found.objects, truth)
    return score.result()


# ------------------------------------------------------------------------------------------------- training


@contextmanager
def training(folder: Path, out: Path, weights: Path, **settings: Any):  # noqa: ANN201
    """The trainer of the window's training on a project, in this process, ready to run."""
    from monai.bundle import ConfigWorkflow

    parts = training_arguments(folder, out, weights, **settings)[2:]
    given = {name.removeprefix("--"): _value(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}
    files = given.pop("config_file")
    hook, path = sys.excepthook, list(sys.path)
    try:
        workflow = ConfigWorkflow(config_file=files, workflow_type="train", logging_file=False, **given)
        workflow.initialize()
        yield workflow.parser.get_parsed_content("train#trainer")
        workflow.finalize()
    finally:
        sys.excepthook, sys.path[:] = hook, path


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def train_with(
    folder: Path, out: Path, weights: Path, epochs: int, after: Callable[[int], None] = lambda epoch: None, **settings: Any
) -> tuple[float, int]:
    """Train on a project and call ``after`` with the number of each epoch whose weights are saved.

    Returns:
        seconds of CPU that the training took, without what ``after`` did, and its steps.
    """
    from ignite.engine import Events

    spent, elsewhere = time.process_time(), 0.0

    def call(engine: Any) -> None:
        nonlocal elsewhere
        started = time.process_time()
        after(engine.state.epoch)
        elsewhere += time.process_time() - started

    with training(folder, out, weights, max_epochs=epochs, **settings) as trainer:
        trainer.add_event_handler(Events.EPOCH_COMPLETED, call)
        trainer.run()
        return time.process_time() - spent - elsewhere, trainer.state.iteration


# ------------------------------------------------------------------------------------------------- the session


def choose(pictures: Path, draw: int, held: int, seed: int) -> tuple[list[str], list[str]]:
    """Names of the pictures to draw on, by seed, and of those that judge, the same for all seeds."""
    names = sorted(path.name for path in (pictures / "images").glob("*.png"))
    if len(names) < draw + held:
        raise SystemExit(f"{pictures / 'images'} holds {len(names)} PNGs, but --draw {draw} and --held {held} are wanted.")
    order = np.random.default_rng(0).permutation(names).tolist()
    rest = sorted(order[held:])
    return np.random.default_rng([seed, 1]).permutation(rest).tolist()[:draw], sorted(order[:held])


def play(given: argparse.Namespace) -> dict[str, Any]:
    """A session and what stands beside it; writes and returns the result."""
    drawn, names = choose(given.pictures, given.draw, given.held, given.seed)
    truth = {name: true_ids(given.pictures, name) for name in [*drawn, *names]}
    held = {name: (read_image(given.pictures / "images" / name), truth[name]) for name in names}
    folder = given.out / "project"
    shutil.rmtree(given.out, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(drawn):  # the order of the names is that of the suggestions
        shutil.copyfile(given.pictures / "images" / name, folder / "images" / f"{number:02d}_{name}")
    settings = dict(setting.split("=", 1) for setting in given.set)
    settings = {"seed": given.seed, "device": "cpu", **settings}
    found: dict[str, Any] = {"starter alone": {"0": score_weights(given.weights, held)}}
    print(f"starter alone: {found['starter alone']['0']}", flush=True)
    with Project.open(folder, create=True) as project:
        truths = {entry.name: truth[Path(entry.name).name[3:]] for entry in project.images}
        person = Person(project, truths, seed=given.seed, style=given.style)
        session = Session(project, person, given, held)
        session.round(given.weights)
        cpu, steps = train_with(
            folder, given.out / "training", given.weights, given.rounds * given.epochs, session.epoch_done, **settings
        )
        found["session"] = session.scores
        drawing = session.drawing
    pace = {"steps a round": steps // given.rounds, "training, CPU seconds a round": round(cpu / given.rounds, 1)}
    print(f"{pace}, {dict(person.done)}", flush=True)
    result = {
        "seed": given.seed,
        "pictures": {"drawn on": len(drawn), "held": len(names)},
        "seconds a round": {"drawing": given.seconds, "waiting": given.wait},
        **pace,
        "drawn, seconds": {str(number): round(seconds, 1) for number, seconds in drawing.items()},
        "done": dict(person.done),
        "scores": found,
        "settings": {key: value for key, value in settings.items() if key not in ("seed", "device")},
    }
    write_result(given.out, {**result, "unfinished": True})
    if given.forest.exists():
        found["random forest"] = {}
        for number in given.judged:
            found["random forest"][str(number)] = forest(given, given.out / f"round_{number}", held)
            print(f"random forest {number}: {found['random forest'][str(number)]}", flush=True)
        write_result(given.out, {**result, "unfinished": True})
    if given.one_go:
        found["in one go"] = {}
        for number in given.one_go:
            out = given.out / f"one_go_{number}"
            train_with(given.out / f"round_{number}", out, given.weights, number * given.epochs, **settings)
            found["in one go"][str(number)] = score_weights(out / "models" / "model.pt", held)
            print(f"in one go {number}: {found['in one go'][str(number)]}", flush=True)
    write_result(given.out, result)
    return result


def write_result(out: Path, result: dict[str, Any]) -> None:
    """So far as it is known: a session that is stopped has at least its rounds."""
    write_text(out / RESULT, json.dumps(result, indent=1) + "\n")


class Session:
    """Rounds of a person, called by the training.

    Attributes:
        scores: by round that was judged.
        drawing: seconds of drawing so far, by round.
    """

    def __init__(self, project: Project, person: Person, given: argparse.Namespace, held: dict[str, Any]) -> None:
        self.project, self.person, self.given, self.held = project, person, given, held
        self.answerer = Answerer()
        self.scores: dict[str, dict[str, float]] = {}
        self.drawing: dict[int, float] = {}
        self.rounds = 0
        self._spent = 0.0

    def round(self, weights: Path) -> None:
        """Draw and correct on the image that is suggested."""
        entry = next_images(self.project)[0]
        left = self.given.seconds
        if self.rounds < self.given.exact:
            self.person.paint(entry)
        if not self.given.draw_only and (self.rounds or self.given.correct_first):
            self.answerer.load(weights)
            seen = whole(self.answerer, entry.name, read_picture(entry.path))
            self.project.records.note_predicted(entry)
            left -= self.person.correct(entry, seen.objects, left)
        left -= self.person.draw(entry, left)
        self.rounds += 1
        self._spent += self.given.seconds - left
        self.drawing[self.rounds] = self._spent

    def epoch_done(self, epoch: int) -> None:
        """After each epoch; after the last one of a round the person is at it again."""
        if epoch % self.given.epochs:
            return
        weights = self.given.out / "training" / "models" / "model.pt"
        if self.rounds in self.given.judged:
            self.scores[str(self.rounds)] = score_weights(weights, self.held)
            print(f"round {self.rounds}: {self.scores[str(self.rounds)]}, {dict(self.person.done)}", flush=True)
            shutil.copytree(self.project.folder, self.given.out / f"round_{self.rounds}")
        if self.rounds < self.given.rounds:
            self.round(weights)


def forest(given: argparse.Namespace, marks: Path, held: dict[str, Any]) -> dict[str, float]:
    """A random forest on the marks of a project's copy.

    Its way to objects is the one that is best on the pictures that judge, in its favour.
    """
    from lazylabels_monai.data.single_label import export_single_labels
    from lazylabels_monai.evaluation.score import maps_of_classes

    data, labels, out = (given.out / f"forest_{part}_{marks.name}" for part in ("data", "labels", "out"))
    shutil.copytree(marks, data)
    content = load_datalist(data)
    (data / "held").mkdir()
    content["testing"] = []
    for name in held:
        shutil.copyfile(given.pictures / "images" / name, data / "held" / name)
        content["testing"].append({"image": f"held/{name}"})
    content["validation"] = content["testing"][:1]  # an export wants one
    write_text(data / FILE_NAME, json.dumps(content))
    export_single_labels(data, labels)
    command = [str(given.forest), "-m", "benchmarks.random_forest", str(labels), str(out), "--seed", str(given.seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"the random forest failed: {ended.stderr[-500:]}")
    scores = []
    for route in ROUTES:
        score = Score()
        for name, (_, truth) in held.items():
            maps = maps_of_classes(read_label(out / "predictions" / name), 2)
            inside = maps["segmentation"].argmax(0)
            objects = separate_objects(inside, maps["detection"], maps["separation"], InstanceSettings(route=route))
            score.add(inside > 0, objects, truth)
        scores.append({**score.result(), "route": route})
    return max(scores, key=lambda one: one["f1"])


# ------------------------------------------------------------------------------------------------- table and curve


def curves(results: Sequence[dict[str, Any]], what: str) -> dict[str, dict[int, list[float]]]:
    """Scores of all sessions by method and round."""
    found: dict[str, dict[int, list[float]]] = {}
    for result in results:
        for method, scores in result["scores"].items():
            for number, score in scores.items():
                found.setdefault(method, {}).setdefault(int(number), []).append(score[what])
    return found


def cell(values: Iterable[float] | None) -> str:
    """Mean and range."""
    values = list(values or [])
    if not values:
        return ""
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    first = results[0]
    each = first["seconds a round"]
    drawn = {number: [r["drawn, seconds"][number] for r in results] for number in first["drawn, seconds"]}
    lines = ["| round | minutes: drawing + waiting | method | Dice | object F1 |", "|---|---|---|---|---|"]
    dice, f1 = curves(results, "dice"), curves(results, "f1")
    rounds = sorted({number for scores in dice.values() for number in scores})
    for number in rounds:
        drawing = statistics.mean(drawn[str(number)]) / 60 if number else 0.0
        clock = f"{drawing:.1f} + {number * each['waiting'] / 60:.0f}"
        for method in COLOURS:
            if number in dice.get(method, {}):
                lines.append(f"| {number} | {clock} | {method} | {cell(dice[method][number])} | {cell(f1[method][number])} |")
    return "\n".join(lines) + "\n"


def picture(results: Sequence[dict[str, Any]], file: Path) -> None:
    """Dice and object F1 over the minutes of a session; a thin line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    each = results[0]["seconds a round"]
    minutes = (each["drawing"] + each["waiting"]) / 60
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, what, title in zip(axes, ("dice", "f1"), ("Dice", "object F1"), strict=True):
        for method, scores in curves(results, what).items():
            colour, rounds = COLOURS[method], sorted(scores)
            means = [statistics.mean(scores[number]) for number in rounds]
            if method == "starter alone":
                axis.axhline(means[0], color=colour, linestyle=":", label=method)
                continue
            marker = {"session": "o", "in one go": "s", "random forest": "^"}[method]
            for number in rounds:
                axis.plot([number * minutes] * 2, [min(scores[number]), max(scores[number])], color=colour, linewidth=1)
            style = "-" if len(rounds) > 1 else ""
            axis.plot([n * minutes for n in rounds], means, style, marker=marker, color=colour, label=method)
        axis.set(title=title, xlabel="minutes of drawing and waiting")
        axis.grid(color="#dddddd")
    axes[0].legend(frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def write_table(given: argparse.Namespace) -> None:
    """Table, curve and numbers of all sessions in a folder."""
    results = [json.loads(path.read_text()) for path in sorted(given.sessions.glob(f"*/{RESULT}"))]
    if not results:
        raise SystemExit(f"{given.sessions} holds no session: play one first.")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(given.out.with_suffix(".json"), json.dumps(results, indent=1) + "\n")
    write_text(given.out.with_suffix(".md"), table(results))
    picture(results, given.out.with_suffix(".png"))
    print(table(results))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("play", help="one session")
    one.add_argument("pictures", type=Path, help="folder with images/ and masks/ or classes/, PNGs of the same names")
    one.add_argument("out", type=Path, help="folder of the session; what is in it is replaced unless it is finished")
    one.add_argument("--weights", type=Path, required=True, help="the starter: a model.pt")
    one.add_argument("--seed", type=int, default=0, help="of the pictures, the person and the training")
    one.add_argument("--draw", type=int, default=12, help="pictures in the project")
    one.add_argument("--held", type=int, default=20, help="pictures that judge, the same for all seeds")
    one.add_argument("--rounds", type=int, default=10)
    one.add_argument("--judged", type=int, nargs="*", default=[1, 3, 5, 10], help="rounds after which the weights are judged")
    one.add_argument("--seconds", type=float, default=60.0, help="of drawing in a round")
    one.add_argument("--wait", type=float, default=60.0, help="seconds that the epochs of a round take, for the table")
    one.add_argument("--epochs", type=int, default=30, help="of each round; how many 60 s allow, see docs/napari.md")
    one.add_argument("--style", default="blob", help="of the inner regions")
    one.add_argument("--correct-first", action="store_true", help="correct the starter's prediction in the first round, too")
    one.add_argument("--draw-only", action="store_true", help="never correct a prediction, as where it is of no use")
    one.add_argument(
        "--exact", type=int, default=0, help="first pictures of which the exact mask is painted, too; costs no time"
    )
    one.add_argument("--one-go", type=int, nargs="*", default=[10], help="rounds whose marks are trained in one go, too")
    one.add_argument("--forest", type=Path, default=FOREST, help="python of the random forest; left out where it is not there")
    one.add_argument("--set", nargs="*", default=[], metavar="ID=VALUE", help="ids of the configs, such as ema_decay=0.99")
    two = commands.add_parser("table", help="table and curve of all sessions")
    two.add_argument("sessions", type=Path, help="folder of the sessions")
    two.add_argument("out", type=Path, help="of .md, .json and .png")
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = arguments().parse_args(words)
    if given.command == "table":
        return write_table(given)
    if (given.out / RESULT).is_file() and not json.loads((given.out / RESULT).read_text()).get("unfinished"):
        print(f"{given.out / RESULT} is there: left alone")
        return None
    given.out, given.weights = Path(os.path.abspath(given.out)), Path(os.path.abspath(given.weights))
    given.judged = [number for number in given.judged if number <= given.rounds]
    given.one_go = [number for number in given.one_go if number in given.judged]
    wait_asleep()
    play(given)
    return None


if __name__ == "__main__":
    main()
