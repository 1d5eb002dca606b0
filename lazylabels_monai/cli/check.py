"""The command ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import give_json, require_free_json

__all__ = ["check"]


def check(
    data: Annotated[Path, typer.Argument(help="a data set's folder or its datalist.json")],
    sheet: Annotated[
        Path | None, typer.Option(help="PNG file to write: all images with their labels drawn, in pages if they are many")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="write the findings as JSON into this file; - for standard output")
    ] = None,
    crop_size: Annotated[int | None, typer.Option(help="name images shorter than this, in pixels")] = None,
    strict: Annotated[bool, typer.Option(help="exit code 1 on warnings, too")] = False,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier sheet or JSON file")] = False,
) -> None:
    """Check a data set before training: how many images carry which label, and what is wrong. Exit code 1 on errors."""
    from lazylabels_monai.data.checking import check_datalist

    require_free_json(json_file, overwrite)
    report = check_datalist(data, marks=True, crop_size=crop_size)
    # Where machines read standard output, people's text goes to standard error.
    typer.echo(report.table, err=json_file == "-")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for error in report.errors:
        typer.echo(f"error: {error}", err=True)
    give_json(json_file, {"data": str(data), **report.as_dict()})
    if sheet is not None and report.table:  # without a table the datalist itself could not be read
        from lazylabels_monai.data.contact_sheet import write_contact_sheet

        for path in write_contact_sheet(data, sheet, report.framed(), overwrite):
            typer.echo(f"written: {path}", err=json_file == "-")
    if report.errors or (strict and report.warnings):
        raise typer.Exit(1)
