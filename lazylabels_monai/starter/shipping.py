"""Putting weights that ``make`` made into the package, with a card that says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.progress import Progress, silent
from lazylabels_monai.starter.scoring import SCORES_FILE, WINDOW, place_weights, read_results, score_weights
from lazylabels_monai.starter.sets import CLASS

__all__ = ["CARD_FILE", "CHECK_COMMAND", "CHECK_PICTURES", "LARGEST", "install"]

CARD_FILE = "README.md"
#: Bytes that the weights may take: everybody who installs the package loads them.
LARGEST = 8_000_000
#: Built-in pictures whose score the card states for a check.
CHECK_PICTURES = 4
CHECK_COMMAND = f"python -m lazylabels_monai.starter check --most {CHECK_PICTURES}"


def install(results_folder: Path, folder: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Put the starter where the package keeps it: weights, network, class and card.

    Args:
        results_folder: what ``make`` wrote: ``results.json`` and ``final.pt``; what ``score`` wrote goes into the card.
        folder: of the package's starter.
        progress: called with lines of text.

    Returns:
        the scores of the check that the card states.

    Raises:
        LazyLabelsError: when there are no weights, or they are too large to ship.
    """
    say = progress or silent
    results = read_results(results_folder)
    weights = results_folder / "final.pt"
    if not weights.is_file():
        raise LazyLabelsError(f"{weights} is not there: make it by python -m lazylabels_monai.starter make --plan final.")
    if (size := weights.stat().st_size) > LARGEST:
        raise LazyLabelsError(f"{weights} has {size} bytes, more than the {LARGEST} that are shipped: make a narrower network.")
    placed = place_weights(weights, results, folder)
    check = score_weights(placed, "builtin", most=CHECK_PICTURES)
    file = results_folder / SCORES_FILE
    scores = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    write_text(folder / CARD_FILE, card(results, scores, check, size))
    say(f"written: {folder} ({size / 1e6:.1f} MB); Dice of {CHECK_PICTURES} built-in pictures {check['dice']:.3f}")
    return check


def card(results: Mapping[str, Any], scores: Mapping[str, Any], check: Mapping[str, Any], size: int) -> str:
    """The text of the card."""
    about, settings = results["about"], results["settings"]
    runs = {run["name"]: run for run in results["runs"]}
    last = runs["final"]["validations"][-1]
    plan = ",".join(f"{run['without'] or 'final'}:{run['seconds_planned']:.0f}" for run in results["runs"])
    lines = [
        "<!-- written by python -m lazylabels_monai.starter install; do not edit by hand -->",
        "# The starter",
        "",
        f"A multi-task U-Net with one class, `{CLASS}`, that has learnt from microscopy pictures of many kinds what an object,",
        "its inside and the line between two touching objects look like. `lazylabels predict` uses it where there are no",
        "trained weights, and a training can begin from it (`init_weights: starter`). See `docs/starter.md`.",
        "",
        "| | |",
        "|---|---|",
        f"| file | `model.pt`, {size / 1e6:.1f} MB, a state dict in half precision |",
        f"| network | `MultiTaskUNet`, one grey channel, widths {', '.join(map(str, results['network']['channels']))} |",
        f"| made | {about['device']}, torch {about['torch']}, commit {about.get('commit', 'unknown')} |",
        f"| training | {last['seconds']:.0f} s, {last['step']} steps of {settings['batch_size']} crops of "
        f"{settings['crop_size']} pixels, seed {settings['seed']} |",
        f"| command | `python -m lazylabels_monai.starter make pictures.zip OUT --plan {plan}` |",
        f"| windows in prediction | {WINDOW} pixels |",
        "",
        "## Pictures",
        "",
        "| set | share of the crops | pictures or parts of them, at all magnifications | terms |",
        "|---|---|---|---|",
    ]
    made = last["pictures_made"]
    for name, share in results["shares"].items():
        terms = results["sets"].get(name, "made by this package")
        count = results["canvases"].get(name, made.get(name))
        lines.append(f"| {name} | {share:.2f} | {count} | {terms} |")
    lines += [
        "",
        "Training images only: no test image of a comparison in `docs/results.md` is among them. All classes are one. Contrast",
        "is turned around in a third of the crops. GlaS, which may be used for research only, was not learnt.",
        "",
        "## Scores without any training",
        "",
        "Whole pictures that were not learnt from. *with*: these weights, which know other pictures of the set.",
        f"*without*: weights made in {_seconds(results)} s without the set, for which its pictures are of a new kind.",
        "",
    ]
    lines += _score_table(results, scores)
    lines += [
        "",
        f"A check: mean Dice of {CHECK_PICTURES} built-in pictures {check['dice']:.3f}, object F1 {check['f1']:.3f}, by",
        f"`{CHECK_COMMAND}`.",
        "",
        "## What it is not for",
        "",
        "- Tissue: on H&E-stained glands (GlaS) it is of no use without training, and it got worse there the longer it learnt.",
        "- Classes: everything is an `object`; to tell kinds apart, train.",
        "- Figures of a publication. A starter that has seen nothing of your material errs where you do not expect it:",
        "  look at the overlays. Where it finds the objects, a few pictures make it no better; else mark some and train.",
        "- Volumes, and pictures in which colour, not brightness, tells objects from the rest.",
        "- A comparison on pictures that it learnt from: the sets above, or those that contain them.",
        "",
    ]
    return "\n".join(lines)


def _seconds(results: Mapping[str, Any]) -> str:
    seconds = sorted({round(run["seconds_planned"]) for run in results["runs"] if run["without"]})
    return f"{seconds[0]} to {seconds[-1]}" if len(seconds) > 1 else str(seconds[0]) if seconds else "0"


def _score_table(results: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    lines = [
        "As they were validated while they learnt, in parts of at most 512 pixels, emps and glas at half their size:",
        "",
        "| set | Dice with | Dice without |",
        "|---|---|---|",
    ]
    runs = {run["name"]: run for run in results["runs"] if run.get("validations")}
    for domain, own in runs["final"]["validations"][-1]["scores"].items():
        other = runs.get(f"without_{domain}")
        value = f"{other['validations'][-1]['scores'][domain]['dice']:.3f}" if other else "-"
        cells = (f"{own['dice']:.3f}", value) if domain in results["shares"] else ("-", f"{own['dice']:.3f}")
        lines.append(f"| {domain} | {' | '.join(cells)} |")
    if not scores.get("final"):
        return lines
    lines += [
        "",
        "As `predict` sees them, in whole pictures (go by these; `python -m lazylabels_monai.starter score OUT SETS`):",
        "",
        "| set | pictures | Dice with | Dice without | object F1 with | object F1 without |",
        "|---|---|---|---|---|---|",
    ]
    for domain, own in scores["final"].items():
        other = scores.get(f"without_{domain}", {}).get(domain)
        cells = [_cell(own, "dice"), _cell(other, "dice"), _cell(own, "f1"), _cell(other, "f1")]
        if domain not in results["shares"]:  # never learnt
            cells = ["-", cells[0], "-", cells[2]]
        lines.append(f"| {domain} | {own['images']} | {' | '.join(cells)} |")
    return lines


def _cell(score: Mapping[str, Any] | None, name: str) -> str:
    return "-" if score is None or score[name] is None else f"{score[name]:.3f}"
