"""Tables of a comparison: Markdown for people, CSV for programs, made of the records alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.atomic import write_text
from lazylabels_monai.experiments.figures import draw_curves, draw_scores
from lazylabels_monai.experiments.reaching import reaching_table
from lazylabels_monai.experiments.rows import Row, compare_rows, read_rows
from lazylabels_monai.experiments.spec import Group, Table

__all__ = ["write_table"]

_LEGEND = """A cell is the mean over the seeds, in brackets the lowest and the highest. Below each group, one
method is compared with each other one: the difference of the means and its 95 % interval (bootstrap over seeds
and images, the same ones for both methods). *Better* and *worse* are said of the method that is named first; *no
significant difference*: the interval contains 0; *one seed*: the interval knows nothing of the spread over
seeds. *Route to objects*: how the network's maps were turned into objects, for each run the best route on its
validation images. The scores are defined in [metrics](../metrics.md), the methods in [tables](README.md)."""


def write_table(table: Table, results: str | Path) -> list[Path]:
    """Write ``<table>.md``, ``<table>.csv``, figures into ``results``; a scale that is not the table's own is in the name."""
    results = Path(results)
    name = table.name if table.own_scale else f"{table.name}_{table.scale.name}"
    groups = [(group, read_rows(table, group, results)) for group in table.groups]
    results.mkdir(parents=True, exist_ok=True)
    written = [results / f"{name}.md", results / f"{name}.csv"]
    figures = []
    if any(row.records for _, rows in groups for row in rows):
        figures = [draw_scores(groups, results / f"{name}_scores.png"), draw_curves(groups, results / f"{name}_curves.png")]
    figures = [path for path in figures if path is not None]
    write_text(written[0], markdown(table, groups, figures))
    write_text(written[1], _csv(groups))
    return [*written, *figures]


def markdown(table: Table, groups: Sequence[tuple[Group, list[Row]]], figures: Sequence[Path] = ()) -> str:
    """The whole page of a table."""
    again = f"python -m lazylabels_monai experiment configs/experiments/{table.name}.yaml"
    again += "" if table.own_scale else f" --scale {table.scale.name}"
    parts = [f"# {table.title}", f"Made by `{again}`; do not edit.", _protocol(table, groups), _LEGEND]
    for group, rows in groups:
        parts.append(f"## {group.title}")
        parts.append(_scores_table(rows, len(group.seeds)))
        parts.append(_comparison(group, rows))
        parts.append(reaching_table(rows))
    parts.append(_pairs(groups))
    parts += [f"![{path.stem.replace('_', ' ')}]({path.name})" for path in figures]
    return "\n\n".join(part for part in parts if part) + "\n"


def _protocol(table: Table, groups: Sequence[tuple[Group, list[Row]]]) -> str:
    # once each: a run may stand in several groups
    every = [(row.run, row.records) for _, rows in groups for row in rows]
    records = list({replace(run, seed=seed).name: record for run, known in every for seed, record in known.items()}.values())
    wanted = len(list(table.runs()))
    if not records:
        return f"None of {wanted} runs is done yet."
    missing = f" **{wanted - len(records)} of {wanted} runs are not done yet.**" if len(records) < wanted else ""
    dates = sorted({record["date"] for record in records})
    alike = all(group.seeds == table.seeds for group in table.groups)
    seeds = ", ".join(map(str, table.seeds)) if alike else "of each group"
    mean = f"Mean over the seeds {seeds} (lowest to highest)" if len(table.seeds) > 1 else f"Seed {seeds}"
    images = "test" if table.section == "testing" else table.section
    lines = [f"{mean} on the {images} images.{missing}", ""]
    ours = [record for record in records if "steps" in record]
    for key, what in (
        ("steps", "steps"),
        ("batch_size", "crops per step"),
        ("crop_size", "crop size, pixels"),
        ("window_size", "window size in evaluation, pixels (at most the image)"),
        ("channels", "widths of the network, level by level"),
        ("norm", "normalisation"),
        ("precision", "number format in training"),
        ("mirroring", "mean over mirrored windows in evaluation"),
    ):
        found = sorted({str(record[key]) for record in ours if key in record})
        lines += [f"- {what}: {', '.join(found)}"] if found else []
    for title, settings in {
        (row.title, ", ".join(f"{name} {value}" for name, value in record["settings"].items())): None
        for _, rows in groups
        for row in rows
        for record in row.records.values()
        if "settings" in record
    }:
        lines.append(f"- {title}: {settings}")
    minutes = sum(sum(record.get("minutes", {}).values()) for record in records)
    took = f", {minutes / 60:.1f} hours one after the other" if minutes else ""
    lines.append(f"- {len(records)} runs{took}, {dates[0]} to {dates[-1]}")
    for name in sorted({record["machine"] for record in records}):
        lines.append(f"- machine: {name}")
    versions = sorted({", ".join(f"{k} {v}" for k, v in record["versions"].items()) for record in records})
    return "\n".join([*lines, f"- {'; '.join(versions)}"])


