"""Statistics of a class over one image and over a data set, with the border's bias removed and bootstrap intervals.

Sources for the border: R. E. Miles, On the elimination of edge effects in planar sampling, in Harding & Kendall (eds.),
*Stochastic Geometry*, Wiley 1974; C. Lantuejoul 1978, 1980, as told in J. Serra, *Image Analysis and Mathematical
Morphology*, Academic Press 1982; ISO 13322-1 has the same correction. For the intervals: T. C. Hesterberg, What teachers
should know about the bootstrap, *The American Statistician* 69 (2015), 371-386: percentiles are too narrow for few units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from lazylabels_monai.measure.image import ImageMeasurements, MeasureError

__all__ = ["MIN_IMAGES", "MIN_TILES", "STATISTICS", "measurement_error", "summarize", "summary_dict"]

#: Statistics of a class, as in the columns' names; ``{u}`` is the unit of length.
STATISTICS: tuple[str, ...] = (
    "number_density_per_{u}2",
    "area_fraction",
    "mean_diameter_{u}",
    "median_diameter_{u}",
    "p10_diameter_{u}",
    "p90_diameter_{u}",
)
_QUANTILES = (0.5, 0.1, 0.9)
_IS_SHARE = np.array([False, True, False, False, False, False])
_IS_SIZE = np.array([False, False, True, True, True, True])

#: An interval for one image needs this many tiles, ...
MIN_TILES = 6
#: ... and one for several this many images: of two, Student's t is 12.7 and most intervals span a factor of 100.
MIN_IMAGES = 3

#: Resamples go over at most this many groups of sizes; single objects differ from them by less than 0.1 % in rank.
_MAX_GROUPS = 1024


@dataclass(frozen=True)
class _Sample:
    """One class in n units of resampling (images or tiles); lengths in the unit of the columns."""

    area: np.ndarray  # (n,) labelled area
    phase: np.ndarray  # (n,) area of the class
    unit: np.ndarray  # (m,) unit of each object that counts
    size: np.ndarray  # (m,) equivalent diameter
    weight: np.ndarray  # (m,) objects that it stands for

    def estimates(self, counts: np.ndarray) -> np.ndarray:
        """Statistics of resamples: counts (B, n) -> (B, 6) in the order of STATISTICS; NaN where undefined."""
        counts = np.asarray(counts, float)
        values, group = np.unique(self.size, return_inverse=True)
        if values.size > _MAX_GROUPS and len(counts) > 1:
            group = group * _MAX_GROUPS // values.size
            values = np.bincount(group, self.size * self.weight) / np.bincount(group, self.weight)
        table = np.zeros((len(self.area), values.size))
        np.add.at(table, (self.unit, group), self.weight)
        sums = np.bincount(self.unit, self.size * self.weight, minlength=len(self.area))
        number, area = counts @ table.sum(1), counts @ self.area
        result = np.full((len(counts), len(STATISTICS)), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            result[:, 0], result[:, 1], result[:, 2] = number / area, counts @ self.phase / area, counts @ sums / number
        if values.size:
            weights = counts @ table
            middles = weights.cumsum(1) - weights / 2
            drawn = weights > 0  # sizes of no image in a resample are no steps of its distribution
            for row, total in enumerate(number):
                if total > 0:
                    steps = middles[row, drawn[row]], values[drawn[row]]
                    result[row, 3:] = np.interp(np.multiply(_QUANTILES, total), *steps)
        return result

    def point(self) -> np.ndarray:
        """(6,) statistics of the sample itself."""
        return self.estimates(np.ones((1, len(self.area))))[0]


def summarize(
    measurements: Sequence[ImageMeasurements],
    border: str = "ml",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    scopes: Sequence[str] = ("image", "all"),
) -> pd.DataFrame:
    """Statistics per image and class, and per class over all images.

    With ``border="ml"`` sizes and number densities are corrected for the border (Miles-Lantuejoul): objects that touch the
    border are left out, and each of the others stands for 1 / chance objects, where chance is that of a place of its
    bounding box wholly inside the image. Without it large objects, which the border cuts more often, are missed or look
    small. The area fraction takes every pixel and needs no correction.

    The statistics over all images are those of all their objects together: an image of many objects counts for more.

    Intervals over the data set come from a bootstrap of whole images (three or more), for one image from a bootstrap of its
    tiles, never of single objects, which are alike within an image. They are Student's t intervals on the logarithm (the
    logit for the area fraction) with the bootstrap's standard error and one degree of freedom less than units: for few
    units the bootstrap's own percentiles are too narrow. The error of a size is that of its logarithm in the resamples: one
    relative to the estimate is no measure where images differ manifold. An interval over tiles speaks of the specimen around
    that image, taken in the same way; one over images of the images that these were drawn from at random.

    Args:
        measurements: of the images, of the same classes and all with or all without a pixel size.
        border: "ml", or "none" for every object as it is seen, cut or not.
        confidence: level of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        scopes: which rows are wanted.

    Returns:
        a row per image and class, then a row per class over all images: ``scope`` ("image" or "all"), ``image``, ``class``,
        ``class_name``, ``images``, ``objects``, ``objects_used``, each of :data:`STATISTICS` with ``_low`` and ``_high``,
        ``interval_over`` ("images", "tiles" or "") and ``interval_units`` (how many). NaN where a number is not defined:
        sizes without an object, intervals from fewer than :data:`MIN_TILES` tiles or :data:`MIN_IMAGES` images.

    Raises:
        MeasureError: without images, and for images that do not fit together.
    """
    _check(measurements, border, confidence, resamples)
    rows = []
    groups = [("image", m.name, [m]) for m in measurements] + [("all", "", list(measurements))]
    for scope, name, images in groups:
        if scope in scopes:
            for k in range(1, len(images[0].class_names) + 1):
                rows.append(_row(scope, name, k, images, border, confidence, resamples, seed))
    return pd.DataFrame(rows)


def summary_dict(summary: pd.DataFrame) -> dict[str, Any]:
    """The rows over all images as nested dictionaries, for JSON: ``{class name: {statistic: {value, low, high}}}``.

    Args:
        summary: of :func:`summarize`.

    Returns:
        the classes; an undefined number is None.
    """
    classes = {}
    for row in summary[summary["scope"] == "all"].to_dict("records"):
        entry: dict[str, Any] = {key: int(row[key]) for key in ("images", "objects", "objects_used")}
        for name in (key.removesuffix("_low") for key in row if key.endswith("_low")):
            entry[name] = {key: _none(row[name + end]) for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))}
        entry["interval_over"], entry["interval_units"] = row["interval_over"], int(row["interval_units"])
        classes[row["class_name"]] = entry
    return classes


def measurement_error(
    measured: Sequence[ImageMeasurements],
    truth: Sequence[ImageMeasurements],
    border: str = "ml",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """How far the statistics of predictions are from those of the truth on the same images.

    Args:
        measured: of predictions.
        truth: of exact labels; the images of the same names are compared, in any order.
        border, confidence, resamples, seed: as for :func:`summarize`.

    Returns:
        a row per class and statistic: ``class_name``, ``statistic``, ``images``, ``measured``, ``truth``, ``error``
        (measured - truth), ``error_low``, ``error_high`` (both of each image drawn together, so that what images have in
        common cancels; from two images on) and ``relative_error``.

    Raises:
        MeasureError: when the names, the classes or the units of the images differ.
    """
    for images in (measured, truth):
        _check(images, border, confidence, resamples)
    by_name = {m.name: m for m in truth}
    missing = [m.name for m in measured if m.name not in by_name]
    if missing:
        raise MeasureError(f"image '{missing[0]}' has no exact label ({len(missing)} in all): measure the same images.")
    pairs = [(m, by_name[m.name]) for m in measured]
    _check([m for pair in pairs for m in pair], border, confidence, resamples)
    for one, other in pairs:
        if one.shape != other.shape:
            raise MeasureError(
                f"image '{one.name}' is {one.shape} as predicted but {other.shape} as labelled: use labels of the same size."
            )
    counts, rows = _counts(len(pairs), resamples, seed) if len(pairs) > 1 else None, []
    for k, name in enumerate(measured[0].class_names, 1):
        one, other = (_over_images([pair[side] for pair in pairs], k, border) for side in (0, 1))
        here, there = one.point(), other.point()
        half = np.full(len(STATISTICS), np.nan)
        if counts is not None:
            errors = _standard_errors(one.estimates(counts) - other.estimates(counts), len(pairs))
            half = stats.t.ppf((1 + confidence) / 2, len(pairs) - 1) * errors
        for s, statistic in enumerate(STATISTICS):
            rows.append(
                {
                    "class_name": name,
                    "statistic": statistic.format(u=measured[0].unit),
                    "images": len(pairs),
                    "measured": here[s],
                    "truth": there[s],
                    "error": here[s] - there[s],
                    "error_low": here[s] - there[s] - half[s],
                    "error_high": here[s] - there[s] + half[s],
                    "relative_error": (here[s] - there[s]) / there[s] if there[s] else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _check(measurements: Sequence[ImageMeasurements], border: str, confidence: float, resamples: int) -> None:
    if border not in ("ml", "none"):
        raise MeasureError(f"border '{border}' is unknown: use ml (Miles-Lantuejoul) or none.")
    if not 0.5 <= confidence < 1:
        raise MeasureError(f"confidence {confidence} must be at least 0.5 and below 1: 0.95 is usual.")
    if resamples < 100:
        raise MeasureError(f"{resamples} resamples are too few for an interval: use 100 or more, 2000 is usual.")
    if not measurements:
        raise MeasureError("there is no image to summarize: measure one first.")
    first = measurements[0]
    for other in measurements:
        if other.class_names != first.class_names:
            raise MeasureError(
                f"image '{other.name}' has the classes {', '.join(other.class_names)} and '{first.name}' has "
                f"{', '.join(first.class_names)}: measure all with the same class names."
            )
        if other.unit != first.unit:
            known, unknown = (other, first) if other.pixel_size is not None else (first, other)
            raise MeasureError(
                f"image '{unknown.name}' states no pixel size while '{known.name}' does: add it (key pixel_size of the item, "
                "or --pixel-size for all images)."
            )


def _row(
    scope: str,
    name: str,
    k: int,
    images: Sequence[ImageMeasurements],
    border: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    over = "images" if len(images) > 1 else "tiles"
    sample = _over_images(images, k, border) if over == "images" else _over_tiles(images[0], k, border)
    units, point = len(sample.area), sample.point()
    low = high = np.full(len(STATISTICS), np.nan)
    if units >= (MIN_IMAGES if over == "images" else MIN_TILES):
        low, high = _interval(point, sample.estimates(_counts(units, resamples, seed)), units, confidence)
    else:
        over, units = "", 0
    row: dict[str, Any] = {
        "scope": scope,
        "image": name,
        "class": k,
        "class_name": images[0].class_names[k - 1],
        "images": len(images),
        "objects": sum(int((m.objects["class"] == k).sum()) for m in images),
        "objects_used": len(sample.size),
    }
    for s, statistic in enumerate(STATISTICS):
        column = statistic.format(u=images[0].unit)
        row |= {column: point[s], f"{column}_low": low[s], f"{column}_high": high[s]}
    return {**row, "interval_over": over, "interval_units": units}


def _objects(measured: ImageMeasurements, k: int, border: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The objects of a class that count, their diameters and their weights."""
    objects = measured.objects[measured.objects["class"] == k]
    weight = objects["border_weight"].to_numpy() if border == "ml" else np.ones(len(objects))
    objects, weight = objects[weight > 0], weight[weight > 0]
    return objects, objects[f"equivalent_diameter_{measured.unit}"].to_numpy(), weight


