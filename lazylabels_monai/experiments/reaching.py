"""How soon a training that begins from weights is where one from nothing ends, read from their validation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lazylabels_monai.experiments.rows import Row

__all__ = ["reached", "reaching_table"]

#: On whole images, or on chosen windows of them.
_CURVES = ("val_mean_dice_windows", "val_mean_dice")


def reached(warm: Sequence[Sequence[float]], cold: Sequence[Sequence[float]]) -> float | None:
    """Share of the training, above 0 to 1, after which ``warm`` first is at least as good as ``cold`` at its end.

    Args:
        warm, cold: (epoch, validation Dice) in the order of the epochs; validated at the same ones.

    Returns:
        None where it never is, or where nothing was validated.
    """
    if not warm or not cold:
        return None
    return next((epoch / cold[-1][0] for epoch, dice in warm if dice >= cold[-1][1]), None)


def reaching_table(rows: Sequence[Row]) -> str:
    """A line for each method that begins from weights and stands beside the same one from nothing; empty where none does."""
    lines = []
    for row in rows:
        other = _from_nothing(row, rows)
        seeds = [] if other is None else [seed for seed in row.records if seed in other.records]
        pairs = [(_curve(row.records[seed]), _curve(other.records[seed])) for seed in seeds]
        pairs = [pair for pair in pairs if all(pair)]
        if not pairs:
            continue
        first = [f"{warm[0][1]:.3f} / {cold[0][1]:.3f}" for warm, cold in pairs]
        ends = [f"{warm[-1][1]:.3f} / {cold[-1][1]:.3f}" for warm, cold in pairs]
        shares = ["never" if (share := reached(*pair)) is None else f"{share:.0%}" for pair in pairs]
        lines.append(f"| {row.title} | {', '.join(first)} | {', '.join(ends)} | {', '.join(shares)} |")
    if not lines:
        return ""
    return "\n".join(
        [
            "Validation Dice, from the starter / from nothing, seed by seed, and the share of the steps after which the",
            "training from the starter is where the one from nothing ends:",
            "",
            "| method | at the first validation | at the end | reached after |",
            "|---|---|---|---|",
            *lines,
        ]
    )


def _curve(record: Mapping[str, Any]) -> list[list[float]]:
    curves = record.get("curves", {})
    return next((curves[name] for name in _CURVES if name in curves), [])


def _from_nothing(row: Row, rows: Sequence[Row]) -> Row | None:
    """The row that differs by its beginning alone."""
    run = row.run
    if not run.method.warm:
        return None
    for other in rows:
        method = other.run.method
        same = (method.overlays, method.set, other.run.data) == (run.method.overlays, run.method.set, run.data)
        if same and not method.warm and other.run.dataset == run.dataset and method.command is None:
            return other
    return None
