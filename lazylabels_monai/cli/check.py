"""The command ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]


def check(data: Annotated[Path, typer.Argument(help="a data set's folder or its datalist.json")]) -> None:
    """Check a data set before training: which image carries which label, and what is wrong. Exit code 1 on errors."""
    from lazylabels_monai.data.checking import check_datalist

    report = check_datalist(data)
    typer.echo(report.table)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for error in report.errors:
        typer.echo(f"error: {error}", err=True)
    if report.errors:
        raise typer.Exit(1)
