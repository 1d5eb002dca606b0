"""Rows of a comparison: the records of a method's seeds, and how two rows differ. Tables and figures are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.experiments.records import as_array, read_record
from lazylabels_monai.experiments.spec import Group, Run, Table
from lazylabels_monai.experiments.statistics import Difference, mean_dice, paired_difference, pooled_f1

__all__ = ["Row", "compare_rows", "read_rows"]

_COUNTS = ["tp", "fp", "fn"]


@dataclass(frozen=True)
class Row:
    """A method on a set: the records of its seeds, in the table's order; a run that was not done is left out."""

    title: str
    run: Run  # of any seed
    records: Mapping[int, Mapping[str, Any]]
    section: str

    def values(self, get: Callable[[Mapping[str, Any]], float | None]) -> list[float]:
        """A number of each seed's scores; NaN where unknown."""
        found = [get(record[self.section]) for record in self.records.values()]
        return [float("nan") if value is None else float(value) for value in found]

    def images(self, seeds: Sequence[int], prefix: str | Sequence[str]) -> list[np.ndarray]:
        """For each seed (images, columns); columns by name or by the beginning of their names."""
        found = []
        for seed in seeds:
            images = self.records[seed][self.section]["images"]
            columns = [name for name in images if name.startswith(prefix)] if isinstance(prefix, str) else list(prefix)
            found.append(as_array(images, columns))
        return found


def read_rows(table: Table, group: Group, results: str | Path) -> list[Row]:
    """The rows of a group with the records that there are."""
    rows = []
    several = len({(dataset.name, data) for dataset, data, _ in group.rows if data == "lazy" or dataset.name}) > 1
    for dataset, data, method in group.rows:
        runs = {seed: Run(table.scale, dataset, data, method, seed) for seed in group.seeds}
        records = {seed: read_record(results, run) for seed, run in runs.items()}
        known = {seed: record for seed, record in records.items() if table.section in record}
        named = several and not method.data and data != "lazy"
        title = f"{method.title}, {data.replace('_', ' ')}" if named else method.title
        rows.append(Row(title, next(iter(runs.values())), known, table.section))
    return rows


def compare_rows(ours: Row, theirs: Row) -> dict[str, Difference]:
    """Differences of Dice and of object F1 over the seeds that both have; empty where they share none or other images."""
    seeds = [seed for seed in ours.records if seed in theirs.records]
    if not seeds:
        return {}
    names = [[row.records[seed][row.section]["images"]["image"] for seed in seeds] for row in (ours, theirs)]
    if names[0] != names[1]:
        return {}
    by_seed = ours.run.dataset.images_by_seed
    found = {"Dice": paired_difference(ours.images(seeds, "dice "), theirs.images(seeds, "dice "), mean_dice, by_seed)}
    counts = [row.images(seeds, _COUNTS) for row in (ours, theirs)]
    if not any(np.isnan(array).all() for arrays in counts for array in arrays):
        found["F1"] = paired_difference(*counts, pooled_f1, by_seed)
    return found
