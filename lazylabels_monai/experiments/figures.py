"""Figures of a comparison: scores with their spread, and the losses of the trainings."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lazylabels_monai.experiments.rows import Row
from lazylabels_monai.experiments.spec import Group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_curves", "draw_scores"]

# Okabe and Ito's colours, which colour-blind readers can distinguish
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


def draw_scores(groups: Sequence[tuple[Group, list[Row]]], path: Path) -> Path | None:
    """Dice and object F1: a dot per seed, a bar from the lowest to the highest, a tick at the mean. None without a run."""
    from matplotlib.figure import Figure

    shown = [(group.title, [(row, row is rows[group.reference]) for row in rows if row.records]) for group, rows in groups]
    shown = [(title, rows) for title, rows in shown if rows]
    if not shown:
        return None
    heights = [0.32 * len(rows) + 0.7 for _, rows in shown]
    figure = Figure(figsize=(9, sum(heights) + 0.4), layout="constrained")
    axes = figure.subplots(len(shown), 2, squeeze=False, height_ratios=heights)
    for line, (title, rows) in zip(axes, shown, strict=True):
        for axis, (what, key) in zip(line, (("Dice", None), ("object F1 at IoU 0.5", "f1")), strict=True):
            for position, (row, is_reference) in enumerate(rows):
                values = np.array(row.values(lambda scores, key=key: scores["dice"]["mean"] if key is None else scores[key]))
                values = values[np.isfinite(values)]
                if not len(values):
                    continue
                colour = _COLOURS[0] if is_reference else "#666666"
                axis.plot([values.min(), values.max()], [position] * 2, color=colour, linewidth=1.5)
                axis.plot(values, [position] * len(values), "o", color=colour, markersize=4)
                axis.plot(values.mean(), position, "|", color=colour, markersize=14, markeredgewidth=2)
            axis.set_ylim(len(rows) - 0.4, -0.6)
            names = [textwrap.fill(row.title, 40) if what == "Dice" else "" for row, _ in rows]
            axis.set_yticks(range(len(rows)), names)
            axis.set_xlabel(what)
            axis.set_title(title if what == "Dice" else "", loc="left", fontsize=10)
            axis.locator_params(axis="x", nbins=6)
            axis.grid(axis="x", color="#dddddd")
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.tick_params(axis="y", length=0)
    _save(figure, path)
    return path


def draw_curves(groups: Sequence[tuple[Group, list[Row]]], path: Path) -> Path | None:
    """The segmentation's training loss by epoch, a line per run; whether the losses have flattened. None without one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    shown = []
    for group, rows in groups:
        lines = [
            (row, record["curves"]["loss/segmentation"])
            for row in rows
            for record in row.records.values()
            if record.get("curves", {}).get("loss/segmentation")
        ]
        if lines:
            shown.append((group, lines))
    if not shown:
        return None
    columns = min(3, len(shown))
    count = -(-len(shown) // columns)
    names = max(len({row.title for row, _ in lines}) for _, lines in shown)
    figure = Figure(figsize=(4.2 * columns, (3 + 0.14 * names) * count), layout="constrained")
    axes = figure.subplots(count, columns, squeeze=False).ravel()
    for axis, (group, lines) in zip(axes, shown, strict=False):
        titles = list(dict.fromkeys(row.title for row, _ in lines))
        drawn = set()
        for row, points in lines:
            colour = _COLOURS[titles.index(row.title) % len(_COLOURS)]
            label = None if row.title in drawn else row.title
            drawn.add(row.title)
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=label)
        axis.set_title(textwrap.fill(group.title, 40), loc="left", fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_ylabel("segmentation loss")
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.yaxis.set_major_formatter("{x:g}")  # 0.2, not 2 x 10^-1
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(color="#dddddd")
        # below, as lines fill the axes
        short = max(map(len, titles)) < 27
        axis.legend(fontsize=7, frameon=False, ncols=2 if short else 1, loc="upper left", bbox_to_anchor=(0, -0.22))
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    _save(figure, path)
    return path


def _save(figure: Figure, path: Path) -> None:
    """As PNG with a palette: lines and letters of few colours, a third of the bytes."""
    pixels = io.BytesIO()
    figure.savefig(pixels, dpi=110, bbox_inches="tight")
    Image.open(pixels).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
