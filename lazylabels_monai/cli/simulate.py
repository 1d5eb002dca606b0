"""The command ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import CLASSES_HELP, COUNT, LABELLED, names
from lazylabels_monai.labels.choices import DEFAULT_GAP, DEFAULT_JITTER, DEFAULT_THICKNESS, MISSED, STYLES

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


_KEEP = "share of each object's area inside its region, on average; default 0.5625 (blob), 0.2 (stroke), by depth (erode)"


def simulate(
    src: Annotated[
        Path, typer.Argument(help="train/ val/ test/ (any), each with images/ and masks/ or classes/; or one of these folders")
    ],
    out: Annotated[Path, typer.Argument(help="folder to make: images, labels and datalist.json")],
    strong: Annotated[str, typer.Option(help=f"images that keep their exact mask: {LABELLED}")] = "0.1",
    detection: Annotated[str, typer.Option(help=f"images with inner regions: {LABELLED}")] = "0.75",
    separation: Annotated[str, typer.Option(help=f"images with interface scribbles: {LABELLED}")] = "all",
    seed: Annotated[int, typer.Option(help="draws which images keep what, and the marks")] = 0,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    validation: Annotated[str | None, typer.Option(help=f"where SRC has no val/, taken from train/: {COUNT}")] = None,
    test: Annotated[str | None, typer.Option(help=f"where SRC has no test/, taken from train/: {COUNT}")] = None,
    subset: Annotated[list[str] | None, typer.Option(help="use only COUNT images: SPLIT=COUNT, may be repeated")] = None,
    scale: Annotated[float, typer.Option(help="resize images and labels by this factor")] = 1.0,
    style: Annotated[str, typer.Option(help=f"how inner regions are drawn: {', '.join(STYLES)}")] = STYLES[0],
    keep: Annotated[float | None, typer.Option(help=_KEEP)] = None,
    jitter: Annotated[float, typer.Option(help="relative spread of the inner regions, 0 to 1")] = DEFAULT_JITTER,
    gap: Annotated[int, typer.Option(help="objects at most this many pixels apart touch")] = DEFAULT_GAP,
    interface_share: Annotated[float, typer.Option(help="share of a training image's interfaces that get a scribble")] = 1.0,
    thickness: Annotated[int, typer.Option(help="thickness of the interface scribbles in pixels")] = DEFAULT_THICKNESS,
    wobble: Annotated[float, typer.Option(help="pixels by which scribbles of training images stray from the interface")] = 0.0,
    missed: Annotated[
        str, typer.Option(help="interfaces without a scribble: ignore (not labelled, 255) or other (label noise)")
    ] = MISSED[0],
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
    dry_run: Annotated[bool, typer.Option(help="print what would be written, write nothing")] = False,
) -> None:
    """Make a lazy data set out of an exactly labelled one, as if a person had been short of time."""
    from lazylabels_monai.data.simulating.simulate import simulate as simulate_labels
    from lazylabels_monai.data.simulating.writing import format_summary

    summary = simulate_labels(
        src,
        out,
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        classes=names(classes),
        subset=_subset(subset),
        scale=scale,
        overwrite=overwrite,
        validation=validation,
        test=test,
        dry_run=dry_run,
        style=style,
        keep=keep,
        jitter=jitter,
        gap=gap,
        interface_share=interface_share,
        thickness=thickness,
        wobble=wobble,
        missed=missed,
    )
    typer.echo(format_summary(summary))
