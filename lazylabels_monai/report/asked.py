"""Whether measurements that are there were made as a command asks: a page that shows others would answer another question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.pixel_size import parse_pixel_size
from lazylabels_monai.option_text import command, written_names
from lazylabels_monai.overrides import expanded

__all__ = ["require_asked"]

#: Options of ``measure`` by their keys in ``summary.json``, with their defaults.
_OPTIONS = {
    "ids": ("--ids", None),
    "min_size_px": ("--min-size", 1),
    "border": ("--exclude-border", "ml"),
    "gap_px": ("--gap", 2),
    "confidence": ("--confidence", 0.95),
    "seed": ("--seed", 0),
    "truth": ("--truth", None),
}


def require_asked(
    summary: Mapping[str, Any],
    folder: Path,
    out: Path,
    images: Any = None,
    pixel_size: str | float | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """Refuse measurements that were made with another pixel size or other names.

    Args:
        summary: ``summary.json``.
        folder: of the measurements.
        out: folder of the prediction that they are of.
        images: that the command names, for the command that measures anew; else those of before.
        pixel_size, classes: that the command gives; None takes what there is.

    Raises:
        LazyLabelsError: with the command that measures anew.
        PixelSizeError: for a pixel size that is none.
    """
    made_with, names = summary.get("pixel_size_um"), list(summary["classes"])
    differs = []
    if pixel_size is not None and not _same_size(made_with, parse_pixel_size(pixel_size)):
        differs.append(f"{_said(made_with)}, not {pixel_size}")
    if classes and list(classes) != names:
        differs.append(f"the classes {', '.join(names)}, not {', '.join(classes)}")
    if not differs:
        return
    size = made_with if pixel_size is None else pixel_size
    words = ["measure", out, folder]
    images = images if isinstance(images, (str, Path)) else _images_of_before(summary, folder)
    words += ["--images", images] if images is not None else []
    # several stated sizes come from the files again
    words += ["--pixel-size", _text(size)] if isinstance(size, (str, int, float)) else []
    words += ["--classes", written_names(list(classes or names))]
    for key, (option, default) in _OPTIONS.items():
        if summary.get(key, default) != default:
            words += [option, str(summary[key])]
    raise LazyLabelsError(
        f"the measurements in '{folder}' were made with {' and '.join(differs)}: measure again by "
        f"`{command(*words, '--overwrite')}`, then report."
    )


def _images_of_before(summary: Mapping[str, Any], folder: Path) -> str | None:
    """The images that were measured, as they were named then or from the folder of the measurements; None where neither is."""
    for named in (summary.get("images_in"), summary.get("images_from_here")):
        for place in () if named is None else (expanded(named), folder / named):
            if place.exists() or any(place.parent.glob(place.name)):  # or a pattern
                return str(place)
    return None


def _same_size(made_with: Any, asked: float) -> bool:
    return isinstance(made_with, (int, float)) and math.isclose(made_with, asked, rel_tol=1e-6)


def _said(made_with: Any) -> str:
    if isinstance(made_with, list):
        return f"pixel sizes from {min(made_with):g} to {max(made_with):g} um"
    return "no pixel size" if made_with is None else f"a pixel size of {made_with:g} um"


def _text(size: str | float) -> str:
    return size if isinstance(size, str) else f"{size!r}um"
