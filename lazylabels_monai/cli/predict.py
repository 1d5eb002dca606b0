"""The command ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["predict"]


def predict(
    images: Annotated[
        str, typer.Argument(help="a folder, a file or a pattern in quotes: PNG, TIFF, OME-TIFF, JPEG, BMP; volumes")
    ],
    out: Annotated[Path, typer.Option(help="folder of the results")],
    bundle: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("bundle"),
    weights: Annotated[Path | None, typer.Option(help="model.pt of a training; default models/model.pt of the bundle")] = None,
    config: Annotated[list[str] | None, typer.Option(help="a config file after inference.yaml, may be repeated")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default a GPU where there is one")] = None,
    probabilities: Annotated[
        bool | None, typer.Option(help="write the probability maps, too; default: what --config says")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="predict images again that are done")] = False,
) -> None:
    """Predict images: label map, objects and overlay of each. A broken file is named and skipped; exit code 1 then."""
    from lazylabels_monai.predict import predict as predict_images

    given = {"save_probabilities": probabilities, "device": device}
    overrides = {key: value for key, value in given.items() if value is not None}
    report = predict_images(
        images, out, bundle, weights, overlays=config or (), overwrite=overwrite, overrides=overrides, progress=typer.echo
    )
    typer.echo(f"written: {out} ({len(report.done)} images, {len(report.skipped)} were done before)")
    for path, reason in report.failed.items():
        typer.echo(f"error: '{path}': {reason}", err=True)
    if report.failed:
        raise typer.Exit(1)
