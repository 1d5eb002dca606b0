"""Commands of ``python -m lazylabels_monai``: thin, each calls one function of the package.

A command imports what it needs when it runs, since MONAI alone takes seconds and most label commands do without.
"""

from __future__ import annotations

import sys

import typer

from lazylabels_monai.cli.bench import bench
from lazylabels_monai.cli.budget import budget
from lazylabels_monai.cli.check import check
from lazylabels_monai.cli.datalist import datalist
from lazylabels_monai.cli.experiment import experiment
from lazylabels_monai.cli.grabcut import grabcut
from lazylabels_monai.cli.measure import measure
from lazylabels_monai.cli.monai_label import monai_label
from lazylabels_monai.cli.pack import pack, pack_bioimage
from lazylabels_monai.cli.predict import predict
from lazylabels_monai.cli.report import report
from lazylabels_monai.cli.results import picture, results
from lazylabels_monai.cli.score import export, score
from lazylabels_monai.cli.simulate import simulate
from lazylabels_monai.cli.suggest import suggest
from lazylabels_monai.cli.synthetic import synthetic
from lazylabels_monai.cli.tune import tune

__all__ = ["app", "main"]

app = typer.Typer(
    help="Segment microscopy images from lazy labels. Train and predict with python -m monai.bundle run; see the README.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in (
    datalist,
    simulate,
    synthetic,
    check,
    grabcut,
    budget,
    export,
    predict,
    pack,
    pack_bioimage,
    tune,
    results,
    picture,
    measure,
    suggest,
    report,
    score,
    experiment,
    bench,
    monai_label,
):
    app.command()(_command)


def main() -> None:
    """Run a command; what a user can mend ends as one sentence on standard error and exit code 1."""
    try:
        app(prog_name="python -m lazylabels_monai")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
