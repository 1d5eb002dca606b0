"""The command ``grabcut``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import end_status_line, status_line

__all__ = ["grabcut"]


def grabcut(
    data: Annotated[Path, typer.Argument(help="a data set with inner regions: its folder or its datalist.json")],
    out: Annotated[Path, typer.Argument(help="folder to make: proposals, overlays, proposals.csv and datalist.json")],
    section: Annotated[str, typer.Option(help="training, validation or testing")] = "training",
    only_missing: Annotated[bool, typer.Option("--only-missing/--all", help="leave images with an exact mask alone")] = True,
    method: Annotated[
        str, typer.Option(help="hybrid (cut, colour and distance), grabcut (the cut alone) or distance")
    ] = "hybrid",
    iterations: Annotated[int, typer.Option(help="of GrabCut")] = 5,
    missed: Annotated[float, typer.Option(help="how far objects reach beyond their mark, in depths of the mark")] = 0.37,
    margin: Annotated[float, typer.Option(help="background from so many depths of the nearest mark on")] = 1.0,
    window: Annotated[int, typer.Option(help="longest side of a window with colours of its own, in pixels")] = 384,
    truth: Annotated[
        Path | None, typer.Option(help="exact masks to measure against: a data set, or masks/ or classes/")
    ] = None,
    failed: Annotated[str, typer.Option(help="an image whose GrabCut failed: skip, or fallback to distance")] = "skip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compute and report, write nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier OUT of this command")] = False,
) -> None:
    """Propose exact masks from inner regions by GrabCut, for a person to correct or as pseudo labels."""
    from lazylabels_monai.data.datalist import FILE_NAME
    from lazylabels_monai.data.proposals import propose_dataset
    from lazylabels_monai.labels.grabcut import GrabCutSettings

    summary = propose_dataset(
        data,
        out,
        section=section,
        only_missing=only_missing,
        settings=GrabCutSettings(method=method, iterations=iterations, missed=missed, margin=margin, window=window),
        failed=failed,
        truth=truth,
        dry_run=dry_run,
        overwrite=overwrite,
        progress=status_line,
    )
    end_status_line()
    typer.echo(summary.table())
    for report in summary.images:
        if report.status == "failed":
            typer.echo(
                f"warning: '{report.image}' got no proposal, since {report.reason}: draw its exact mask, or pass --failed "
                "fallback for a guess by distance.",
                err=True,
            )
        elif report.reason and report.written:
            typer.echo(
                f"warning: '{report.image}' needs a close look, since {report.reason}: distance was used there.", err=True
            )
    for note in summary.notes:
        typer.echo(f"note: {note}")
    if summary.folder is not None:
        typer.echo(f"written: {summary.folder / FILE_NAME}; look through {summary.folder / 'overlays'}")
