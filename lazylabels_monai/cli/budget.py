"""The command ``budget``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import give_json, require_free_json

__all__ = ["budget"]


def budget(
    data: Annotated[Path, typer.Argument(help="a data set's folder or its datalist.json")],
    hours: Annotated[float, typer.Option(help="hours of annotation that are left")] = 1.0,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=SECONDS, may be repeated. NAME: strong, inner, scribble (each), absent (class), image (each label)"
        ),
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="YAML or JSON file of such names and seconds")] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="write the budget as JSON into this file; - for standard output")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier JSON file")] = False,
) -> None:
    """Reckon what a data set's labels cost to draw, by a published cost model, and what the next hour would buy."""
    from lazylabels_monai.data.budget import annotation_budget, format_budget
    from lazylabels_monai.data.costs import read_costs

    require_free_json(json_file, overwrite)
    found = annotation_budget(data, read_costs(costs, cost or ()), hours)
    typer.echo(format_budget(found), err=json_file == "-")
    give_json(json_file, {"data": str(data), **found.as_dict()})