def _pixel_area(measured: ImageMeasurements) -> float:
    return 1.0 if measured.pixel_size is None else measured.pixel_size**2


def _over_images(images: Sequence[ImageMeasurements], k: int, border: str) -> _Sample:
    found = [_objects(m, k, border) for m in images]
    return _Sample(
        np.array([m.tile_pixels.sum() * _pixel_area(m) for m in images]),
        np.array([m.tile_class_pixels[k - 1].sum() * _pixel_area(m) for m in images]),
        np.repeat(np.arange(len(images)), [len(size) for _, size, _ in found]),
        np.concatenate([size for _, size, _ in found]),
        np.concatenate([weight for _, _, weight in found]),
    )


def _over_tiles(measured: ImageMeasurements, k: int, border: str) -> _Sample:
    """Tiles of one image. Where objects at the border are left out, centroids come from a smaller field, which is divided
    instead of the image: tiles at the border would be short of objects, and the interval too wide."""
    objects, size, weight = _objects(measured, k, border)
    cells = []
    for axis, length, tiles in zip(("row", "col"), measured.shape, measured.tile_pixels.shape, strict=True):
        margin = float((objects[f"bbox_{axis}_max_px"] - objects[f"bbox_{axis}_min_px"]).mean() / 2) if len(objects) else 0.0
        margin = min(margin, 0.4 * length) if border == "ml" else 0.0
        cuts = np.linspace(margin, length - margin, tiles + 1)[1:-1]
        cells.append(np.searchsorted(cuts, objects[f"centroid_{axis}_px"].to_numpy() + 0.5))
    area = _pixel_area(measured)
    return _Sample(
        measured.tile_pixels.ravel() * area,
        measured.tile_class_pixels[k - 1].ravel() * area,
        cells[0] * measured.tile_pixels.shape[1] + cells[1],
        size,
        weight,
    )


