"""The command ``suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import failure, names

__all__ = ["suggest"]


def suggest(
    images: Annotated[
        str, typer.Argument(help="a data set whose training images lack labels, or a folder, a file or a pattern in quotes")
    ],
    weights: Annotated[Path, typer.Option(help="model.pt of a training")],
    data: Annotated[
        Path | None, typer.Option(help="data set that IMAGES may be part of already: labels it has are not suggested")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write all suggestions into this CSV file")] = None,
    top: Annotated[int, typer.Option(min=1, help="suggestions that are printed, and pictured")] = 10,
    tasks: Annotated[
        str | None, typer.Option(help="labels that are wanted, by commas: segmentation,detection,separation; default: all")
    ] = None,
    by: Annotated[
        str, typer.Option(help="what counts as uncertainty: mutual information (the answers disagree) or entropy")
    ] = "mutual information",
    flips: Annotated[bool, typer.Option("--flips/--no-flips", help="predict each image four times, flipped")] = True,
    dropout_samples: Annotated[int, typer.Option(min=0, help="further predictions with dropout, if the network has any")] = 0,
    diversity: Annotated[float, typer.Option(help="0 to 1: how far images like a higher-ranked one are moved down")] = 1.0,
    hours: Annotated[float, typer.Option(help="hours of annotation to plan for")] = 1.0,
    cost: Annotated[list[str] | None, typer.Option(help="NAME=SECONDS, may be repeated; see the command budget")] = None,
    costs: Annotated[Path | None, typer.Option(help="YAML or JSON file of such names and seconds")] = None,
    pictures: Annotated[Path | None, typer.Option(help="write pictures of the uncertainty into this folder")] = None,
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[list[str] | None, typer.Option(help="a config file after inference.yaml, may be repeated")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default a GPU where there is one")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier CSV file and earlier pictures")] = False,
) -> None:
    """Say which labels to draw next: those with the most uncertainty per second of annotation. A broken image: exit code 1."""
    from lazylabels_monai.atomic import require_free
    from lazylabels_monai.data.costs import read_costs
    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.suggest import (
        check_pictures,
        format_suggestions,
        uncertainty_pictures,
        write_suggestions,
    )
    from lazylabels_monai.suggest import suggest as rank_labels
    from lazylabels_monai.trained import trained_settings

    # what can be said now is not said after an hour of predicting
    if out is not None:
        require_free(out, overwrite)
    if pictures is not None:
        check_pictures(pictures, overwrite)
    seconds, wanted = read_costs(costs, cost or ()), names(tasks)
    model = Model(weights, bundle, config or (), {} if device is None else {"device": device})
    how = {"measure": by, "flips": flips, "dropout_samples": dropout_samples}
    found = rank_labels(
        images,
        model,
        data,
        tasks=wanted,
        costs=seconds,
        hours=hours,
        diversity=diversity,
        settings=trained_settings(weights),
        progress=lambda line: typer.echo(line, err=True),
        **how,
    )
    typer.echo(format_suggestions(found, top))
    if out is not None:
        typer.echo(f"written: {write_suggestions(out, found, overwrite)} ({len(found.ranked)} labels)")
    if pictures is not None:
        count = len(uncertainty_pictures(pictures, found, model, top, overwrite=overwrite, **how))
        typer.echo(f"written: {pictures} ({count} pictures)")
    for path, reason in found.failed.items():
        typer.echo(failure(path, reason), err=True)
    if found.failed:
        raise typer.Exit(1)
