"""The command ``budget``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

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

    if json_file not in (None, "-") and Path(json_file).exists() and not overwrite:
        raise FileExistsError(f"{json_file} is there already: name another file, or pass --overwrite.")
    found = annotation_budget(data, read_costs(costs, cost or ()), hours)
    typer.echo(format_budget(found), err=json_file == "-")
    if json_file is not None:
        text = json.dumps({"data": str(data), **found.as_dict()}, indent=1)
        if json_file == "-":
            typer.echo(text)
        else:
            Path(json_file).parent.mkdir(parents=True, exist_ok=True)
            Path(json_file).write_text(text + "\n", encoding="utf-8")
