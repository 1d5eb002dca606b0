"""What do networks lose on pictures that were taken otherwise than those they learnt from?

    python tools/imaging_conditions.py configs/experiments/starter.yaml --only glas-strong4 --data DATA

Takes the runs of a comparison that are trained already (``lazylabels experiment``) and scores them once more, on copies of
their test images under other conditions: gray values, noise, defocus, magnification. One view of each image. The first method
is compared with the second: what each loses against the images as they are. Writes ``conditions_<set>-<variant>.md`` and a CSV
file of the runs into docs/results; a condition that was scored before is not scored again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skimage.exposure import adjust_gamma
from skimage.filters import gaussian
from skimage.io import imread, imsave

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lazylabels_monai.data.datalist import FILE_NAME  # noqa: E402
from lazylabels_monai.data.simulating.exact import scaled_image, scaled_label  # noqa: E402
from lazylabels_monai.experiments import runner  # noqa: E402
from lazylabels_monai.experiments.records import as_array, images_of  # noqa: E402
from lazylabels_monai.experiments.spec import Run, read_table  # noqa: E402
from lazylabels_monai.experiments.statistics import mean_dice, paired_difference, pooled_f1  # noqa: E402
from lazylabels_monai.provenance import machine  # noqa: E402

Picture = np.ndarray
AS_IS, INSTANCES = "as they are", "instances.json"
#: Gray values of 0 to 1, in and out.
GRAYS: Mapping[str, Callable[[Picture, np.random.Generator], Picture]] = {
    AS_IS: lambda image, rng: image,
    "darker (gamma 1.8)": lambda image, rng: adjust_gamma(image, 1.8),
    "brighter (gamma 0.55)": lambda image, rng: adjust_gamma(image, 0.55),
    "a fifth of the contrast": lambda image, rng: image.mean() + (image - image.mean()) / 5,
    "noise (sigma 0.1 of the range)": lambda image, rng: image + rng.normal(0, 0.1, image.shape),
    "defocus (sigma 2 pixels)": lambda image, rng: gaussian(image, 2, channel_axis=-1 if image.ndim == 3 else None),
}
MAGNIFICATIONS = {"magnified 0.7 x": 0.7, "magnified 1.4 x": 1.4}
CONDITIONS = [*GRAYS, *MAGNIFICATIONS]


def altered_copy(data: Path, out: Path, condition: str, most: int) -> None:
    """A data set of ``most`` of a data set's test images, evenly spread, under a condition; labels follow the magnification."""
    datalist = json.loads((data / FILE_NAME).read_text(encoding="utf-8"))
    every = datalist["testing"]
    items = [every[n] for n in np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))]
    scale = MAGNIFICATIONS.get(condition, 1.0)
    for number, item in enumerate(items):
        for key, name in item.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if key != "image":
                imsave(target, scaled_label(imread(data / name), scale), check_contrast=False)
                continue
            image = scaled_image(data / name, scale)
            top = np.iinfo(image.dtype).max  # of integers alone: what would be dark of others nobody knows
            grays = GRAYS.get(condition, GRAYS[AS_IS])(image / top, np.random.default_rng(number))
            imsave(target, np.round(grays.clip(0, 1) * top).astype(image.dtype), check_contrast=False)
    (out / FILE_NAME).write_text(json.dumps({**datalist, "training": [], "validation": [], "testing": items}), encoding="utf-8")


def score(run: Run, condition: str, places: runner.Places, most: int) -> dict[str, list[Any]]:
    """Scores of a run's images under a condition, by column (:func:`records.images_of`)."""
    source = runner.make_data(run, run.data, places)
    short = re.sub(r"[^a-z0-9.]+", "_", condition).strip("_")
    data = places.data / "conditions" / f"{source.parent.name}_{source.name}_{most}" / short
    if not (data / FILE_NAME).is_file():
        altered_copy(source, data, condition, most)
    folder = places.out / run.name
    models, out = folder / "models", folder / "conditions" / f"{most}_{short}"
    made = out / "metrics.json"
    if not made.is_file() or any((models / name).stat().st_mtime > made.stat().st_mtime for name in ("model.pt", INSTANCES)):
        out.mkdir(parents=True, exist_ok=True)
        runner.call(runner.evaluating(run, "testing", data, models, out, mirroring=False), out / "evaluating.log")
    route = json.loads((models / INSTANCES).read_text(encoding="utf-8"))["best"]
    return images_of(out, route)


def lost(statistic: Callable[[Picture], float], columns: int) -> Callable[[Picture], float]:
    """What a score loses from the first columns of an array to the others, which are the same ones under a condition."""
    return lambda images: statistic(images[:, :columns]) - statistic(images[:, columns:])


