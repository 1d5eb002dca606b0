"""What remains of a run: one small JSON file, from which the tables and figures are made again at any time.

The route to objects is called ``way`` in the files, since the first of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.atomic import write_text
from lazylabels_monai.experiments.spec import ExperimentError, Run
from lazylabels_monai.spreadsheets import from_cell

__all__ = ["images_of", "read_record", "record_file", "write_record"]

_DIGITS = 5


def record_file(results: str | Path, run: Run) -> Path:
    """The file of a run below the folder of the results."""
    return Path(results) / "runs" / f"{run.name}.json"


def read_record(results: str | Path, run: Run) -> dict[str, Any]:
    """What is known of a run; empty where nothing is.

    Raises:
        ExperimentError: for a file that cannot be read.
    """
    path = record_file(results, run)
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): remove it, the run is done again then.") from error


def write_record(results: str | Path, run: Run, record: Mapping[str, Any]) -> Path:
    """Write a run's record in one step, a line per entry so that changes can be read."""
    path = record_file(results, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def images_of(folder: str | Path, route: str) -> dict[str, list[Any]]:
    """The columns of an evaluation's ``metrics.csv`` that comparisons need.

    Args:
        folder: of ``metrics.csv``.
        route: the route to objects whose counts are kept.

    Returns:
        by column, a value per image: ``image``, ``dice <class>``, ``tp``, ``fp``, ``fn`` at IoU 0.5, and the lengths and
        pairs of interfaces; None where unknown. Columns of nothing but None are left out.
    """
    with (Path(folder) / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, list[Any]] = {"image": [Path(from_cell(row["image"])).stem for row in rows]}
    prefix = f"objects {route} "
    for key in rows[0] if rows else ():
        if key.startswith(("dice ", "interface ")) and key != "dice mean":
            name = key
        elif key in (f"{prefix}tp", f"{prefix}fp", f"{prefix}fn"):
            name = key.removeprefix(prefix)
        else:
            continue
        values = [_number(row[key]) for row in rows]
        if any(value is not None for value in values):
            columns[name] = values
    return columns


def as_array(images: Mapping[str, list[Any]], columns: list[str]) -> np.ndarray:
    """(images, columns) float64; NaN where unknown or where there is no such column."""
    count = len(images["image"])
    return np.array([[np.nan if v is None else v for v in images.get(name, [None] * count)] for name in columns], float).T


def _number(text: str) -> float | int | None:
    if text in ("", "nan"):
        return None
    value = round(float(text), _DIGITS)
    return int(value) if value.is_integer() and value > 1 else value
