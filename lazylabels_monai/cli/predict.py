"""The command ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import failure

__all__ = ["predict"]


def predict(
    images: Annotated[
        str, typer.Argument(help="a folder, a file or a pattern in quotes: PNG, TIFF, OME-TIFF, OME-Zarr, JPEG, BMP; volumes")
    ],
    out: Annotated[Path, typer.Option(help="folder of the results")],
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="model.pt of a training; default models/model.pt of the bundle, else the starter")
    ] = None,
    config: Annotated[list[str] | None, typer.Option(help="a config file after inference.yaml, may be repeated")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default a GPU where there is one")] = None,
    probabilities: Annotated[
        bool | None, typer.Option(help="write the probability maps, too; default: what --config says")
    ] = None,
    mirroring: Annotated[
        bool | None, typer.Option(help="average over mirrored windows: a little more accurate, four times slower")
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty", help="write the uncertainty of each task, from four flips of the image: four times as long"
        ),
    ] = False,
    dropout_samples: Annotated[
        int, typer.Option(min=0, help="with --uncertainty: further predictions with dropout, if the network has any")
    ] = 0,
    large: Annotated[
        bool, typer.Option("--large", help="in tiles, as pictures are for which the memory is not enough (docs/large.md)")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a dask scheduler, whose workers predict the tiles of large pictures")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="predict images again that are done")] = False,
) -> None:
    """Predict images: class map, objects and overlay of each. A broken file is named and skipped; exit code 1 then."""
    from lazylabels_monai.predicting.folder import predict as predict_images

    if dropout_samples and not uncertainty:
        raise ValueError(f"--dropout-samples {dropout_samples} is for the uncertainty: add --uncertainty, or leave it out.")
    given = {"save_probabilities": probabilities, "mirroring": mirroring, "device": device}
    overrides = {key: value for key, value in given.items() if value is not None}
    report = predict_images(
        images,
        out,
        bundle,
        weights,
        overlays=config or (),
        overwrite=overwrite,
        overrides=overrides,
        progress=typer.echo,
        uncertainty=uncertainty,
        dropout_samples=dropout_samples,
        large=large,
        scheduler=scheduler,
    )
    done, before = len(report.done), len(report.skipped)
    typer.echo(f"written: {out} ({done} image{'s' * (done != 1)}, {before} {'was' if before == 1 else 'were'} done before)")
    for path, reason in report.failed.items():
        typer.echo(failure(path, reason), err=True)
    if report.failed:
        raise typer.Exit(1)
