"""The command ``report``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import CLASSES_HELP, names

__all__ = ["report"]


def report(
    out: Annotated[Path, typer.Argument(help="output folder of a prediction, an evaluation or both; gets report.html")],
    images: Annotated[
        str | None, typer.Option(help="the images that were predicted: a folder, a pattern in quotes or a datalist.json")
    ] = None,
    training: Annotated[
        Path | None, typer.Option(help="output_dir of the training, for its curves; default OUT, then beside the weights")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="model.pt, beside which the settings lie")] = None,
    pixel_size: Annotated[
        str | None, typer.Option(help="such as 0.5um, where OUT holds no measurements yet; those of another size are refused")
    ] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    max_images: Annotated[int, typer.Option(help="pictures in the gallery, those of the lowest probability first")] = 24,
    max_objects: Annotated[int, typer.Option(help="objects in the list of those to check first")] = 12,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier report")] = False,
) -> None:
    """Write one HTML file: sizes and their distribution, pictures with layers, objects to check, metrics, curves, settings."""
    from lazylabels_monai.report import make_report

    path = make_report(
        out,
        images=images,
        training=training,
        weights=weights,
        pixel_size=pixel_size,
        classes=names(classes),
        max_images=max_images,
        max_objects=max_objects,
        overwrite=overwrite,
        command=shlex.join(["python", "-m", "lazylabels_monai", *sys.argv[1:]]),
        warn=lambda sentence: typer.echo(f"warning: {sentence}", err=True),
    )
    typer.echo(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB, one file without links to others)")