def table(
    found: Mapping[str, Mapping[str, Sequence[Mapping[str, list[Any]]]]], titles: Sequence[str], images_by_seed: bool = False
) -> list[str]:
    """Rows of Markdown: for each condition, both methods' scores and what they lose.

    Args:
        found: by condition and method, the images of each seed.
        titles: of the two methods.
        images_by_seed: each seed has test images of its own.
    """
    first, second = next(iter(found.values()))
    dice = [name for name in found[AS_IS][first][0] if name.startswith("dice ")]
    head = [f"{score}, {titles[0]} / {titles[1]}" for score in ("Dice", "object F1")]
    lines = [
        f"| images | {head[0]} | lost | difference of the losses | {head[1]} | lost | difference of the losses |",
        "|---|---|---|---|---|---|---|",
    ]
    for condition, methods in found.items():
        cells = [condition]
        for statistic, names in ((mean_dice, dice), (pooled_f1, ["tp", "fp", "fn"])):
            arrays = {m: [as_array(images, names) for images in methods[m]] for m in (first, second)}
            before = {m: [as_array(images, names) for images in found[AS_IS][m]] for m in (first, second)}
            means = [np.mean([statistic(a) for a in arrays[m]]) for m in (first, second)]
            losses = [np.mean([statistic(a) for a in before[m]]) - mean for m, mean in zip((first, second), means, strict=True)]
            cells.append(" / ".join(f"{mean:.3f}" for mean in means))
            if condition == AS_IS:
                cells += ["", ""]
                continue
            pairs = [[np.hstack(pair) for pair in zip(before[m], arrays[m], strict=True)] for m in (first, second)]
            difference = paired_difference(*pairs, lost(statistic, len(names)), images_by_seed)
            cells.append(" / ".join(f"{loss:.3f}" for loss in losses))
            cells.append(f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--only", default="", help="set and variant, such as glas-strong4")
    parser.add_argument("--methods", default="multitask_starter,multitask", help="two of the table's")
    parser.add_argument("--most", type=int, default=30, help="test images")
    parser.add_argument("--out", type=Path, default=Path("outputs/experiments"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--made", type=Path, default=Path("data/experiments"))
    parser.add_argument("--data", type=Path, default=os.environ.get("LAZYLABELS_DATA"))
    given = parser.parse_args()
    places = runner.Places(given.out, given.results, given.made, given.data)
    names = given.methods.split(",")
    runs = [run for run in runner.chosen(read_table(given.table)) if given.only in run.name and run.method.name in names]
    trained = [run for run in runs if (places.out / run.name / "models" / INSTANCES).is_file()]
    seeds = sorted(set.intersection(*({run.seed for run in trained if run.method.name == name} for name in names)))
    if not seeds or len({(run.dataset.name, run.data) for run in trained}) != 1:
        sys.exit(f"{given.table}: train {' and '.join(names)} of one set first, by `lazylabels experiment`; --only names it.")
    found: dict[str, dict[str, list[dict[str, list[Any]]]]] = {condition: {} for condition in CONDITIONS}
    rows = []
    for condition in CONDITIONS:
        for name in names:
            for run in (run for seed in seeds for run in trained if (run.method.name, run.seed) == (name, seed)):
                images = score(run, condition, places, given.most)
                found[condition].setdefault(name, []).append(images)
                dice = [column for column in images if column.startswith("dice ")]
                scores = {"dice": mean_dice(as_array(images, dice)), "f1": pooled_f1(as_array(images, ["tp", "fp", "fn"]))}
                rows.append({"method": name, "seed": run.seed, "condition": condition, **scores})
                print(f"{condition}, {run.name}: Dice {scores['dice']:.3f}, object F1 {scores['f1']:.3f}", flush=True)
    titles = [next(run.method.title for run in trained if run.method.name == name) for name in names]
    example = trained[0]
    stem = f"conditions_{example.dataset.name}-{example.data}"
    text = [
        f"# {example.dataset.title}: images taken otherwise than those learnt from",
        f"Made by `python tools/imaging_conditions.py {given.table} --only {given.only} --most {given.most}`; do not edit.",
        f"Variant {example.data}, seeds {', '.join(map(str, seeds))}, {given.most} test images in one view, scale "
        f"{example.scale.name}.\n{date.today()}, {machine()}.\nFirst {titles[0]}, then {titles[1]}.\n"
        "*Difference of the losses*: what the first loses less what the second loses, and its 95 % interval (bootstrap over\n"
        "seeds and images); below 0 the first loses less.",
        "\n".join(table(found, titles, example.dataset.images_by_seed)),
    ]
    (given.results / f"{stem}.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
    pd.DataFrame(rows).round(5).to_csv(given.results / f"{stem}.csv", index=False)


if __name__ == "__main__":
    main()