def _scores_table(rows: Sequence[Row], seeds: int) -> str:
    classes = list(dict.fromkeys(name for row in rows for r in row.records.values() for name in r[row.section]["dice"]))
    shown = [name for name in classes if name != "mean"] if len(classes) > 2 else []
    columns: dict[str, Callable[[Mapping[str, Any]], float | None]] = {"Dice": lambda scores: scores["dice"]["mean"]}
    columns |= {f"Dice, {name}": lambda scores, name=name: scores["dice"].get(name) for name in shown}
    columns["object F1"] = lambda scores: scores["f1"]
    for key, what in (
        ("glas_f1", "GlaS F1"),
        ("glas_object_dice", "GlaS object Dice"),
        ("glas_object_hausdorff", "GlaS object Hausdorff, px"),
    ):
        if any(key in record[row.section]["objects"] for row in rows for record in row.records.values()):
            columns[what] = lambda scores, key=key: scores["objects"].get(key)
    for key in ("precision", "recall"):
        if any(record[row.section]["separation"].get(key) is not None for row in rows for record in row.records.values()):
            columns[f"interface {key}"] = lambda scores, key=key: scores["separation"].get(key)
    lines = [
        f"| method | seeds | {' | '.join(columns)} | route to objects | minutes |",
        "|---|---|" + "---|" * (len(columns) + 2),
    ]
    for row in rows:
        cells = [spread(row.values(get)) for get in columns.values()]
        routes = "/".join(sorted({record[row.section]["way"] for record in row.records.values()})) or "-"
        minutes = [sum(record["minutes"].values()) for record in row.records.values() if record.get("minutes")]
        cells += [routes, f"{np.mean(minutes):.0f}" if minutes else "-"]
        lines.append(f"| {row.title} | {len(row.records)} of {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _comparison(group: Group, rows: Sequence[Row]) -> str:
    ours, lines = rows[group.reference], []
    for row in rows:
        differences = {} if row is ours else compare_rows(ours, row)
        if differences:
            # one seed tells nothing of the spread over seeds, which is left out of its interval
            both = set(ours.records) & set(row.records)
            lone = ", one seed" if len(both) == 1 else ""
            cells = [
                f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f}) {d.verdict}{lone}" if d is not None else "-"
                for d in (differences.get("Dice"), differences.get("F1"))
            ]
            error = [1 - np.mean([r.records[seed][r.section]["dice"]["mean"] for seed in both]) for r in (ours, row)]
            cells.append(f"{100 * (1 - error[0] / error[1]):+.0f} %" if error[1] > 0 else "-")
            lines.append(f"| {row.title} | {' | '.join(cells)} |")
    if not lines:
        return ""
    head = [
        f"{ours.title} minus the other method: difference of the means (95 % interval).",
        "",
        "| other method | Dice | object F1 | reduction of the error (1 - Dice) |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *lines])


def _pairs(groups: Sequence[tuple[Group, list[Row]]]) -> str:
    """Where every group is one pair of rows: what the differences are over all pairs of runs with the same seed."""
    if len(groups) < 2 or any(len(rows) != 2 for _, rows in groups):
        return ""
    measures: dict[str, Callable[[Mapping[str, Any], str], float | None]] = {
        "Dice": lambda record, section: record[section]["dice"]["mean"],
        "object F1": lambda record, section: record[section]["f1"],
        "last training loss": lambda record, section: record.get("curves", {}).get("loss/total", [[0, None]])[-1][1],
    }
    pairs: dict[str, list[list[float]]] = {}
    for group, rows in groups:
        ours, theirs = rows[group.reference], rows[1 - group.reference]
        for seed in (seed for seed in ours.records if seed in theirs.records):
            values = [[get(row.records[seed], row.section) for row in (ours, theirs)] for get in measures.values()]
            found = [float("nan") if None in pair else pair[0] - pair[1] for pair in values]
            if ours.run.data != theirs.run.data:
                found[-1] = float("nan")  # losses of other labels are no measure
            pairs.setdefault(ours.run.dataset.title, []).append(found)
    if not pairs:
        return ""
    lines = [
        "## All pairs of runs",
        "",
        "Each comparison above, run by run with the same seed: mean of the differences, lowest to highest, and the number of",
        "pairs in which the difference is above 0. Training losses are compared where the labels are the same.",
        "",
        f"| set | pairs | {' | '.join(measures)} |",
        "|---|---|" + "---|" * len(measures),
    ]
    for title, differences in [*pairs.items(), ("all", [pair for several in pairs.values() for pair in several])]:
        cells = []
        for values in map(np.array, zip(*differences, strict=True)):
            known = values[np.isfinite(values)]
            ends = f" ({known.min():+.3f} to {known.max():+.3f})" if len(known) > 1 else ""
            cells.append(f"{known.mean():+.3f}{ends}, above 0 in {(known > 0).sum()}" if len(known) else "-")
        lines.append(f"| {title} | {len(differences)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Mean and, of several, lowest to highest; "-" where nothing is known."""
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return "-"
    mean = f"{np.mean(known):.3f}"
    return mean if len(known) < 2 else f"{mean} ({min(known):.3f} to {max(known):.3f})"


def _csv(groups: Sequence[tuple[Group, list[Row]]]) -> str:
    """A row per run."""
    records: list[dict[str, Any]] = []
    for group, rows in groups:
        for row in rows:
            for seed, record in row.records.items():
                scores = record[row.section]
                flat: dict[str, Any] = {"group": group.title, "set": record["set"], "data": record["data"]}
                flat |= {"method": record["method"], "seed": seed, "section": row.section}
                flat |= {f"dice {name}": value for name, value in scores["dice"].items()}
                flat |= {"route": scores["way"], "f1@0.5": scores["f1"]}
                flat |= {f"f1@0.5 {route}": value for route, value in scores["f1 by way"].items()} | scores["objects"]
                flat |= {f"interface {name}": value for name, value in scores["separation"].items()}
                flat |= {f"minutes {name}": value for name, value in record.get("minutes", {}).items()}
                records.append(flat | {"steps": record.get("steps"), "date": record["date"]})
    text = io.StringIO()
    columns = list(dict.fromkeys(key for record in records for key in record)) or ["group"]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    return text.getvalue()
