"""The command ``experiment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["experiment"]


def experiment(
    table: Annotated[list[Path], typer.Argument(help="files of configs/experiments, such as table1.yaml")],
    scale: Annotated[str | None, typer.Option(help="size of the runs, such as cpu or paper; default the table's own")] = None,
    only: Annotated[list[str] | None, typer.Option(help="only runs whose name holds this text, may be repeated")] = None,
    seeds: Annotated[str | None, typer.Option(help="other seeds than the table's, separated by commas")] = None,
    out: Annotated[Path, typer.Option(help="folder of the runs")] = Path("outputs/experiments"),
    results: Annotated[Path, typer.Option(help="folder of records, tables and figures")] = Path("docs/results"),
    made: Annotated[Path, typer.Option(help="folder of the data sets that are made")] = Path("data/experiments"),
    data: Annotated[Path | None, typer.Option(help="folder of the real sets", envvar="LAZYLABELS_DATA")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the runs, do none")] = False,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="make tables and figures of what is there")] = False,
) -> None:
    """Run what is missing of a comparison, then write its table and figures. Goes on where it was interrupted."""
    from lazylabels_monai.experiments.runner import Places, chosen, is_done, run_table, tally
    from lazylabels_monai.experiments.spec import read_table
    from lazylabels_monai.experiments.tables import write_table

    tables = [read_table(path, scale) for path in table]
    if seeds is not None:
        try:
            numbers = tuple(int(seed) for seed in seeds.split(","))
        except ValueError:
            raise ValueError(f"--seeds {seeds}: give whole numbers separated by commas, such as 0,1,2.") from None
        tables = [one.with_seeds(numbers) for one in tables]
    places = Places(out, results, made, data)
    failed: dict[str, str] = {}
    for one in tables:
        if dry_run:
            runs = chosen(one, only or ())
            finished = is_done(runs, one.section, results)
            for run, done in zip(runs, finished, strict=True):
                typer.echo(f"{'done   ' if done else 'missing'} {run.name}")
            typer.echo(tally(one, finished))
            continue
        if not tables_only:
            failed |= run_table(one, places, only or (), typer.echo)
        for path in write_table(one, results):
            typer.echo(f"written: {path}")
    if failed:
        raise ValueError(f"{len(failed)} runs failed, the first of them {next(iter(failed.items()))}: mend it, run this again.")
