"""Plots as SVG that takes the page's fonts and, for axes and text, its colour, so that it reads in a light and a dark page."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from lazylabels_monai.images.pictures import INTERFACE_COLOUR
from lazylabels_monai.report.numbers import class_css

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cumulative_plot", "curves_plot", "histogram_plot"]

#: Stands for the page's text colour until the SVG is written.
_INK = "#010203"
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called "$x"
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}
_SIZE = (4.6, 3.0)
_DASHES = ("-", "--", "-.", ":")
_MAX_POINTS = 300
_XLINK = "http://www.w3.org/1999/xlink"
_BLUE = "#2b8cc4"  # Okabe and Ito's, lighter: it reads on a dark page and on a white one
_VIOLET = "#" + bytes(INTERFACE_COLOUR).hex()
_TASK_COLOURS = {"total": _INK, "segmentation": _BLUE, "detection": "#e69f00", "separation": _VIOLET}


def histogram_plot(
    diameters: np.ndarray,
    weights: np.ndarray,
    value: int,
    name: str,
    unit: str,
    mean: float,
    interval: tuple[float | None, float | None],
) -> Markup:
    """Histogram of the equivalent diameters of one class.

    Args:
        diameters: of its objects.
        weights: objects that each stands for.
        value: of the class, which gives the colour.
        name: of the class.
        unit: of length, as shown.
        mean: of the class.
        interval: of the mean; None where there is none.
    """
    edges = _bins(diameters)
    with _styled() as figure:
        axes = figure.subplots()
        shares = np.histogram(diameters, edges, weights=weights)[0] / weights.sum() * 100
        axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=class_css(value), edgecolor=_INK, linewidth=0.5)
        if None not in interval:
            axes.axvspan(*interval, color=_INK, alpha=0.2, linewidth=0)
        axes.axvline(mean, color=_INK, linewidth=1.4, label="mean")
        axes.legend(fontsize=9)
        axes.set(title=name, xlabel=f"equivalent diameter ({unit})", ylabel="objects (%)")
        axes.set_xlim(left=max(0, edges[0] - (edges[1] - edges[0])))
        return _svg(figure, f"Histogram of the equivalent diameters of {name}")


def cumulative_plot(classes: Sequence[tuple[int, str, np.ndarray, np.ndarray]], unit: str) -> Markup:
    """Share of objects up to each diameter, a line per class: (value, name, diameters, weights)."""
    with _styled() as figure:
        axes = figure.subplots()
        for number, (value, name, diameters, weights) in enumerate(classes):
            order = np.argsort(diameters)
            shares = np.cumsum(weights[order]) / weights.sum() * 100
            x, y = np.r_[diameters[order][0], diameters[order]], np.r_[0, shares]
            if len(x) > _MAX_POINTS:
                kept = np.unique(np.searchsorted(y, np.linspace(0, 100, _MAX_POINTS)).clip(0, len(x) - 1))
                x, y = x[kept], y[kept]
            # the dark line below keeps a light class colour visible on white
            axes.step(x, y, where="post", color=_INK, linewidth=2.8, alpha=0.35)
            axes.step(x, y, where="post", color=class_css(value), linewidth=2, linestyle=_DASHES[number % 4], label=name)
        axes.axhline(50, color=_INK, linewidth=1, linestyle=":", label="median")
        axes.set(
            title="Cumulative", xlabel=f"equivalent diameter ({unit})", ylabel="objects up to this size (%)", ylim=(0, 100)
        )
        axes.set_xlim(left=0)
        axes.legend(fontsize=9, loc="lower right")
        return _svg(figure, "Cumulative distribution of the equivalent diameters")


def curves_plot(curves: Mapping[str, Sequence[tuple[int, float]]], title: str, label: str) -> Markup:
    """Lines over the epochs: (epoch, value) pairs by name; the names of tasks have colours of their own."""
    with _styled() as figure:
        axes = figure.subplots()
        for number, (name, points) in enumerate(curves.items()):
            epochs, values = np.array(points, float).T
            colour = _TASK_COLOURS.get(name, class_css(number) if number else _BLUE)
            marker = "o" if len(points) < 30 else None
            axes.plot(epochs, values, color=colour, linestyle=_DASHES[number % 4], marker=marker, markersize=3.5, label=name)
        axes.set(title=title, xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(curves) > 1:
            axes.legend(fontsize=9)
        return _svg(figure, title)


@contextmanager
def _styled() -> Iterator[Figure]:
    """A figure of its own, without pyplot's state, under this module's style."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=_SIZE, layout="constrained")


def _svg(figure: Figure, title: str) -> Markup:
    """The figure as an SVG element with a name for screen readers and ids that no other figure of the page has."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # "font-family: ..." or, of other versions, "font: bold 10px ..."
    text = re.sub(r"(font-family: |font: [^;\"']*px )[^;\"]*", r"\1var(--font)", text)
    text = text.replace(_INK, "currentColor")
    prefix = f"f{zlib.crc32(text.encode(errors='surrogateescape')):x}-"
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{prefix}", text)
    width, height = (side * 72 for side in _SIZE)
    start = f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width:g} {height:g}" xmlns:xlink="{_XLINK}">'
    return Markup(re.sub(r"<svg\b[^>]*>", lambda _: start, text, count=1))


def _bins(diameters: np.ndarray) -> np.ndarray:
    """Edges of 8 to 40 bins of a round width."""
    low, high = float(diameters.min()), float(diameters.max())
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    count = int(np.clip(len(np.histogram_bin_edges(diameters, "auto")) - 1, 8, 40))
    rough = (high - low) / count
    base = 10 ** np.floor(np.log10(rough))
    width = base * min((1, 2, 2.5, 5, 10), key=lambda step: abs(step * base - rough))
    return np.arange(np.floor(low / width), np.floor(high / width) + 2) * width
