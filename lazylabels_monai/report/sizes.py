"""What ``measure`` counted, as rows and plots of the page, in units in which its numbers are read easily."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from lazylabels_monai.report.figures import cumulative_plot, histogram_plot
from lazylabels_monai.report.numbers import SUPERSCRIPT, class_css
from lazylabels_monai.report.reading import Measurements

__all__ = ["image_rows", "length_unit", "size_plots", "summary_rows", "truth_errors", "written_length"]

#: Lengths are shown in nanometres where no class has a mean of this many micrometres, ...
_NANOMETRES_BELOW = 0.1
#: ... and in millimetres from this many on.
_MILLIMETRES_FROM = 1e4


def length_unit(measured: Measurements) -> tuple[str, float]:
    """Unit in which lengths are shown, one for all so that they compare, and how many of it make one of the files' unit."""
    unit, entries = measured.summary["unit"], measured.summary["classes"].values()
    if unit != "um":
        return unit, 1.0
    largest = max((entry["mean_diameter_um"]["value"] or 0.0 for entry in entries), default=0.0)
    if 0 < largest < _NANOMETRES_BELOW:
        return "nm", 1000.0
    return ("mm", 0.001) if largest >= _MILLIMETRES_FROM else ("µm", 1.0)


def written_length(length: float) -> str:
    """Micrometres as text."""
    return f"{length:g} µm" if length >= 1 else f"{length * 1000:g} nm"


def _density(measured: Measurements) -> tuple[str, float]:
    """What number densities are shown per, and how many of the files' square units that is: so many that the numbers need
    no leading zeros."""
    unit, entries = measured.summary["unit"], measured.summary["classes"].values()
    densities = [entry[f"number_density_per_{unit}2"]["value"] or 0 for entry in entries]
    exponent = max(0, -math.floor(math.log10(max(densities)))) if any(densities) else 0
    per = "" if exponent == 0 else f"10{str(exponent).translate(SUPERSCRIPT)} "
    return f"per {per}{'µm' if unit == 'um' else unit}²", 10.0**exponent


def summary_rows(measured: Measurements, out: Path) -> dict[str, Any]:
    content = measured.summary
    unit = content["unit"]
    entries = content["classes"]
    (shown, length_scale), (density_unit, density_scale) = length_unit(measured), _density(measured)
    rows = [
        {
            "name": name,
            "colour": class_css(k),
            "entry": entry,
            "density": entry[f"number_density_per_{unit}2"],
            **{key: entry[f"{key}_diameter_{unit}"] for key in ("mean", "median", "p10", "p90")},
        }
        for k, (name, entry) in enumerate(entries.items(), 1)
    ]
    size = content.get("pixel_size_um")
    known = [entry for entry in entries.values() if entry["interval_over"]]
    return {
        "rows": rows,
        "images": content["images"],
        "truth_images": content.get("truth_images", content["images"]),
        "unit": shown,
        "scale": length_scale,
        "density_unit": density_unit,
        "density_scale": density_scale,
        "percent": f"{100 * content['confidence']:g} %",
        "over": " or ".join(dict.fromkeys(f"{e['interval_units']} {e['interval_over']}" for e in known)),
        "border": content.get("border"),
        "pixel_size": written_length(size) if isinstance(size, (int, float)) else None,
        "pixel_sizes": ", ".join(map(written_length, size)) if isinstance(size, list) else None,
        "from": "measured for this report" if measured.folder is None else _inside(measured.folder, out) + "summary.json",
    }


def _inside(folder: Path, out: Path) -> str:
    if folder == out:
        return ""
    return (folder.relative_to(out) if folder.is_relative_to(out) else folder).as_posix() + "/"


def truth_errors(measured: Measurements) -> list[dict[str, Any]]:
    """Rows of measured - truth, where ``measure --truth`` was run, in the units of the summary."""
    unit, (shown, length_scale), (per, density_scale) = measured.summary["unit"], length_unit(measured), _density(measured)
    labels = {
        f"number_density_per_{unit}2": (f"number density, {per}", density_scale),
        "area_fraction": ("area fraction, %", 100),
    }
    for key, label in (("mean", "mean diameter"), ("p10", "10th percentile"), ("median", "median"), ("p90", "90th percentile")):
        labels[f"{key}_diameter_{unit}"] = (f"{label}, {shown}", length_scale)
    names = measured.summary["classes"]
    return [
        {
            "name": name,
            "colour": class_css(list(names).index(name) + 1) if name in names else None,
            "statistic": labels[key][0],
            "scale": labels[key][1],
            **statistics[key],
        }
        for name, statistics in measured.summary.get("error", {}).items()
        for key in labels
        if key in statistics
    ]


def image_rows(measured: Measurements) -> list[dict[str, Any]]:
    unit = measured.summary["unit"]
    columns = {"density": f"number_density_per_{unit}2", "fraction": "area_fraction"}
    columns |= {key: f"{key}_diameter_{unit}" for key in ("mean", "median")}
    rows = []
    for row in measured.images.to_dict("records"):
        entry = {key: row[key] for key in ("image", "class_name", "objects", "objects_used")}
        for key, column in columns.items():
            entry[key] = {"value": row[column], "low": row[f"{column}_low"], "high": row[f"{column}_high"]}
        rows.append(entry)
    return rows


def size_plots(measured: Measurements) -> list[Markup]:
    unit, entries = measured.summary["unit"], measured.summary["classes"]
    column, found, plots, (shown, scale) = f"equivalent_diameter_{unit}", [], [], length_unit(measured)
    for k, (name, entry) in enumerate(entries.items(), 1):
        rows = measured.objects[measured.objects["class"] == k]
        corrected = measured.summary.get("border") == "ml"
        weights = rows["border_weight"].to_numpy(float) if corrected else np.ones(len(rows))
        diameters, weights = rows[column].to_numpy(float)[weights > 0] * scale, weights[weights > 0]
        if not len(diameters):
            continue
        found.append((k, name, diameters, weights))
        mean = entry[f"mean_diameter_{unit}"]
        ends = tuple(None if end is None else end * scale for end in (mean["low"], mean["high"]))
        plots.append(histogram_plot(diameters, weights, k, name, shown, mean["value"] * scale, ends))
    return [*plots, cumulative_plot(found, shown)] if found else []