def _counts(units: int, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each resample, (B, n)."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)


def _none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _standard_errors(replicates: np.ndarray, units: int) -> np.ndarray:
    """(6,) of the bootstrap, without its bias of (n - 1) / n; NaN where more than 1 in 20 resamples is undefined."""
    defined = np.isfinite(replicates)
    shares = defined.mean(0)
    values = np.where(defined, replicates, 0.0)
    means = values.sum(0) / np.maximum(defined.sum(0), 1)
    variance = (defined * (values - means) ** 2).sum(0) / np.maximum(defined.sum(0), 1)
    return np.where(shares > 0.95, np.sqrt(variance * units / (units - 1)), np.nan)


def _interval(point: np.ndarray, replicates: np.ndarray, units: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Student's t interval on the logarithm, or on the logit of a share; back on the scale of ``point``.

    Densities and shares are 0 in resamples of images without the class, so that their errors are divided by the estimate
    instead of taken of the logarithm, which they lack there.
    """
    t = stats.t.ppf((1 + confidence) / 2, units - 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.where(_IS_SHARE, point * (1 - point), point)  # d point / d transformed
        errors = np.where(_IS_SIZE, _standard_errors(np.log(replicates), units), _standard_errors(replicates, units) / scale)
        middle, half = np.log(np.where(_IS_SHARE, point / (1 - point), point)), t * errors
        low, high = (np.where(_IS_SHARE, expit(edge), np.exp(edge)) for edge in (middle - half, middle + half))
    return tuple(np.where(np.isfinite(edge), edge, np.nan) for edge in (low, high))
