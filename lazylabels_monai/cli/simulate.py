"""The command ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import COUNT, names
from lazylabels_monai.labels.lazy import DEFAULT_GAP, DEFAULT_THICKNESS
from lazylabels_monai.labels.simulate import format_summary
from lazylabels_monai.labels.simulate import simulate as simulate_labels

__all__ = ["simulate"]


def _subset(values: list[str] | None) -> dict[str, int] | None:
    if not values:
        return None
    wanted = {}
    for value in values:
        split, _, count = value.partition("=")
        if not count.isdigit():
            raise ValueError(f"--subset {value}: write SPLIT=COUNT, for example --subset train=60.")
        wanted[split] = int(count)
    return wanted


def simulate(
    src: Annotated[Path, typer.Argument(help="train/ val/ test/ (any of them), each with images/ and masks/ or classes/")],
    out: Annotated[Path, typer.Argument(help="folder to make: images, labels and datalist.json")],
    strong: Annotated[str, typer.Option(help=f"images that keep their exact mask: {COUNT}")] = "0.1",
    detection: Annotated[str, typer.Option(help=f"images with inner regions: {COUNT}")] = "0.75",
    separation: Annotated[str, typer.Option(help=f"images with interface scribbles: {COUNT}")] = "all",
    seed: Annotated[int, typer.Option(help="draws which images keep what, and the marks")] = 0,
    classes: Annotated[str | None, typer.Option(help="names of the object classes, separated by commas")] = None,
    validation: Annotated[str | None, typer.Option(help=f"where SRC has no val/, taken from train/: {COUNT}")] = None,
    subset: Annotated[list[str] | None, typer.Option(help="use only COUNT images: SPLIT=COUNT, may be repeated")] = None,
    scale: Annotated[float, typer.Option(help="resize images and labels by this factor")] = 1.0,
    gap: Annotated[int, typer.Option(help="objects at most this many pixels apart touch")] = DEFAULT_GAP,
    thickness: Annotated[int, typer.Option(help="thickness of the interface scribbles in pixels")] = DEFAULT_THICKNESS,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Make a lazy data set out of an exactly labelled one, as if a person had been short of time."""
    summary = simulate_labels(
        src,
        out,
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        gap=gap,
        thickness=thickness,
        classes=names(classes),
        subset=_subset(subset),
        scale=scale,
        overwrite=overwrite,
        validation=validation,
    )
    typer.echo(format_summary(summary))
