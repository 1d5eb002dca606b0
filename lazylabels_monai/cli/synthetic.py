"""The command ``synthetic``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["synthetic"]


def synthetic(
    out: Annotated[Path, typer.Argument(help="folder to make")],
    train: Annotated[int, typer.Option(help="training images")] = 20,
    validation: Annotated[int, typer.Option(help="validation images")] = 6,
    test: Annotated[int, typer.Option(help="test images")] = 12,
    height: Annotated[int, typer.Option(help="pixels")] = 256,
    width: Annotated[int, typer.Option(help="pixels")] = 320,
    strong: Annotated[int, typer.Option(help="training images with exact masks")] = 2,
    detection: Annotated[int, typer.Option(help="training images with inner regions")] = 15,
    separation: Annotated[int, typer.Option(help="training images with interface scribbles")] = 20,
    seed: Annotated[int, typer.Option(help="makes all images and marks")] = 0,
    volumes: Annotated[str | None, typer.Option(help="a few small volumes instead: .nii.gz, .nrrd or .mha")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Make the built-in microstructure data set with other numbers than the default ones."""
    from lazylabels_monai.data.simulating.synthetic import make_dataset, make_volume_dataset
    from lazylabels_monai.data.simulating.writing import format_summary

    if volumes:
        typer.echo(format_summary(make_volume_dataset(out, suffix=volumes, seed=seed, overwrite=overwrite)))
        return
    summary = make_dataset(
        out,
        num_train=train,
        num_validation=validation,
        num_test=test,
        size=(height, width),
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        overwrite=overwrite,
    )
    typer.echo(format_summary(summary))
